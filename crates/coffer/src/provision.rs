//! What `control` asks of the file service: making, removing and measuring file systems.

use std::collections::BTreeMap;

use control::{FileSystem, Provision, ProvisionError, Size};
use parking_lot::Mutex;
use storage::BoxFuture;

use crate::owner::{Opened, Owner};

/// Joins the control plane to the owner of the file systems.
pub(crate) struct Provisioner {
    owner: Owner,
    env: env::Env,
    /// The last size seen of each file system, since one that is closed, busy or sealed cannot be measured.
    sizes: Mutex<BTreeMap<String, Size>>,
}

impl Provisioner {
    pub(crate) fn new(owner: Owner, env: env::Env) -> Self {
        Self { owner, env, sizes: Mutex::default() }
    }
}

impl Provision for Provisioner {
    fn create<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async { self.owner.create(&file_system.id).await.map_err(|error| ProvisionError(error.to_string())) })
    }

    fn destroy<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async {
            self.sizes.lock().remove(&file_system.id);
            self.owner.destroy(&file_system.id).await.map_err(|error| ProvisionError(error.to_string()))
        })
    }

    fn size<'a>(&'a self, file_system: &'a str) -> BoxFuture<'a, Option<Size>> {
        Box::pin(async {
            if let Opened::Open(_, Some(bytes)) = self.owner.look(file_system).await {
                let size = Size { bytes, seconds: self.env.wall().seconds };
                self.sizes.lock().insert(file_system.to_owned(), size);
            }
            self.sizes.lock().get(file_system).copied()
        })
    }
}
