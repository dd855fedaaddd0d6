//! Sealing of records and of pieces of extents (Architecture section 5): which key, which additional data, which layout.
//!
//! A sealed record is version, key version, salt, counter, ciphertext, tag. A sealed extent is its pieces in order,
//! each followed by its tag; salt and key version are in its map entry.

use std::ops::Range;

use crypto::{Key, Label, OpenFailed, Salt, Subkey, SubkeyCache, TAG_BYTES, Tag};
use storage::Keyspace;

use crate::{
    FsError, Result,
    codec::{Reader, malformed},
    keys::KEY_BYTES_MAX,
    record::BLOCK,
};

pub(crate) const RECORD_LABEL: Label = Label::new("filesystem/record");
pub(crate) const EXTENT_LABEL: Label = Label::new("filesystem/extent");

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + 16 + 4;

/// Rotation of a KMS key rewraps; the level-3 keys themselves have had one version so far.
pub(crate) const KEY_VERSION: u32 = 1;

/// Bytes that sealing adds to a record.
pub(crate) const RECORD_OVERHEAD: usize = HEAD_BYTES + TAG_BYTES;

/// Plaintext bytes of a piece.
pub(crate) const PIECE: usize = 4096;

/// A sealed piece and its tag.
pub(crate) const STRIDE: usize = PIECE + TAG_BYTES;

const _: () = assert!(PIECE as u64 == BLOCK);

/// The same numbers as they are in records.
const PIECE_U32: u32 = 4096;
pub(crate) const TAG_U32: u32 = 16;
pub(crate) const STRIDE_U32: u32 = PIECE_U32 + TAG_U32;

const _: () = assert!(PIECE_U32 as usize == PIECE && STRIDE_U32 as usize == STRIDE);

/// The longest id a file system may have.
pub(crate) const ID_BYTES_MAX: usize = 64;

/// Binds every seal to its file system.
pub(crate) struct Binding {
    id: Box<[u8]>,
}

/// Additional data, built without allocating.
struct Aad {
    bytes: [u8; Self::BYTES],
    length: usize,
}

impl Aad {
    const BYTES: usize = 1 + ID_BYTES_MAX + 1 + 4 + KEY_BYTES_MAX + 4;

    fn push(mut self, part: &[u8]) -> Self {
        for (place, byte) in self.bytes.iter_mut().skip(self.length).zip(part) {
            *place = *byte;
        }
        self.length += part.len();
        debug_assert!(self.length <= Self::BYTES, "ids and keys are bounded");
        self
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// Seals the records of one batch: one salt, one counter for each record.
pub(crate) struct BatchSealer<'a> {
    binding: &'a Binding,
    subkey: Subkey,
    salt: Salt,
    counter: u32,
}

impl BatchSealer<'_> {
    pub(crate) fn seal(&mut self, key: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let counter = self.counter;
        self.counter += 1;
        let mut sealed = Vec::with_capacity(plaintext.len() + RECORD_OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&KEY_VERSION.to_be_bytes());
        sealed.extend_from_slice(&self.salt);
        sealed.extend_from_slice(&counter.to_be_bytes());
        sealed.extend_from_slice(plaintext);
        let aad = self.binding.record(KEY_VERSION, key);
        if let Some(body) = sealed.get_mut(HEAD_BYTES..) {
            let tag = self.subkey.seal_in_place(u64::from(counter), aad.get(), body);
            sealed.extend_from_slice(&tag);
        }
        sealed
    }
}

impl Binding {
    pub(crate) fn new(id: &str) -> Result<Self> {
        let id = id.as_bytes();
        if id.is_empty() || id.len() > ID_BYTES_MAX { Err(FsError::Invalid) } else { Ok(Self { id: id.into() }) }
    }

    fn aad(&self, kind: u8, key_version: u32) -> Aad {
        let length = u8::try_from(self.id.len()).unwrap_or(u8::MAX);
        let empty = Aad { bytes: [0; Aad::BYTES], length: 0 };
        empty.push(&[length]).push(&self.id).push(&[kind]).push(&key_version.to_be_bytes())
    }

    fn record(&self, key_version: u32, key: &[u8]) -> Aad {
        self.aad(b'r', key_version).push(key)
    }

    pub(crate) fn batch<'a>(&'a self, key: &Key, salt: Salt) -> BatchSealer<'a> {
        BatchSealer { binding: self, subkey: key.subkey(RECORD_LABEL, &salt), salt, counter: 0 }
    }

    /// Opens the record stored under `key`.
    pub(crate) fn open(&self, secret: &Key, subkeys: &SubkeyCache, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let mut reader = Reader::new(sealed);
        reader.version(VERSION)?;
        let key_version = reader.u32()?;
        let salt = reader.array()?;
        let counter = reader.u32()?;
        let (body, tag) = reader.rest().split_last_chunk::<TAG_BYTES>().ok_or_else(malformed)?;
        let subkey = subkeys.subkey(secret, RECORD_LABEL, &salt);
        let mut plaintext = vec![0; body.len()];
        let aad = self.record(key_version, key);
        match subkey.open_into(u64::from(counter), aad.get(), body, tag, &mut plaintext) {
            Ok(()) => Ok(plaintext),
            Err(OpenFailed) => Err(FsError::Io(format!("record {} does not verify", Hex(key)))),
        }
    }

    pub(crate) fn extent(&self, fileid: u64, extent: u64, key_version: u32) -> ExtentBinding {
        let aad = self.aad(b'x', key_version).push(&fileid.to_be_bytes()).push(&extent.to_be_bytes());
        ExtentBinding { aad }
    }
}

/// The additional data of one extent's pieces, but for the piece number.
pub(crate) struct ExtentBinding {
    aad: Aad,
}

impl ExtentBinding {
    fn piece(&mut self, piece: u32) -> &[u8] {
        let length = self.aad.length;
        for (place, byte) in self.aad.bytes.iter_mut().skip(length).zip(piece.to_be_bytes()) {
            *place = byte;
        }
        self.aad.bytes.get(..length + 4).unwrap_or(&self.aad.bytes)
    }

    /// Seals one piece into `out`, which has room for the piece and its tag.
    pub(crate) fn seal(&mut self, subkey: &Subkey, piece: u32, plaintext: &[u8], out: &mut [u8]) {
        if let Some((body, tag)) = out.split_last_chunk_mut::<TAG_BYTES>() {
            *tag = subkey.seal_into(u64::from(piece), self.piece(piece), plaintext, body);
        }
    }

    /// Opens one piece with its tag into `out`, which has the piece's length.
    pub(crate) fn open(
        &mut self,
        subkey: &Subkey,
        piece: u32,
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), OpenFailed> {
        let (body, tag): (&[u8], &Tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(OpenFailed)?;
        subkey.open_into(u64::from(piece), self.piece(piece), body, tag, out)
    }
}

/// Which bytes of a stored value are ciphertext with its tags: of a record all but its head, of inline contents all.
#[must_use]
pub fn sealed_part(keyspace: Keyspace, value_bytes: usize) -> Range<usize> {
    match keyspace {
        Keyspace::Records => HEAD_BYTES.min(value_bytes)..value_bytes,
        Keyspace::Inline => 0..value_bytes,
    }
}

/// Bytes of `plaintext` bytes in pieces with their tags.
pub(crate) const fn sealed_bytes(plaintext: u32) -> u32 {
    plaintext + plaintext.div_ceil(PIECE_U32) * TAG_U32
}

/// A key for a log line.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32]).unwrap()
    }

    /// Architecture section 5: a record opens only under its own key and place, in its own file system, unchanged.
    #[test]
    fn a_record_opens_only_in_its_place() {
        let here = Binding::new("fs-1").unwrap();
        let there = Binding::new("fs-2").unwrap();
        let secret = key(1);
        let cache = SubkeyCache::new(8);
        let mut batch = here.batch(&secret, [5; 16]);
        let one = batch.seal(b"Ia", b"first");
        let two = batch.seal(b"Ib", b"second");
        assert_eq!(here.open(&secret, &cache, b"Ia", &one).unwrap(), b"first");
        assert_eq!(here.open(&secret, &cache, b"Ib", &two).unwrap(), b"second");
        assert!(here.open(&secret, &cache, b"Ib", &one).is_err());
        assert!(there.open(&secret, &cache, b"Ia", &one).is_err());
        assert!(here.open(&key(2), &SubkeyCache::new(8), b"Ia", &one).is_err());
        for at in 0..one.len() {
            let mut changed = one.clone();
            changed[at] ^= 1;
            assert!(here.open(&secret, &cache, b"Ia", &changed).is_err());
        }
    }

    /// Architecture section 5: a piece opens only as the same piece of the same extent of the same file.
    #[test]
    fn a_piece_opens_only_in_its_place() {
        let binding = Binding::new("fs-1").unwrap();
        let subkey = key(1).subkey(EXTENT_LABEL, &[0; 16]);
        let mut out = [0; 5 + TAG_BYTES];
        binding.extent(1, 2, 1).seal(&subkey, 3, b"hello", &mut out);
        let mut plain = [0; 5];
        binding.extent(1, 2, 1).open(&subkey, 3, &out, &mut plain).unwrap();
        assert_eq!(&plain, b"hello");
        assert!(binding.extent(1, 2, 1).open(&subkey, 4, &out, &mut plain).is_err());
        assert!(binding.extent(1, 3, 1).open(&subkey, 3, &out, &mut plain).is_err());
        assert!(binding.extent(2, 2, 1).open(&subkey, 3, &out, &mut plain).is_err());
        assert!(binding.extent(1, 2, 2).open(&subkey, 3, &out, &mut plain).is_err());
        assert_eq!(sealed_bytes(4097), 4097 + 32);
    }
}
