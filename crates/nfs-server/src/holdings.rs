//! What clients hold on one file system, with the effects carried out: recovery records made durable before a reply, files
//! kept alive while they are open, grace begun when the records can be read and paused while the file system is sealed.
//! RFC 8881 section 8.4, Architecture section 3, "Recovery records".

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use env::Env;
use filesystem::{FileSystem, FoundRecords, FsError, LeaseState, OpenHold, RecordChange};
use nfs_state::{
    ClientKey, Durable, Effects, FileState, GraceStatus, StateError, Ticket, VirtualServerId, is_readable_record,
};
use nfs_wire::nfs4::Stateid4;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::status::NfsError;

/// How often grace is looked at when nothing else happens.
const TICK: Duration = Duration::from_secs(1);
/// The kind of the recovery records among the file system's records.
const RECOVERY: u8 = 1;

/// The state of one file system's clients.
pub(crate) struct Holdings {
    state: Mutex<FileState>,
    /// One for each file that is open.
    open: Mutex<HashMap<u64, OpenHold>>,
    /// Held while records are written, in their order.
    writing: tokio::sync::Mutex<()>,
    /// Recovery records that could not be read at the opening.
    damaged: AtomicUsize,
}

impl Holdings {
    pub(crate) fn new(state: FileState) -> Self {
        Self {
            state: Mutex::new(state),
            open: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            damaged: AtomicUsize::new(0),
        }
    }

    /// Asks or changes the state. What it says must be done comes back with the answer; see [`Holdings::settle`].
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut FileState, &mut Effects) -> T) -> (T, Effects) {
        let mut effects = Effects::default();
        let answer = f(&mut self.state.lock(), &mut effects);
        (answer, effects)
    }

    /// Carries the effects out. Returns the clients that lost all they held, for their virtual servers.
    pub(crate) async fn settle(&self, filesystem: &FileSystem, effects: Effects) -> Result<Vec<ClientKey>, NfsError> {
        for file in effects.released {
            self.release(file);
        }
        self.write_records(filesystem, effects.durable).await?;
        Ok(effects.expired)
    }

    /// The same for what goes on while the file system is sealed: giving state back, and reclaiming it. Records that cannot be
    /// written then are written before the first reply after the seal that needs them; until then the records of before
    /// say what is true enough, since nothing new is granted.
    pub(crate) async fn settle_sealed(
        &self,
        filesystem: &FileSystem,
        effects: Effects,
    ) -> Result<Vec<ClientKey>, NfsError> {
        let expired = effects.expired.clone();
        match self.settle(filesystem, effects).await {
            Err(NfsError::Fs(FsError::Sealed(_))) => Ok(expired),
            settled => settled,
        }
    }

    /// Opens the file for a client; while anybody has it open it is kept, even without a name. The hold is taken first, so
    /// that no remove comes in between.
    pub(crate) fn open(
        &self,
        hold: OpenHold,
        file: u64,
        f: impl FnOnce(&mut FileState, &mut Effects) -> Result<Stateid4, StateError>,
    ) -> (Result<Stateid4, StateError>, Effects) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let opened = f(&mut state, &mut effects);
        let spare = if opened.is_ok() && !self.open.lock().contains_key(&file) {
            self.open.lock().insert(file, hold)
        } else {
            Some(hold)
        };
        drop(state);
        drop(spare);
        (opened, effects)
    }

    /// Lets go of a file that nobody has open.
    fn release(&self, file: u64) {
        let state = self.state.lock();
        let hold = if state.is_open(file) { None } else { self.open.lock().remove(&file) };
        drop(state);
        drop(hold);
    }

    async fn write_records(&self, filesystem: &FileSystem, ticket: Ticket) -> Result<(), NfsError> {
        if ticket == Ticket::default() {
            return Ok(());
        }
        if self.state.lock().durable() >= ticket {
            return Ok(());
        }
        let _order = self.writing.lock().await;
        let (reached, records) = {
            let state = self.state.lock();
            if state.durable() >= ticket {
                return Ok(());
            }
            state.pending()
        };
        // All at once: at the end of grace there may be one for each client that did not come back.
        let changes: Vec<_> = records
            .iter()
            .map(|record| match record {
                Durable::Put { key, value } => RecordChange::Put(key, value),
                Durable::Delete { key } => RecordChange::Delete(key),
            })
            .collect();
        filesystem.change_records(RECOVERY, &changes).await?;
        self.state.lock().made_durable(reached);
        Ok(())
    }

    /// How many opens and byte-range locks there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.state.lock().counts()
    }

    /// The file system is dropped: nobody holds anything here any more, and who lives on on others is not charged for it.
    pub(crate) fn abandon(&self) {
        self.state.lock().abandon();
        self.open.lock().clear();
    }

    /// Whether every record is durable and no grace runs. A `sealed` file system's grace stands still, and begins anew with the
    /// same records after the next opening.
    pub(crate) fn is_at_rest(&self, env: &Env, sealed: bool) -> bool {
        let state = self.state.lock();
        state.is_settled() && (sealed || state.grace_status(env.now()) == GraceStatus::Over)
    }

    /// Whether clients of the virtual server hold anything.
    pub(crate) fn are_of(&self, server: VirtualServerId) -> bool {
        self.state.lock().has_holders_of(server)
    }

    /// Where grace stands.
    pub(crate) fn grace(&self, env: &Env) -> GraceStatus {
        self.state.lock().grace_status(env.now())
    }

    /// Lives as long as the file system is open: begins grace, pauses it during seals, and tidies up when it is over.
    pub(crate) async fn attend(&self, filesystem: &FileSystem, env: &Env, replies_kept: Duration) {
        let opened = env.now();
        // First of all, so that sessions of this opening are not among them.
        let sessions = filesystem.reply_sessions().await;
        self.begin_grace(filesystem, env).await;
        let mut lease = filesystem.lease_watch();
        loop {
            let sealed = matches!(&*lease.borrow_and_update(), LeaseState::Sealed { .. });
            let ((), effects) = self.with(|state, effects| {
                if sealed {
                    state.pause_grace(env.now());
                } else {
                    state.resume_grace(env.now());
                }
                state.settle_grace(env.now(), effects);
            });
            if self.grace(env) == GraceStatus::Over && !sealed {
                // Records of clients that did not come back are deleted; a failure shows again with the next change.
                let _ = self.settle(filesystem, effects).await;
                break;
            }
            changed_or_tick(&mut lease, env).await;
        }
        filesystem.collect_orphans();
        // Who held nothing is not waited for in grace, but may still come for the reply to its last request.
        env.sleep_until(opened + replies_kept).await;
        match sessions {
            Ok(sessions) => forget_replies(filesystem, sessions).await,
            Err(error) => tracing::warn!(file_system = filesystem.id(), %error, "stored replies are kept"),
        }
    }

    /// Begins grace with what the server before this one promised, as soon as a key lets it be read.
    async fn begin_grace(&self, filesystem: &FileSystem, env: &Env) {
        let mut lease = filesystem.lease_watch();
        let mut found = loop {
            match filesystem.find_records(RECOVERY).await {
                Ok(found) => break found,
                Err(FsError::Sealed(_) | FsError::Delay) => changed_or_tick(&mut lease, env).await,
                Err(error) => {
                    tracing::error!(file_system = filesystem.id(), %error, "recovery records cannot be read; nothing can be reclaimed");
                    break FoundRecords::default();
                }
            }
        };
        let mut records = Vec::new();
        for (key, value) in std::mem::take(&mut found.records) {
            let (key, value): (Bytes, Bytes) = (key.into(), value.into());
            if is_readable_record(&key, &value) {
                records.push((key, value));
            } else {
                found.damaged.push(String::from_utf8_lossy(&key).escape_debug().to_string());
            }
        }
        // A damaged record costs its client what it held, not everybody the file system.
        for record in &found.damaged {
            tracing::error!(
                file_system = filesystem.id(),
                record,
                "a recovery record is damaged; its client cannot reclaim"
            );
        }
        self.damaged.store(found.damaged.len(), Ordering::Relaxed);
        if let Err(malformed) = self.state.lock().begin_grace(env.now(), records) {
            // Each was readable a moment ago.
            tracing::error!(file_system = filesystem.id(), %malformed, "grace did not begin");
        }
    }

    /// How many recovery records were damaged when the file system was opened.
    pub(crate) fn damaged_records(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }
}

/// Waits until the lease changes or it is time to look again.
async fn changed_or_tick(lease: &mut watch::Receiver<LeaseState>, env: &Env) {
    tokio::select! {
        // The file system lives as long as its lease is watched; without one there is only time.
        Ok(()) = lease.changed() => {}
        () = env.sleep(TICK) => {}
    }
}

async fn forget_replies(filesystem: &FileSystem, sessions: Vec<[u8; 16]>) {
    for session in sessions {
        if let Err(error) = filesystem.forget_session(&session).await {
            tracing::warn!(file_system = filesystem.id(), %error, "stored replies are kept until the next start");
        }
    }
}
