//! `malloc` and its relatives, handed to glibc under the names that it keeps for this. What is freed is not counted.

use std::ffi::{c_int, c_void};

use crate::counts::{allocated, copied};

unsafe extern "C" {
    fn __libc_malloc(bytes: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, bytes: usize) -> *mut c_void;
    fn __libc_realloc(memory: *mut c_void, bytes: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, bytes: usize) -> *mut c_void;
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(bytes: usize) -> *mut c_void {
    allocated(bytes);
    // SAFETY: the caller keeps the contract.
    unsafe { __libc_malloc(bytes) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    allocated(count.saturating_mul(bytes));
    // SAFETY: the caller keeps the contract.
    unsafe { __libc_calloc(count, bytes) }
}

/// Memory that grows is a new allocation, and a copy of what was in it if it is in another place then.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(memory: *mut c_void, bytes: usize) -> *mut c_void {
    allocated(bytes);
    // SAFETY: null has no size; other memory is the allocator's, as the caller promises.
    let before = unsafe { libc::malloc_usable_size(memory) };
    let old = memory.addr();
    // SAFETY: the caller keeps the contract.
    let moved = unsafe { __libc_realloc(memory, bytes) };
    if old != 0 && !moved.is_null() && moved.addr() != old {
        copied(before.min(bytes));
    }
    moved
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(memory: *mut *mut c_void, alignment: usize, bytes: usize) -> c_int {
    if !alignment.is_power_of_two() || !alignment.is_multiple_of(size_of::<usize>()) {
        return libc::EINVAL;
    }
    allocated(bytes);
    // SAFETY: the alignment is one that it takes, and the caller promises a place for the pointer.
    let found = unsafe { __libc_memalign(alignment, bytes) };
    if found.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: as above.
    unsafe { memory.write(found) };
    0
}
