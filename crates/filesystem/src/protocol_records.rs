//! Records of the protocol server: who held state here (recovery records). Durable on return, sealed under the
//! metadata key; their keys are hidden by the name PRF.

use bytes::Bytes;
use storage::{Keyspace, Scan};

use crate::{
    FileSystem, FsError, Result,
    codec::{Reader, Writer, malformed},
    keys,
    operation::Operation,
};

/// Longest key of a record.
pub const RECORD_KEY_BYTES_MAX: usize = 2048;

/// How many records change in one batch, and from how many bytes on the next ones go in another: half of what an operation
/// may have.
const CHANGES_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 512 << 10;

/// Longest value of a record.
pub const RECORD_VALUE_BYTES_MAX: usize = 64 << 10;

/// A change to a record of the protocol server.
#[derive(Clone, Copy, Debug)]
pub enum RecordChange<'a> {
    /// Keep this value under this key.
    Put(&'a [u8], &'a [u8]),
    /// Keep nothing under this key.
    Delete(&'a [u8]),
}

/// What could be read of the records of one kind.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    /// Keys and values, in no order.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
    /// The stored names, in hexadecimal, of those that are damaged. What they were called is in them, and so not known.
    pub damaged: Vec<String>,
}

impl FileSystem {
    /// Makes changes to records of one kind, in their order; as many at once as a batch takes.
    ///
    /// # Errors
    /// [`FsError::Sealed`], [`FsError::Failed`], [`FsError::Invalid`] beyond the bounds.
    pub async fn change_records(&self, kind: u8, changes: &[RecordChange<'_>]) -> Result<()> {
        let mut changes = changes.iter().peekable();
        while changes.peek().is_some() {
            let (mut made, mut bytes) = (Vec::new(), 0);
            while bytes < BYTES_AT_ONCE
                && made.len() < CHANGES_AT_ONCE
                && let Some(change) = changes.next()
            {
                let (key, record) = match change {
                    RecordChange::Put(key, value) => (key, Some(record(key, value)?)),
                    RecordChange::Delete(key) => (key, None),
                };
                bytes += record.as_ref().map_or(0, Vec::len);
                made.push((self.record_name(kind, key)?, record));
            }
            self.change_record(made).await?;
        }
        Ok(())
    }

    /// Stores a record under (`kind`, `key`).
    ///
    /// # Errors
    /// [`FsError::Sealed`], [`FsError::Failed`], [`FsError::Invalid`] beyond the bounds; [`FsError::NoSpace`] when the
    /// disk's reserve is used up.
    pub async fn put_record(&self, kind: u8, key: &[u8], value: &[u8]) -> Result<()> {
        self.change_records(kind, &[RecordChange::Put(key, value)]).await
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// [`FsError::Sealed`] or [`FsError::Failed`]; [`FsError::NoSpace`] when the disk's reserve is used up.
    pub async fn delete_record(&self, kind: u8, key: &[u8]) -> Result<()> {
        self.change_records(kind, &[RecordChange::Delete(key)]).await
    }

    /// All records of one kind, in no order.
    ///
    /// # Errors
    /// [`FsError::Sealed`]; [`FsError::Io`] also if one of them is damaged.
    pub async fn list_records(&self, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let found = self.find_records(kind).await?;
        if found.damaged.is_empty() { Ok(found.records) } else { Err(malformed()) }
    }

    /// The records of one kind that are whole, and the names of those that are not.
    ///
    /// # Errors
    /// [`FsError::Sealed`]; [`FsError::Io`] if the store cannot be read at all.
    pub async fn find_records(&self, kind: u8) -> Result<FoundRecords> {
        self.core.queue.check()?;
        let mut found = FoundRecords::default();
        let mut scan = Scan::prefix(Keyspace::Records, &[keys::PROTOCOL, kind]);
        loop {
            let page = self.core.shard.scan(scan.clone()).await?;
            for (name, sealed) in &page.items {
                match self.core.open_record(name, sealed).and_then(|record| parts(&record)) {
                    Ok(record) => found.records.push(record),
                    Err(FsError::Io(_)) => found.damaged.push(name.iter().map(|byte| format!("{byte:02x}")).collect()),
                    Err(error) => return Err(error),
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(found),
            }
        }
    }

    fn record_name(&self, kind: u8, key: &[u8]) -> Result<Bytes> {
        self.core.queue.check()?;
        Ok(keys::protocol(kind, &self.core.keys.names()?.record_key(kind, key)))
    }

    async fn change_record(&self, changes: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<()> {
        let core = &self.core;
        // Small as it is, it would wait for room that may never come, and its caller with it.
        if core.shard.space().reserve_used {
            return Err(FsError::NoSpace);
        }
        let mut operation = Operation::new(core.queue.admit().await, None);
        for (name, record) in changes {
            match record {
                Some(record) => operation.put(name, record),
                None => operation.delete(name),
            }
        }
        core.commit_aside(operation).await
    }
}

/// A record as it is sealed.
fn record(key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    if key.len() > RECORD_KEY_BYTES_MAX || value.len() > RECORD_VALUE_BYTES_MAX {
        return Err(FsError::Invalid);
    }
    let length = u16::try_from(key.len()).map_err(|_| FsError::Invalid)?;
    Ok(Writer::with_capacity(3 + key.len() + value.len()).u8(1).u16(length).bytes(key).bytes(value).done())
}

/// Key and value of a record.
fn parts(record: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader::new(record);
    reader.version(1)?;
    let length = usize::from(reader.u16()?);
    let key = reader.take(length).map_err(|_| malformed())?;
    Ok((key.to_vec(), reader.rest().to_vec()))
}
