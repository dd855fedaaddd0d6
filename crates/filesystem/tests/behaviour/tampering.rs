//! What somebody who may write the data directory can do: nothing that is served. Architecture, promise 2 and section 5.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

use crate::rig::Rig;
use crate::rig::forger::{Records, stored};
use bytes::Bytes;
use filesystem::{FileSystem, FsError, NewObject, Stability};
use storage::{Batch, Keyspace};

async fn store(rig: &Rig, keyspace: Keyspace, records: &[(Bytes, Bytes)]) {
    let (shard, _) = rig.memory.open();
    let mut batch = Batch::new(u128::from(u64::from_be_bytes(rig.env.random())));
    for (key, value) in records {
        batch.put(keyspace, key.clone(), value.clone());
    }
    shard.commit(batch).await.unwrap();
}

async fn filled() -> Rig {
    let rig = Rig::new().await;
    let root = rig.root().await;
    let directory = rig.mkdir(&root, "a-directory-with-a-name").await.unwrap();
    rig.make(&directory, "a-symlink-with-a-name", NewObject::Symlink(Bytes::from_static(b"a-target-of-its-own")))
        .await
        .unwrap();
    for number in 0..4_u8 {
        let file = rig.file(&directory, &format!("a-file-with-a-name-{number}")).await.unwrap();
        let small = format!("the content of small file {number}, written inline");
        rig.write(&file, 0, small.as_bytes(), Stability::FileSync).await.unwrap();
        rig.write(&file, 1 << 20, &[number + 1; 300_000], Stability::FileSync).await.unwrap();
    }
    rig
}

/// Everything readable, as (path, content) pairs; unreadable things are left out.
async fn served(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(root) = rig.fs.root().await else { return found };
    let Ok(directory) = rig.lookup(&root, "a-directory-with-a-name").await else { return found };
    for number in 0..4 {
        let name = format!("a-file-with-a-name-{number}");
        let Ok(file) = rig.lookup(&directory, &name).await else { continue };
        for (offset, count) in [(0, 100), (1 << 20, 300_000)] {
            if let Ok(data) = rig.read(&file, offset, count).await {
                found.push((format!("{name}@{offset}"), data));
            }
        }
    }
    found
}

/// Architecture, promise 2: names, targets and contents are nowhere in what is stored.
#[tokio::test]
async fn nothing_is_readable_at_rest() {
    let rig = filled().await;
    rig.fs.close().await.unwrap();
    let mut all = Vec::new();
    for keyspace in Keyspace::ALL {
        for (key, value) in stored(&rig, keyspace, &[]).await {
            all.extend_from_slice(&key);
            all.extend_from_slice(&value);
        }
    }
    let (_, segments) = rig.memory.open();
    for (segment, bytes) in segments.list(u32::MAX).await.unwrap() {
        let place = storage::Place { segment, offset: 0, length: u32::try_from(bytes).unwrap() };
        all.extend_from_slice(&segments.read(&place, 0..place.length).await.unwrap());
    }
    assert!(all.len() > 1_200_000);
    let canaries: [&[u8]; 5] = [b"a-file-with-a-name", b"a-directory", b"a-symlink", b"a-target", b"small file"];
    for canary in canaries {
        assert!(!all.windows(canary.len()).any(|window| window == canary));
    }
    for byte in 1..=4 {
        assert!(!all.windows(32).any(|window| window.iter().all(|found| *found == byte)));
    }
}

/// fsck does not find the store clean, and nothing is served that is not in `truth`.
async fn noticed(rig: &mut Rig, truth: &[(String, Vec<u8>)], what: &str) {
    match filesystem::fsck::check(rig.parts(), rig.settings.clone(), true).await {
        Ok(report) => assert!(!report.is_clean(), "{what}"),
        Err(FsError::Io(_)) => {}
        Err(other) => panic!("{other}"),
    }
    if let Ok(fs) = FileSystem::open(rig.parts(), rig.settings.clone()).await {
        rig.fs = fs;
        for found in served(rig).await {
            assert!(truth.contains(&found), "{}", found.0);
        }
    }
}

/// Architecture, promise 2: any two values of one kind swapped are found by fsck, and nothing wrong is ever served.
#[tokio::test]
async fn swapped_values_are_detected() {
    let mut rig = filled().await;
    let truth = served(&rig).await;
    assert_eq!(truth.len(), 8);
    for keyspace in Keyspace::ALL {
        let records = stored(&rig, keyspace, &[]).await;
        for pair in records.windows(2) {
            let [(one, first), (two, second)] = pair else { panic!("pairs") };
            let class = |key: &Bytes| keyspace == Keyspace::Records && key[0] != b'I';
            if class(one) && one[0] != two[0] {
                continue;
            }
            store(&rig, keyspace, &[(one.clone(), second.clone()), (two.clone(), first.clone())]).await;
            noticed(&mut rig, &truth, &format!("{one:?} {two:?}")).await;
            store(&rig, keyspace, &[(one.clone(), first.clone()), (two.clone(), second.clone())]).await;
        }
    }
    rig.check().await;
    assert_eq!(served(&rig).await, truth);
}

/// Architecture, promise 2: a flipped bit anywhere is a clear error, never a panic and never other content.
#[tokio::test]
async fn flipped_bits_are_detected() {
    let mut rig = filled().await;
    let truth = served(&rig).await;
    for keyspace in Keyspace::ALL {
        for (number, (key, value)) in stored(&rig, keyspace, &[]).await.into_iter().enumerate() {
            let mut flipped = value.to_vec();
            let at = (number * 7919) % flipped.len();
            flipped[at] ^= 1 << (number % 8);
            store(&rig, keyspace, &[(key.clone(), Bytes::from(flipped))]).await;
            noticed(&mut rig, &truth, &format!("{key:?} at {at}")).await;
            store(&rig, keyspace, &[(key, value)]).await;
        }
    }
    rig.check().await;
}

/// Architecture section 5, "Rollback": a single record of an older state is found by fsck through the set-hash; older data
/// under a current map is not served.
#[tokio::test]
async fn a_record_put_back_is_found() {
    let mut rig = filled().await;
    let older: Vec<Records> =
        vec![stored(&rig, Keyspace::Records, &[]).await, stored(&rig, Keyspace::Inline, &[]).await];
    rig.crash().await;
    rig.fs.collect_orphans();
    let root = rig.root().await;
    let directory = rig.lookup(&root, "a-directory-with-a-name").await.unwrap();
    rig.remove(&directory, "a-file-with-a-name-0").await.unwrap();
    rig.rename(&directory, "a-file-with-a-name-1", &directory, "another").await.unwrap();
    let file = rig.lookup(&directory, "a-file-with-a-name-2").await.unwrap();
    rig.write(&file, 0, b"a newer content", Stability::FileSync).await.unwrap();
    rig.write(&file, (1 << 20) + 8192, &[77; 4096], Stability::FileSync).await.unwrap();
    drop((root, directory, file));
    rig.check().await;
    for (keyspace, older) in Keyspace::ALL.into_iter().zip(older) {
        let newer = stored(&rig, keyspace, &[]).await;
        for (key, value) in older {
            let now = newer.iter().find(|(newer, _)| *newer == key).map(|(_, value)| value);
            if now == Some(&value) || (keyspace == Keyspace::Records && b"SCP".contains(&key[0])) {
                continue;
            }
            store(&rig, keyspace, &[(key.clone(), value)]).await;
            let report = rig.report().await;
            assert!(!report.is_clean(), "{keyspace:?} {key:?}");
            let (shard, _) = rig.memory.open();
            let mut batch = Batch::new(u128::from(u64::from_be_bytes(rig.env.random())));
            match now {
                Some(now) => batch.put(keyspace, key, now.clone()),
                None => batch.delete(keyspace, key),
            }
            shard.commit(batch).await.unwrap();
        }
    }
    rig.check().await;
}
