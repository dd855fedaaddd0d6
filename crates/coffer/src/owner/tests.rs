//! Making, opening, deleting; notices while something else takes its time.

use std::collections::BTreeMap;
use std::path::Path;

use kms::EncryptionContext;
use storage::{Budgets, SealedRecords};
use tokio::sync::Notify;

use super::*;

const KEY: &str = "arn:aws:kms:us-east-1:000000000001:key/k";

/// Gives fixed keys, and counts; holds back those of one file system until told.
#[derive(Default)]
struct Keys {
    asked: Mutex<BTreeMap<String, usize>>,
    slow: Mutex<Option<String>>,
    refused: AtomicBool,
    go: Notify,
}

impl Keys {
    fn asked(&self, id: &str) -> usize {
        self.asked.lock().get(id).copied().unwrap_or(0)
    }
}

impl DataKeySource for Keys {
    fn unwrap<'a>(&'a self, file_system: &'a str, which: Which) -> BoxFuture<'a, Result<crypto::Key, KeyTrouble>> {
        Box::pin(async move {
            *self.asked.lock().entry(file_system.to_owned()).or_default() += 1;
            let refused = self.refused.load(Ordering::SeqCst);
            let slow = self.slow.lock().as_deref() == Some(file_system);
            if slow {
                self.go.notified().await;
                self.go.notify_one();
            }
            if refused {
                return Err(KeyTrouble::Refused("disabled".to_owned()));
            }
            Ok(crypto::Key::take_array(&mut [which as u8 + 1; 32]))
        })
    }

    fn handle_key(&self, _file_system: &str) -> Result<crypto::Key, String> {
        Ok(crypto::Key::take_array(&mut [9; 32]))
    }

    fn is_concerned(&self, file_system: &str, notice: &KeyNotice) -> bool {
        match &notice.change {
            KeyChange::State => true,
            KeyChange::GrantMade(context) | KeyChange::GrantEnded(context) => {
                context.as_ref().is_none_or(|context| context.pairs().values().any(|id| id == file_system))
            }
        }
    }
}

async fn owner(directory: &Path) -> (Owner, Arc<Keys>) {
    owner_with(directory, "").await
}

async fn owner_with(directory: &Path, settings: &str) -> (Owner, Arc<Keys>) {
    let paths = "root_key = \"/nowhere/root\"\nepoch_secret = \"/nowhere/epoch\"\n";
    let text = format!("data = {:?}\n{paths}{settings}", directory.display());
    let config = Config::parse(Path::new("coffer.toml"), &text).unwrap();
    installation::private_directory(&installation::file_systems_directory(&config)).unwrap();
    let env = env::Env::real();
    let (shard, _) = storage::memory::Memory::new().open();
    let records = SealedRecords::open(shard, &crypto::Key::random(&env), env.clone()).await.unwrap();
    let floors = Arc::new(Floors::new(Arc::new(records)));
    let keys = Arc::new(Keys::default());
    let engine = Engine::new(Budgets::default(), env.clone()).unwrap();
    (Owner::new(engine, env, config, keys.clone(), floors), keys)
}

fn notice(change: KeyChange) -> KeyNotice {
    KeyNotice { key_arn: KEY.to_owned(), change }
}

fn context(id: &str) -> Option<EncryptionContext> {
    EncryptionContext::new([("id".to_owned(), id.to_owned())]).ok()
}

async fn until(what: impl Fn() -> bool) {
    let waited = async {
        while !what() {
            env::Env::real().sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
}

/// `control::Provision`: each call may come again after a crash and then finds part of its work done; a file system that
/// was made and not yet noted as available is one.
#[tokio::test]
async fn a_file_system_that_was_made_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let (owner, _) = owner(directory.path()).await;
    for _ in 0..3 {
        owner.create("fs-1").await.unwrap();
    }
    drop(owner.open("fs-1").await.unwrap());
    owner.create("fs-1").await.unwrap();
    for _ in 0..2 {
        owner.destroy("fs-1").await.unwrap();
    }
    assert!(matches!(owner.open("fs-1").await, Err(OpenError::Absent)));
}

/// Architecture section 5: a key that is disabled seals at once, whatever another file system is busy with; and a file system
/// that was being opened meanwhile asks again when it is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_does_not_wait_for_another_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let (owner, keys) = owner(directory.path()).await;
    for id in ["fs-1", "fs-2"] {
        owner.create(id).await.unwrap();
    }
    let open = owner.open("fs-2").await.unwrap();
    *keys.slow.lock() = Some("fs-1".to_owned());
    let before = keys.asked("fs-1");
    let slow = tokio::spawn({
        let owner = owner.clone();
        async move { owner.open("fs-1").await }
    });
    until(|| keys.asked("fs-1") == before + 2).await;
    keys.refused.store(true, Ordering::SeqCst);
    owner.key_notice(Some(&notice(KeyChange::State)));
    until(|| matches!(open.lease_status().state, LeaseState::Sealed { .. })).await;
    assert!(!slow.is_finished());
    keys.go.notify_one();
    let late = slow.await.unwrap().unwrap();
    until(|| matches!(late.lease_status().state, LeaseState::Sealed { .. })).await;
    *keys.slow.lock() = None;
    drop((open, late));
    owner.close().await;
}

/// A grant for one file system is no reason for all others to ask for their keys again, and one that was made none for a
/// file system that serves. Architecture section 5, "Lease".
#[tokio::test]
async fn a_grant_concerns_its_file_system_only() {
    let directory = tempfile::tempdir().unwrap();
    let (owner, keys) = owner(directory.path()).await;
    for id in ["fs-1", "fs-2"] {
        owner.create(id).await.unwrap();
        drop(owner.open(id).await.unwrap());
    }
    let before = (keys.asked("fs-1"), keys.asked("fs-2"));
    owner.key_notice(Some(&notice(KeyChange::GrantMade(context("fs-1")))));
    owner.key_notice(Some(&notice(KeyChange::GrantEnded(context("fs-1")))));
    until(|| keys.asked("fs-1") == before.0 + 2).await;
    assert_eq!(keys.asked("fs-2"), before.1);
    owner.close().await;
}

/// Architecture section 3: a creation whose records are durable, but whose caller never heard so, is complete
/// when it is asked for again; so is one that a crash interrupted before.
#[tokio::test]
async fn a_creation_is_finished_wherever_it_stopped() {
    let kept = tempfile::tempdir().unwrap();
    let (owner, _) = owner(kept.path()).await;
    owner.create("fs-1").await.unwrap();
    // The crash came before the control records said "available".
    owner.create("fs-1").await.unwrap();
    owner.open("fs-1").await.unwrap().root().await.unwrap();

    // The crash came between the database and the mark that makes the directory a shard.
    owner.create("fs-2").await.unwrap();
    std::fs::remove_file(owner.directory("fs-2").join("FORMAT")).unwrap();
    owner.create("fs-2").await.unwrap();
    owner.open("fs-2").await.unwrap().root().await.unwrap();
    owner.close().await;
}

/// Architecture section 4, "A shard is opened": what is closed for being idle is closed cleanly, its mark raised and its size kept; no
/// key is asked for any more; and whoever opens it meanwhile waits and gets a new opening.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_file_system_is_closed_and_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (owner, keys) = owner_with(directory.path(), "[keys]\nlease_seconds = 1\n").await;
    owner.create("fs-1").await.unwrap();
    let first = owner.open("fs-1").await.unwrap();
    let asked = keys.asked("fs-1");
    until(|| keys.asked("fs-1") > asked).await;
    let before = owner.slot("fs-1").work.lock().await.place.as_ref().map(Place::mark).unwrap();

    // The closing comes first to its turn; whoever opens meanwhile does not get what is being closed.
    let ((), second) = tokio::join!(owner.close_one("fs-1"), owner.open("fs-1"));
    assert!(first.root().await.is_err());
    second.unwrap().root().await.unwrap();
    owner.close_one("fs-1").await;
    assert!(matches!(owner.look("fs-1").await, Opened::Closed));
    assert!(owner.size("fs-1").await.is_some_and(|size| size.bytes > 0));
    drop(first);

    let asked = keys.asked("fs-1");
    env::Env::real().sleep(Duration::from_millis(1500)).await;
    assert_eq!(keys.asked("fs-1"), asked);
    // The mark is that of the last opening: an older one is refused.
    let older = Mark { epoch: before.epoch, sequence: u64::MAX };
    assert!(matches!(owner.0.floors.check("fs-1", older).await, Err(FloorError::Older { .. })));
    owner.0.floors.forget("fs-1").await.unwrap();
    owner.open("fs-1").await.unwrap().root().await.unwrap();
    owner.close().await;
}
