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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use crypto::Key;
    use filesystem::Which;
    use filesystem::lease::KeyTrouble;
    use kms::KeyNotice;
    use storage::memory::Memory;
    use storage::{Budgets, Engine, SealedRecords};

    use super::*;
    use crate::config::Config;
    use crate::floor::Floors;
    use crate::owner::DataKeySource;

    /// What the key service does.
    #[derive(Clone, Copy)]
    enum Says {
        Yes,
        No,
        Nothing,
    }

    struct Keys(Mutex<Says>);

    impl DataKeySource for Keys {
        fn unwrap<'a>(&'a self, _: &'a str, _: Which) -> BoxFuture<'a, Result<Key, KeyTrouble>> {
            let says = *self.0.lock();
            Box::pin(async move {
                match says {
                    Says::Yes => Ok(Key::take_array(&mut [7; 32])),
                    Says::No => Err(KeyTrouble::Refused("disabled".to_owned())),
                    Says::Nothing => std::future::pending().await,
                }
            })
        }

        fn handle_key(&self, _: &str) -> Result<Key, String> {
            Ok(Key::take_array(&mut [8; 32]))
        }

        fn is_concerned(&self, _: &str, _: &KeyNotice) -> bool {
            true
        }
    }

    async fn owner(place: &Path, keys: &Arc<Keys>) -> Owner {
        let env = env::Env::real();
        let text = format!("data = {place:?}\nroot_key = \"/r\"\nepoch_secret = \"/e\"\n");
        let config = Config::parse(Path::new("coffer.toml"), &text).unwrap();
        let records = SealedRecords::open(Memory::new().open().0, &Key::random(&env), env.clone()).await.unwrap();
        let engine = Engine::new(Budgets::default(), env.clone()).unwrap();
        Owner::new(engine, env, config, keys.clone(), Arc::new(Floors::new(Arc::new(records))))
    }

    /// EFS API, SizeInBytes: one that has been sealed since it was opened has no size, rather than one of 0 bytes; a look
    /// at one that is being opened does not wait for it; and the size last seen is told meanwhile.
    #[tokio::test]
    async fn a_size_is_known_or_not_and_never_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys(Mutex::new(Says::Yes)));
        let first = owner(place.path(), &keys).await;
        first.create("fs-1").await.unwrap();
        let provisioner = Provisioner::new(first.clone(), env::Env::real());
        assert_eq!(provisioner.size("fs-1").await, None);
        first.open("fs-1").await.unwrap();
        let size = provisioner.size("fs-1").await;
        assert!(size.is_some_and(|size| size.bytes > 0), "{size:?}");
        first.close().await;
        assert_eq!(provisioner.size("fs-1").await, size);
        drop((provisioner, first));

        *keys.0.lock() = Says::No;
        let second = owner(place.path(), &keys).await;
        second.open("fs-1").await.unwrap();
        assert!(matches!(second.look("fs-1").await, Opened::Open(_, None)));
        assert_eq!(Provisioner::new(second.clone(), env::Env::real()).size("fs-1").await, None);
        second.close().await;

        *keys.0.lock() = Says::Nothing;
        let opening = second.clone();
        let task = tokio::spawn(async move { opening.open("fs-1").await.is_ok() });
        tokio::task::yield_now().await;
        let looked = tokio::time::timeout(Duration::from_secs(2), second.look("fs-1")).await;
        assert!(matches!(looked, Ok(Opened::Busy)), "the look waited");
        task.abort();
    }
}
