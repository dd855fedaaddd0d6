//! How the C library's allocator treats large buffers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env::Env;

/// Requests and replies of up to 1 MiB come and go all the time. By itself glibc gives memory of that size back to the
/// system at once, and each of the next buffer's pages is a fault again: a fifth of what a large WRITE costs. Up to so
/// much free memory at the end of a heap is kept instead.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 16 << 20;

/// Sets it up. Called before the first thread starts.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt has no wrapper in std")]
pub(crate) fn keep_large_buffers() {
    // The largest value that glibc takes: half of a thread's heap.
    const MAPPED_FROM_BYTES: libc::c_int = 32 << 20;
    // As many threads are busy as there are processors. By itself glibc makes eight times as many heaps, and each of them
    // keeps what was once used of it.
    let busy = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).max(2);
    let heaps = libc::c_int::try_from(busy).unwrap_or(libc::c_int::MAX);
    let settings =
        [(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES), (libc::M_ARENA_MAX, heaps)];
    for (option, value) in settings {
        // SAFETY: mallopt takes two integers; it is called before other threads allocate.
        if unsafe { libc::mallopt(option, value) } == 0 {
            tracing::debug!(option, value, "the allocator keeps its default");
        }
    }
}

/// Other C libraries have no such settings.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn keep_large_buffers() {}

/// How often the size of the process is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// From this size on free memory is given back: large buffers leave holes in the heaps, which nobody else may need.
const RESIDENT_BYTES_MAX: u64 = 256 << 20;

/// Something large is gone for good.
static FREED: AtomicBool = AtomicBool::new(false);

/// Says that something large is gone for good: what it took is given back at the next look, however small the process is.
pub(crate) fn freed() {
    FREED.store(true, Ordering::Relaxed);
}

/// Gives free memory back to the system whenever the process has become large or something large is gone. Never ends.
pub(crate) async fn give_back(env: Env) {
    loop {
        env.sleep(LOOK_EVERY).await;
        if FREED.swap(false, Ordering::Relaxed) || resident_bytes().is_some_and(|bytes| bytes > RESIDENT_BYTES_MAX) {
            // It walks through all heaps: some milliseconds.
            let _ = tokio::task::spawn_blocking(trim).await;
        }
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "malloc_trim has no wrapper in std")]
fn trim() {
    // SAFETY: it takes one integer, locks each heap while it looks at it, and touches only what is free.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
const fn trim() {}

/// The process's memory, from `/proc/self/status`.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 4, "A shard is opened": what an idle file system took goes back to the system when it is closed.
    #[tokio::test]
    async fn what_is_gone_for_good_is_given_back() {
        let looking = tokio::spawn(give_back(Env::real()));
        freed();
        let given = async {
            while FREED.load(Ordering::Relaxed) {
                Env::real().sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), given).await.unwrap();
        looking.abort();
    }

    /// The process knows how much memory it has, and can give what is free of it back.
    #[test]
    fn the_size_of_the_process_is_known() {
        let before = resident_bytes().unwrap();
        assert!(before > 1 << 20);
        let filled = vec![1_u8; 64 << 20];
        assert!(filled.iter().all(|byte| *byte == 1) && resident_bytes().unwrap() > before + (32 << 20));
        drop(filled);
        trim();
        assert!(resident_bytes().unwrap() < before + (32 << 20));
    }
}
