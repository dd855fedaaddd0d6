//! `memcpy` and `memmove`.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::counts::copied;

type Move = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;

/// The C library's own `memmove`; null until it is found.
static MOVE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Finds the C library's own.
pub(crate) fn find() {
    // SAFETY: the name ends with 0.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"memmove".as_ptr()) };
    MOVE.store(found, Ordering::Release);
}

/// # Safety
/// As the C library's `memmove`.
unsafe fn copy(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    let found = MOVE.load(Ordering::Acquire);
    if !found.is_null() {
        // SAFETY: this is the C library's function of that type, and the caller keeps its contract.
        return unsafe { std::mem::transmute::<*mut c_void, Move>(found)(to, from, count) };
    }
    // Before it is found, byte for byte, and volatile: otherwise the compiler makes a call of memmove out of it.
    let (bytes_to, bytes_from) = (to.cast::<u8>(), from.cast::<u8>());
    let step = |at: usize| {
        // SAFETY: both memories are so long, as the caller promises.
        unsafe { bytes_to.add(at).write_volatile(bytes_from.add(at).read_volatile()) };
    };
    if to.cast_const() < from {
        (0..count).for_each(step)
    } else {
        (0..count).rev().for_each(step)
    }
    to
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    copied(count);
    // SAFETY: the caller keeps a stricter contract.
    unsafe { copy(to, from, count) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    copied(count);
    // SAFETY: the caller keeps the contract.
    unsafe { copy(to, from, count) }
}
