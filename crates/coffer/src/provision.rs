//! What `control` asks of the file service: making, removing and measuring file systems.

use control::{FileSystem, Provision, ProvisionError, Size};
use storage::BoxFuture;

use crate::owner::Owner;

/// Joins the control plane to the owner of the file systems.
pub(crate) struct Provisioner {
    owner: Owner,
}

impl Provisioner {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner }
    }
}

impl Provision for Provisioner {
    fn create<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async { self.owner.create(&file_system.id).await.map_err(|error| ProvisionError(error.to_string())) })
    }

    fn destroy<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async { self.owner.destroy(&file_system.id).await.map_err(|error| ProvisionError(error.to_string())) })
    }

    fn size<'a>(&'a self, file_system: &'a str) -> BoxFuture<'a, Option<Size>> {
        Box::pin(async {
            let measured = self.owner.size(file_system).await?;
            Some(Size { bytes: measured.bytes, seconds: measured.seconds })
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
    use parking_lot::Mutex;
    use storage::memory::Memory;
    use storage::{Budgets, Engine, SealedRecords};

    use super::*;
    use crate::config::Config;
    use crate::floor::Floors;
    use crate::owner::{DataKeySource, Opened};

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

    async fn floors() -> Arc<Floors> {
        let env = env::Env::real();
        let records = SealedRecords::open(Memory::new().open().0, &Key::random(&env), env).await.unwrap();
        Arc::new(Floors::new(Arc::new(records)))
    }

    fn owner(place: &Path, keys: &Arc<Keys>, floors: &Arc<Floors>) -> Owner {
        let env = env::Env::real();
        let text = format!("data = {place:?}\nroot_key = \"/r\"\nepoch_secret = \"/e\"\n");
        let config = Config::parse(Path::new("coffer.toml"), &text).unwrap();
        let engine = Engine::new(Budgets::default(), env.clone()).unwrap();
        Owner::new(engine, env, config, keys.clone(), Arc::clone(floors))
    }

    /// EFS API, SizeInBytes: what is closed, sealed since it was opened, or not opened since the server began is as large as when it
    /// was last looked at, never 0 bytes; and a look at one that is being opened does not wait for it.
    #[tokio::test]
    async fn a_size_is_remembered_and_never_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let (keys, floors) = (Arc::new(Keys(Mutex::new(Says::Yes))), floors().await);
        let bytes = |size: Option<Size>| size.map(|size| size.bytes);
        let first = owner(place.path(), &keys, &floors);
        let provisioner = Provisioner::new(first.clone());
        assert_eq!(provisioner.size("fs-1").await, None);
        first.create("fs-1").await.unwrap();
        let empty = bytes(provisioner.size("fs-1").await);
        assert!(empty.is_some_and(|bytes| bytes > 0), "{empty:?}");
        first.open("fs-1").await.unwrap();
        assert_eq!(bytes(provisioner.size("fs-1").await), empty);
        first.close().await;
        drop((provisioner, first));

        let second = owner(place.path(), &keys, &floors);
        assert_eq!(bytes(Provisioner::new(second.clone()).size("fs-1").await), empty);
        *keys.0.lock() = Says::No;
        second.open("fs-1").await.unwrap();
        assert!(matches!(second.look("fs-1").await, Opened::Open(_)));
        assert_eq!(bytes(Provisioner::new(second.clone()).size("fs-1").await), empty);
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
