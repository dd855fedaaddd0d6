//! The suite on the embedded engine, and what is the engine's own: locks, versions, damage, want of space.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::{Batch, BoxFuture, CommitError, Keyspace, Sealed, Seq, suite};

fn budgets() -> Budgets {
    Budgets { segment_bytes: 1 << 20, reserve_bytes: 1 << 20, ..Budgets::default() }
}

fn engine() -> Engine {
    Engine::new(budgets(), Env::real()).unwrap()
}

async fn open_or_create(engine: &Engine, dir: &Path) -> Opening {
    if Engine::exists(dir) { engine.open(dir).await.unwrap() } else { engine.create(dir).await.unwrap() }
}

fn subject() -> (suite::Subject, TempDir) {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    let open = move || -> BoxFuture<'static, Opening> {
        let (engine, dir) = (engine.clone(), dir.clone());
        Box::pin(async move { open_or_create(&engine, &dir).await })
    };
    (Box::new(open), kept)
}

suite::suite!(subject());

fn put(token: u128, key: &str, value: &str) -> Batch {
    let mut batch = Batch::new(token);
    batch.put(Keyspace::Records, key.to_owned(), value.to_owned());
    batch
}

/// A shard with `batches` batches in a directory of its own, abandoned (not closed) at the end.
async fn abandoned(engine: &Engine, batches: u128) -> (TempDir, PathBuf) {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let (shard, segments) = engine.create(&dir).await.unwrap();
    for token in 0..batches {
        shard.commit(put(token, &format!("key{token}"), "value")).await.unwrap();
    }
    segments.put(vec![Sealed::from(Bytes::from(vec![5; 10_000]))]).await.unwrap();
    drop((shard, segments));
    (kept, dir)
}

async fn refusal(engine: &Engine, dir: &Path) -> StorageError {
    engine.open(dir).await.err().unwrap()
}

/// Architecture section 4: a lock file against a second server; the error names the file.
#[tokio::test]
async fn a_second_opening_is_refused() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    let _held = engine.create(&dir).await.unwrap();
    let error = refusal(&engine, &dir).await;
    assert!(matches!(&error, StorageError::Locked { path } if path.ends_with("LOCK")), "{error}");
}

/// A creation cut short is repeated; a directory with anything else in it is left alone.
#[tokio::test]
async fn creation_can_be_repeated_until_it_is_complete() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    fs::create_dir_all(dir.join("segments")).unwrap();
    fs::write(dir.join("floor"), "half").unwrap();
    assert!(!Engine::exists(&dir));
    assert!(matches!(refusal(&engine, &dir).await, StorageError::Missing { .. }));
    drop(engine.create(&dir).await.unwrap());
    assert!(matches!(engine.create(&dir).await, Err(StorageError::Exists { .. } | StorageError::Locked { .. })));

    let other = kept.path().join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("precious"), "").unwrap();
    assert!(matches!(engine.create(&other).await, Err(StorageError::Exists { .. })));
    assert!(other.join("precious").exists());
}

/// docs/on-disk-format.md, "A shard's directory": `FORMAT` comes last, so whatever a crash leaves of a creation, a
/// database half made among it, is made again.
#[tokio::test]
async fn a_creation_that_got_as_far_as_the_database_is_repeated() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    fs::create_dir_all(dir.join("engine")).unwrap();
    fs::write(dir.join("engine/0.jnl"), "").unwrap();
    assert!(!Engine::exists(&dir));
    drop(engine.create(&dir).await.unwrap());
    assert!(Engine::exists(&dir));

    fs::remove_file(dir.join("FORMAT")).unwrap();
    fs::write(dir.join("FORMAT.new"), "coffer sh").unwrap();
    fs::remove_dir_all(dir.join("engine/keyspaces")).unwrap();
    let (shard, segments) = loop {
        match engine.create(&dir).await {
            // The opening before is just letting go.
            Err(StorageError::Locked { .. }) => Env::real().sleep(Duration::from_millis(20)).await,
            other => break other.unwrap(),
        }
    };
    shard.commit(put(1, "a", "1")).await.unwrap();
    shard.close().await.unwrap();
    drop((shard, segments));
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_eq!(shard.get(Keyspace::Records, b"a").await.unwrap(), Some(Bytes::from("1")));
}

/// "A data directory of another version": an error that names the file, the versions and the cure.
#[tokio::test]
async fn another_version_is_refused() {
    let engine = engine();
    let (_kept, dir) = abandoned(&engine, 1).await;
    let path = dir.join("FORMAT");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("version 1", "version 2")).unwrap();
    let error = refusal(&engine, &dir).await;
    assert!(matches!(error, StorageError::Version { found: 2, expected: 1, .. }));
    assert!(error.to_string().contains("FORMAT"), "{error}");
}

/// "A flipped bit anywhere": in the files of our own every bit counts.
#[tokio::test]
async fn a_flipped_bit_of_format_or_header_is_found() {
    let engine = engine();
    let (_kept, dir) = abandoned(&engine, 1).await;
    let path = dir.join("FORMAT");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        let error = refusal(&engine, &dir).await.to_string();
        assert!(error.contains("FORMAT"), "byte {at}: {error}");
    }
    fs::write(&path, &whole).unwrap();

    let segment = fs::read_dir(dir.join("segments")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[30] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let (_shard, segments) = engine.open(&dir).await.unwrap();
    let id = crate::SegmentId::new(1, 0);
    let place = crate::Place { segment: id, offset: 4096, length: 10_000 };
    let error = segments.read(&place, 0..10).await.err().unwrap().to_string();
    assert!(error.contains("1-0.seg") && error.contains("backup"), "{error}");
}

/// "A truncated segment": the read that needs the missing bytes fails and names the file; other reads are served.
#[tokio::test]
async fn a_truncated_segment_fails_only_where_it_is_short() {
    let engine = engine();
    let (_kept, dir) = abandoned(&engine, 1).await;
    let path = dir.join("segments/1-0.seg");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096 + 5000).unwrap();
    let (_shard, segments) = engine.open(&dir).await.unwrap();
    let place = crate::Place { segment: crate::SegmentId::new(1, 0), offset: 4096, length: 10_000 };
    assert_eq!(segments.read(&place, 0..5000).await.unwrap(), vec![5; 5000]);
    let error = segments.read(&place, 4000..6000).await.err().unwrap().to_string();
    assert!(error.contains("1-0.seg") && error.contains("ends at"), "{error}");
    fs::remove_file(&path).unwrap();
    drop(segments);
}

/// Architecture section 4: a journal that ends below the floor is an error that names the file, not a shorter history.
#[tokio::test]
async fn a_journal_cut_below_the_floor_is_refused() {
    let engine = engine();
    let (_kept, dir) = abandoned(&engine, u128::from(floor::BATCHES * 2 - 10)).await;
    let journal = dir.join("engine/0.jnl");
    let whole = fs::read(&journal).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();

    // Above the floor a cut looks like a crash, and is taken as one.
    fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(u64::try_from(used * 9 / 10).unwrap()).unwrap();
    let (shard, segments) = engine.open(&dir).await.unwrap();
    assert!(shard.durable() < Seq(floor::BATCHES * 2 - 9));
    drop((shard, segments));

    fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(u64::try_from(used / 4).unwrap()).unwrap();
    let error = refusal(&engine, &dir).await.to_string();
    assert!(error.contains("0.jnl") && error.contains("was durable") && error.contains("backup"), "{error}");
}

/// Architecture section 4: a clean stop leaves nothing to replay.
#[tokio::test]
async fn a_clean_stop_leaves_empty_journals() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    let (shard, _) = engine.create(&dir).await.unwrap();
    for token in 0..100 {
        shard.commit(put(token, &format!("key{token}"), "value")).await.unwrap();
    }
    let before = shard.durable();
    shard.close().await.unwrap();
    let journals: Vec<u64> = fs::read_dir(dir.join("engine"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jnl"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(journals, [0]);
    let (shard, _) = engine.open(&dir).await.unwrap();
    assert_eq!(shard.durable(), Seq(before.0 + 1));
    for token in 0..100 {
        let key = format!("key{token}");
        assert_eq!(shard.get(Keyspace::Records, key.as_bytes()).await.unwrap(), Some(Bytes::from("value")));
    }
    shard.commit(put(200, "key1", "again")).await.unwrap();
    assert_eq!(shard.get(Keyspace::Records, b"key1").await.unwrap(), Some(Bytes::from("again")));
}

/// Architecture section 4: changes that need space get NOSPC before the engine does, deletions may use the reserve.
#[tokio::test]
async fn the_reserve_is_kept_for_deletions() {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let full = {
        let probe = space::SpaceWatch::new(kept.path(), 0);
        probe.space(&Env::real()).free_bytes
    };
    // A reserve of twice what is free: ordinary changes find no room, an eighth of it is there.
    let engine = Engine::new(Budgets { reserve_bytes: full * 2, ..budgets() }, Env::real()).unwrap();
    let (shard, segments) = engine.create(&dir).await.unwrap();
    assert!(shard.space().reserve_reached);
    assert_eq!(shard.commit(put(1, "a", "1")).await, Err(CommitError::NoSpace));
    let mut delete = put(2, "a", "");
    delete.may_use_reserve = true;
    shard.commit(delete).await.unwrap();
    assert_eq!(segments.put(vec![Sealed::from(Bytes::from("x"))]).await, Err(StorageError::NoSpace));
    assert!(!*shard.fenced().borrow());
}

/// Architecture section 4: on a full disk a shard opens for reading, says of every change that there is no room, and is
/// none the worse for it.
#[tokio::test]
async fn a_full_disk_is_read() {
    let (_kept, dir) = abandoned(&engine(), 5).await;
    let engine = Engine::new(Budgets { reserve_bytes: 1 << 60, ..budgets() }, Env::real()).unwrap();
    let (shard, segments) = engine.open(&dir).await.unwrap();
    let before = shard.durable();
    assert!(shard.space().reserve_used);
    assert_eq!(shard.get(Keyspace::Records, b"key4").await.unwrap(), Some(Bytes::from("value")));
    let place = crate::Place { segment: crate::SegmentId::new(1, 0), offset: 4096, length: 10_000 };
    assert_eq!(segments.read(&place, 0..10).await.unwrap(), vec![5; 10]);
    for may_use_reserve in [false, true] {
        let mut change = put(9, "key4", "changed");
        change.may_use_reserve = may_use_reserve;
        assert_eq!(shard.commit(change).await, Err(CommitError::NoSpace));
    }
    assert_eq!(segments.put(vec![Sealed::from(Bytes::from("x"))]).await, Err(StorageError::NoSpace));
    assert!(!*shard.fenced().borrow());
    assert_eq!(shard.durable(), before);
    assert_eq!(shard.close().await, Err(StorageError::NoSpace));
    drop((shard, segments));
    assert!(matches!(engine.create(&dir.join("new")).await, Err(StorageError::NoSpace)));

    // With room again the same epoch is taken, since nothing was written under it.
    let (shard, segments) = open_or_create(&self::engine(), &dir).await;
    assert_eq!((shard.durable(), segments.epoch()), (Seq(before.0 + 1), 2));
    shard.commit(put(10, "key4", "changed")).await.unwrap();
}

/// Cuts or changes the journal of an abandoned shard and says how opening it ends: the batches found, or the error.
async fn opened_after(engine: &Engine, dir: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<u64, StorageError> {
    let copy = TempDir::new().unwrap();
    copy_tree(dir, copy.path());
    let journal = copy.path().join("engine/0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    change(&mut bytes);
    fs::write(&journal, &bytes).unwrap();
    let (shard, _) = engine.open(copy.path()).await?;
    for key in 0..shard.durable().0 - 3 {
        assert!(shard.get(Keyspace::Records, format!("key{key}").as_bytes()).await.unwrap().is_some());
    }
    // Each opening is a batch of its own.
    Ok(shard.durable().0 - 2)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Architecture section 4: a crash tears the last batch only; that is cut off, and any other damage of a journal is an error
/// that names the file, wherever the bit is.
#[tokio::test]
async fn only_the_last_batch_of_a_journal_may_be_torn() {
    let engine = engine();
    let (_kept, dir) = abandoned(&engine, 30).await;
    let journal = dir.join("engine/0.jnl");
    let mut whole = fs::read(&journal).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(opened_after(&engine, &dir, |_| ()).await, Ok(30));
    // Without the space set aside, which would only make the rest of this test slow.
    whole.truncate(used);
    fs::write(&journal, &whole).unwrap();
    assert_eq!(opened_after(&engine, &dir, |_| ()).await, Ok(30));
    // Cut anywhere in the last batch, as a crash does, with zeros behind it or not.
    for short in [1, 5, 20, 60, 100] {
        assert_eq!(opened_after(&engine, &dir, |bytes| bytes.truncate(used - short)).await, Ok(29));
        assert_eq!(opened_after(&engine, &dir, |bytes| bytes[used - short..].fill(0)).await, Ok(29));
    }
    // The middle of the last batch never reached the disk, its end did.
    assert_eq!(opened_after(&engine, &dir, |bytes| bytes[used - 80..used - 60].fill(0)).await, Ok(29));

    // The border of the last two batches, damaged: the last batch is whole, so the one before was synced.
    let border = whole.windows(5).rposition(|window| window == b"FJL\x03\x01").unwrap();
    for at in [border, border + 3, border - 9] {
        let error = opened_after(&engine, &dir, |bytes| bytes[at] ^= 1).await.unwrap_err().to_string();
        assert!(error.contains("0.jnl") && error.contains("backup"), "{error}");
    }

    let (env, _) = Env::simulated(11);
    for _ in 0..60 {
        let bit = usize::try_from(u64::from_be_bytes(env.random())).unwrap() % ((used - 400) * 8);
        let error = opened_after(&engine, &dir, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).await;
        let error = error.expect_err(&format!("bit {bit} of {used} bytes")).to_string();
        assert!(error.contains("0.jnl") && error.contains("backup"), "{error}");
    }
}

/// "A flipped bit anywhere": in tables too, opening or reading fails and names the place, and nothing false is served.
#[tokio::test]
async fn a_flipped_bit_of_a_table_is_never_served() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    let (shard, _) = engine.create(&dir).await.unwrap();
    for token in 0..200 {
        shard.commit(put(token, &format!("key{token}"), &format!("value{token}"))).await.unwrap();
    }
    shard.close().await.unwrap();
    drop(shard);
    let mut files = Vec::new();
    list_files(&dir.join("engine"), &mut files);
    files.retain(|path| fs::metadata(path).unwrap().len() > 0);
    let (env, _) = Env::simulated(12);
    let (mut refused, mut unharmed) = (0, 0);
    for path in &files {
        for _ in 0..12 {
            let copy = TempDir::new().unwrap();
            copy_tree(&dir, copy.path());
            let path = copy.path().join(path.strip_prefix(&dir).unwrap());
            let mut bytes = fs::read(&path).unwrap();
            let bit = usize::try_from(u64::from_be_bytes(env.random())).unwrap() % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            match read_all(&engine, copy.path()).await {
                Ok(()) => unharmed += 1,
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains(&*copy.path().to_string_lossy()), "{error}");
                }
            }
        }
    }
    // Some files are kept twice or hold what this reader does not need; those bits do no harm.
    assert!(refused > 20, "{refused} refused, {unharmed} unharmed");
}

fn list_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        if entry.path().is_dir() { list_files(&entry.path(), files) } else { files.push(entry.path()) }
    }
}

/// Reads 200 records; what is answered must be right.
async fn read_all(engine: &Engine, dir: &Path) -> Result<(), StorageError> {
    let (shard, _) = engine.open(dir).await?;
    for token in 0..200 {
        let found = shard.get(Keyspace::Records, format!("key{token}").as_bytes()).await?;
        assert_eq!(found, Some(Bytes::from(format!("value{token}"))));
    }
    let page = shard.scan(crate::Scan::prefix(Keyspace::Records, b"")).await?;
    assert_eq!(page.items.len(), 200);
    Ok(())
}

/// Architecture section 4, process budgets: memtable bytes are shared by all shards, and the largest gives way.
#[tokio::test]
async fn memtables_of_all_shards_share_a_budget() {
    let engine = Engine::new(Budgets { memtable_bytes: 3 << 20, ..budgets() }, Env::real()).unwrap();
    let kept = TempDir::new().unwrap();
    let (small, _) = engine.create(&kept.path().join("small")).await.unwrap();
    let (large, _) = engine.create(&kept.path().join("large")).await.unwrap();
    small.commit(put(1, "small", &"x".repeat(500_000))).await.unwrap();
    for token in 0..8 {
        large.commit(put(token, &format!("large{token}"), &"x".repeat(500_000))).await.unwrap();
    }
    let bytes = || engine.0.shards.open().iter().map(|core| core.memtable_bytes()).collect::<Vec<_>>();
    assert!(bytes().iter().sum::<u64>() > 4_000_000);
    let env = Env::real();
    let deadline = env.now() + Duration::from_secs(20);
    while bytes().iter().sum::<u64>() > 3 << 20 && env.now() < deadline {
        env.sleep(Duration::from_millis(20)).await;
    }
    let [of_small, of_large] = bytes().try_into().unwrap();
    assert!(of_small > 500_000 && of_large < 500_000, "{of_small} and {of_large}");
    // What left the memtable is on the disk, and reading it may have to wait.
    assert_eq!(large.get_now(Keyspace::Records, b"large3").unwrap(), crate::Now::WouldBlock);
    assert_eq!(large.get(Keyspace::Records, b"large3").await.unwrap().unwrap().len(), 500_000);
    assert!(matches!(small.get_now(Keyspace::Records, b"small").unwrap(), crate::Now::Hit(Some(_))));
}

/// A snapshot is read to its end even if the shard is closed meanwhile; new reads are refused.
#[tokio::test]
async fn a_closed_shard_serves_its_old_snapshots_only() {
    let (engine, kept) = (engine(), TempDir::new().unwrap());
    let dir = kept.path().join("shard");
    let (shard, _) = engine.create(&dir).await.unwrap();
    shard.commit(put(1, "a", "1")).await.unwrap();
    let snapshot = shard.snapshot();
    shard.close().await.unwrap();
    assert_eq!(snapshot.get(Keyspace::Records, b"a").await.unwrap(), Some(Bytes::from("1")));
    assert!(matches!(shard.get(Keyspace::Records, b"a").await, Err(StorageError::Stopped(_))));
    assert!(matches!(shard.snapshot().get(Keyspace::Records, b"a").await, Err(StorageError::Stopped(_))));
    drop(snapshot);
    assert!(engine.open(&dir).await.is_ok());
}
