//! How the C library's allocator treats large buffers.

/// Requests and replies of up to 1 MiB come and go all the time. By itself glibc gives memory of that size back to the
/// system at once, and each of the next buffer's pages is a fault again: a fifth of what a large WRITE costs. Up to so
/// much free memory at the end of a heap is kept instead.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 64 << 20;

/// Sets it up. Called before the first thread starts.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt has no wrapper in std")]
pub(crate) fn keep_large_buffers() {
    // The largest value that glibc takes: half of a thread's heap.
    const MAPPED_FROM_BYTES: libc::c_int = 32 << 20;
    for (option, value) in [(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)] {
        // SAFETY: mallopt takes two integers; it is called before other threads allocate.
        if unsafe { libc::mallopt(option, value) } == 0 {
            tracing::debug!(option, value, "the allocator keeps its default");
        }
    }
}

/// Other C libraries have no such settings.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn keep_large_buffers() {}
