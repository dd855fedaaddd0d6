//! How far each file system is known to have come: a durable mark in the control records, raised at every renewal of its
//! key lease and at a clean stop. A shard that opens below its mark is an older copy that somebody put back; it is refused
//! until an administrator accepts the loss, which the audit log keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use storage::{Change, SealedRecords, StorageError};
use tokio::sync::RwLock;

const PREFIX: &str = "coffer/floor/";

/// A point in a shard's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The opening; every opening has a higher number.
    pub(crate) epoch: u32,
    /// The last durable batch.
    pub(crate) sequence: u64,
}

/// The record, format 1: JSON within a sealed record.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Floor {
    mark: Mark,
    /// An older copy was found. It stays refused though every attempt to open it counts as an opening of its own.
    refused: bool,
    /// How large the file system was then, for whoever asks while it is closed.
    #[serde(default)]
    size: Option<Measured>,
}

/// A metered size and when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) seconds: i64,
}

/// Why a shard may not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FloorError {
    /// It is older than it is known to have been.
    #[error(
        "an older copy was put back: it was at batch {} of opening {}, but batch {} of opening {} had been reached. Bring \
         the newer one back, or decide to lose what came after; then run `coffer fs accept-older {id}`",
        found.sequence, found.epoch, floor.sequence, floor.epoch
    )]
    Older {
        /// The file system.
        id: String,
        /// Where it is.
        found: Mark,
        /// Where it was.
        floor: Mark,
    },
    /// The control records cannot be read or written.
    #[error("its floor: {0}")]
    Records(String),
}

impl From<StorageError> for FloorError {
    fn from(error: StorageError) -> Self {
        Self::Records(error.to_string())
    }
}

/// The marks of all file systems.
pub(crate) struct Floors {
    records: Arc<SealedRecords>,
    raised: Mutex<BTreeMap<String, Mark>>,
    /// Held shared while a mark is raised, alone while one is forgotten: none comes back behind that.
    forgetting: RwLock<()>,
}

impl Floors {
    pub(crate) fn new(records: Arc<SealedRecords>) -> Self {
        Self { records, raised: Mutex::default(), forgetting: RwLock::const_new(()) }
    }

    /// Refuses a shard that has just been opened as `found` if it had come further before.
    pub(crate) async fn check(&self, id: &str, found: Mark) -> Result<(), FloorError> {
        let Some(floor) = self.get(id).await? else { return Ok(()) };
        // The opening under way counts, so it must be a later one than any that raised the mark.
        let older = found.epoch <= floor.mark.epoch || found.sequence < floor.mark.sequence;
        if !older && !floor.refused {
            return Ok(());
        }
        if !floor.refused {
            self.put(id, Floor { refused: true, ..floor }).await?;
        }
        Err(FloorError::Older { id: id.to_owned(), found, floor: floor.mark })
    }

    /// The size that was noted last; none if none was.
    pub(crate) async fn size(&self, id: &str) -> Result<Option<Measured>, FloorError> {
        Ok(self.get(id).await?.and_then(|floor| floor.size))
    }

    /// Notes how far a shard has come and how large it is, unless it is `retired`; a mark is never lowered, and a size that is not
    /// known now does not replace one that was.
    pub(crate) async fn raise(
        &self,
        id: &str,
        mark: Mark,
        size: Option<Measured>,
        retired: &AtomicBool,
    ) -> Result<(), FloorError> {
        let _shared = self.forgetting.read().await;
        if retired.load(Ordering::SeqCst) {
            return Ok(());
        }
        let known = self.raised.lock().get(id).copied();
        if known.is_some_and(|known| known.epoch >= mark.epoch && known.sequence >= mark.sequence) {
            return Ok(());
        }
        let size = match size {
            Some(size) => Some(size),
            None => self.size(id).await?,
        };
        self.put(id, Floor { mark, refused: false, size }).await?;
        self.raised.lock().insert(id.to_owned(), mark);
        Ok(())
    }

    async fn get(&self, id: &str) -> Result<Option<Floor>, FloorError> {
        let Some(bytes) = self.records.get(&name(id)).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| FloorError::Records(error.to_string()))
    }

    async fn put(&self, id: &str, floor: Floor) -> Result<(), FloorError> {
        let bytes = serde_json::to_vec(&floor).map_err(|error| FloorError::Records(error.to_string()))?;
        Ok(self.records.commit(vec![Change::Put(name(id), bytes)]).await?)
    }

    /// Forgets a mark: the file system is gone (and retired first), or an older copy of it is accepted.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), FloorError> {
        let _alone = self.forgetting.write().await;
        self.records.commit(vec![Change::Delete(name(id))]).await?;
        self.raised.lock().remove(id);
        Ok(())
    }
}

fn name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

#[cfg(test)]
mod tests {
    use storage::memory::Memory;

    use super::*;

    async fn floors() -> Floors {
        let env = env::Env::real();
        let (shard, _) = Memory::new().open();
        let key = crypto::Key::random(&env);
        Floors::new(Arc::new(SealedRecords::open(shard, &key, env).await.unwrap()))
    }

    /// docs/threat-model.md: a whole file system put back to an older state is found when it is opened.
    #[tokio::test]
    async fn an_older_copy_is_refused_until_it_is_accepted() {
        let floors = floors().await;
        floors.check("fs-1", Mark { epoch: 1, sequence: 0 }).await.unwrap();
        let here = AtomicBool::new(false);
        floors.raise("fs-1", Mark { epoch: 3, sequence: 70 }, None, &here).await.unwrap();
        floors.check("fs-1", Mark { epoch: 4, sequence: 71 }).await.unwrap();
        for older in [Mark { epoch: 3, sequence: 71 }, Mark { epoch: 4, sequence: 69 }] {
            let error = floors.check("fs-1", older).await.unwrap_err();
            assert!(error.to_string().contains("accept-older fs-1"), "{error}");
        }
        // An attempt is an opening too: however often it is tried, the copy stays refused.
        assert!(floors.check("fs-1", Mark { epoch: 9, sequence: 99 }).await.is_err());
        floors.check("fs-2", Mark { epoch: 1, sequence: 0 }).await.unwrap();
        floors.forget("fs-1").await.unwrap();
        floors.check("fs-1", Mark { epoch: 4, sequence: 69 }).await.unwrap();
    }

    /// EFS API, SizeInBytes: what is closed is as large as it was when it was last looked at.
    #[tokio::test]
    async fn a_size_outlasts_what_is_not_known() {
        let floors = floors().await;
        let here = AtomicBool::new(false);
        assert_eq!(floors.size("fs-1").await.unwrap(), None);
        let size = Some(Measured { bytes: 6144, seconds: 1_700_000_000 });
        floors.raise("fs-1", Mark { epoch: 3, sequence: 70 }, size, &here).await.unwrap();
        floors.raise("fs-1", Mark { epoch: 3, sequence: 71 }, None, &here).await.unwrap();
        assert!(floors.check("fs-1", Mark { epoch: 3, sequence: 71 }).await.is_err());
        assert_eq!(floors.size("fs-1").await.unwrap(), size);
    }

    /// docs/on-disk-format.md, "Records of the binary itself": a deleted file system leaves no mark, whatever renewal was on its way.
    #[tokio::test]
    async fn a_retired_file_system_gets_no_mark() {
        let floors = floors().await;
        let mark = Mark { epoch: 3, sequence: 70 };
        let retired = AtomicBool::new(false);
        floors.raise("fs-1", mark, None, &retired).await.unwrap();
        retired.store(true, Ordering::SeqCst);
        floors.forget("fs-1").await.unwrap();
        floors.raise("fs-1", mark, None, &retired).await.unwrap();
        assert!(floors.records.get("coffer/floor/fs-1").await.unwrap().is_none());
    }
}
