//! The bench's rows: each does one kind of work and says how many operations took how long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Instant;

use crate::dice::Dice;

const MIB: usize = 1 << 20;
const PIECE: usize = 4096;

type Outcome = Result<String, String>;

pub(crate) fn write_stream(path: &Path, mib: u64) -> Outcome {
    let piece = Dice::new(7).bytes(MIB);
    let start = Instant::now();
    let mut file = File::create(path).map_err(named(path))?;
    for _ in 0..mib {
        file.write_all(&piece).map_err(named(path))?;
    }
    file.sync_all().map_err(named(path))?;
    drop(file);
    Ok(line(mib, start))
}

pub(crate) fn read_stream(path: &Path) -> Outcome {
    let file = direct(path)?;
    let mut memory = vec![0; MIB + PIECE];
    let buffer = aligned(&mut memory, MIB);
    let start = Instant::now();
    let (mut offset, mut pieces) = (0_u64, 0);
    loop {
        match file.read_at(buffer, offset).map_err(named(path))? {
            0 => return Ok(line(pieces, start)),
            count => offset += count as u64,
        }
        pieces += 1;
    }
}

pub(crate) fn read_random(path: &Path, count: u64, depth: u64) -> Outcome {
    let pieces = fs::metadata(path).map_err(named(path))?.size() / PIECE as u64;
    let start = Instant::now();
    let reader = |seed: u64| -> Result<(), String> {
        let file = direct(path)?;
        let mut memory = vec![0; 2 * PIECE];
        let buffer = aligned(&mut memory, PIECE);
        let mut dice = Dice::new(seed + 1);
        for _ in 0..count / depth {
            file.read_exact_at(buffer, dice.below(pieces) * PIECE as u64).map_err(named(path))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..depth).map(|seed| scope.spawn(move || reader(seed))).collect();
        readers.into_iter().try_for_each(|reader| reader.join().unwrap_or_else(|_| Err("a reader panicked".to_owned())))
    })?;
    Ok(line(count / depth * depth, start))
}

pub(crate) fn write_random(path: &Path, count: u64) -> Outcome {
    let file = OpenOptions::new().write(true).open(path).map_err(named(path))?;
    let pieces = file.metadata().map_err(named(path))?.size() / PIECE as u64;
    let mut dice = Dice::new(3);
    let piece = dice.bytes(PIECE);
    let start = Instant::now();
    for _ in 0..count {
        file.write_all_at(&piece, dice.below(pieces) * PIECE as u64).map_err(named(path))?;
        file.sync_all().map_err(named(path))?;
    }
    Ok(line(count, start))
}

pub(crate) fn small_files(directory: &Path, count: u64) -> Outcome {
    fs::create_dir(directory).map_err(named(directory))?;
    let content = Dice::new(5).bytes(PIECE);
    let start = Instant::now();
    for nth in 0..count {
        let path = directory.join(format!("small-{nth:05}"));
        fs::write(&path, &content).map_err(named(&path))?;
    }
    Ok(line(count, start))
}

pub(crate) fn walk(directory: &Path) -> Outcome {
    let start = Instant::now();
    let mut waiting = vec![directory.to_owned()];
    let mut entries = 0;
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(named(&directory))? {
            let path = entry.map_err(named(&directory))?.path();
            entries += 1;
            if fs::symlink_metadata(&path).map_err(named(&path))?.is_dir() {
                waiting.push(path);
            }
        }
    }
    Ok(line(entries, start))
}

/// An error of the system with the file's name before it.
pub(crate) fn named(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn line(operations: u64, start: Instant) -> String {
    serde_json::json!({ "operations": operations, "seconds": start.elapsed().as_secs_f64() }).to_string()
}

fn direct(path: &Path) -> Result<File, String> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path).map_err(named(path))
}

/// The part of this memory that starts at a page, as direct reads want it.
fn aligned(memory: &mut [u8], length: usize) -> &mut [u8] {
    let skip = memory.as_ptr().align_offset(PIECE);
    memory.get_mut(skip..skip + length).unwrap_or_default()
}
