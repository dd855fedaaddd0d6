//! Durable replies: the encoded reply of a compound with one changing operation becomes durable in that operation's
//! batch, so that a retry after a crash gets the reply and not the operation again (Architecture section 3).
//!
//! The operation enters the commit queue before its compound is encoded. The committer leaves such an operation in the
//! queue until the hold is finished or dropped, and at most [`HOLD_MAX`]; a reply that comes later becomes an
//! operation of its own, which the compound then waits for.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use storage::{Keyspace, Scan};

use crate::{
    FileSystem, FsError, Result, Watermark,
    codec::{Reader, Writer},
    core::Core,
    keys,
    lease::Which,
    operation::Operation,
};

/// The longest that the committer, and with it everybody, waits for an encoded reply.
pub(crate) const HOLD_MAX: Duration = Duration::from_millis(200);

/// Largest reply that is stored.
pub const REPLY_BYTES_MAX: usize = 16 << 10;

/// Under which a reply is stored. A slot keeps its last reply only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyKey {
    /// The session.
    pub session: [u8; 16],
    /// The slot of the session.
    pub slot: u32,
    /// The slot's sequence number.
    pub sequence: u32,
}

enum Stage {
    /// The compound is still running; the operation may or may not be in the queue yet.
    Open { queued: bool },
    /// The reply is here, or there will be none.
    Settled(Option<Bytes>),
    /// The committer did not wait any longer.
    Overtaken,
}

pub(crate) struct Hold {
    key: ReplyKey,
    stage: Mutex<Stage>,
    core: Weak<Core>,
}

impl Hold {
    /// The operation is about to enter the queue.
    pub(crate) fn queued(&self) {
        if let Stage::Open { queued } = &mut *self.stage.lock() {
            *queued = true;
        }
    }

    /// Whether the committer has to wait.
    pub(crate) fn pending(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Open { .. })
    }

    /// The committer takes the operation, with the reply if there is one.
    pub(crate) fn take(&self) -> Option<(Bytes, Vec<u8>)> {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Open { .. } => {
                *stage = Stage::Overtaken;
                None
            }
            Stage::Settled(reply) => reply.take().map(|reply| self.record(&reply)),
            Stage::Overtaken => None,
        }
    }

    fn record(&self, reply: &Bytes) -> (Bytes, Vec<u8>) {
        let value = Writer::with_capacity(5 + reply.len()).u8(1).u32(self.key.sequence).bytes(reply).done();
        (keys::reply(&self.key.session, self.key.slot), value)
    }

    fn settle(&self, reply: Option<Bytes>, watermark: Option<&Watermark>) {
        let reply = reply.filter(|reply| reply.len() <= REPLY_BYTES_MAX);
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Open { queued } => {
                *stage = Stage::Settled(reply);
                drop(stage);
                if queued && let Some(core) = self.core.upgrade() {
                    core.queue.wake();
                }
            }
            Stage::Settled(_) => {}
            Stage::Overtaken => {
                drop(stage);
                if let (Some(reply), Some(core)) = (reply, self.core.upgrade()) {
                    let mut operation = Operation::new(None, None);
                    let (key, value) = self.record(&reply);
                    operation.put(key, value);
                    let position = core.queue.push(operation);
                    if let Some(watermark) = watermark {
                        watermark.raise(position);
                    }
                }
            }
        }
    }
}

/// The place for the encoded reply of one compound. Dropped, it stands for "no reply to store".
pub struct ReplyHold(pub(crate) Arc<Hold>);

impl ReplyHold {
    /// The compound's encoded reply. Call it before [`FileSystem::durable`].
    pub fn finish(self, reply: Bytes, watermark: &Watermark) {
        self.0.settle(Some(reply), Some(watermark));
    }
}

impl Drop for ReplyHold {
    fn drop(&mut self) {
        self.0.settle(None, None);
    }
}

impl FileSystem {
    /// A place for the reply of a compound that has one changing operation; give it in that operation's
    /// [`Context`](crate::Context).
    #[must_use]
    pub fn hold_reply(&self, key: ReplyKey) -> ReplyHold {
        let core = Arc::downgrade(&self.core);
        ReplyHold(Arc::new(Hold { key, stage: Mutex::new(Stage::Open { queued: false }), core }))
    }

    /// The reply that a retry gets, if this is the slot's last request and its reply was stored.
    ///
    /// # Errors
    /// [`FsError::Sealed`] or [`FsError::Io`].
    pub async fn stored_reply(&self, key: &ReplyKey) -> Result<Option<Bytes>> {
        let core = &self.core;
        let Some(record) = core.get_record(&keys::reply(&key.session, key.slot)).await? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&record);
        reader.version(1)?;
        let sequence = reader.u32()?;
        Ok((sequence == key.sequence).then(|| Bytes::copy_from_slice(reader.rest())))
    }

    /// Removes all replies of a session.
    ///
    /// # Errors
    /// [`FsError::Sealed`] at once while the metadata key is withheld: nobody waits for a key here. [`FsError::Io`] or
    /// [`FsError::Failed`].
    pub async fn forget_session(&self, session: &[u8; 16]) -> Result<()> {
        let core = &self.core;
        if !core.keys.has(Which::Metadata) {
            return Err(core.keys.sealed());
        }
        let mut scan = Scan::prefix(Keyspace::Records, &keys::reply_prefix(session));
        scan.limit_keys = 500;
        loop {
            let page = core.shard.scan(scan.clone()).await?;
            let Some((last, _)) = page.items.last() else { return Ok(()) };
            scan = scan.after(last);
            let mut operation = Operation::new(core.queue.admit().await, None);
            for (key, _) in page.items {
                operation.delete(key);
            }
            core.commit_aside(operation).await?;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// The sessions of which replies are stored.
    ///
    /// # Errors
    /// [`FsError::Io`].
    pub async fn reply_sessions(&self) -> Result<Vec<[u8; 16]>> {
        let mut sessions: Vec<[u8; 16]> = Vec::new();
        let mut scan = Scan::prefix(Keyspace::Records, &[keys::REPLY]);
        loop {
            let page = self.core.shard.scan(scan.clone()).await?;
            for (key, _) in &page.items {
                let session = key.get(1..17).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
                let session = session.ok_or_else(|| FsError::Io("malformed key".into()))?;
                if sessions.last() != Some(&session) {
                    sessions.push(session);
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(sessions),
            }
        }
    }
}
