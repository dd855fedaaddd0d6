//! `cargo xtask scale`: one server with many file systems. What they cost while they are used and while they are not, and how soon
//! the first request is answered after a clean stop and after a kill with the budgets full.

mod large;
mod tree;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::{Api, FileSystem};
use crate::coffer::{Coffer, Settings};
use crate::house::{House, Profile};
use crate::load::{Load, finished};
use crate::look::Look;
use crate::place::Place;

pub(crate) use large::run as large;
pub(crate) use tree::{FILES as TREE_FILES, run as tree};

/// What the process may take while its file systems are used.
const MEMORY_KIB_MAX: u64 = 1 << 20;
/// From the start of the program to the first answer, after a clean stop.
const CLEAN_START_MAX: Duration = Duration::from_secs(3);
/// The same after a kill.
const KILLED_START_MAX: Duration = Duration::from_secs(10);
/// How soon after the last use everything must be closed: the lease, the idle time, the sweeps, and the closing itself.
const CLOSED_MAX: Duration = Duration::from_secs(60);
/// Memtables are full: the default of `budgets.engine_write_mib`.
const FULL_BYTES: u64 = 64 << 20;
/// How many times as long as they are used they may take to fill.
const FILLING_MAX: u32 = 3;
/// What one writer writes at most, in MiB: what is overwritten stays on the disk.
const WRITES: &str = "400";
/// Calls to the API at once.
const MAKERS: usize = 4;
const SETTINGS: Settings = Settings { lease_seconds: 5, key_lease_seconds: 60, idle_close_seconds: 5 };

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// File systems.
    pub(crate) file_systems: usize,
    /// Those that are used at once.
    pub(crate) active: usize,
    /// How long they are used.
    pub(crate) seconds: u64,
}

/// What `cargo xtask test` takes the time for.
pub(crate) const SMALL: Size = Size { file_systems: 24, active: 8, seconds: 3 };

/// Measures, prints, and fails where a bound is passed.
pub(crate) fn run(house: &House, profile: Profile, size: &Size) -> Result<String, String> {
    house.build(profile)?;
    let place = Place::new(house, "scale")?;
    Scale::open(house, profile, place.path())?.measure(size)
}

/// A server and what is measured of it.
struct Scale {
    coffer: Coffer,
    load: Load,
    file_systems: Vec<FileSystem>,
    troubles: Vec<String>,
}

impl Scale {
    fn open(house: &House, profile: Profile, place: &Path) -> Result<Self, String> {
        let coffer = Coffer::with_many_addresses(house, profile, place, SETTINGS, &[])?;
        let load = Load::new(house, profile, &coffer);
        Ok(Self { coffer, load, file_systems: Vec::new(), troubles: Vec::new() })
    }

    fn measure(&mut self, size: &Size) -> Result<String, String> {
        println!("started: {}", self.look()?);
        let start = Instant::now();
        self.make(size.file_systems)?;
        println!("{} file systems made in {:.1} s: {}", size.file_systems, start.elapsed().as_secs_f64(), self.look()?);
        let used = self.use_them(size)?;
        self.until_closed()?;
        // The server looks each second whether there is memory to give back.
        thread::sleep(Duration::from_secs(3));
        let closed = self.look()?;
        println!("all closed: {closed}");
        if closed.threads > used.threads.saturating_sub(size.active) {
            self.troubles.push(format!("{} threads are left of {} when all is closed", closed.threads, used.threads));
        }
        self.coffer.stop()?;
        let clean = self.first_answer()?;
        self.expect("after a clean stop", clean, CLEAN_START_MAX);
        let killed = self.kill_under_load(size)?;
        self.expect("after a kill", killed, KILLED_START_MAX);
        let line = format!(
            "{} MiB with {} of {} file systems in use; {:.1} s to the first answer, {:.1} s after a kill",
            used.most_kib >> 10,
            size.active,
            size.file_systems,
            clean.as_secs_f64(),
            killed.as_secs_f64()
        );
        println!("{line}");
        if self.troubles.is_empty() { Ok(line) } else { Err(self.troubles.join("; ")) }
    }

    fn expect(&mut self, when: &str, took: Duration, most: Duration) {
        if took > most {
            let took = took.as_secs_f64();
            self.troubles
                .push(format!("the first answer {when} took {took:.1} s, and {} s are allowed", most.as_secs()));
        }
    }

    fn process(&self) -> Result<u32, String> {
        self.coffer.id().ok_or_else(|| format!("the server is gone: {}", self.coffer.last_words()))
    }

    fn look(&self) -> Result<Look, String> {
        Ok(Look::at(self.process()?))
    }

    /// Makes the file systems through the API, some at once.
    fn make(&mut self, count: usize) -> Result<(), String> {
        let next = AtomicUsize::new(0);
        let coffer = &self.coffer;
        let maker = || {
            let api: Api = coffer.api()?;
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(made);
                }
                made.push(api.create_file_system(&format!("scale-{number}"), None)?);
            }
        };
        let made: Vec<Result<Vec<FileSystem>, String>> = thread::scope(|scope| {
            let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(maker)).collect();
            let joined = makers.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|made| made.unwrap_or_else(|_| Err("a maker panicked".to_owned()))).collect()
        });
        for made in made {
            self.file_systems.extend(made?);
        }
        Ok(())
    }

    /// Uses some at once, each with one of four kinds of work.
    fn use_them(&mut self, size: &Size) -> Result<Look, String> {
        let kinds: [&[&str]; 4] =
            [&["small"], &["write", "--count", WRITES], &["read4k", "--mib", "16"], &["create", "--clients", "2"]];
        let seconds = size.seconds.to_string();
        let mut workers = Vec::new();
        for (file_system, kind) in self.file_systems.iter().take(size.active).zip(kinds.iter().cycle()) {
            let (kind, more) = kind.split_first().ok_or("no kind of work")?;
            workers.push(self.load.start(file_system, kind, &[more, &["--seconds", &seconds]].concat())?);
        }
        let mut most = Look::default();
        while workers.iter_mut().any(|worker| matches!(worker.try_wait(), Ok(None))) {
            let look = self.look()?;
            most.threads = most.threads.max(look.threads);
            most.files = most.files.max(look.files);
            most.resident_kib = most.resident_kib.max(look.resident_kib);
            most.most_kib = look.most_kib;
            thread::sleep(Duration::from_millis(200));
        }
        for worker in workers {
            finished(worker)?;
        }
        println!("{} in use: {most}", size.active);
        if most.most_kib > MEMORY_KIB_MAX {
            self.troubles.push(format!("{} MiB were in use, and 1024 are allowed", most.most_kib >> 10));
        }
        Ok(most)
    }

    fn until_closed(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let status = self.coffer.administer(&["status"])?;
            let rows = status.lines().take_while(|line| !line.starts_with("MOUNT TARGET"));
            let open =
                rows.filter(|row| row.starts_with("fs-") && !row.split_whitespace().any(|word| word == "closed"));
            match open.count() {
                0 => {
                    println!("the last is closed {:.1} s after its use", start.elapsed().as_secs_f64());
                    return Ok(());
                }
                open if start.elapsed() > CLOSED_MAX => {
                    return Err(format!("{open} file systems are open, {} s after their use", CLOSED_MAX.as_secs()));
                }
                _ => thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// Starts the server; the time until the first file system has answered. A directory is made: grace does not wait for that.
    fn first_answer(&mut self) -> Result<Duration, String> {
        let start = Instant::now();
        self.coffer.start()?;
        let healthy = start.elapsed();
        let first = self.file_systems.first().ok_or("no file system")?;
        self.answers(first, start)?;
        let took = start.elapsed();
        println!("healthy after {:.2} s, the first answer after {:.2} s", healthy.as_secs_f64(), took.as_secs_f64());
        Ok(took)
    }

    /// Asks until there is an answer; mount targets are attached one by one.
    fn answers(&self, file_system: &FileSystem, since: Instant) -> Result<(), String> {
        loop {
            match finished(self.load.start(file_system, "mkdir", &["--count", "1"])?) {
                Ok(_) => return Ok(()),
                Err(why) if since.elapsed() > Duration::from_secs(60) => return Err(why),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Fills memtables and the write-back buffer, the first file system's most of all, kills the server in the midst, and starts it;
    /// the time until that one has answered.
    fn kill_under_load(&mut self, size: &Size) -> Result<Duration, String> {
        let mut workers = Vec::new();
        for (nth, file_system) in self.file_systems.iter().take(size.active).enumerate() {
            let (kind, more): (&str, &[&str]) = match nth {
                0 => ("small", &["--clients", "8"]),
                1..5 => ("write", &["--count", WRITES]),
                _ => ("small", &[]),
            };
            workers.push(self.load.start(file_system, kind, &[more, &["--seconds", "300", "--keep"]].concat())?);
        }
        let start = Instant::now();
        // What waits in memtables is in the journals, too.
        while self.journals(size).iter().sum::<u64>() < FULL_BYTES
            && start.elapsed() < Duration::from_secs(size.seconds) * FILLING_MAX
        {
            thread::sleep(Duration::from_millis(250));
        }
        println!("before the kill, after {:.0} s: {}", start.elapsed().as_secs_f64(), self.look()?);
        self.coffer.kill();
        for mut worker in workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
        let journals = self.journals(size);
        let first = journals.first().copied().unwrap_or(0);
        println!("journals: {} MiB, {} of them the first's", journals.iter().sum::<u64>() >> 20, first >> 20);
        let took = self.first_answer()?;
        let since = Instant::now();
        let all: Result<(), String> = thread::scope(|scope| {
            let file_systems = self.file_systems.iter().take(size.active);
            let askers: Vec<_> = file_systems.map(|known| scope.spawn(|| self.answers(known, since))).collect();
            askers
                .into_iter()
                .try_for_each(|asker| asker.join().unwrap_or_else(|_| Err("an asker panicked".to_owned())))
        });
        all?;
        println!("all {} answered {:.2} s later: {}", size.active, since.elapsed().as_secs_f64(), self.look()?);
        Ok(took)
    }

    fn journals(&self, size: &Size) -> Vec<u64> {
        self.file_systems.iter().take(size.active).map(|known| self.journal_bytes(&known.id)).collect()
    }

    /// What the next opening has to read.
    fn journal_bytes(&self, id: &str) -> u64 {
        let engine = self.coffer.data().join("fs").join(id).join("engine");
        let files = fs::read_dir(engine).into_iter().flatten().flatten();
        let journals = files.filter(|file| file.path().extension().is_some_and(|end| end == "jnl"));
        journals.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
    }
}
