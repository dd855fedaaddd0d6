//! The inode record.

use env::WallTime;

use crate::{
    Attributes, Device, Kind, Result,
    codec::{Reader, Writer, malformed},
    record::BLOCK,
};

const VERSION: u8 = 1;

/// Everything durable about an object except its entries and its extents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InodeRecord {
    pub(crate) fileid: u64,
    pub(crate) generation: u64,
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// Bytes that the extent map covers, in whole blocks.
    pub(crate) mapped: u64,
    pub(crate) atime: WallTime,
    pub(crate) mtime: WallTime,
    pub(crate) ctime: WallTime,
    pub(crate) btime: WallTime,
    pub(crate) change: u64,
    /// Of a directory: the directory it is in; the root names itself.
    pub(crate) parent: u64,
    pub(crate) depth: u16,
    /// Entries of a directory, or of a file's extent map.
    pub(crate) entries: u64,
    /// Sum of the keyed hashes of those entries: evidence against putting a single record back.
    pub(crate) set_hash: u128,
    /// Bytes of the names in a directory.
    pub(crate) name_bytes: u64,
    pub(crate) verifier: Option<[u8; 8]>,
    pub(crate) device: Device,
    /// Of a symbolic link.
    pub(crate) target: Box<[u8]>,
}

fn write_time(writer: Writer, time: WallTime) -> Writer {
    writer.i64(time.seconds).u32(time.nanoseconds)
}

fn read_time(reader: &mut Reader<'_>) -> Result<WallTime> {
    Ok(WallTime { seconds: reader.i64()?, nanoseconds: reader.u32()? })
}

impl InodeRecord {
    /// The record's bytes with `size` in the place of the size: unflushed data does not count yet.
    pub(crate) fn encode(&self, size: u64, change: u64) -> Vec<u8> {
        let mut writer = Writer::with_capacity(180 + self.target.len())
            .u8(VERSION)
            .u64(self.fileid)
            .u64(self.generation)
            .u8(self.kind as u8)
            .u16(self.mode)
            .u32(self.uid)
            .u32(self.gid)
            .u32(self.links)
            .u64(size)
            .u64(self.mapped);
        for time in [self.atime, self.mtime, self.ctime, self.btime] {
            writer = write_time(writer, time);
        }
        writer = writer
            .u64(change)
            .u64(self.parent)
            .u16(self.depth)
            .u64(self.entries)
            .u128(self.set_hash)
            .u64(self.name_bytes)
            .u8(u8::from(self.verifier.is_some()))
            .bytes(&self.verifier.unwrap_or_default());
        writer.u32(self.device.major).u32(self.device.minor).bytes(&self.target).done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        Ok(Self {
            fileid: reader.u64()?,
            generation: reader.u64()?,
            kind: Kind::from_u8(reader.u8()?).ok_or_else(malformed)?,
            mode: reader.u16()?,
            uid: reader.u32()?,
            gid: reader.u32()?,
            links: reader.u32()?,
            size: reader.u64()?,
            mapped: reader.u64()?,
            atime: read_time(&mut reader)?,
            mtime: read_time(&mut reader)?,
            ctime: read_time(&mut reader)?,
            btime: read_time(&mut reader)?,
            change: reader.u64()?,
            parent: reader.u64()?,
            depth: reader.u16()?,
            entries: reader.u64()?,
            set_hash: reader.u128()?,
            name_bytes: reader.u64()?,
            verifier: {
                let present = reader.u8()? != 0;
                let bytes = reader.array()?;
                present.then_some(bytes)
            },
            device: Device { major: reader.u32()?, minor: reader.u32()? },
            target: reader.rest().into(),
        })
    }

    /// Data bytes as EFS meters them: 4 KiB steps, at least one.
    pub(crate) fn space_used(&self) -> u64 {
        let bytes = match self.kind {
            // An entry's own bytes and a share for what describes it.
            Kind::Directory => self.name_bytes.saturating_add(self.entries.saturating_mul(32)),
            Kind::Regular => self.mapped,
            _ => 0,
        };
        bytes.div_ceil(BLOCK).max(1).saturating_mul(BLOCK)
    }

    pub(crate) fn attributes(&self) -> Attributes {
        Attributes {
            kind: self.kind,
            mode: u32::from(self.mode),
            uid: self.uid,
            gid: self.gid,
            links: self.links,
            size: if self.kind == Kind::Directory { self.space_used() } else { self.size },
            space_used: self.space_used(),
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
            btime: self.btime,
            change: self.change,
            fileid: self.fileid,
            generation: self.generation,
            device: self.device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md: an inode record comes back whole, and no prefix of it does.
    #[test]
    fn an_inode_record_comes_back_from_its_bytes() {
        let time = |seconds| WallTime { seconds, nanoseconds: 7 };
        let record = InodeRecord {
            fileid: 3,
            generation: 4,
            kind: Kind::Symlink,
            mode: 0o777,
            uid: 1,
            gid: 2,
            links: 1,
            size: 5,
            mapped: 0,
            atime: time(1),
            mtime: time(-2),
            ctime: time(3),
            btime: time(4),
            change: 99,
            parent: 1,
            depth: 2,
            entries: 0,
            set_hash: 1 << 100,
            name_bytes: 0,
            verifier: Some([9; 8]),
            device: Device { major: 8, minor: 1 },
            target: b"where".as_slice().into(),
        };
        let bytes = record.encode(5, record.change);
        assert_eq!(InodeRecord::decode(&bytes).unwrap(), record);
        for short in 0..bytes.len() - record.target.len() {
            assert!(InodeRecord::decode(&bytes[..short]).is_err());
        }
        assert_eq!(record.space_used(), 4096);
    }
}
