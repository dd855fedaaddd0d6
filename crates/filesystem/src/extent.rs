//! Reading and sealing extents: between plaintext ranges and sealed pieces (Architecture section 3, "Extents").

use std::ops::Range;

use bytes::Bytes;
use storage::{Keyspace, Now, SealedBuffer};

use crate::{
    FsError, Result,
    core::Core,
    keys,
    lease::Which,
    plain::Wiped,
    record::{BLOCK, Extent, MapEntry, Source},
    seal::{EXTENT_LABEL, KEY_VERSION, PIECE, STRIDE, sealed_bytes},
};

/// Reads up to this size leave their pieces in the plaintext cache.
const CACHE_READS: usize = 64 << 10;

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The pieces of an extent that a part of a file needs.
struct Pieces {
    fileid: u64,
    extent: Extent,
    /// Numbers of the pieces.
    pieces: Range<u32>,
    /// Where the wanted bytes begin within the first piece.
    skip: usize,
}

impl Pieces {
    /// For the bytes `from..to` of a file, which the entry covers.
    fn of(fileid: u64, entry: &MapEntry, from: u64, to: u64) -> Self {
        let first = (from - entry.start) / BLOCK;
        let last = (to - entry.start).div_ceil(BLOCK);
        let skip = index((from - entry.start) % BLOCK);
        let pieces = entry.first_piece + narrow(first)..entry.first_piece + narrow(last);
        Self { fileid, extent: entry.extent, pieces, skip }
    }

    /// Plaintext bytes of a piece.
    fn length(&self, piece: u32) -> usize {
        let begin = u64::from(piece) * BLOCK;
        index(u64::from(self.extent.bytes).saturating_sub(begin).min(BLOCK))
    }

    /// Takes all pieces from the cache, or nothing.
    fn cached(&self, core: &Core, mut out: &mut [u8]) -> bool {
        if out.len() > CACHE_READS {
            return false;
        }
        let mut skip = self.skip;
        for piece in self.pieces.clone() {
            let Some(data) = core.plain.get(self.extent.id, piece) else { return false };
            let Some(data) = data.get(skip..) else { return false };
            let take = data.len().min(out.len());
            let (head, tail) = std::mem::take(&mut out).split_at_mut(take);
            head.copy_from_slice(data.get(..take).unwrap_or_default());
            out = tail;
            skip = 0;
        }
        out.is_empty()
    }

    /// Opens the sealed pieces into `out`.
    fn open(&self, core: &Core, sealed: &[u8], out: &mut [u8]) -> Result<()> {
        let keep = out.len() <= CACHE_READS;
        let opened = core.keys.with(Which::Data, |key, subkeys| {
            let subkey = subkeys.subkey(key, EXTENT_LABEL, &self.extent.salt);
            let mut binding = core.binding.extent(self.fileid, self.extent.id, self.extent.key_version);
            let mut rest = out;
            let mut skip = self.skip;
            for (piece, sealed) in self.pieces.clone().zip(sealed.chunks(STRIDE)) {
                let length = self.length(piece);
                if skip == 0 && rest.len() >= length && !keep {
                    let (whole, tail) = std::mem::take(&mut rest).split_at_mut(length);
                    binding.open(&subkey, piece, sealed, whole)?;
                    rest = tail;
                    continue;
                }
                let mut plain = vec![0; length];
                binding.open(&subkey, piece, sealed, &mut plain)?;
                let plain = Wiped::new(plain);
                let wanted = plain.as_ref().get(skip..).unwrap_or_default();
                let take = wanted.len().min(rest.len());
                let (head, tail) = std::mem::take(&mut rest).split_at_mut(take);
                head.copy_from_slice(wanted.get(..take).unwrap_or_default());
                rest = tail;
                skip = 0;
                if keep && core.plain.put(self.extent.id, piece, plain.share()) {
                    core.stir_janitor();
                }
            }
            // Fewer sealed bytes than the entry says.
            if rest.is_empty() { Ok(()) } else { Err(crypto::OpenFailed) }
        })?;
        opened.map_err(|_| {
            let (fileid, extent) = (self.fileid, self.extent.id);
            tracing::error!(file_system = %core.id, fileid, extent, source = ?self.extent.source, "data does not verify");
            FsError::Io(format!("extent {extent} of file {fileid} does not verify"))
        })
    }
}

impl Core {
    /// Opens `from..to` of a file, which `entry` covers, into `out` of that length, if that needs no wait.
    pub(crate) fn read_extent_now(
        &self,
        fileid: u64,
        entry: &MapEntry,
        (from, to): (u64, u64),
        out: &mut [u8],
    ) -> Result<Now<()>> {
        let pieces = Pieces::of(fileid, entry, from, to);
        if pieces.cached(self, out) {
            return Ok(Now::Hit(()));
        }
        let range = pieces.extent.sealed(&pieces.pieces);
        match &entry.extent.source {
            Source::Inline => {
                let fresh = self.fresh.lock().get(&entry.extent.id).cloned();
                let sealed = match fresh {
                    Some(sealed) => Some(sealed),
                    None => match self.shard.get_now(Keyspace::Inline, &keys::inline(fileid, entry.extent.id))? {
                        Now::Hit(found) => found,
                        Now::WouldBlock => return Ok(Now::WouldBlock),
                    },
                };
                pieces.open(self, cut(&sealed, &range)?, out)?;
            }
            Source::Segment(place) => {
                let mut sealed = SealedBuffer::new(range.len());
                match self.segments.read_now(place, range, &mut sealed)? {
                    Now::Hit(()) => pieces.open(self, &sealed, out)?,
                    Now::WouldBlock => return Ok(Now::WouldBlock),
                }
            }
        }
        Ok(Now::Hit(()))
    }

    /// The same, waiting for the disk.
    pub(crate) async fn read_extent(
        &self,
        fileid: u64,
        entry: &MapEntry,
        (from, to): (u64, u64),
        out: &mut [u8],
    ) -> Result<()> {
        let pieces = Pieces::of(fileid, entry, from, to);
        let range = pieces.extent.sealed(&pieces.pieces);
        match &entry.extent.source {
            Source::Inline => {
                let key = keys::inline(fileid, entry.extent.id);
                let sealed = self.shard.get(Keyspace::Inline, &key).await?;
                pieces.open(self, cut(&sealed, &range)?, out)
            }
            Source::Segment(place) => {
                let sealed = self.segments.read(place, range).await?;
                pieces.open(self, &sealed, out)
            }
        }
    }

    /// Seals a run of bytes as one extent with a fresh salt and id. `fragments` follow each other without gaps.
    pub(crate) fn seal_extent(&self, fileid: u64, fragments: &[Bytes]) -> Result<(Extent, Bytes)> {
        let bytes: usize = fragments.iter().map(Bytes::len).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let id = self.counters.extent();
        let salt = self.env.random();
        let mut sealed = SealedBuffer::new(index(u64::from(sealed_bytes(bytes))));
        self.keys.with(Which::Data, |key, _| {
            // A salt of its own: the subkey is used here and for reading, never to seal anything else.
            let subkey = key.subkey(EXTENT_LABEL, &salt);
            let mut binding = self.binding.extent(fileid, id, KEY_VERSION);
            let mut fragments = Fragments { rest: fragments, at: 0 };
            let mut gathered = [0; PIECE];
            let mut left = index(u64::from(bytes));
            for (piece, out) in (0_u32..).zip(sealed.chunks_mut(STRIDE)) {
                let length = left.min(PIECE);
                left -= length;
                binding.seal(&subkey, piece, fragments.next(length, &mut gathered), out);
            }
        })?;
        let extent = Extent { id, salt, key_version: KEY_VERSION, bytes, first: 0, source: Source::Inline };
        Ok((extent, sealed.freeze()))
    }
}

fn cut<'a>(sealed: &'a Option<Bytes>, range: &Range<u32>) -> Result<&'a [u8]> {
    let range = index(u64::from(range.start))..index(u64::from(range.end));
    let found = sealed.as_ref().and_then(|sealed| sealed.get(range));
    found.ok_or_else(|| FsError::Io("inline data is missing".into()))
}

/// Walks over byte runs piece by piece, and copies only where a piece spans two of them.
struct Fragments<'a> {
    rest: &'a [Bytes],
    at: usize,
}

impl<'a> Fragments<'a> {
    fn next<'b>(&mut self, length: usize, gathered: &'b mut [u8; PIECE]) -> &'b [u8]
    where
        'a: 'b,
    {
        if let Some(whole) = self.rest.first().and_then(|first| first.get(self.at..self.at + length)) {
            self.advance(length);
            return whole;
        }
        let mut filled = 0;
        while filled < length {
            let Some(available) = self.rest.first().and_then(|first| first.get(self.at..)) else { break };
            let take = available.len().min(length - filled);
            if let (Some(out), Some(data)) = (gathered.get_mut(filled..filled + take), available.get(..take)) {
                out.copy_from_slice(data);
            }
            filled += take;
            self.advance(take);
        }
        gathered.get(..length).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        while let Some(first) = self.rest.first()
            && self.at >= first.len()
        {
            self.at -= first.len();
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
    }
}
