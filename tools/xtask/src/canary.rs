//! Looks for plaintext where there must be none: names of 16 bytes and more and windows of 32 bytes of content, as they
//! are, in hex and in base64, at any offset of any file below a directory.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Content is compared in windows of this many bytes; so is its text in hex (of 16 bytes) and in base64 (of 24).
const WINDOW: usize = 32;
/// Of names the first so many bytes are compared (of their hex and base64 likewise).
const NAME: usize = 16;
/// A window with fewer different bytes is no secret (zeros, blanks, rules of dashes); a little less for half a window.
const DIFFERENT: usize = 10;
const BASE: u64 = 0x0100_0000_01b3;

/// What may not be found, from a tree in the clear.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    windows: Set,
    names: Set,
    sources: Vec<PathBuf>,
}

/// Hashes of patterns of one length, with where each comes from.
#[derive(Debug, Default)]
struct Set {
    sources: HashMap<u64, u32>,
    /// One bit for the top bits of each hash: most bytes are dismissed by one look.
    bits: Vec<u64>,
}

/// A canary that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    pub(crate) offset: usize,
    pub(crate) source: PathBuf,
}

impl Canaries {
    /// Takes every name and all content of a tree.
    pub(crate) fn of_tree(tree: &Path) -> Result<Self, String> {
        let mut canaries = Self::default();
        for path in files(tree)? {
            let source = u32::try_from(canaries.sources.len()).unwrap_or(u32::MAX);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            canaries.take_name(name.as_bytes(), source);
            if path.is_file() && !path.is_symlink() {
                let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                canaries.take_content(&content, source);
            }
            canaries.sources.push(path);
        }
        canaries.windows.seal();
        canaries.names.seal();
        Ok(canaries)
    }

    /// How many patterns there are.
    pub(crate) fn count(&self) -> usize {
        self.windows.sources.len() + self.names.sources.len()
    }

    fn take_content(&mut self, content: &[u8], source: u32) {
        for window in content.chunks_exact(WINDOW) {
            if various(window, DIFFERENT) {
                self.windows.take(window, source);
            }
            let half = window.get(..WINDOW / 2).unwrap_or_default();
            if various(half, DIFFERENT / 2 + 2) {
                self.windows.take(hex(half).as_bytes(), source);
                self.windows.take(hex(half).to_uppercase().as_bytes(), source);
            }
            // Base64 of a longer text holds this window's at one of three alignments.
            for skip in 0..3 {
                let part = window.get(skip..skip + WINDOW / 4 * 3).unwrap_or_default();
                if various(part, DIFFERENT) {
                    self.windows.take(base64(part).as_bytes(), source);
                }
            }
        }
    }

    fn take_name(&mut self, name: &[u8], source: u32) {
        let (Some(start), true) = (name.get(..NAME), name.len() >= NAME) else { return };
        self.names.take(start, source);
        let half = hex(start.get(..NAME / 2).unwrap_or_default());
        self.names.take(half.as_bytes(), source);
        self.names.take(half.to_uppercase().as_bytes(), source);
        for skip in 0..3 {
            self.names.take(base64(start.get(skip..skip + NAME / 4 * 3).unwrap_or_default()).as_bytes(), source);
        }
    }

    /// Reads every file below a directory and gives what it finds, at most one for each file, and the bytes read.
    pub(crate) fn search(&self, directory: &Path) -> Result<(Vec<Found>, u64), String> {
        let (mut found, mut read) = (Vec::new(), 0);
        for path in files(directory)? {
            if !path.is_file() {
                continue;
            }
            read += fs::metadata(&path).map_or(0, |is| is.len());
            found.extend(self.search_file(&path)?);
        }
        Ok((found, read))
    }

    /// The first canary in a file; a file that has gone meanwhile holds none.
    pub(crate) fn search_file(&self, path: &Path) -> Result<Option<Found>, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let found = self.windows.find(&bytes, WINDOW).or_else(|| self.names.find(&bytes, NAME));
        Ok(found.map(|(offset, source)| {
            let source = usize::try_from(source).ok().and_then(|at| self.sources.get(at)).cloned().unwrap_or_default();
            Found { file: path.to_owned(), offset, source }
        }))
    }
}

impl Set {
    fn take(&mut self, pattern: &[u8], source: u32) {
        let hash = pattern.iter().fold(0_u64, |hash, byte| hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte) + 1));
        self.sources.entry(mix(hash)).or_insert(source);
    }

    fn seal(&mut self) {
        self.bits = vec![0; 1 << 20];
        for hash in self.sources.keys() {
            let (word, bit) = place(*hash);
            if let Some(word) = self.bits.get_mut(word) {
                *word |= bit;
            }
        }
    }

    /// The first pattern in these bytes: where it is, and whose.
    fn find(&self, bytes: &[u8], length: usize) -> Option<(usize, u32)> {
        let highest = (1..length).fold(1_u64, |power, _| power.wrapping_mul(BASE));
        let mut hash = 0_u64;
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(left) = at.checked_sub(length).and_then(|before| bytes.get(before)) {
                hash = hash.wrapping_sub(highest.wrapping_mul(u64::from(*left) + 1));
            }
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte) + 1);
            let mixed = mix(hash);
            let (word, bit) = place(mixed);
            if at + 1 >= length
                && self.bits.get(word).is_some_and(|word| word & bit != 0)
                && let Some(source) = self.sources.get(&mixed)
            {
                return Some((at + 1 - length, *source));
            }
        }
        None
    }
}

/// The top bits of a rolling hash depend on few bytes; these depend on all.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}

fn place(hash: u64) -> (usize, u64) {
    (usize::try_from(hash >> 44).unwrap_or(0), 1 << (hash & 63))
}

fn various(window: &[u8], wanted: usize) -> bool {
    let mut seen = [false; 256];
    for byte in window {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count() >= wanted
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |index: u32| LETTERS.get(usize::try_from(index & 63).unwrap_or(0)).copied().map_or('A', char::from);
    let mut text = String::new();
    for three in bytes.chunks_exact(3) {
        let all = three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        text.extend([letter(all >> 18), letter(all >> 12), letter(all >> 6), letter(all)]);
    }
    text
}

/// Everything below a directory, directories included, in order.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut waiting, mut all) = (vec![directory.to_owned()], Vec::new());
    while let Some(directory) = waiting.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"The quick brown fox jumps over the lazy dog; 0123456789 times it did so, and nobody knew.";

    fn canaries() -> (tempfile::TempDir, Canaries) {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("a-name-long-enough-to-tell"), SECRET).unwrap();
        let canaries = Canaries::of_tree(tree.path()).unwrap();
        (tree, canaries)
    }

    fn hits(canaries: &Canaries, content: &[u8]) -> usize {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("data"), content).unwrap();
        canaries.search(place.path()).unwrap().0.len()
    }

    /// Threat model: contents are found at any offset, in each of the three forms.
    #[test]
    fn content_is_found_in_every_form() {
        let (_tree, canaries) = canaries();
        for skip in 0..5 {
            let padding = vec![b'#'; skip];
            let with = |text: &[u8]| [padding.as_slice(), text, b"#"].concat();
            assert_eq!(hits(&canaries, &with(SECRET)), 1, "raw after {skip}");
            assert_eq!(hits(&canaries, &with(hex(SECRET).as_bytes())), 1, "hex after {skip}");
            assert_eq!(hits(&canaries, &with(hex(SECRET).to_uppercase().as_bytes())), 1, "HEX after {skip}");
            let shifted = [&vec![0; skip], SECRET, b"xx"].concat();
            assert_eq!(hits(&canaries, base64(&shifted).as_bytes()), 1, "base64 after {skip}");
        }
    }

    /// Threat model: a file that cannot be read is not called clean.
    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let (tree, canaries) = canaries();
        assert!(canaries.search_file(tree.path()).is_err());
        assert!(canaries.search_file(&tree.path().join("gone")).unwrap().is_none());
    }

    /// Threat model: names are found, and what is not a canary is not.
    #[test]
    fn names_are_found_and_other_bytes_are_not() {
        let (_tree, canaries) = canaries();
        assert_eq!(hits(&canaries, b"...a-name-long-enough-to-tell..."), 1);
        assert_eq!(hits(&canaries, hex(b"a-name-long-enough-to-tell").as_bytes()), 1);
        assert_eq!(hits(&canaries, &[7; 5000]), 0);
        assert_eq!(hits(&canaries, b"something else altogether, of some length, with nothing of the secret"), 0);
    }
}
