//! Zeros written ahead of the end of a journal. fjall sets space aside as a hole; a sync of bytes that fill a hole, or make
//! a file longer, is two writes of the file system's own journal as well. Over zeros that are on the disk it is one write.
//!
//! Only holes are filled, and nothing is made longer, so that what the journal holds stays the same. Whoever calls this
//! must be the one that appends to the journal.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{END_BYTES, ITEM_HEAD_BYTES, START_BYTES, newest};
use crate::embedded::files;

/// So much is filled at once: a millisecond of the disk.
const STRETCH: u64 = 256 << 10;

/// When so much of it is left, it is time for more.
const LOW: u64 = 48 << 10;

/// Who writes so much with one sync does not mind two writes more.
const LARGE: u64 = 64 << 10;

/// How far zeros reach ahead of the journal's end.
pub(crate) struct Ahead {
    dir: PathBuf,
    current: Option<Current>,
    /// Bytes until it is time to look again.
    left: u64,
}

struct Current {
    path: PathBuf,
    file: File,
    /// Where the next batch goes, as far as can be known from outside.
    end: u64,
}

/// What a batch of `items`, with so many bytes in keys and values, takes in the journal.
pub(crate) const fn batch_bytes(items: usize, bytes: usize) -> usize {
    1 + START_BYTES + items * (1 + ITEM_HEAD_BYTES) + bytes + END_BYTES
}

impl Ahead {
    /// Nothing is known yet of the journals in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), current: None, left: 0 }
    }

    /// Call after each commit, with the bytes it put into the journal, before the next. An error is no harm: syncs take longer.
    pub(crate) fn appended(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(bytes);
        if let Some(current) = &mut self.current {
            current.end += bytes;
        }
        if self.left >= LOW || bytes >= LARGE {
            return Ok(());
        }
        // Not again at once if this fails.
        self.left = STRETCH;
        self.fill()
    }

    fn fill(&mut self) -> io::Result<()> {
        let newest = newest(&self.dir);
        let mut current = match self.current.take() {
            Some(current) if current.path == newest => current,
            // Begun meanwhile, with what was appended last or a little more.
            _ => Current { file: OpenOptions::new().read(true).write(true).open(&newest)?, path: newest, end: 0 },
        };
        let length = current.file.metadata()?.len();
        if current.end >= length {
            // Appended to.
            self.current = Some(current);
            return Ok(());
        }
        let hole = files::next_hole(&current.file, current.end)?;
        if current.end == 0 {
            current.end = hole;
        }
        if hole < length {
            let to = (current.end + STRETCH).min(length);
            if to > hole {
                let zeros = vec![0; usize::try_from(to - hole).unwrap_or(0)];
                current.file.write_all_at(&zeros, hole)?;
            }
            self.left = to - current.end.min(to);
        } else if hole > current.end {
            self.left = hole - current.end;
        }
        self.current = Some(current);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(dir: &Path, name: &str, length: u64) -> File {
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(dir.join(name)).unwrap();
        file.set_len(length).unwrap();
        file
    }

    /// Architecture section 4: zeros fill holes ahead of the end; no byte changes and no file becomes longer.
    #[test]
    fn only_holes_are_filled() {
        let kept = tempfile::TempDir::new().unwrap();
        let file = sparse(kept.path(), "3.jnl", 1 << 20);
        let mut ahead = Ahead::new(kept.path());
        let (mut end, mut expected) = (0_u64, vec![0; 1 << 20]);
        for byte in 1..=250_u8 {
            let batch = [byte; 5000];
            if end + 5000 > 1 << 20 {
                break;
            }
            file.write_all_at(&batch, end).unwrap();
            expected[usize::try_from(end).unwrap()..][..5000].fill(byte);
            end += 5000;
            ahead.appended(5000).unwrap();
            let filled = files::next_hole(&file, end).unwrap();
            assert!(filled >= (end + LOW - 5000).min(1 << 20), "zeros reach to {filled}, the end is {end}");
            assert!(filled <= end + STRETCH + 8192, "zeros reach to {filled}, the end is {end}");
        }
        let mut found = vec![1; 1 << 20];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected && file.metadata().unwrap().len() == 1 << 20);

        // One that is appended to has no hole.
        std::fs::write(kept.path().join("4.jnl"), [7; 9000]).unwrap();
        for _ in 0..200 {
            ahead.appended(5000).unwrap();
        }
        assert!(std::fs::read(kept.path().join("4.jnl")).unwrap() == [7; 9000]);
        std::fs::remove_file(kept.path().join("4.jnl")).unwrap();
        std::fs::remove_file(kept.path().join("3.jnl")).unwrap();
        assert!((0..200).any(|_| ahead.appended(5000).is_err()), "no journal is no harm");
    }
}
