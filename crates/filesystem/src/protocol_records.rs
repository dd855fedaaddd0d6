//! Records of the protocol server: who held state here (recovery records). Durable on return, sealed under the
//! metadata key; their keys are hidden by the name PRF.

use bytes::Bytes;

use crate::{
    FileSystem, FsError, Result,
    codec::{Reader, Writer, malformed},
    keys,
    operation::Operation,
};

/// Longest key of a record.
pub const RECORD_KEY_BYTES_MAX: usize = 2048;

/// Longest value of a record.
pub const RECORD_VALUE_BYTES_MAX: usize = 64 << 10;

impl FileSystem {
    /// Stores a record under (`kind`, `key`).
    ///
    /// # Errors
    /// [`FsError::Sealed`], [`FsError::Failed`], [`FsError::Invalid`] beyond the bounds; [`FsError::NoSpace`] when the
    /// disk's reserve is used up.
    pub async fn put_record(&self, kind: u8, key: &[u8], value: &[u8]) -> Result<()> {
        if key.len() > RECORD_KEY_BYTES_MAX || value.len() > RECORD_VALUE_BYTES_MAX {
            return Err(FsError::Invalid);
        }
        let name = self.record_name(kind, key)?;
        let length = u16::try_from(key.len()).map_err(|_| FsError::Invalid)?;
        let record = Writer::with_capacity(3 + key.len() + value.len()).u8(1).u16(length).bytes(key).bytes(value);
        self.change_record(|operation| operation.put(name, record.done())).await
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// [`FsError::Sealed`] or [`FsError::Failed`]; [`FsError::NoSpace`] when the disk's reserve is used up.
    pub async fn delete_record(&self, kind: u8, key: &[u8]) -> Result<()> {
        let name = self.record_name(kind, key)?;
        self.change_record(|operation| operation.delete(name)).await
    }

    /// All records of one kind, in no order.
    ///
    /// # Errors
    /// [`FsError::Sealed`] or [`FsError::Io`].
    pub async fn list_records(&self, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.core.queue.check()?;
        let mut found = Vec::new();
        for (_, record) in self.core.scan_records(&[keys::PROTOCOL, kind]).await? {
            let mut reader = Reader::new(&record);
            reader.version(1)?;
            let length = usize::from(reader.u16()?);
            let key = reader.take(length).map_err(|_| malformed())?;
            found.push((key.to_vec(), reader.rest().to_vec()));
        }
        Ok(found)
    }

    fn record_name(&self, kind: u8, key: &[u8]) -> Result<Bytes> {
        self.core.queue.check()?;
        Ok(keys::protocol(kind, &self.core.keys.names()?.record_key(kind, key)))
    }

    async fn change_record(&self, change: impl FnOnce(&mut Operation)) -> Result<()> {
        let queue = &self.core.queue;
        // Small as it is, it would wait for room that may never come, and its caller with it.
        if self.core.shard.space().reserve_used {
            return Err(FsError::NoSpace);
        }
        let mut operation = Operation::new(queue.admit().await, None);
        change(&mut operation);
        queue.commit_aside(operation).await
    }
}
