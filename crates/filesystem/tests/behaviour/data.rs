//! Contents: writing, committing, reading, truncating, holes, orphans, and what a crash leaves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

use crate::rig::{Caller, Rig, name_of};
use bytes::Bytes;
use filesystem::{FsError, SetAttributes, Stability};

/// Bytes that differ everywhere.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// RFC 8881 sections 18.3, 18.32: stable writes and committed ones survive a crash, inline and in segments, and are
/// read back the same from memory and from disk.
#[tokio::test]
async fn stable_data_survives_a_crash() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let lengths = [1, 4095, 4096, 4097, 65536, 65537, 1 << 20, (3 << 20) + 77, (17 << 20) + 5];
    for (number, length) in lengths.into_iter().enumerate() {
        let file = rig.file(&root, &format!("f{number}")).await.unwrap();
        let data = pattern(number as u64, length);
        if number % 2 == 0 {
            rig.write(&file, 0, &data, Stability::FileSync).await.unwrap();
        } else {
            rig.write(&file, 0, &data, Stability::Unstable).await.unwrap();
            assert!(rig.read(&file, 0, 1 << 26).await.unwrap() == data);
            rig.commit(&file).await.unwrap();
        }
        assert!(rig.read(&file, 0, 1 << 26).await.unwrap() == data);
    }
    drop(root);
    rig.check().await;
    let root = rig.root().await;
    for (number, length) in lengths.into_iter().enumerate() {
        let file = rig.lookup(&root, &format!("f{number}")).await.unwrap();
        let data = pattern(number as u64, length);
        assert_eq!(rig.attributes(&file).await.unwrap().size, length as u64);
        assert!(rig.read(&file, 0, 1 << 26).await.unwrap() == data, "{length}");
        let at = length as u64 / 3;
        let part = rig.read(&file, at, 5000).await.unwrap();
        assert!(part == data[at as usize..][..5000.min(length - at as usize)]);
        assert!(rig.read(&file, length as u64, 10).await.unwrap().is_empty());
    }
}

/// RFC 8881 section 18.32: unstable data may be lost, and then the verifier differs.
#[tokio::test]
async fn lost_unstable_data_shows_in_the_verifier() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, b"stable", Stability::FileSync).await.unwrap();
    let verifier = rig.fs.write_verifier();
    rig.write(&file, 0, b"unstable and longer", Stability::Unstable).await.unwrap();
    assert_eq!(rig.attributes(&file).await.unwrap().size, 19);
    // Another change of the file does not make the size durable before its data.
    rig.set(&file, SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).await.unwrap();
    rig.check().await;
    assert_ne!(rig.fs.write_verifier(), verifier);
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert_eq!(rig.read(&file, 0, 100).await.unwrap(), b"stable");
    assert_eq!(rig.attributes(&file).await.unwrap().size, 6);
}

/// Architecture section 3, "Extents": random overwrites, truncations and extensions leave what a plain byte array has.
#[tokio::test]
async fn overwrites_and_truncations_agree_with_a_byte_array() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let handle = file.handle();
    let mut file = Some(file);
    let mut model: Vec<u8> = Vec::new();
    let mut random = 42_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..400_u64 {
        let node = match &file {
            Some(node) => node.clone(),
            None => rig.fs.resolve(handle.bytes()).await.unwrap(),
        };
        match next(10) {
            0 => {
                let size = next(3 << 20);
                rig.truncate(&node, size).await.unwrap();
                model.resize(size as usize, 0);
            }
            1 => {
                rig.commit(&node).await.unwrap();
                drop((node, file.take()));
                rig.check().await;
                continue;
            }
            2 => rig.commit(&node).await.unwrap(),
            kind => {
                let offset = next(2 << 20);
                let length = if kind < 6 { next(9000) } else { next(200_000) } as usize + 1;
                let offset = if kind % 2 == 0 { offset / 4096 * 4096 } else { offset };
                let data = pattern(round, length);
                let end = offset as usize + length;
                if model.len() < end {
                    model.resize(end, 0);
                }
                model[offset as usize..end].copy_from_slice(&data);
                let stability = if next(3) == 0 { Stability::FileSync } else { Stability::Unstable };
                rig.write(&node, offset, &data, stability).await.unwrap();
            }
        }
        let at = next(model.len() as u64 + 1);
        let got = rig.read(&node, at, 300_000).await.unwrap();
        let end = model.len().min(at as usize + 300_000);
        assert!(got == model[at as usize..end], "round {round}");
        assert_eq!(rig.attributes(&node).await.unwrap().size, model.len() as u64);
    }
}

/// Architecture section 3, "Large work": a large file is cut at once for whoever looks, then in steps; the space comes back.
#[tokio::test]
async fn large_truncations_are_carried_out_in_steps() {
    let mut rig = Rig::new().await;
    rig.fs.collect_orphans();
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    // 2,048 entries of one block each.
    for block in 0..2048_u64 {
        rig.write(&file, block * 8192, &pattern(block, 4096), Stability::Unstable).await.unwrap();
    }
    rig.commit(&file).await.unwrap();
    assert_eq!(rig.attributes(&file).await.unwrap().space_used, 2048 * 4096);
    rig.truncate(&file, 10_000).await.unwrap();
    rig.truncate(&file, 16 << 20).await.unwrap();
    assert_eq!(rig.read(&file, 8192, 40_000).await.unwrap()[..1808], pattern(1, 4096)[..1808]);
    assert!(rig.read(&file, 10_000, 16 << 20).await.unwrap().iter().all(|byte| *byte == 0));
    rig.write(&file, 8 << 20, b"new", Stability::FileSync).await.unwrap();
    drop((root, file));
    rig.check().await;
    rig.fs.collect_orphans();
    let root = rig.root().await;
    let file = rig.lookup(&root, "f").await.unwrap();
    let got = rig.read(&file, 10_000, 16 << 20).await.unwrap();
    assert_eq!(got.iter().filter(|byte| **byte != 0).count(), 3);
    for _ in 0..200 {
        if rig.attributes(&file).await.unwrap().space_used <= 3 * 4096 {
            break;
        }
        rig.env.sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(rig.attributes(&file).await.unwrap().space_used, 3 * 4096);
    rig.remove(&root, "f").await.unwrap();
    assert_eq!(rig.fs.statistics().metered_bytes, 6144);
}

/// RFC 8881 OPEN4_RESULT_PRESERVE_UNLINKED: an open file without a name stays, over a restart, until it is closed or
/// grace ends without a reclaim.
#[tokio::test]
async fn unlinked_files_stay_while_they_are_open() {
    let mut rig = Rig::new().await;
    rig.fs.collect_orphans();
    let root = rig.root().await;
    for name in ["kept", "lost"] {
        let file = rig.file(&root, name).await.unwrap();
        rig.write(&file, 0, name.as_bytes(), Stability::FileSync).await.unwrap();
    }
    let kept = rig.lookup(&root, "kept").await.unwrap();
    let lost = rig.lookup(&root, "lost").await.unwrap();
    let (kept_handle, lost_handle) = (kept.handle(), lost.handle());
    let holds = (rig.fs.hold_open(&kept), rig.fs.hold_open(&lost));
    rig.remove(&root, "kept").await.unwrap();
    rig.remove(&root, "lost").await.unwrap();
    assert_eq!(rig.read(&kept, 0, 9).await.unwrap(), b"kept");
    rig.write(&kept, 4, b"!", Stability::FileSync).await.unwrap();
    drop((root, kept, lost));
    rig.check().await;
    drop(holds);
    let kept = rig.fs.resolve(kept_handle.bytes()).await.unwrap();
    assert_eq!(rig.read(&kept, 0, 9).await.unwrap(), b"kept!");
    assert_eq!(rig.attributes(&kept).await.unwrap().links, 0);
    let hold = rig.fs.hold_open(&kept);
    rig.fs.collect_orphans();
    for _ in 0..100 {
        if rig.fs.resolve(lost_handle.bytes()).await.is_err() {
            break;
        }
        rig.env.sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(rig.fs.resolve(lost_handle.bytes()).await.err(), Some(FsError::Stale));
    assert_eq!(rig.read(&kept, 0, 9).await.unwrap(), b"kept!");
    drop(hold);
    for _ in 0..100 {
        if rig.attributes(&kept).await.is_err() {
            break;
        }
        rig.env.sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(rig.attributes(&kept).await.err(), Some(FsError::Stale));
    assert_eq!(rig.fs.statistics().objects, 1);
}

/// EFS "File size": beyond the limit is an error of its own, and a sparse file takes no space.
#[tokio::test]
async fn files_are_sparse_and_bounded() {
    let rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let limit = rig.fs.settings().file_bytes_max;
    assert_eq!(rig.truncate(&file, limit + 1).await.err(), Some(FsError::FileTooBig));
    let cx = Caller::root();
    let data = Bytes::from_static(b"xy");
    let beyond = rig.fs.write(&cx.cx(), &file, limit - 1, data.clone(), Stability::Unstable).await;
    assert_eq!(beyond.err(), Some(FsError::FileTooBig));
    rig.truncate(&file, 1 << 40).await.unwrap();
    rig.write(&file, 1 << 39, b"middle", Stability::FileSync).await.unwrap();
    assert_eq!(rig.read(&file, (1 << 39) - 3, 12).await.unwrap(), b"\0\0\0middle\0\0\0");
    assert_eq!(rig.attributes(&file).await.unwrap().space_used, 4096);
    assert_eq!(rig.lookup(&rig.root().await, "f").await.unwrap(), file);
    let _ = name_of("f");
}

/// Issue of every write-back cache: small unaligned appends, each synced, give a whole file.
#[tokio::test]
async fn small_synced_appends_add_up() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "log").await.unwrap();
    let mut all = Vec::new();
    for line in 0..300_u64 {
        let data = pattern(line, 1 + (line as usize * 7) % 190);
        rig.write(&file, all.len() as u64, &data, Stability::FileSync).await.unwrap();
        all.extend_from_slice(&data);
    }
    drop(file);
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "log").await.unwrap();
    assert!(rig.read(&file, 0, 1 << 20).await.unwrap() == all);
}

/// Architecture section 3, "Data": a sequential reader that has to wait for the disk finds what follows asked for already,
/// each place once; one that jumps about asks for no more than a little.
#[tokio::test]
async fn a_sequential_reader_is_read_ahead_of() {
    const MIB: u64 = 1 << 20;
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    let data = pattern(1, 64 * MIB as usize);
    for (at, part) in (0..).step_by(8 << 20).zip(data.chunks(8 << 20)) {
        rig.write(&file, at, part, Stability::FileSync).await.unwrap();
    }
    drop((root, file));
    let faults = rig.open_faulty(true).await;
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    for at in 0..32 {
        assert!(rig.read(&file, at * MIB, MIB as u32).await.unwrap() == data[(at * MIB) as usize..][..MIB as usize]);
    }
    let mut places = faults.prefetched();
    let asked = places.len();
    assert!((28..=36).contains(&asked), "{asked}");
    places.sort();
    places.dedup();
    assert_eq!(places.len(), asked, "asked for twice");
    for at in [60, 3, 40, 21, 50, 10] {
        rig.read(&file, at * MIB, 4096).await.unwrap();
    }
    assert!(faults.prefetched().len() <= 36 + 6 * 4);
}
