//! Counting under a lock: if two ever hold it at once, or a count is lost, the end shows it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::measure::named;

/// Adds one so many times, or until the stop file is there.
pub(crate) fn run(path: &Path, times: Option<u64>, stop: Option<&Path>) -> Result<String, String> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(named(path))?;
    let (mut done, mut last) = (0, 0);
    while times.is_none_or(|times| done < times) && !stop.is_some_and(Path::exists) {
        file.lock().map_err(named(path))?;
        let next = step(&file).map_err(|why| format!("{}: {why}", path.display()))?;
        file.unlock().map_err(named(path))?;
        if next <= last {
            return Err(format!("{}: {next} after {last} was written: an acknowledged count is lost", path.display()));
        }
        last = next;
        done += 1;
    }
    Ok(serde_json::json!({ "counted": done, "last": last }).to_string())
}

fn step(mut file: &File) -> Result<u64, String> {
    let mut text = String::new();
    file.rewind().map_err(|error| error.to_string())?;
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let before: u64 = if text.is_empty() { 0 } else { text.trim().parse().map_err(|_| format!("{text:?} in it"))? };
    file.rewind().map_err(|error| error.to_string())?;
    // Always as long, so that a longer number never leaves the tail of an older one.
    write!(file, "{:020}", before + 1).map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| error.to_string())?;
    Ok(before + 1)
}
