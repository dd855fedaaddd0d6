//! `cargo xtask scale --tree FILES`: one file system with millions of files in a tree. What making, finding and listing them costs
//! while it grows, what they take in memory and in the engine, and how soon the server serves it after a stop and a kill.

use std::time::Instant;

use serde_json::Value;

use super::{CLEAN_START_MAX, KILLED_START_MAX, Scale, Size};
use crate::figures::verdict;
use crate::house::{House, Profile};
use crate::load::{finished, number};
use crate::look::allocated_bytes;
use crate::place::Place;

/// What a long run makes.
pub(crate) const FILES: u64 = 10_000_000;
/// Each tenth is a directory with one for each client, in which the files are.
const STEPS: u64 = 10;
const CLIENTS: u64 = 64;
const LOOKUPS: &str = "50000";
const LIST_SECONDS: &str = "5";
/// What the server may take while it serves the tree.
const MEMORY_KIB_MAX: u64 = 512 << 10;
/// One file system, filled for so long before the kill.
const KILLED: Size = Size { file_systems: 1, active: 1, seconds: 20 };

/// Measures, prints, and fails where a bound is passed.
pub(crate) fn run(house: &House, profile: Profile, files: u64) -> Result<String, String> {
    let each = files / STEPS / CLIENTS;
    if each == 0 {
        return Err(format!("{files} files are too few for {} directories", STEPS * CLIENTS));
    }
    house.build(profile)?;
    let place = Place::new(house, "tree")?;
    let mut scale = Scale::open(house, profile, place.path())?;
    scale.make(1)?;
    println!(
        "cost by operation: rate; server's CPU; p99. The names that are looked up and listed are the oldest tenth."
    );
    let mut first = None;
    for step in 0..STEPS {
        let costs = scale.grow(step, each)?;
        let first = *first.get_or_insert(costs);
        if step == STEPS - 1 {
            let times = |nth: usize| costs.get(nth).zip(first.get(nth)).map_or(0.0, |(last, first)| last / first);
            println!(
                "CPU of the last tenth by that of the first: create {:.2}, lookup {:.2}, list {:.2}",
                times(0),
                times(1),
                times(2)
            );
        }
    }
    let made = each * CLIENTS * STEPS;
    let said = scale.tree_bounds(made)?;
    scale.check()?;
    if scale.troubles.is_empty() { Ok(said) } else { Err(scale.troubles.join("; ")) }
}

impl Scale {
    /// Another tenth; then lookups and listings in the first. The CPU of each operation.
    fn grow(&self, step: u64, each: u64) -> Result<[f64; 3], String> {
        let (count, files) = ((each * CLIENTS).to_string(), each.to_string());
        let made = self.on_tree(step, "create", &["--count", &count])?;
        let found = self.on_tree(0, "lookup", &["--visit", "--files", &files, "--count", LOOKUPS])?;
        let listed = self.on_tree(0, "readdir", &["--visit", "--files", &files, "--seconds", LIST_SECONDS])?;
        let costs = [cost(&made, "operations"), cost(&found, "operations"), cost(&listed, "entries")];
        let [create, lookup, list] = costs;
        println!(
            "{:>9} files: create {:.0}/s, {create:.0} µs, {:.1} ms; lookup {:.0}/s, {lookup:.0} µs, {:.1} ms; list {:.0} \
             entries/s, {list:.1} µs; {} bytes of engine a file; {}",
            each * CLIENTS * (step + 1),
            number(&made, "rate"),
            number(&made, "p99_us") / 1000.0,
            number(&found, "rate"),
            number(&found, "p99_us") / 1000.0,
            number(&listed, "entries") / number(&listed, "seconds"),
            self.engine_bytes() / (each * CLIENTS * (step + 1)),
            self.look()?
        );
        Ok(costs)
    }

    fn on_tree(&self, step: u64, kind: &str, more: &[&str]) -> Result<Value, String> {
        let (directory, clients) = (format!("tenth-{step}"), CLIENTS.to_string());
        let process = self.process()?.to_string();
        let common = ["--directory", &directory, "--clients", &clients, "--keep", "--pid", &process];
        let file_system = self.file_systems.first().ok_or("no file system")?;
        finished(self.load.start(file_system, kind, &[&common, more].concat())?)
    }

    fn engine_bytes(&self) -> u64 {
        let engine = |id: &str| self.coffer.data().join("fs").join(id).join("engine");
        self.file_systems.first().map_or(0, |file_system| allocated_bytes(&engine(&file_system.id)))
    }

    /// Memory, and the two starts.
    fn tree_bounds(&mut self, made: u64) -> Result<String, String> {
        let bytes = self.engine_bytes() / made;
        let most = self.look()?.most_kib;
        println!(
            "the most memory: {} MiB, bar {} MiB: {}",
            most >> 10,
            MEMORY_KIB_MAX >> 10,
            verdict(most <= MEMORY_KIB_MAX)
        );
        if most > MEMORY_KIB_MAX {
            self.troubles.push(format!("{} MiB of memory, and {} are allowed", most >> 10, MEMORY_KIB_MAX >> 10));
        }
        self.coffer.stop()?;
        let clean = self.first_answer()?;
        self.expect("after a clean stop", clean, CLEAN_START_MAX);
        println!("  bar {} s: {}", CLEAN_START_MAX.as_secs(), verdict(clean <= CLEAN_START_MAX));
        let killed = self.kill_under_load(&KILLED)?;
        self.expect("after a kill", killed, KILLED_START_MAX);
        println!("  bar {} s: {}", KILLED_START_MAX.as_secs(), verdict(killed <= KILLED_START_MAX));
        Ok(format!(
            "{made} files, {bytes} bytes of engine each, {} MiB; {:.1} s to the first answer, {:.1} s after a kill",
            most >> 10,
            clean.as_secs_f64(),
            killed.as_secs_f64()
        ))
    }

    /// Stops the server and checks everything that it has left.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.coffer.stop()?;
        let start = Instant::now();
        self.coffer.fsck()?;
        println!("fsck: clean, after {:.0} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The server's CPU for one of them, in microseconds.
fn cost(line: &Value, of: &str) -> f64 {
    number(line, "server_cpu_seconds") * 1e6 / number(line, of).max(1.0)
}
