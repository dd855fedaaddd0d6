//! Journals that are missing, left over or damaged where no crash damages them.

use bytes::Bytes;
use env::Env;
use tempfile::TempDir;

use super::*;
use crate::{Batch, Engine, Keyspace, Shard, embedded::Budgets};

fn engine() -> Engine {
    Engine::new(Budgets { reserve_bytes: 1 << 20, ..Budgets::default() }, Env::real()).unwrap()
}

/// A shard with 20 records.
async fn filled(engine: &Engine) -> (TempDir, PathBuf, std::sync::Arc<dyn Shard>) {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let (shard, _) = engine.create(&dir).await.unwrap();
    for token in 0..20 {
        let mut batch = Batch::new(token);
        batch.put(Keyspace::Records, format!("key{token}"), "value");
        shard.commit(batch).await.unwrap();
    }
    (kept, dir, shard)
}

async fn assert_filled(shard: &dyn Shard) {
    for token in 0..20 {
        let found = shard.get(Keyspace::Records, format!("key{token}").as_bytes()).await.unwrap();
        assert_eq!(found, Some(Bytes::from("value")), "{token}");
    }
}

async fn refused(engine: &Engine, dir: &Path, file: &str) {
    let error = engine.open(dir).await.err().unwrap().to_string();
    assert!(error.contains(file) && error.contains("backup"), "{error}");
}

/// docs/on-disk-format.md, "Engine": a clean stop begins an empty journal before it removes the full one, so whatever a
/// crash leaves of the two, the shard opens.
#[tokio::test]
async fn a_crash_while_the_journal_is_left_empty_does_no_harm() {
    let engine = engine();
    let (_kept, dir, shard) = filled(&engine).await;
    let full = fs::read(dir.join("engine/0.jnl")).unwrap();
    shard.close().await.unwrap();
    drop(shard);
    assert_eq!(all(&dir.join("engine")), [dir.join("engine/1.jnl")]);

    // Both are there, as between the two steps.
    fs::write(dir.join("engine/0.jnl"), &full).unwrap();
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_filled(&*shard).await;
    shard.close().await.unwrap();
    drop(shard);
    // The full one alone, as before them.
    for journal in all(&dir.join("engine")) {
        fs::remove_file(journal).unwrap();
    }
    fs::write(dir.join("engine/0.jnl"), &full).unwrap();
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_filled(&*shard).await;
}

/// Architecture section 4: a journal that is missing is an error that names it, after a clean stop too; so is a damaged
/// older one, wherever the damage is, since it was synced before the next was begun.
#[tokio::test]
async fn a_missing_or_damaged_older_journal_is_refused() {
    let engine = engine();
    let (_kept, dir, shard) = filled(&engine).await;
    drop(shard);
    let journal = dir.join("engine/0.jnl");
    // The opening before lets go, and fjall's space set aside with it.
    drop(engine.open(&dir).await.unwrap());
    let lock = super::super::directory::open(&dir).unwrap();
    let whole = fs::read(&journal).unwrap();
    drop(lock);

    fs::remove_file(&journal).unwrap();
    refused(&engine, &dir, "0.jnl").await;
    fs::write(dir.join("engine/1.jnl"), "").unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for (cut, flip) in [(used - 1, None), (used - 300, None), (used / 2, None), (used, Some(used / 2)), (used, Some(3))]
    {
        let mut bytes = whole[..cut].to_vec();
        if let Some(at) = flip {
            bytes[at] ^= 4;
        }
        fs::write(&journal, &bytes).unwrap();
        refused(&engine, &dir, "0.jnl").await;
        assert_eq!(fs::read(&journal).unwrap(), bytes, "a refused journal is left as it is");
    }
    fs::write(&journal, &whole[..used]).unwrap();
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_filled(&*shard).await;
}

/// Architecture section 4: zeros are written ahead of the journal's end, which the commit thread knows to the byte.
#[tokio::test]
async fn zeros_lie_ahead_of_the_end() {
    let engine = engine();
    let (_kept, dir, shard) = filled(&engine).await;
    for token in 100..1500_u128 {
        let mut batch = Batch::new(token);
        batch.put(Keyspace::Inline, format!("key{}", token % 7), vec![7; 3000]);
        batch.put(Keyspace::Records, format!("key{token}"), "value");
        batch.delete(Keyspace::Records, format!("key{}", token - 50));
        let mut other = Batch::new(token + 10_000);
        other.put(Keyspace::Records, format!("key{token}"), "another");
        let (one, two) = tokio::join!(shard.commit(batch), shard.commit(other));
        one.and(two).unwrap();
    }
    let journal = newest(&dir.join("engine"));
    let end = look(&journal, &mut None).unwrap().end;
    let filled = files::next_hole(&File::open(&journal).unwrap(), end).unwrap();
    assert!(end > 4 << 20 && ((32 << 10)..(264 << 10)).contains(&(filled - end)), "{end} and zeros up to {filled}");
}
