//! The record of a directory entry.

use crate::{
    Kind, Result,
    codec::{Reader, Writer, malformed},
};

const VERSION: u8 = 1;
const ENTRY: u8 = 0;
const MARKER: u8 = 1;

/// What lies at one cookie of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryRecord {
    /// A name and what it leads to.
    Entry {
        name: Box<[u8]>,
        fileid: u64,
        kind: Kind,
        /// An insertion has gone past this cookie, so that its removal has to leave a marker.
        passed: bool,
    },
    /// A removed entry that a probe run goes on behind.
    Marker,
}

impl EntryRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Marker => Writer::with_capacity(2).u8(VERSION).u8(MARKER).done(),
            Self::Entry { name, fileid, kind, passed } => Writer::with_capacity(12 + name.len())
                .u8(VERSION)
                .u8(ENTRY)
                .u8(*kind as u8)
                .u8(u8::from(*passed))
                .u64(*fileid)
                .bytes(name)
                .done(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        match reader.u8()? {
            MARKER => reader.end().map(|()| Self::Marker),
            ENTRY => {
                let kind = Kind::from_u8(reader.u8()?).ok_or_else(malformed)?;
                let passed = reader.u8()? != 0;
                let fileid = reader.u64()?;
                Ok(Self::Entry { name: reader.rest().into(), fileid, kind, passed })
            }
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md: entries and markers come back from their bytes.
    #[test]
    fn entries_come_back_from_their_bytes() {
        let entry = EntryRecord::Entry { name: b"x".as_slice().into(), fileid: 9, kind: Kind::Regular, passed: true };
        assert_eq!(EntryRecord::decode(&entry.encode()).unwrap(), entry);
        assert_eq!(EntryRecord::decode(&EntryRecord::Marker.encode()).unwrap(), EntryRecord::Marker);
        assert!(EntryRecord::decode(&[VERSION, 7]).is_err());
        assert!(EntryRecord::decode(&[]).is_err());
    }
}
