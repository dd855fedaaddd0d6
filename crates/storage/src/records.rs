//! Sealed records: the small records of services (KMS keys, identities, the control plane) in a shard of their own,
//! sealed under the control key (Architecture section 4 and 5; docs/on-disk-format.md, "Control records").
//!
//! A record has a logical key, a path such as `kms/key/<id>`. In the shard its key is a class byte and a PRF of the
//! path, and its value seals path and content together, so a disk shows neither names nor which records belong
//! together. Services keep their records in memory and write through.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::Bytes;
use crypto::{Key, Label, Prf, Salt, Subkey, TAG_BYTES};
use env::Env;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Batch, CommitError, Keyspace, Scan, Shard, StorageError};

const CLASS: u8 = b'S';
const VERSION: u8 = 1;
const LABEL: Label = Label::new("storage/record");
const SALT_BYTES: usize = 16;
const COUNTER_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + SALT_BYTES + COUNTER_BYTES;

/// A record that every set has, so that a wrong control key is seen at once.
const CHECK: &str = "storage/check";

/// A record's subkeys are remembered while many are read, up to so many batches.
const SUBKEYS_MAX: usize = 1024;

/// A change of one record. Its content is wiped when it is dropped.
pub enum Change {
    /// Writes the record with this logical key.
    Put(String, Vec<u8>),
    /// Removes it; an absent one is no error.
    Delete(String),
}

impl Change {
    fn key(&self) -> &str {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Self::Put(_, value) = self {
            value.zeroize();
        }
    }
}

/// The sealed records of a shard.
pub struct SealedRecords {
    place: String,
    shard: Arc<dyn Shard>,
    key: Key,
    names: Prf,
    env: Env,
}

impl SealedRecords {
    /// The records in `shard`, under `control_key`. An empty shard becomes an empty set.
    ///
    /// # Errors
    /// [`StorageError::Sealed`] if the records belong to another control key; the shard's.
    pub async fn open(shard: Arc<dyn Shard>, control_key: &Key, env: Env) -> Result<Self, StorageError> {
        let key = control_key.derive("storage/records", b"");
        let names = Prf::new(control_key.derive("storage/record-names", b""));
        let records = Self { place: "the control records".to_owned(), shard, key, names, env };
        if records.get(CHECK).await?.is_none() {
            let mut any = Scan::prefix(Keyspace::Records, &[CLASS]);
            any.limit_keys = 1;
            if !records.shard.scan(any).await?.items.is_empty() {
                return Err(StorageError::Sealed(
                    "the control records were sealed under another control key; give the root key they belong to"
                        .to_owned(),
                ));
            }
            records.commit(vec![Change::Put(CHECK.to_owned(), Vec::new())]).await?;
        }
        Ok(records)
    }

    /// Which bytes of a value are ciphertext with its tag, if the key is that of a record of this kind.
    #[must_use]
    pub fn sealed_part(key: &[u8], value: &[u8]) -> Option<Range<usize>> {
        (key.first() == Some(&CLASS) && value.first() == Some(&VERSION) && value.len() > HEAD_BYTES)
            .then_some(HEAD_BYTES..value.len())
    }

    /// Names the directory that the records lie in, for errors.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// Every record whose logical key begins with `prefix`, in the order of their keys. Reads them all: for the start
    /// of a service.
    ///
    /// # Errors
    /// [`StorageError::Sealed`] if any record does not open; the shard's.
    pub async fn load(&self, prefix: &str) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>, StorageError> {
        let snapshot = self.shard.snapshot();
        let mut subkeys = HashMap::new();
        let mut found = Vec::new();
        let mut scan = Scan::prefix(Keyspace::Records, &[CLASS]);
        loop {
            let page = snapshot.scan(scan.clone()).await?;
            for (stored, value) in &page.items {
                let (key, value) = self.open_value(stored, value, &mut subkeys)?;
                if key.starts_with(prefix) && key != CHECK {
                    found.push((key, value));
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => break,
            }
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// One record.
    ///
    /// # Errors
    /// [`StorageError::Sealed`] if it does not open; the shard's.
    pub async fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let stored = self.stored_key(key);
        match self.shard.get(Keyspace::Records, &stored).await? {
            Some(value) => {
                let (found, value) = self.open_value(&stored, &value, &mut HashMap::new())?;
                if found == key { Ok(Some(value)) } else { Err(self.unopened()) }
            }
            None => Ok(None),
        }
    }

    /// Makes the changes durable, all or none, in the order of calls. Of several changes of one key the last counts.
    ///
    /// # Errors
    /// [`StorageError::Stopped`] if the shard has ended or the outcome is unknown (reopen it then),
    /// [`StorageError::TooLarge`] and [`StorageError::NoSpace`] if nothing was done.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut last: HashMap<&str, &Change> = HashMap::with_capacity(changes.len());
        for change in &changes {
            last.insert(change.key(), change);
        }
        let salt: Salt = self.env.random();
        let subkey = self.key.subkey(LABEL, &salt);
        let mut batch = Batch::new(u128::from_be_bytes(self.env.random()));
        // Deleting keys and file systems must work on a full disk, and these records are small.
        batch.may_use_reserve = true;
        let mut counter = 0_u32;
        for (key, change) in last {
            let stored = self.stored_key(key);
            match change {
                Change::Put(_, value) => {
                    let sealed = seal_value(&subkey, &salt, counter, &stored, key, value)?;
                    counter = counter.checked_add(1).ok_or(StorageError::TooLarge)?;
                    batch.put(Keyspace::Records, stored, sealed);
                }
                Change::Delete(_) => batch.delete(Keyspace::Records, stored),
            }
        }
        match self.shard.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::TooLarge) => Err(StorageError::TooLarge),
            Err(CommitError::NoSpace) => Err(StorageError::NoSpace),
            Err(error @ (CommitError::Fenced | CommitError::Unknown(_) | CommitError::Io(_))) => {
                Err(StorageError::Stopped(error.to_string()))
            }
        }
    }

    fn stored_key(&self, key: &str) -> Bytes {
        let mut stored = Vec::with_capacity(17);
        stored.push(CLASS);
        stored.extend_from_slice(&self.names.mac16(key.as_bytes()));
        Bytes::from(stored)
    }

    fn open_value(
        &self,
        stored: &[u8],
        value: &[u8],
        subkeys: &mut HashMap<Salt, Subkey>,
    ) -> Result<(String, Zeroizing<Vec<u8>>), StorageError> {
        let (head, rest) = value.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| self.unopened())?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(|| self.unopened())?;
        let (version, rest) = head.split_first().ok_or_else(|| self.unopened())?;
        let (salt, counter) = rest.split_first_chunk::<SALT_BYTES>().ok_or_else(|| self.unopened())?;
        let counter = <[u8; COUNTER_BYTES]>::try_from(counter).map_err(|_| self.unopened())?;
        if *version != VERSION {
            return Err(self.unopened());
        }
        if subkeys.len() >= SUBKEYS_MAX {
            subkeys.clear();
        }
        // One batch, one salt: a run of records of one batch needs one key set-up.
        let subkey = subkeys.entry(*salt).or_insert_with(|| self.key.subkey(LABEL, salt));
        let mut plain = Zeroizing::new(vec![0; sealed.len()]);
        let counter = u64::from(u32::from_be_bytes(counter));
        subkey.open_into(counter, stored, sealed, tag, &mut plain).map_err(|_| self.unopened())?;
        let (length, rest) = plain.split_first_chunk::<2>().ok_or_else(|| self.unopened())?;
        let (key, content) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(|| self.unopened())?;
        let key = str::from_utf8(key).map_err(|_| self.unopened())?;
        Ok((key.to_owned(), Zeroizing::new(content.to_vec())))
    }

    fn unopened(&self) -> StorageError {
        StorageError::Sealed(format!(
            "{}: a control record does not open; restore the data directory from a backup",
            self.place
        ))
    }
}

fn seal_value(
    subkey: &Subkey,
    salt: &Salt,
    counter: u32,
    stored: &[u8],
    key: &str,
    value: &[u8],
) -> Result<Vec<u8>, StorageError> {
    let key_length = u16::try_from(key.len()).map_err(|_| StorageError::TooLarge)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(2 + key.len() + value.len()));
    plain.extend_from_slice(&key_length.to_be_bytes());
    plain.extend_from_slice(key.as_bytes());
    plain.extend_from_slice(value);
    let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    sealed.push(VERSION);
    sealed.extend_from_slice(salt);
    sealed.extend_from_slice(&counter.to_be_bytes());
    sealed.resize(HEAD_BYTES + plain.len(), 0);
    let (_, out) = sealed.split_at_mut(HEAD_BYTES);
    let tag = subkey.seal_into(u64::from(counter), stored, &plain, out);
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32]).unwrap()
    }

    async fn records(memory: &Memory, byte: u8) -> Result<SealedRecords, StorageError> {
        SealedRecords::open(memory.open().0, &key(byte), Env::real()).await
    }

    fn put(key: &str, value: &str) -> Change {
        Change::Put(key.to_owned(), value.as_bytes().to_vec())
    }

    async fn loaded(records: &SealedRecords, prefix: &str) -> Vec<(String, String)> {
        let all = records.load(prefix).await.unwrap().into_iter();
        all.map(|(key, value)| (key, String::from_utf8(value.to_vec()).unwrap())).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    /// Architecture section 4: the services' records survive a restart, and a commit is atomic.
    #[tokio::test]
    async fn records_come_back_after_reopening() {
        let memory = Memory::new();
        let first = records(&memory, 1).await.unwrap();
        first.commit(vec![put("kms/key/b", "2"), put("kms/key/a", "1"), put("control/fs", "x")]).await.unwrap();
        first.commit(vec![Change::Delete("kms/key/b".to_owned()), put("kms/key/c", "3")]).await.unwrap();

        let second = records(&memory, 1).await.unwrap();
        assert_eq!(loaded(&second, "kms/").await, [pair("kms/key/a", "1"), pair("kms/key/c", "3")]);
        assert_eq!(second.get("control/fs").await.unwrap().unwrap().as_slice(), b"x");
        assert!(second.get("kms/key/b").await.unwrap().is_none());
        assert!(matches!(first.commit(vec![put("late", "")]).await, Err(StorageError::Stopped(_))));
    }

    /// A key appears once in a batch; of several changes the last one counts.
    #[tokio::test]
    async fn the_last_change_of_a_key_counts() {
        let records = records(&Memory::new(), 1).await.unwrap();
        records.commit(vec![put("a", "1"), Change::Delete("a".to_owned()), put("a", "2")]).await.unwrap();
        assert_eq!(loaded(&records, "").await, [pair("a", "2")]);
    }

    /// Architecture section 5: with another control key nothing opens, and the error says so.
    #[tokio::test]
    async fn another_control_key_is_refused() {
        let memory = Memory::new();
        let first = records(&memory, 1).await.unwrap();
        first.commit(vec![put("a", "1")]).await.unwrap();
        assert!(matches!(records(&memory, 2).await, Err(StorageError::Sealed(_))));
        assert!(records(&memory, 1).await.is_ok());
    }

    /// Architecture, "nothing readable at rest": neither names nor contents appear in the shard, and a value put in another
    /// record's place does not open.
    #[tokio::test]
    async fn the_shard_sees_no_names_and_swaps_are_found() {
        let memory = Memory::new();
        let (shard, _) = memory.open();
        let records = SealedRecords::open(shard.clone(), &key(1), Env::real()).await.unwrap().at("/data/control");
        let canary = "canary-canary-canary";
        records.commit(vec![put(canary, canary), put("other", canary)]).await.unwrap();

        let page = shard.scan(Scan::prefix(Keyspace::Records, b"")).await.unwrap();
        for (key, value) in &page.items {
            let holds = |bytes: &[u8]| bytes.windows(8).any(|window| window == b"canary-c");
            assert!(!holds(key) && !holds(value));
        }
        let (one, two) = (records.stored_key(canary), records.stored_key("other"));
        let value = shard.get(Keyspace::Records, &one).await.unwrap().unwrap();
        let mut swap = Batch::new(9);
        swap.put(Keyspace::Records, two, value);
        shard.commit(swap).await.unwrap();
        assert!(matches!(records.get("other").await, Err(StorageError::Sealed(_))));
        let Err(StorageError::Sealed(text)) = records.load("").await else { panic!("it does not open") };
        assert!(text.starts_with("/data/control: ") && text.contains("restore"), "{text}");
    }
}
