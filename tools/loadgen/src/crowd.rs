//! A directory of very many files, listed while it changes. POSIX readdir: an entry that was neither added nor removed
//! since the directory was opened is returned, and no entry twice.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::measure::named;

/// Fills the directory, lists it under change, and empties a part of it.
pub(crate) fn run(directory: &Path, count: u64, threads: u64) -> Result<String, String> {
    fs::create_dir(directory).map_err(named(directory))?;
    let start = Instant::now();
    in_parallel(threads, |worker| {
        (worker..count).step_by(usize::try_from(threads).unwrap_or(1)).try_for_each(|nth| {
            let path = directory.join(name(nth));
            File::create_new(&path).map(drop).map_err(named(&path))
        })
    })?;
    let filled = start.elapsed().as_secs_f64();
    let (done, mut seconds) = (AtomicBool::new(false), Vec::new());
    let changes = thread::scope(|scope| -> Result<u64, String> {
        let changer = scope.spawn(|| change(directory, &done));
        let listings = (0..2).try_for_each(|_| {
            let start = Instant::now();
            list(directory, count)?;
            seconds.push(start.elapsed().as_secs_f64());
            Ok::<_, String>(())
        });
        done.store(true, Ordering::Relaxed);
        let changes = changer.join().map_err(|_| "the changer panicked".to_owned())?;
        listings.and(changes)
    })?;
    if changes == 0 {
        return Err("nothing changed while the directory was listed".to_owned());
    }
    let listings = seconds.len();
    let start = Instant::now();
    in_parallel(threads, |worker| {
        (worker..count / 10).step_by(usize::try_from(threads).unwrap_or(1)).try_for_each(|nth| {
            let path = directory.join(name(nth));
            fs::remove_file(&path).map_err(named(&path))
        })
    })?;
    let removed = start.elapsed().as_secs_f64();
    let left = fs::read_dir(directory).map_err(named(directory))?.count() as u64;
    if left != count - count / 10 {
        return Err(format!("{left} entries are left of {count} after {} were removed", count / 10));
    }
    Ok(serde_json::json!({
        "files": count, "fill_seconds": filled, "listings": listings, "listing_seconds": seconds,
        "changes_meanwhile": changes, "remove_seconds": removed,
    })
    .to_string())
}

fn name(nth: u64) -> String {
    format!("one-of-a-great-crowd-{nth:06}")
}

/// Adds, renames and removes other names until told to end; says how often.
fn change(directory: &Path, done: &AtomicBool) -> Result<u64, String> {
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        let (fresh, moved) = (directory.join(format!("passing-{rounds}")), directory.join(format!("moved-{rounds}")));
        File::create_new(&fresh).map_err(named(&fresh))?;
        fs::rename(&fresh, &moved).map_err(named(&fresh))?;
        if rounds % 3 != 0 {
            fs::remove_file(&moved).map_err(named(&moved))?;
        }
        rounds += 1;
    }
    for round in (0..rounds).step_by(3) {
        let path = directory.join(format!("moved-{round}"));
        fs::remove_file(&path).map_err(named(&path))?;
    }
    Ok(rounds)
}

fn list(directory: &Path, count: u64) -> Result<(), String> {
    let mut seen = HashSet::new();
    for entry in fs::read_dir(directory).map_err(named(directory))? {
        let name = entry.map_err(named(directory))?.file_name();
        if let Some(twice) = seen.replace(name) {
            return Err(format!("{} was listed twice", twice.display()));
        }
    }
    match (0..count).map(name).find(|name| !seen.contains(std::ffi::OsStr::new(name))) {
        Some(missing) => Err(format!("{missing} was not listed")),
        None => Ok(()),
    }
}

fn in_parallel(threads: u64, work: impl Fn(u64) -> Result<(), String> + Sync) -> Result<(), String> {
    let work = &work;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    })
}
