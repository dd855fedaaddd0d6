//! The owner of the file systems: opens each on first use, keeps it until it fails or is deleted, and asks again for its
//! keys when the key service gives notice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crypto::Prf;
use filesystem::fsck::{self, Observer, Options, Report};
use filesystem::lease::{KeySource, KeyTrouble, Which};
use filesystem::{Budget, FileSystem, FsError, LeaseState, LeaseStatus, Parts, Settings};
use kms::{KeyChange, KeyNotice};
use parking_lot::Mutex;
use storage::{BoxFuture, Engine, Segments, Shard, StorageError};
use tokio::sync::broadcast;

use crate::config::Config;
use crate::floor::{FloorError, Floors, Mark, Measured};
use crate::{installation, leftovers};

/// Gives one file system's keys, one per question; each question goes to the key service.
pub(crate) struct LeasedKeys {
    keys: Arc<dyn DataKeySource>,
    file_system: String,
    floors: Arc<Floors>,
    place: Place,
    env: env::Env,
    /// Not held: what is open there holds this.
    slot: Weak<Slot>,
}

/// A shard that is open, to be asked how far it has come.
#[derive(Clone)]
struct Place {
    shard: Arc<dyn Shard>,
    epoch: u32,
}

impl Place {
    fn mark(&self) -> Mark {
        Mark { epoch: self.epoch, sequence: self.shard.durable().0 }
    }

    /// Notes how far the shard has come. On a full disk the opening itself may not be durable yet, and would come back
    /// under the same number.
    async fn raise(
        &self,
        floors: &Floors,
        id: &str,
        size: Option<Measured>,
        retired: &AtomicBool,
    ) -> Result<(), FloorError> {
        if self.shard.space().reserve_used { Ok(()) } else { floors.raise(id, self.mark(), size, retired).await }
    }
}

/// The key service as the owner needs it.
pub(crate) trait DataKeySource: Send + Sync + 'static {
    /// Unwraps one level-3 key of a file system.
    fn unwrap<'a>(&'a self, file_system: &'a str, which: Which) -> BoxFuture<'a, Result<crypto::Key, KeyTrouble>>;
    /// The key of a file system's handles; not under a lease, so that a sealed file system still knows its handles.
    fn handle_key(&self, file_system: &str) -> Result<crypto::Key, String>;
    /// How much longer than its lease a key is used while the key service does not answer.
    fn grace(&self, _file_system: &str, _which: Which) -> Duration {
        Duration::ZERO
    }
    /// Whether every change that withholds the key is told by a notice.
    fn is_told(&self, _file_system: &str, _which: Which) -> bool {
        false
    }
    /// Whether a change of a KMS key concerns the file system.
    fn is_concerned(&self, file_system: &str, notice: &KeyNotice) -> bool;
}

impl KeySource for LeasedKeys {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<crypto::Key, KeyTrouble>> {
        Box::pin(async move {
            let key = self.keys.unwrap(&self.file_system, which).await?;
            // Once for each renewal, not for each of the two keys.
            if which == Which::Metadata
                && let Some(slot) = self.slot.upgrade()
                && let size = slot.open().and_then(|open| measured(&open, &self.env))
                && let Err(error) = self.place.raise(&self.floors, &self.file_system, size, &slot.retired).await
            {
                tracing::error!(file_system = self.file_system, %error, "its floor stays where it was");
            }
            Ok(key)
        })
    }

    fn grace(&self, which: Which) -> Duration {
        self.keys.grace(&self.file_system, which)
    }

    fn is_told(&self, which: Which) -> bool {
        self.keys.is_told(&self.file_system, which)
    }
}

/// Why a file system could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum OpenError {
    /// It has no directory: it was deleted, or never made.
    #[error("no such file system")]
    Absent,
    /// Not now; the next attempt may succeed.
    #[error("{0}")]
    Later(String),
    /// Its storage or its records; the text says what and the cure.
    #[error("{0}")]
    Failed(String),
}

/// Why a check could not be made.
enum FsckTrouble {
    /// A key is withheld.
    Sealed,
    /// Anything else.
    Open(OpenError),
}

/// What `coffer status` wants to know of one file system.
pub(crate) enum Opened {
    /// Nobody uses it.
    Closed,
    /// It is being opened, closed or removed; whoever looks does not wait for that.
    Busy,
    /// It is in use.
    Open(LeaseStatus),
    /// It could not be opened, or failed and has not been opened again.
    Failed(String),
}

/// One file system of this process.
#[derive(Default)]
struct Slot {
    /// What is open, for whoever cannot wait until an opening, a making or a deletion is done.
    open: Mutex<Option<FileSystem>>,
    /// Notices of its keys so far: one that came while it was being opened is passed on when it is.
    notices: AtomicU64,
    /// It is being deleted: its mark is not raised any more.
    retired: AtomicBool,
    work: tokio::sync::Mutex<Work>,
}

/// What is known by whoever opens, makes or deletes it: one at a time.
#[derive(Default)]
struct Work {
    place: Option<Place>,
    trouble: Option<(OpenError, env::Instant)>,
}

impl Slot {
    fn open(&self) -> Option<FileSystem> {
        self.open.lock().clone()
    }

    /// Takes what is open out; it is dropped, or closed, outside the lock.
    fn take(&self, work: &mut Work) -> (Option<FileSystem>, Option<Place>) {
        (self.open.lock().take(), work.place.take())
    }
}

/// The metered bytes; none while its records could not be read yet.
fn measured(open: &FileSystem, env: &env::Env) -> Option<Measured> {
    let found = open.statistics();
    // There is no file system without its root directory.
    (found.objects > 0).then(|| Measured { bytes: found.metered_bytes, seconds: env.wall().seconds })
}

/// A file system that did not open is not tried again within this, whatever clients do.
const NEXT_TRY_AFTER: Duration = Duration::from_secs(5);

/// The cure for what cannot be read.
const RESTORE: &str = "restore the file system's directory from a backup";

/// How long a look waits for whoever holds a file system.
const LOOK_MAX: Duration = Duration::from_millis(5);

/// All file systems of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Owner(Arc<Inner>);

struct Inner {
    engine: Engine,
    env: env::Env,
    config: Config,
    budget: Arc<Budget>,
    keys: Arc<dyn DataKeySource>,
    floors: Arc<Floors>,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// Told when a file system failed or went away, so that connections to it are cut.
    gone: broadcast::Sender<String>,
}

impl Owner {
    pub(crate) fn new(
        engine: Engine,
        env: env::Env,
        config: Config,
        keys: Arc<dyn DataKeySource>,
        floors: Arc<Floors>,
    ) -> Self {
        let mib = |count: usize| count << 20;
        // An inode takes about 600 bytes of memory, a directory slot or map entry about 150.
        let cache = mib(config.budgets.inode_cache_mib);
        let budget = Budget::new(
            cache / 2 / 600,
            cache / 2 / 150,
            mib(config.budgets.write_back_mib),
            mib(config.budgets.content_cache_mib),
        );
        Self(Arc::new(Inner {
            engine,
            env,
            config,
            budget: Arc::new(budget),
            keys,
            floors,
            slots: Mutex::default(),
            gone: broadcast::Sender::new(256),
        }))
    }

    /// File systems whose connections must be cut, as they come up.
    pub(crate) fn gone(&self) -> broadcast::Receiver<String> {
        self.0.gone.subscribe()
    }

    /// Makes the directory of a new file system, or finishes one that a crash or an error interrupted anywhere.
    pub(crate) async fn create(&self, id: &str) -> Result<(), OpenError> {
        let slot = self.slot(id);
        let mut work = slot.work.lock().await;
        if slot.open().is_some() {
            return Ok(());
        }
        let directory = self.directory(id);
        let failed = |error: &dyn std::fmt::Display| OpenError::Failed(format!("{}: {error}", directory.display()));
        let (shard, segments) = if Engine::exists(&directory) {
            self.0.engine.open(&directory).await
        } else {
            self.0.engine.create(&directory).await
        }
        .map_err(|error| failed(&error))?;
        let (parts, place) = self.parts(id, Arc::clone(&shard), segments, &slot)?;
        let mut size = None;
        let made = match FileSystem::create(parts, self.settings()).await {
            Ok(made) => {
                size = measured(&made, &self.0.env);
                made.close().await
            }
            // Made by an attempt that a crash, or a control record that could not be written, cut off afterwards.
            Err(FsError::Exists) => Ok(()),
            Err(error) => Err(error),
        };
        let closed = shard.close().await;
        made.map_err(|error| failed(&error))?;
        closed.map_err(|error| failed(&error))?;
        let noted = place.raise(&self.0.floors, id, size, &slot.retired).await;
        noted.map_err(|error| OpenError::Later(error.to_string()))?;
        work.trouble = None;
        Ok(())
    }

    /// The open file system, opened now if need be. A failed one is opened again from disk.
    pub(crate) async fn open(&self, id: &str) -> Result<FileSystem, OpenError> {
        let slot = self.slot(id);
        let mut work = slot.work.lock().await;
        if let Some(open) = slot.open()
            && !*open.failed().borrow()
        {
            return Ok(open);
        }
        drop(slot.take(&mut work));
        if let Some((error, tried)) = &work.trouble
            && self.0.env.now().since(*tried) < NEXT_TRY_AFTER
        {
            return Err(error.clone());
        }
        let notices = slot.notices.load(Ordering::SeqCst);
        match self.open_from_disk(id, &slot).await {
            Ok((open, place)) => {
                *slot.open.lock() = Some(open.clone());
                if slot.notices.load(Ordering::SeqCst) != notices {
                    open.key_notice();
                }
                work.place = Some(place);
                work.trouble = None;
                self.watch(id, &open);
                Ok(open)
            }
            Err(error) => {
                if work.trouble.as_ref().is_none_or(|(before, _)| before.to_string() != error.to_string()) {
                    tracing::error!(file_system = id, %error, "cannot be opened");
                }
                work.trouble = Some((error.clone(), self.0.env.now()));
                Err(error)
            }
        }
    }

    async fn open_from_disk(&self, id: &str, slot: &Arc<Slot>) -> Result<(FileSystem, Place), OpenError> {
        let directory = self.directory(id);
        if !Engine::exists(&directory) {
            return Err(OpenError::Absent);
        }
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
        let (shard, segments) = self.0.engine.open(&directory).await.map_err(|error| match error {
            StorageError::Locked { .. } | StorageError::NoSpace => OpenError::Later(told(&error)),
            error => OpenError::Failed(told(&error)),
        })?;
        let (parts, place) = self.parts(id, shard, segments, slot)?;
        self.0.floors.check(id, place.mark()).await.map_err(|error| match error {
            FloorError::Older { .. } => OpenError::Failed(told(&error)),
            FloorError::Records(_) => OpenError::Later(told(&error)),
        })?;
        let open = FileSystem::open(parts, self.settings()).await.map_err(|error| match error {
            FsError::Delay | FsError::Failed => OpenError::Later(told(&error)),
            FsError::NotFound => OpenError::Failed(told(&format_args!("it holds no file system; {RESTORE}"))),
            FsError::Io(why) => OpenError::Failed(told(&format_args!("{why}; see `coffer fsck`, or {RESTORE}"))),
            error => OpenError::Failed(told(&error)),
        })?;
        Ok((open, place))
    }

    fn parts(
        &self,
        id: &str,
        shard: Arc<dyn Shard>,
        segments: Arc<dyn Segments>,
        slot: &Arc<Slot>,
    ) -> Result<(Parts, Place), OpenError> {
        let handle_key = self.0.keys.handle_key(id).map_err(OpenError::Failed)?;
        let place = Place { shard: Arc::clone(&shard), epoch: segments.epoch() };
        let keys = LeasedKeys {
            keys: Arc::clone(&self.0.keys),
            file_system: id.to_owned(),
            floors: Arc::clone(&self.0.floors),
            place: place.clone(),
            env: self.0.env.clone(),
            slot: Arc::downgrade(slot),
        };
        let parts = Parts {
            id: id.to_owned(),
            shard,
            segments,
            env: self.0.env.clone(),
            budget: Arc::clone(&self.0.budget),
            keys: Arc::new(keys),
            handle_key: Prf::new(handle_key),
        };
        Ok((parts, place))
    }

    fn settings(&self) -> Settings {
        Settings { key_lease: Duration::from_secs(u64::from(self.0.config.keys.lease_seconds)), ..Settings::default() }
    }

    /// Lets go of a file system when it fails; the next use opens it again. The NFS server cuts its connections itself.
    fn watch(&self, id: &str, open: &FileSystem) {
        let (mut failed, id, owner) = (open.failed(), id.to_owned(), self.clone());
        tokio::spawn(async move {
            if failed.wait_for(|failed| *failed).await.is_ok() {
                tracing::error!(file_system = id, "its storage failed; connections are cut and it is opened again");
                let slot = owner.slot(&id);
                let mut work = slot.work.lock().await;
                if slot.open().is_some_and(|open| *open.failed().borrow()) {
                    drop(slot.take(&mut work));
                }
            }
        });
    }

    fn tell_gone(&self, id: &str) {
        // Without a listener there are no connections either.
        let _ = self.0.gone.send(id.to_owned());
    }

    /// Closes and removes a file system's directory. Its keys are destroyed by the caller, first.
    pub(crate) async fn destroy(&self, id: &str) -> Result<(), OpenError> {
        let slot = self.slot(id);
        let mut work = slot.work.lock().await;
        self.tell_gone(id);
        // A renewal on its way must not leave a mark of what is gone.
        slot.retired.store(true, Ordering::SeqCst);
        if let (Some(open), _) = slot.take(&mut work)
            && let Err(error) = open.close().await
        {
            tracing::info!(file_system = id, %error, "not closed cleanly before its deletion");
        }
        let directory = self.directory(id);
        let removed = tokio::task::spawn_blocking(move || {
            leftovers::remove(&directory)
                .map_err(|error| OpenError::Failed(format!("{}: {error}", directory.display())))
        });
        removed.await.unwrap_or_else(|error| Err(OpenError::Failed(error.to_string())))?;
        self.0.floors.forget(id).await.map_err(|error| OpenError::Later(error.to_string()))?;
        self.0.slots.lock().remove(id);
        Ok(())
    }

    /// Checks a file system that is not open, and repairs it if told so. Without its data key the contents' seals are
    /// left out, and the report says so.
    pub(crate) async fn check(&self, id: &str, repair: bool, observer: &dyn Observer) -> Result<Report, OpenError> {
        match self.check_once(id, Options { open_data: true, repair }, observer).await {
            Err(FsckTrouble::Sealed) => self.check_once(id, Options { open_data: false, repair }, observer).await,
            outcome => outcome,
        }
        .map_err(|trouble| match trouble {
            FsckTrouble::Sealed => {
                OpenError::Failed(format!("{id}: its metadata key cannot be used now; see its KMS key"))
            }
            FsckTrouble::Open(error) => error,
        })
    }

    async fn check_once(&self, id: &str, options: Options, observer: &dyn Observer) -> Result<Report, FsckTrouble> {
        let directory = self.directory(id);
        let failed = |error: &dyn std::fmt::Display| {
            FsckTrouble::Open(OpenError::Failed(format!("{}: {error}", directory.display())))
        };
        let slot = self.slot(id);
        let (shard, segments) = self.0.engine.open(&directory).await.map_err(|error| failed(&error))?;
        let (parts, place) = self.parts(id, Arc::clone(&shard), segments, &slot).map_err(FsckTrouble::Open)?;
        self.0.floors.check(id, place.mark()).await.map_err(|error| failed(&error))?;
        let outcome = fsck::examine(parts, self.settings(), options, observer).await;
        // What is repaired is not to be undone by an older copy.
        if options.repair
            && let Err(error) = place.raise(&self.0.floors, id, None, &slot.retired).await
        {
            tracing::warn!(file_system = id, %error, "its floor stays where it was");
        }
        if let Err(error) = shard.close().await {
            tracing::warn!(file_system = id, %error, "not closed cleanly after its check");
        }
        outcome.map_err(|error| match error {
            FsError::Sealed(_) => FsckTrouble::Sealed,
            error => failed(&error),
        })
    }

    /// Asks for the keys of every open file system that a change concerns, or of all, again and now. Waits for nothing.
    pub(crate) fn key_notice(&self, notice: Option<&KeyNotice>) {
        // A grant that was made helps whoever was refused, and changes nothing for the others.
        let helps_only = notice.is_some_and(|notice| matches!(notice.change, KeyChange::GrantMade(_)));
        for (id, slot) in self.slots() {
            if notice.is_some_and(|notice| !self.0.keys.is_concerned(&id, notice)) {
                continue;
            }
            // First the count, then the look: an opening that ends in between sees one of the two.
            slot.notices.fetch_add(1, Ordering::SeqCst);
            if let Some(open) = slot.open()
                && !(helps_only && open.lease_status().state == LeaseState::Open)
            {
                open.key_notice();
            }
        }
    }

    /// How large the file system is, or was when it was last open; none while nobody knows.
    pub(crate) async fn size(&self, id: &str) -> Option<Measured> {
        let slot = self.0.slots.lock().get(id).cloned();
        if let Some(size) = slot.and_then(|slot| slot.open()).and_then(|open| measured(&open, &self.0.env)) {
            return Some(size);
        }
        match self.0.floors.size(id).await {
            Ok(size) => size,
            Err(error) => {
                tracing::error!(file_system = id, %error, "its size is not known");
                None
            }
        }
    }

    /// For the status report.
    pub(crate) async fn look(&self, id: &str) -> Opened {
        let slot = self.0.slots.lock().get(id).cloned();
        let Some(slot) = slot else { return Opened::Closed };
        if let Some(open) = slot.open() {
            return Opened::Open(open.lease_status());
        }
        // Opening may take as long as a journal to replay, and nobody who only looks waits for it.
        let Ok(work) = tokio::time::timeout(LOOK_MAX, slot.work.lock()).await else { return Opened::Busy };
        match &work.trouble {
            Some((trouble, _)) => Opened::Failed(trouble.to_string()),
            None => Opened::Closed,
        }
    }

    /// Closes every file system cleanly.
    pub(crate) async fn close(&self) {
        for (id, slot) in self.slots() {
            self.close_slot(&id, &slot).await;
        }
    }

    /// Closes a file system cleanly, if it is open. Whoever wants to open it meanwhile waits.
    pub(crate) async fn close_one(&self, id: &str) {
        self.close_slot(id, &self.slot(id)).await;
    }

    async fn close_slot(&self, id: &str, slot: &Slot) {
        let mut work = slot.work.lock().await;
        let (open, place) = slot.take(&mut work);
        let mut size = None;
        if let Some(open) = open {
            if let Err(error) = open.close().await {
                tracing::warn!(file_system = id, %error, "not closed cleanly; its next opening replays the journal");
            }
            size = measured(&open, &self.0.env);
        }
        if let Some(place) = place
            && let Err(error) = place.raise(&self.0.floors, id, size, &slot.retired).await
        {
            tracing::warn!(file_system = id, %error, "its floor stays where it was");
        }
    }

    fn slots(&self) -> Vec<(String, Arc<Slot>)> {
        self.0.slots.lock().iter().map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect()
    }

    fn slot(&self, id: &str) -> Arc<Slot> {
        Arc::clone(self.0.slots.lock().entry(id.to_owned()).or_default())
    }

    fn directory(&self, id: &str) -> PathBuf {
        installation::file_system_directory(&self.0.config, id)
    }
}

#[cfg(test)]
mod tests;
