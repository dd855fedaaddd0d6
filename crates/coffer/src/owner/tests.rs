//! Making file systems again after whatever interrupted it.

use std::path::Path;

use storage::{Budgets, SealedRecords, memory::Memory};

use super::*;

struct FixedKeys;

impl DataKeySource for FixedKeys {
    fn unwrap<'a>(&'a self, _: &'a str, _: Which) -> BoxFuture<'a, Result<crypto::Key, KeyTrouble>> {
        Box::pin(async { Ok(crypto::Key::take(&mut [1; 32]).unwrap()) })
    }

    fn handle_key(&self, _: &str) -> Result<crypto::Key, String> {
        Ok(crypto::Key::take(&mut [2; 32]).unwrap())
    }

    fn depends_on(&self, _: &str, _: &str) -> bool {
        false
    }
}

async fn owner(data: &Path) -> Owner {
    let env = env::Env::real();
    let (shard, _) = Memory::new().open();
    let records = SealedRecords::open(shard, &crypto::Key::random(&env), env.clone()).await.unwrap();
    let text = format!("data = {data:?}\nroot_key = \"/nowhere/root\"\nepoch_secret = \"/nowhere/epoch\"\n");
    let config: Config = toml::from_str(&text).unwrap();
    let engine = Engine::new(Budgets { reserve_bytes: 1 << 20, ..Budgets::default() }, env.clone()).unwrap();
    Owner::new(engine, env, config, Arc::new(FixedKeys), Arc::new(Floors::new(Arc::new(records))))
}

/// Architecture, "The file system": a creation whose records are durable, but whose caller never heard so, is complete
/// when it is asked for again; so is one that a crash interrupted before.
#[tokio::test]
async fn a_creation_is_finished_wherever_it_stopped() {
    let kept = tempfile::tempdir().unwrap();
    let owner = owner(kept.path()).await;
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
