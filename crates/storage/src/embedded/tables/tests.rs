//! Damage to what fjall would believe: an error that names the file, before fjall sees it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use env::Env;
use tempfile::TempDir;

use super::*;
use crate::{Batch, Engine, Keyspace, embedded::Budgets};

fn engine() -> Engine {
    Engine::new(Budgets { reserve_bytes: 1 << 20, ..Budgets::default() }, Env::real()).unwrap()
}

/// A shard that was closed in good order, so that all records are in tables.
async fn closed(engine: &Engine) -> (TempDir, PathBuf) {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let (shard, _) = engine.create(&dir).await.unwrap();
    for token in 0..20 {
        let mut batch = Batch::new(token);
        batch.put(Keyspace::Records, format!("key{token}"), "value");
        shard.commit(batch).await.unwrap();
    }
    shard.close().await.unwrap();
    (kept, dir)
}

/// The version in force of the keyspace `records`, and its first table.
fn files(dir: &Path) -> (PathBuf, PathBuf) {
    let keyspace = dir.join("engine/keyspaces/1");
    let (number, _) = parse_current(&fs::read(keyspace.join(CURRENT)).unwrap()).unwrap();
    let version = keyspace.join(format!("v{number}"));
    let tables = parse_version(&fs::read(&version).unwrap()).unwrap();
    (version, keyspace.join("tables").join(tables[0].to_string()))
}

async fn refused(engine: &Engine, dir: &Path, path: &Path) {
    let error = engine.open(dir).await.err().unwrap().to_string();
    assert!(error.contains(&*path.to_string_lossy()) && error.contains("backup"), "{error}");
}

/// Architecture section 4: a table whose list of sections, or whose length of it, is damaged is an error that names the
/// file, whichever bit it is. (fjall would reserve memory for four thousand million sections, and end the process.)
#[tokio::test]
async fn a_damaged_list_of_sections_is_refused() {
    let engine = engine();
    let (_kept, dir) = closed(&engine).await;
    let (_, table) = files(&dir);
    let whole = fs::read(&table).unwrap();
    let list = whole.windows(4).rposition(|window| window == SECTIONS_MAGIC).unwrap();
    // All but the length of the list, which nobody reads.
    for at in list..whole.len() - 8 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs::write(&table, &bytes).unwrap();
        refused(&engine, &dir, &table).await;
    }
    fs::write(&table, &whole[..whole.len() - 1]).unwrap();
    refused(&engine, &dir, &table).await;
    fs::write(&table, "").unwrap();
    refused(&engine, &dir, &table).await;
    fs::remove_file(&table).unwrap();
    refused(&engine, &dir, &table).await;
    fs::write(&table, &whole).unwrap();
    assert!(engine.open(&dir).await.is_ok());
}

/// Architecture section 4: a version file with a flipped bit anywhere is an error that names the file.
#[tokio::test]
async fn a_damaged_version_file_is_refused() {
    let engine = engine();
    let (_kept, dir) = closed(&engine).await;
    let (version, _) = files(&dir);
    let whole = fs::read(&version).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs::write(&version, &bytes).unwrap();
        refused(&engine, &dir, &version).await;
    }
    fs::remove_file(&version).unwrap();
    refused(&engine, &dir, &version).await;
    fs::write(&version, &whole).unwrap();
    assert!(engine.open(&dir).await.is_ok());
}

/// docs/on-disk-format.md, "Tables": a keyspace without its `current` is damage, and stays as it is. (fjall would take it
/// for a creation that was cut short and remove it.)
#[tokio::test]
async fn a_lost_keyspace_is_refused_and_not_removed() {
    let engine = engine();
    let (_kept, dir) = closed(&engine).await;
    let (version, table) = files(&dir);
    for keyspace in 0..KEYSPACES {
        let current = dir.join(format!("engine/keyspaces/{keyspace}/current"));
        let whole = fs::read(&current).unwrap();
        fs::remove_file(&current).unwrap();
        refused(&engine, &dir, &current).await;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&current, &bytes).unwrap();
            let error = engine.open(&dir).await.err().unwrap().to_string();
            assert!(error.contains(&format!("engine/keyspaces/{keyspace}/")) && error.contains("backup"), "{error}");
        }
        fs::write(&current, &whole).unwrap();
    }
    let marker = dir.join("engine/version");
    let whole = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    refused(&engine, &dir, &marker).await;
    fs::write(&marker, &whole).unwrap();

    assert!(version.exists() && table.exists());
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_eq!(shard.get(Keyspace::Records, b"key7").await.unwrap(), Some(Bytes::from("value")));
}
