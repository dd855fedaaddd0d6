//! The numbers, in memory that is a file.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Copies of less than this are not of contents.
const LARGE_BYTES: usize = 4096;

/// The numbers, in the file's order.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Counts {
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    copies: AtomicU64,
    copied_bytes: AtomicU64,
    large_copies: AtomicU64,
    large_copied_bytes: AtomicU64,
}

/// Null without a file, and then nothing is counted.
static COUNTS: AtomicPtr<Counts> = AtomicPtr::new(null_mut());

fn counts() -> Option<&'static Counts> {
    // SAFETY: it is null or leads to a mapping of that size that is never undone; all that is in it is atomic.
    unsafe { COUNTS.load(Ordering::Acquire).as_ref() }
}

/// Counts an allocation.
pub(crate) fn allocated(bytes: usize) {
    let Some(counts) = counts() else { return };
    counts.allocations.fetch_add(1, Ordering::Relaxed);
    counts.allocated_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Counts a copy.
pub(crate) fn copied(bytes: usize) {
    let Some(counts) = counts() else { return };
    counts.copies.fetch_add(1, Ordering::Relaxed);
    counts.copied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    if bytes >= LARGE_BYTES {
        counts.large_copies.fetch_add(1, Ordering::Relaxed);
        counts.large_copied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The dynamic linker calls it before the program's `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    super::copying::find();
    // SAFETY: the names end with 0, the mapping is as long as the file was made, and nothing else uses the descriptor.
    unsafe {
        let path = libc::getenv(c"CALL_COUNTER_FILE".as_ptr());
        if path.is_null() {
            return;
        }
        let file = libc::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC, 0o600);
        if file < 0 {
            return;
        }
        let length = size_of::<Counts>();
        if libc::ftruncate(file, libc::off_t::try_from(length).unwrap_or(0)) == 0 {
            let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            let mapping: *mut c_void = libc::mmap(null_mut(), length, access, how, file, 0);
            if mapping != libc::MAP_FAILED {
                COUNTS.store(mapping.cast(), Ordering::Release);
            }
        }
        libc::close(file);
    }
}
