//! The third part: what KMS costs. The engine by itself; calls over HTTP with keep-alive, signed, judged and recorded; and the
//! leases of a thousand file systems' keys while nobody does anything.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Options;
use super::load::figure::{self, Bar, Figure};
use super::load::server::number;
use super::process::{cpu_seconds, high_water, settle};
use crate::api::FileSystem;
use crate::coffer::{Coffer, Settings};
use crate::house::{House, Profile, cargo, output};
use crate::load::{Load, finished};

/// CPU of a Decrypt in the engine, in microseconds.
const ENGINE_US_MAX: f64 = 100.0;
/// CPU of the server for each call over HTTP, in microseconds.
const CALL_US_MAX: f64 = 333.0;
/// CPU of the server that renews keys, in hundredths of a core.
const LEASES_PERCENT_MAX: f64 = 1.0;
/// Each figure over HTTP is measured for so long at most.
const SECONDS_MAX: u64 = 5;
const FILE_SYSTEMS: usize = 1000;
const IDLE: Duration = Duration::from_secs(60);
/// Calls to the API, or clients that open file systems, at once.
const AT_ONCE: usize = 4;
/// GenerateDataKey gives 1,024 bytes at most.
const CALLS: [(&str, u32); 7] = [
    ("encrypt", 32),
    ("encrypt", 4096),
    ("decrypt", 32),
    ("decrypt", 4096),
    ("generate-data-key", 32),
    ("generate-data-key", 1024),
    ("describe-key", 32),
];
const CLIENTS: [u32; 3] = [1, 8, 64];

type Measure = fn(&House, &Path, &Options) -> Result<(Vec<Figure>, Option<u64>), String>;

/// One kind of measuring.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    run: Measure,
}

const ROWS: &[Row] = &[
    Row { name: "the KMS engine", run: engine },
    Row { name: "KMS over HTTP", run: http },
    Row { name: "key leases", run: leases },
];

/// What was found.
pub(super) struct Outcome(Vec<(&'static str, Vec<Figure>, Option<u64>)>);

/// The rows whose name contains the word.
pub(super) fn wanted(only: Option<&str>) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| only.is_none_or(|word| row.name.contains(word))).collect()
}

/// Measures these rows.
pub(super) fn run(house: &House, place: &Path, rows: &[&Row], options: &Options) -> Result<Outcome, String> {
    let mut found = Vec::new();
    for row in rows {
        println!("kms: {}", row.name);
        fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
        let (figures, kib) = (row.run)(house, place, options).map_err(|why| format!("{}: {why}", row.name))?;
        fs::remove_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
        found.push((row.name, figures, kib));
    }
    Ok(Outcome(found))
}

impl Outcome {
    /// Prints the table.
    pub(super) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("\nKMS");
        println!("{}", figure::HEAD);
        for (_, figures, kib) in &self.0 {
            figures.iter().for_each(|figure| println!("{figure}"));
            if let Some(kib) = kib {
                println!("    the server's memory at most: {} MiB", kib >> 10);
            }
        }
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Value {
        let row = |(name, figures, kib): &(&str, Vec<Figure>, Option<u64>)| {
            let figures: Vec<Value> = figures.iter().map(Figure::json).collect();
            json!({ "row": name, "figures": figures, "coffer_vmhwm_kib": kib })
        };
        self.0.iter().map(row).collect()
    }
}

/// The engine in a program of its own: one thread, so the time that passes is the CPU that is used, or more.
fn engine(house: &House, _: &Path, _: &Options) -> Result<(Vec<Figure>, Option<u64>), String> {
    let mut command = Command::new(cargo());
    command.args(["run", "--release", "--quiet", "-p", "kms", "--example", "measure_kms"]);
    let said = output(command.current_dir(&house.root))?;
    let figures = said.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [action, bytes, "bytes", microseconds, "us"] = words[..] else {
            return Err(format!("measure_kms: {line:?}"));
        };
        let value = microseconds.parse().map_err(|_| format!("measure_kms: {line:?}"))?;
        let figure = Figure::new(&format!("{action}, {bytes} bytes"), value, "us CPU");
        Ok(if action == "Decrypt" { figure.held_to(Bar::AtMost(ENGINE_US_MAX)) } else { figure })
    });
    Ok((figures.collect::<Result<_, String>>()?, None))
}

fn http(house: &House, place: &Path, options: &Options) -> Result<(Vec<Figure>, Option<u64>), String> {
    let mut coffer = Coffer::on_loopback(house, Profile::Release, place)?;
    coffer.stop()?;
    coffer.lift_rates(&["kms.symmetric", "kms.DescribeKey"])?;
    coffer.start()?;
    let process = coffer.id().ok_or("the server is gone")?;
    let seconds = options.seconds.clamp(1, SECONDS_MAX).to_string();
    let mut figures = Vec::new();
    for (action, bytes) in CALLS {
        for clients in CLIENTS {
            let mut command = Command::new(house.program(Profile::Release, "loadgen"));
            command.args(["kms", action, "--server", coffer.endpoint().trim_start_matches("http://")]);
            command.arg("--profile").arg(place.join("aws-profile"));
            command.args(["--bytes", &bytes.to_string(), "--clients", &clients.to_string(), "--seconds", &seconds]);
            command.args(["--pid", &process.to_string()]);
            let said = output(&mut command).map_err(|why| format!("{why}; the server: {}", coffer.last_words()))?;
            let line: Value = serde_json::from_str(said.trim()).map_err(|error| format!("loadgen: {error}: {said}"))?;
            let milliseconds = |name| number(&line, name).map(|microseconds| microseconds / 1000.0);
            let remark = format!(
                "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
                number(&line, "rate")?,
                milliseconds("p50_us")?,
                milliseconds("p99_us")?
            );
            let what = format!("{action}, {bytes} bytes, {clients} clients");
            let figure = Figure::new(&what, number(&line, "server_cpu_us_per_call")?, "us CPU/call");
            let figure = figure.held_to(Bar::AtMost(CALL_US_MAX)).with(remark).from(&line);
            println!("{figure}");
            figures.push(figure);
        }
    }
    Ok((figures, Some(high_water(process))))
}

/// A thousand file systems under a key of a customer, first closed as they were made, then all of them open and idle: open,
/// each holds a lease on its data key and one on its metadata key, and renews both.
fn leases(house: &House, place: &Path, _: &Options) -> Result<(Vec<Figure>, Option<u64>), String> {
    let settings = Settings { idle_close_seconds: 86_400, ..Settings::default() };
    let coffer = Coffer::with_many_addresses(house, Profile::Release, place, settings, &[])?;
    let process = coffer.id().ok_or("the server is gone")?;
    let api = coffer.api()?;
    let key = api.create_key("leases")?;
    let start = Instant::now();
    let made = at_once(|number| coffer.api()?.create_file_system(&format!("leases-{number}"), Some(&key)))?;
    println!("{} file systems made in {:.0} s", made.len(), start.elapsed().as_secs_f64());
    let mut figures = vec![idle(process, &format!("{} file systems, all closed", made.len()))?];
    let (load, start) = (Load::new(house, Profile::Release, &coffer), Instant::now());
    at_once(|number| {
        let file_system: &FileSystem = made.get(number).ok_or("no such file system")?;
        finished(load.start(file_system, "mkdir", &["--count", "1"])?)
    })?;
    let status = coffer.administer(&["status"])?;
    let open = status.lines().filter(|row| row.starts_with("fs-") && row.split_whitespace().any(|word| word == "open"));
    let open = open.count();
    println!("{open} opened in {:.0} s", start.elapsed().as_secs_f64());
    if open < made.len() {
        return Err(format!("only {open} of {} file systems are open", made.len()));
    }
    figures.push(idle(process, &format!("{open} file systems, all open"))?);
    Ok((figures, Some(high_water(process))))
}

/// Does something for each file system, some at once.
fn at_once<T: Send>(work: impl Fn(usize) -> Result<T, String> + Sync) -> Result<Vec<T>, String> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= FILE_SYSTEMS {
                return Ok(done);
            }
            done.push(work(number)?);
        }
    };
    let done: Vec<Result<Vec<T>, String>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|done| done.unwrap_or_else(|_| Err("a worker panicked".to_owned()))).collect()
    });
    let mut all = Vec::new();
    for done in done {
        all.extend(done?);
    }
    Ok(all)
}

/// What the server uses while nobody asks anything of it.
fn idle(process: u32, what: &str) -> Result<Figure, String> {
    settle(process);
    let (before, start) = (cpu_seconds(process)?, Instant::now());
    thread::sleep(IDLE);
    let used = cpu_seconds(process)? - before;
    let figure = Figure::new(what, used / start.elapsed().as_secs_f64() * 100.0, "% of a core");
    let figure =
        figure.held_to(Bar::AtMost(LEASES_PERCENT_MAX)).with(format!("{used:.3} s CPU in {} s", IDLE.as_secs()));
    println!("{figure}");
    Ok(figure)
}
