//! The service: its state behind one door for reading and one for changing.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crypto::Key;
use env::Env;
use parking_lot::RwLock;
use storage::SealedRecords;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::record::{AccessPoint, FileSystem, Lifecycle, MountTarget};
use crate::state::{Edit, State};
use crate::subnets::Subnets;
use crate::work::Work;
use crate::{ControlError, DataKeys, Network, Provision};

/// What the control plane works with.
pub struct Parts {
    /// Its records.
    pub records: Arc<SealedRecords>,
    /// A key for wrapping the file systems' handle keys, derived from the control key.
    pub handle_wrapping: Key,
    /// Key management.
    pub keys: Arc<dyn DataKeys>,
    /// The file service.
    pub provision: Arc<dyn Provision>,
    /// The addresses.
    pub network: Arc<dyn Network>,
    /// The configured subnets.
    pub subnets: Subnets,
    /// Clock and randomness.
    pub env: Env,
}

/// The control plane. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    parts: Parts,
    state: RwLock<State>,
    turn: Arc<Mutex<()>>,
    work: Work,
    /// File systems that were being prepared when the last run ended. Of this run there may be others, at work.
    interrupted: Vec<String>,
}

/// The right to change state, held by one caller at a time: what was read under it stays true until it is dropped.
pub(crate) struct Turn {
    control: Control,
    guard: Arc<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Makes the edits durable, all or none, and then visible. Runs to its end even if the caller goes away.
    pub(crate) async fn write(&self, edits: Vec<Edit>) -> Result<(), ControlError> {
        self.write_then(edits, |_| ()).await
    }

    /// The same, and then `then`: what a change sets in motion begins once the change is durable, whatever becomes of the
    /// caller.
    pub(crate) async fn write_then(
        &self,
        edits: Vec<Edit>,
        then: impl FnOnce(&Control) + Send + 'static,
    ) -> Result<(), ControlError> {
        let (control, guard) = (self.control.clone(), self.guard.clone());
        run_to_end(async move {
            let changes = edits.iter().map(Edit::change).collect::<Result<Vec<_>, _>>()?;
            control.0.parts.records.commit(changes).await?;
            let mut state = control.0.state.write();
            for edit in edits {
                edit.apply(&mut state);
            }
            drop(state);
            then(&control);
            drop(guard);
            Ok(())
        })
        .await
    }
}

/// Runs work that must not stop half-way when its caller goes away.
pub(crate) async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Result<T, ControlError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|stopped| Err(ControlError::Damaged(format!("work did not finish: {stopped}"))))
}

impl Control {
    /// Reads all records and goes on with whatever was being made or removed: see [`Control::resume`].
    ///
    /// # Errors
    /// The records do not open or are damaged.
    pub async fn open(parts: Parts) -> Result<Self, ControlError> {
        let state = State::load(&parts.records).await?;
        let preparing = state.file_systems.values().filter(|found| found.state == Lifecycle::Preparing);
        let interrupted = preparing.map(|found| found.id.clone()).collect();
        Ok(Self(Arc::new(Inner {
            parts,
            state: RwLock::new(state),
            turn: Arc::new(Mutex::new(())),
            work: Work::default(),
            interrupted,
        })))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn env(&self) -> &Env {
        &self.0.parts.env
    }

    /// Whether a crash, and not a call that is at work now, left this file system half-prepared.
    pub(crate) fn was_interrupted(&self, id: &str) -> bool {
        self.0.interrupted.iter().any(|found| found == id)
    }

    pub(crate) fn work(&self) -> &Work {
        &self.0.work
    }

    /// Waits for the right to change state.
    pub(crate) async fn turn(&self) -> Turn {
        Turn { control: self.clone(), guard: Arc::new(self.0.turn.clone().lock_owned().await) }
    }

    /// A look at the state. Keep it short: no waiting inside.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read())
    }

    /// A file system by its id, in whatever state it is.
    #[must_use]
    pub fn file_system(&self, id: &str) -> Option<Arc<FileSystem>> {
        self.read(|state| state.file_systems.get(id).cloned())
            .filter(|file_system| file_system.state != Lifecycle::Preparing)
    }

    /// All file systems.
    #[must_use]
    pub fn file_systems(&self) -> Vec<Arc<FileSystem>> {
        self.read(|state| state.file_systems.values().cloned().collect::<Vec<_>>())
            .into_iter()
            .filter(|file_system| file_system.state != Lifecycle::Preparing)
            .collect()
    }

    /// All mount targets.
    #[must_use]
    pub fn mount_targets(&self) -> Vec<Arc<MountTarget>> {
        self.read(|state| state.mount_targets.values().cloned().collect())
    }

    /// The mount target that clients reach at an address.
    #[must_use]
    pub fn mount_target_at(&self, address: Ipv4Addr) -> Option<Arc<MountTarget>> {
        self.read(|state| state.mount_targets.values().find(|target| target.address == address).cloned())
    }

    /// An access point by its id.
    #[must_use]
    pub fn access_point(&self, id: &str) -> Option<Arc<AccessPoint>> {
        self.read(|state| state.access_points.get(id).cloned())
    }

    /// The key that authenticates a file system's handles. It is there whether or not the file system's data keys can be
    /// used, so that a sealed file system still recognises its handles.
    ///
    /// # Errors
    /// [`ControlError::FileSystemNotFound`], or the wrapped key does not open.
    pub fn handle_key(&self, id: &str) -> Result<Key, ControlError> {
        let file_system = self.read(|state| state.file_systems.get(id).cloned());
        let file_system = file_system.ok_or_else(|| ControlError::FileSystemNotFound(id.to_owned()))?;
        self.parts()
            .handle_wrapping
            .unwrap(&file_system.handle_key, &handle_aad(id))
            .map_err(|_| ControlError::Damaged(format!("{id}: its handle key does not open")))
    }

    /// A fresh handle key, wrapped.
    pub(crate) fn new_handle_key(&self, id: &str) -> Vec<u8> {
        self.parts().handle_wrapping.wrap(&Key::random(self.env()), &handle_aad(id), self.env())
    }

    pub(crate) fn now(&self) -> i64 {
        self.env().wall().seconds
    }
}

fn handle_aad(id: &str) -> Vec<u8> {
    format!("control/handle key/{id}").into_bytes()
}
