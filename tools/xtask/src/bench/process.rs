//! What a process costs, as the kernel counts it.
#![expect(unsafe_code, reason = "no safe library reads another process's CPU clock")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// What a thread that idles may use in 400 ms.
const IDLE_SECONDS: f64 = 0.004;

/// Waits, for at most 20 s, until a process uses hardly any CPU.
pub(super) fn settle(process: u32) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let before = cpu_seconds(process).unwrap_or(0.0);
        std::thread::sleep(Duration::from_millis(400));
        if cpu_seconds(process).unwrap_or(0.0) - before < IDLE_SECONDS {
            return;
        }
    }
}

/// User and system time of a process, all its threads, those that have ended too, in nanoseconds' steps: the ticks of
/// `/proc/PID/stat` are as long as the shortest rows take.
pub(super) fn cpu_seconds(process: u32) -> Result<f64, String> {
    let failed = |why: String| format!("the CPU time of process {process}: {why}");
    // clock_getcpuclockid(3): the process's number, turned over, above three bits that say "scheduler's count".
    let number = i32::try_from(process).map_err(|error| failed(error.to_string()))?;
    let clock = (!number << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a timespec that lives through the call; any clock number may be asked for.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(failed(std::io::Error::last_os_error().to_string()));
    }
    let time = Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Ok(time.as_secs_f64())
}

/// Voluntary context switches of each thread.
pub(super) fn waits(process: u32) -> BTreeMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let count = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("status")).ok()?;
        let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()?;
        Some((thread.file_name().to_string_lossy().into_owned(), count))
    };
    threads.filter_map(count).collect()
}

/// How many more there were in the second look; threads that have ended between the two are missed.
pub(super) fn waits_since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> f64 {
    let fresh = |(thread, count): (&String, &u64)| count.saturating_sub(before.get(thread).copied().unwrap_or(0));
    let sum: u64 = after.iter().map(fresh).sum();
    Duration::from_secs(sum).as_secs_f64()
}

/// The most memory that a process ever had, in KiB.
pub(crate) fn high_water(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask bench`: CPU time is read finer than in ticks, and counts threads that have ended.
    #[test]
    fn the_cpu_time_of_ended_threads_counts() {
        let own = std::process::id();
        let before = cpu_seconds(own).unwrap();
        let worker = std::thread::spawn(|| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(30) {
                std::hint::black_box(start);
            }
        });
        worker.join().unwrap();
        let after = cpu_seconds(own).unwrap();
        assert!(after > before, "{before} {after}");
        assert!(cpu_seconds(u32::MAX).is_err());
        assert!(high_water(own) > 0 && !waits(own).is_empty());
    }

    /// `cargo xtask bench`: waits are those since the first look, of new threads too.
    #[test]
    fn waits_are_counted_between_two_looks() {
        let look = |rows: &[(&str, u64)]| rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let since = waits_since(&look(&[("1", 5), ("2", 7)]), &look(&[("1", 8), ("3", 2)]));
        assert!((since - 5.0).abs() < f64::EPSILON);
    }
}
