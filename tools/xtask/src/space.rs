//! `cargo xtask space`: what the dead costs on the disk while clients overwrite and delete, what is left of it when they have
//! stopped, and what its return costs the clients. docs/operations.md, "Space".

use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{Api, FileSystem};
use crate::coffer::{Coffer, Settings};
use crate::figures::{median, verdict};
use crate::house::{House, Profile};
use crate::load::{Load, finished, number};
use crate::look::{Look, allocated_bytes};
use crate::place::Place;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a file system takes besides its files: the segment being written, journals, tables.
const ASIDE_BYTES: u64 = 256 << 20;
const BLOCK_BYTES: u64 = 4096;
/// Stretches whose latencies are looked at together: an overwritten eighth of the file each.
const STRETCHES: u64 = 8;
/// In so many stretches less is dead than is worth the cleaning, wherever it lies: an eighth less than what lives.
const QUIET: usize = 7;
/// From this one on twice as much as the file would be dead, had nothing come back.
const CLEANED: usize = 16;
/// By how much cleaning may lengthen the slowest hundredth.
const SLOWER_MAX: f64 = 2.0;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The file that is overwritten.
    file_mib: u64,
    /// How much is overwritten.
    overwritten_mib: u64,
    /// Small files, of which every second one is removed.
    files: u64,
    /// How long nobody works before the second bound holds.
    idle: Duration,
}

/// The whole campaign.
pub(crate) const FULL: Size =
    Size { file_mib: 1024, overwritten_mib: 10 << 10, files: 100_000, idle: Duration::from_secs(60) };

/// What `cargo xtask test` takes the time for. More is written than the first bound allows: dead space has to come back.
pub(crate) const SMALL: Size = Size { file_mib: 48, overwritten_mib: 336, files: 4_000, idle: Duration::from_secs(10) };

/// Measures, prints each figure with its bar, and fails where a bound of space is passed.
pub(crate) fn run(house: &House, profile: Profile, size: &Size) -> Result<String, String> {
    house.build(profile)?;
    let place = Place::new(house, "space")?;
    let coffer = Coffer::with_many_addresses(house, profile, place.path(), Settings::default(), &[])?;
    let mut space = Space { load: Load::new(house, profile, &coffer), coffer, missed: Vec::new() };
    let api = space.coffer.api()?;
    let overwritten = space.overwrites(&api, size)?;
    let thinned = space.small_files(&api, size)?;
    let process = space.coffer.id().ok_or_else(|| format!("the server is gone: {}", space.coffer.last_words()))?;
    println!("server: {}", Look::at(process));
    space.coffer.stop()?;
    space.coffer.fsck()?;
    println!("fsck: clean");
    if space.missed.is_empty() {
        Ok(format!("overwritten {overwritten}; thinned {thinned}"))
    } else {
        Err(format!("NOT met: {}", space.missed.join("; ")))
    }
}

/// A server, and the bounds that were passed.
struct Space {
    load: Load,
    coffer: Coffer,
    missed: Vec<String>,
}

/// The most that a file system took on the disk, and what it took last.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    most: u64,
    last: u64,
}

impl Taken {
    fn look(&mut self, directory: &Path) {
        self.last = allocated_bytes(directory);
        self.most = self.most.max(self.last);
    }
}

impl Space {
    /// One file, overwritten at random, each 4 KiB durable by itself.
    fn overwrites(&mut self, api: &Api, size: &Size) -> Result<String, String> {
        let file_system = api.create_file_system("overwritten", None)?;
        let live = size.file_mib << 20;
        let (mib, count) = (size.file_mib.to_string(), ((size.overwritten_mib << 20) / BLOCK_BYTES).to_string());
        let stretch = (live / BLOCK_BYTES / STRETCHES).to_string();
        let more = ["--mib", &mib, "--count", &count, "--depth", "16", "--stretch", &stretch, "--keep"];
        println!("{mib} MiB, of which {} MiB are overwritten in 4 KiB, each durable:", size.overwritten_mib);
        let worker = self.load.start(&file_system, "write4k", &more)?;
        let (mut taken, line) = self.watch(&file_system, worker)?;
        println!("  {:.0} s, {:.0} a second", number(&line, "seconds"), number(&line, "rate"));
        self.expect("the most on the disk", taken.most, live * 5 / 2 + ASIDE_BYTES);
        self.idle(&file_system, size.idle, &mut taken);
        self.settled(size, taken, live);
        slower(&line);
        Ok(format!("at most {} MiB of {mib} alive, {} MiB when idle", taken.most >> 20, taken.last >> 20))
    }

    /// Many small files, then half of them, spread evenly. While they are made and removed all of them count as alive.
    fn small_files(&mut self, api: &Api, size: &Size) -> Result<String, String> {
        let file_system = api.create_file_system("thinned", None)?;
        let count = size.files.to_string();
        println!("{count} files of 4 KiB, of which every second one is removed:");
        let worker =
            self.load.start(&file_system, "small", &["--count", &count, "--clients", "8", "--keep", "--thin"])?;
        let (taken, line) = self.watch(&file_system, worker)?;
        println!("  {:.0} s, {:.0} a second made", number(&line, "seconds"), number(&line, "rate"));
        let (all, half) = (size.files * BLOCK_BYTES, size.files / 2 * BLOCK_BYTES);
        self.expect("the most on the disk while all lived", taken.most, all * 5 / 2 + ASIDE_BYTES);
        let mut left = Taken::default();
        self.idle(&file_system, size.idle, &mut left);
        self.expect("the most on the disk when half lived", left.most, half * 5 / 2 + ASIDE_BYTES);
        self.settled(size, left, half);
        Ok(format!("at most {} MiB of {} alive, {} MiB when idle", left.most >> 20, half >> 20, left.last >> 20))
    }

    /// Looks at the disk until work is done; gives its line.
    fn watch(&self, file_system: &FileSystem, mut worker: Child) -> Result<(Taken, Value), String> {
        let (directory, mut taken) = (self.directory(file_system), Taken::default());
        while matches!(worker.try_wait(), Ok(None)) {
            taken.look(&directory);
            thread::sleep(LOOK_EVERY);
        }
        Ok((taken, finished(worker)?))
    }

    /// Looks at the disk while nobody works.
    fn idle(&self, file_system: &FileSystem, time: Duration, taken: &mut Taken) {
        let (directory, start) = (self.directory(file_system), Instant::now());
        while start.elapsed() < time {
            thread::sleep(LOOK_EVERY);
            taken.look(&directory);
        }
    }

    fn directory(&self, file_system: &FileSystem) -> PathBuf {
        self.coffer.data().join("fs").join(&file_system.id)
    }

    fn settled(&mut self, size: &Size, taken: Taken, live: u64) {
        let what = format!("on the disk after {} s without work", size.idle.as_secs());
        self.expect(&what, taken.last, live * 3 / 2 + ASIDE_BYTES);
    }

    fn expect(&mut self, what: &str, bytes: u64, most: u64) {
        let line = format!("{what}: {} MiB, bar {} MiB", bytes >> 20, most >> 20);
        println!("  {line}: {}", verdict(bytes <= most));
        if bytes > most {
            self.missed.push(line);
        }
    }
}

/// Compares stretches in which nothing was worth cleaning with those in which cleaning went on all the time. On a shared machine
/// this is told, not demanded.
fn slower(line: &Value) {
    let all: Vec<f64> = line
        .get("stretches_p99_us")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .collect();
    let quiet = median(all.get(..QUIET).unwrap_or_default());
    let cleaned = median(all.get(CLEANED..).unwrap_or_default());
    let times = cleaned / quiet;
    println!(
        "  p99 with nothing to clean: {:.2} ms; while the cleaner works: {:.2} ms, {times:.2} times as long, bar \
         {SLOWER_MAX:.2}: {}",
        quiet / 1000.0,
        cleaned / 1000.0,
        verdict(times <= SLOWER_MAX)
    );
}
