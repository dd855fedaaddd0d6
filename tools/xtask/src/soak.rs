//! `cargo xtask soak`: mixed work on two file systems of one server, all of it compared, for a long time: nothing fails, and the
//! server does not grow.

use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::FileSystem;
use crate::coffer::{Coffer, Settings};
use crate::figures::{median, verdict};
use crate::house::{House, Profile};
use crate::load::{Load, finished};
use crate::look::{Look, allocated_bytes};
use crate::place::Place;

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// After so many looks a line is printed: once a minute.
const LOOKS_OF_A_LINE: usize = 6;
/// One round of one kind of work; then its files are compared and removed, and it begins anew with new clients.
const ROUND_SECONDS: u64 = 20;
/// A round that takes longer hangs.
const ROUND_MAX: Duration = Duration::from_secs(600);
/// The most memory that the server may ever have.
const MEMORY_KIB_MAX: u64 = 512 << 10;
/// From the second quarter of the time to the last the middle may grow by a tenth and by this.
const GROWTH_KIB: f64 = 16.0 * 1024.0;
const GROWTH_TIMES: f64 = 1.1;
/// In less time caches are still being filled and few looks are compared: growth is told, not demanded.
const GROWTH_MINUTES_MIN: u64 = 10;
/// What goes on all the time on the first file system and on the second.
const KINDS: [&[&[&str]]; 2] = [
    &[
        &["create"],
        &["remove", "--count", "4000"],
        &["write", "--mib", "128"],
        &["write4k", "--mib", "64"],
        &["read", "--mib", "128"],
        &["readdir", "--files", "1000"],
    ],
    &[
        &["small"],
        &["mkdir"],
        &["write", "--mib", "64"],
        &["write4k", "--mib", "64", "--commit", "--depth", "4"],
        &["read4k", "--mib", "128"],
        &["lookup", "--files", "1000"],
    ],
];
const CLIENTS: &str = "2";

/// Works for so long, and fails on any error, too much memory, growth, or damage.
pub(crate) fn run(house: &House, profile: Profile, minutes: u64) -> Result<String, String> {
    house.build(profile)?;
    let place = Place::new(house, "soak")?;
    let mut coffer = Coffer::with_many_addresses(house, profile, place.path(), Settings::default(), &[])?;
    let api = coffer.api()?;
    let file_systems = [api.create_file_system("soak-1", None)?, api.create_file_system("soak-2", None)?];
    let crew = Crew::new(Load::new(house, profile, &coffer), Duration::from_secs(minutes * 60));
    let samples = crew.work(&file_systems, &coffer)?;
    let compared = compare(&samples, minutes >= GROWTH_MINUTES_MIN);
    coffer.stop()?;
    coffer.fsck()?;
    println!("fsck: clean");
    Ok(format!("{}; {} operations in {minutes} min", compared?, crew.operations.load(Ordering::Relaxed)))
}

/// The server and its disk at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    look: Look,
    disk_bytes: u64,
}

/// Those who work, and what has become of it.
struct Crew {
    load: Load,
    start: Instant,
    time: Duration,
    stop: AtomicBool,
    operations: AtomicU64,
    rounds: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Crew {
    fn new(load: Load, time: Duration) -> Self {
        Self {
            load,
            start: Instant::now(),
            time,
            stop: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
            failures: Mutex::default(),
        }
    }

    /// All work at once until the time is over or something fails, looked at meanwhile.
    fn work(&self, file_systems: &[FileSystem], coffer: &Coffer) -> Result<Vec<Sample>, String> {
        let samples = thread::scope(|scope| {
            for (file_system, kinds) in file_systems.iter().zip(KINDS) {
                for kind in kinds {
                    scope.spawn(|| self.repeat(file_system, kind));
                }
            }
            let samples = self.watch(coffer);
            self.stop.store(true, Ordering::Relaxed);
            samples
        });
        let failures = self.failures.lock().map_err(|_| "a worker panicked".to_owned())?;
        if failures.is_empty() { samples } else { Err(failures.join("; ")) }
    }

    /// One kind of work, round after round.
    fn repeat(&self, file_system: &FileSystem, kind: &[&str]) {
        while !self.stop.load(Ordering::Relaxed) && self.start.elapsed() < self.time {
            let left = self.time.saturating_sub(self.start.elapsed()).as_secs();
            let seed = self.rounds.fetch_add(1, Ordering::Relaxed).to_string();
            if let Err(why) = self.round(file_system, kind, left.clamp(1, ROUND_SECONDS), &seed) {
                self.stop.store(true, Ordering::Relaxed);
                if let Ok(mut failures) = self.failures.lock() {
                    failures.push(format!("{} on {}: {why}", kind.join(" "), file_system.id));
                }
            }
        }
    }

    fn round(&self, file_system: &FileSystem, kind: &[&str], seconds: u64, seed: &str) -> Result<(), String> {
        let (kind, more) = kind.split_first().ok_or("no kind of work")?;
        let seconds = seconds.to_string();
        let more = [more, &["--clients", CLIENTS, "--seconds", &seconds, "--seed", seed]].concat();
        let line = finished(in_time(self.load.start(file_system, kind, &more)?)?)?;
        let operations = line.get("operations").and_then(Value::as_u64);
        self.operations.fetch_add(operations.unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    /// Looks at the server until the time is over or the work has stopped.
    fn watch(&self, coffer: &Coffer) -> Result<Vec<Sample>, String> {
        let mut samples = Vec::new();
        let mut next = LOOK_EVERY;
        while !self.stop.load(Ordering::Relaxed) && next <= self.time {
            if self.start.elapsed() < next {
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            next += LOOK_EVERY;
            let process = coffer.id().ok_or_else(|| format!("the server is gone: {}", coffer.last_words()))?;
            let sample = Sample { look: Look::at(process), disk_bytes: allocated_bytes(&coffer.data().join("fs")) };
            samples.push(sample);
            if samples.len() % LOOKS_OF_A_LINE == 0 {
                println!(
                    "minute {}: {}, {} MiB on the disk; {} operations in {} rounds",
                    samples.len() / LOOKS_OF_A_LINE,
                    sample.look,
                    sample.disk_bytes >> 20,
                    self.operations.load(Ordering::Relaxed),
                    self.rounds.load(Ordering::Relaxed)
                );
            }
        }
        Ok(samples)
    }
}

/// Waits until it has ended; one that hangs is killed.
fn in_time(mut worker: Child) -> Result<Child, String> {
    let start = Instant::now();
    while matches!(worker.try_wait(), Ok(None)) {
        if start.elapsed() > ROUND_MAX {
            let _ = worker.kill();
            let _ = worker.wait();
            return Err(format!("it hangs: a round has not ended after {} s", ROUND_MAX.as_secs()));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(worker)
}

/// The middle of each figure in the second quarter of the time and in the last; an error when memory is over its bounds, of which
/// that of growth may be told only.
fn compare(samples: &[Sample], demanded: bool) -> Result<String, String> {
    let quarter = samples.len() / 4;
    let (second, last) = (samples.get(quarter..2 * quarter), samples.get(samples.len() - quarter..));
    let (Some(second), Some(last)) = (second.filter(|some| !some.is_empty()), last) else {
        return Err("too short to compare".to_owned());
    };
    let middles =
        |figure: fn(&Sample) -> f64| [second, last].map(|part| median(&part.iter().map(figure).collect::<Vec<_>>()));
    let [before, after] = middles(|sample| f64::from(u32::try_from(sample.look.resident_kib).unwrap_or(u32::MAX)));
    let most = before * GROWTH_TIMES + GROWTH_KIB;
    let steady = after <= most;
    let said = format!(
        "{:.0} MiB in the second quarter, {:.0} MiB in the last, bar {:.0} MiB",
        before / 1024.0,
        after / 1024.0,
        most / 1024.0
    );
    let told = if demanded { "" } else { " (told only: too short a run)" };
    println!("memory: {said}: {}{told}", verdict(steady));
    let peak = samples.iter().map(|sample| sample.look.most_kib).max().unwrap_or(0);
    let small = peak <= MEMORY_KIB_MAX;
    println!("the most memory: {} MiB, bar {} MiB: {}", peak >> 10, MEMORY_KIB_MAX >> 10, verdict(small));
    let files = middles(|sample| f64::from(u32::try_from(sample.look.files).unwrap_or(u32::MAX)));
    let threads = middles(|sample| f64::from(u32::try_from(sample.look.threads).unwrap_or(u32::MAX)));
    let disk = middles(|sample| f64::from(u32::try_from(sample.disk_bytes >> 20).unwrap_or(u32::MAX)));
    for (what, [before, after]) in [("open files", files), ("threads", threads), ("MiB on the disk", disk)] {
        println!("{what}: {before} in the second quarter, {after} in the last");
    }
    let said = format!("{said}; at most {} MiB", peak >> 10);
    if (steady || !demanded) && small { Ok(said) } else { Err(format!("NOT met: {said}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident_kib: impl Fn(u64) -> u64) -> Vec<Sample> {
        let look = |nth| Look { resident_kib: resident_kib(nth), most_kib: 300 << 10, threads: 9, files: 50 };
        (0..40).map(|nth| Sample { look: look(nth), disk_bytes: 0 }).collect()
    }

    /// `cargo xtask soak`: memory that grows for ever is found, memory that is filled at the beginning is not.
    #[test]
    fn growth_is_told_from_filling() {
        assert!(compare(&samples(|nth| (200 << 10) + nth.min(10) * 1024), true).is_ok());
        assert!(compare(&samples(|nth| (200 << 10) + nth * 4096), true).is_err());
        assert!(compare(&samples(|nth| (200 << 10) + nth * 4096), false).is_ok());
        assert!(compare(&samples(|_| 200 << 10).into_iter().take(3).collect::<Vec<_>>(), true).is_err());
    }

    /// `cargo xtask soak`: what the server once took counts.
    #[test]
    fn a_peak_is_remembered() {
        let mut all = samples(|_| 200 << 10);
        all.iter_mut().skip(5).take(1).for_each(|sample| sample.look.most_kib = 513 << 10);
        assert!(compare(&all, false).is_err());
    }
}
