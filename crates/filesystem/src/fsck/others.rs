//! Records that belong to no object: counters, stored replies, records of the protocol server, and what is none of ours.

use std::ops::Bound;

use bytes::Bytes;
use storage::{Keyspace, Scan};

use crate::{
    FsError, Result,
    codec::{Reader, malformed},
    fsck::{Problem, Repair, walk::Walk},
    keys,
    record::Counters,
    seal::Hex,
};

/// The first byte of everything that this version seals.
const SEAL_VERSION: u8 = 1;

/// The first byte of every kind of key, in order, and whether the key is that byte alone.
const CLASSES: [(u8, bool); 10] = [
    (b'C', true),
    (keys::ENTRY, false),
    (keys::LIVE, false),
    (keys::INODE, false),
    (keys::MAP, false),
    (keys::ORPHAN, false),
    (keys::PROTOCOL, false),
    (keys::REPLY, false),
    (b'S', true),
    (b'U', true),
];

impl Walk<'_> {
    pub(super) async fn others(&mut self) -> Result<()> {
        // The superblock was opened before anything else.
        self.report.records += 1;
        self.counters().await?;
        for (prefix, class) in [(keys::REPLY, "a stored reply"), (keys::PROTOCOL, "a record of the protocol server")] {
            self.each(Scan::prefix(Keyspace::Records, &[prefix]), |walk, (key, value)| {
                walk.report.records += 1;
                let opened = walk.core.open_record(&key, &value);
                // What is of another version may be of use to another server.
                let ours = opened.is_ok() || value.first() == Some(&SEAL_VERSION);
                let (error, useless) = match opened.map(|record| match prefix {
                    keys::REPLY => reply(&key, &record).map(|()| true),
                    _ => walk.is_found(&key, &record),
                }) {
                    Ok(Ok(true)) => return,
                    Ok(Ok(false)) => (FsError::Io("it is under the key of another record".into()), true),
                    Ok(Err(error)) => (error, false),
                    Err(error) => (error, ours),
                };
                let (shown, why) = (Hex(&key).to_string(), error.to_string());
                let problem = Problem::Unreadable { key: shown, class, fileid: None, why };
                if useless {
                    walk.repairable(problem, Repair::Forget { key: key.to_vec(), class });
                } else {
                    walk.problem(problem);
                }
            })
            .await?;
        }
        self.foreign().await
    }

    async fn counters(&mut self) -> Result<()> {
        self.report.records += 1;
        let counters = self.core.look_up(&Bytes::from_static(keys::COUNTERS)).await;
        let counters = match counters.and_then(|found| found.map(|found| Counters::decode(&found)).transpose()) {
            Ok(Some(counters)) => counters,
            Ok(None) => {
                self.sound.counters = false;
                self.problem(Problem::Missing("the record of counters".into()));
                return Ok(());
            }
            Err(error @ FsError::Io(_)) => {
                self.sound.counters = false;
                let (key, why) = (Hex(keys::COUNTERS).to_string(), error.to_string());
                self.problem(Problem::Unreadable { key, class: "the record of counters", fileid: None, why });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let used = self.used;
        for (what, reserved, used) in [
            ("fileids", counters.fileid, used.fileid),
            ("generations", counters.generation, used.generation),
            ("extent ids", counters.extent, used.extent),
            ("change attributes", counters.change, used.change),
        ] {
            if used >= reserved {
                self.sound.counters = false;
                let what = format!("counters: {what} are reserved below {reserved}, but {used} is in use");
                self.problem(Problem::PutBack(what));
            }
        }
        Ok(())
    }

    /// Whether a record of the protocol server is where whoever looks for it finds it, to use it or to remove it.
    fn is_found(&self, key: &[u8], record: &[u8]) -> Result<bool> {
        let mut reader = Reader::new(record);
        reader.version(1)?;
        let length = usize::from(reader.u16()?);
        let name = reader.take(length)?;
        let kind = key.get(1).copied().ok_or_else(malformed)?;
        Ok(keys::protocol(kind, &self.names.record_key(kind, name)) == key)
    }

    /// Looks for keys between and behind those of our classes.
    async fn foreign(&mut self) -> Result<()> {
        let mut from = Bound::Unbounded;
        for (class, alone) in CLASSES {
            let below = Bound::Excluded(Bytes::copy_from_slice(&[class]));
            self.foreign_in(std::mem::replace(&mut from, Bound::Unbounded), below).await?;
            let first = if alone { vec![class, 0] } else { vec![class + 1] };
            from = Bound::Included(Bytes::from(first));
        }
        self.foreign_in(from, Bound::Unbounded).await
    }

    async fn foreign_in(&mut self, from: Bound<Bytes>, to: Bound<Bytes>) -> Result<()> {
        let scan = Scan { from, to, ..Scan::prefix(Keyspace::Records, &[]) };
        if scan.is_empty() {
            return Ok(());
        }
        self.each(scan, |walk, (key, _)| walk.unknown(&key)).await
    }
}

fn reply(key: &[u8], record: &[u8]) -> Result<()> {
    let mut reader = Reader::new(record);
    reader.version(1)?;
    reader.u32()?;
    // Session and slot.
    if key.len() == 1 + 16 + 4 { Ok(()) } else { Err(malformed()) }
}
