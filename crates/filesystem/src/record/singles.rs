//! Records of which there is one, or one for each orphan: superblock, counters, usage, orphans.

use zeroize::Zeroizing;

use crate::{
    Result,
    codec::{Reader, Writer},
};

/// The format of everything in the shard. Another version is refused at open.
pub(crate) const FORMAT: u8 = 1;

/// Made once, with the file system.
pub(crate) struct Superblock {
    /// The key of the name PRF and of the set-hashes; never rotates.
    pub(crate) name_key: Zeroizing<[u8; 32]>,
    pub(crate) root: u64,
}

impl Superblock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(41).u8(FORMAT).bytes(&*self.name_key).u64(self.root).done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(FORMAT)?;
        let superblock = Self { name_key: Zeroizing::new(reader.array()?), root: reader.u64()? };
        reader.end()?;
        Ok(superblock)
    }
}

/// Up to where each counter is reserved: values below have perhaps been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) change: u64,
    pub(crate) fileid: u64,
    pub(crate) generation: u64,
    pub(crate) extent: u64,
}

impl Counters {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(33).u8(1).u64(self.change).u64(self.fileid).u64(self.generation).u64(self.extent).done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(1)?;
        let counters =
            Self { change: reader.u64()?, fileid: reader.u64()?, generation: reader.u64()?, extent: reader.u64()? };
        reader.end()?;
        Ok(counters)
    }
}

/// Totals of the file system. As a difference, fields may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) objects: i64,
    /// Metered data bytes of all objects.
    pub(crate) data: i64,
    /// Sum of the keyed hashes of all inode records: evidence against putting one of them back.
    pub(crate) inodes: u128,
}

impl Usage {
    pub(crate) fn add(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.data = self.data.saturating_add(other.data);
        self.inodes = self.inodes.wrapping_add(other.inodes);
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(33).u8(1).i64(self.objects).i64(self.data).u128(self.inodes).done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(1)?;
        let usage = Self { objects: reader.i64()?, data: reader.i64()?, inodes: reader.u128()? };
        reader.end()?;
        Ok(usage)
    }
}

/// Map entries from `from` on with an extent id below `before` are dead: a truncation removed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) from: u64,
    pub(crate) before: u64,
}

impl Trim {
    pub(crate) fn kills(&self, start: u64, extent: u64) -> bool {
        start >= self.from && extent < self.before
    }
}

/// Work that outlives an operation: an object without names, or truncations not yet carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orphan {
    /// The object has no name left. It is removed when nobody holds it.
    pub(crate) unlinked: bool,
    pub(crate) trims: Vec<Trim>,
}

impl Orphan {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(2 + 16 * self.trims.len()).u8(1).u8(u8::from(self.unlinked));
        for trim in &self.trims {
            writer = writer.u64(trim.from).u64(trim.before);
        }
        writer.done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(1)?;
        let unlinked = reader.u8()? != 0;
        let mut rest = reader.rest();
        let mut trims = Vec::new();
        while !rest.is_empty() {
            let mut reader = Reader::new(rest);
            trims.push(Trim { from: reader.u64()?, before: reader.u64()? });
            rest = reader.rest();
        }
        Ok(Self { unlinked, trims })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md: the single records come back from their bytes.
    #[test]
    fn single_records_come_back_from_their_bytes() {
        let counters = Counters { change: 1, fileid: 2, generation: 3, extent: 4 };
        assert_eq!(Counters::decode(&counters.encode()).unwrap(), counters);
        let usage = Usage { objects: 5, data: -6, inodes: 1 << 99 };
        assert_eq!(Usage::decode(&usage.encode()).unwrap(), usage);
        let orphan = Orphan { unlinked: true, trims: vec![Trim { from: 7, before: 8 }, Trim { from: 9, before: 10 }] };
        assert_eq!(Orphan::decode(&orphan.encode()).unwrap(), orphan);
        let superblock = Superblock { name_key: Zeroizing::new([3; 32]), root: 1 };
        assert_eq!(Superblock::decode(&superblock.encode()).unwrap().root, 1);
        assert!(Superblock::decode(&[FORMAT + 1]).is_err());
    }
}
