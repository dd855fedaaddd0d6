//! What one durable write costs on a local disk: the measure that latencies of a durable server are held against.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use serde_json::Map;

use crate::dice::Dice;
use crate::histogram::{Histogram, rounded};
use crate::measure::named;

const PIECE: usize = 4096;
/// The part of the file that is overwritten, over and over.
const OVERWRITTEN_PIECES: u64 = 1024;

/// Writes 4 KiB and syncs, one after the other, behind the end of a new file or over what is there already.
pub(crate) fn run(path: &Path, count: u64, overwrite: bool) -> Result<String, String> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(named(path))?;
    let measured = measure(&file, count, overwrite).map_err(named(path));
    fs::remove_file(path).map_err(named(path))?;
    let (latency, seconds) = measured?;
    let mut line = Map::new();
    line.insert("kind".to_owned(), "fsync".into());
    line.insert("how".to_owned(), if overwrite { "overwrite" } else { "append" }.into());
    line.insert("operations".to_owned(), latency.total().into());
    line.insert("seconds".to_owned(), rounded(seconds));
    line.insert("rate".to_owned(), rounded(count as f64 / seconds));
    latency.report("", &mut line);
    Ok(serde_json::Value::Object(line).to_string())
}

fn measure(file: &File, count: u64, overwrite: bool) -> std::io::Result<(Histogram, f64)> {
    let piece = Dice::new(11).bytes(PIECE);
    if overwrite {
        (0..OVERWRITTEN_PIECES).try_for_each(|nth| file.write_all_at(&piece, nth * PIECE as u64))?;
        file.sync_all()?;
    }
    let mut latency = Histogram::new();
    let start = Instant::now();
    for nth in 0..count {
        let place = if overwrite { nth % OVERWRITTEN_PIECES } else { nth };
        let began = Instant::now();
        file.write_all_at(&piece, place * PIECE as u64)?;
        file.sync_data()?;
        latency.record(began.elapsed());
    }
    Ok((latency, start.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line with the number of syncs, and nothing left on the disk.
    #[test]
    fn both_ways_are_measured_and_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for overwrite in [false, true] {
            let line = run(&directory.path().join("probe"), 5, overwrite).unwrap();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["operations"], 5);
            assert!(line["p50_us"].as_f64().unwrap() > 0.0, "{line}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    /// A file that is there already is somebody's.
    #[test]
    fn an_existing_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine");
        fs::write(&path, "mine").unwrap();
        assert!(run(&path, 1, false).unwrap_err().contains("mine"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
