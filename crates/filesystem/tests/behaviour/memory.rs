//! What the file systems of a process keep in memory, counted and bounded (Architecture section 4, "Process budgets").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use crate::rig::{Rig, name_of};
use env::Env;
use filesystem::{Budget, FileSystem, FsError, NewObject, Settings, Stability};
use storage::memory::Memory;

fn quick() -> Settings {
    Settings { dirty_age: Duration::from_millis(20), ..Settings::default() }
}

/// The map of a file that is written counts as one that is read does, and goes when it is durable.
#[tokio::test]
async fn the_map_of_a_written_file_is_counted_and_goes() {
    let rig = Rig::with_env(quick(), Env::real(), Budget::new(1000, 100, 1 << 20, 0)).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let mut most = 0;
    for block in 0..600_u64 {
        rig.write(&file, block * 8192, &[1; 100], Stability::FileSync).await.unwrap();
        most = most.max(rig.budget.entries());
    }
    assert!(most >= 50, "{most} entries seen for a map of 600");
    rig.env.sleep(Duration::from_millis(60)).await;
    assert!(rig.budget.entries() <= 100, "{} entries are kept", rig.budget.entries());
    for block in [0, 299, 599_u64] {
        assert_eq!(rig.read(&file, block * 8192, 100).await.unwrap(), [1; 100]);
    }
}

/// All file systems of a process share one bound: one that rests gives way to one that works.
#[tokio::test]
async fn file_systems_share_their_bounds() {
    let rig = Rig::with_env(quick(), Env::real(), Budget::new(300, 600, 1 << 20, 0)).await;
    let parts = rig.parts_over(&Memory::new());
    let other = FileSystem::create(parts, rig.settings.clone()).await.unwrap();
    let root = rig.root().await;
    for number in 0..280 {
        rig.file(&root, &format!("f{number}")).await.unwrap();
    }
    let cx = crate::rig::Caller::root();
    let theirs = other.root().await.unwrap();
    for number in 0..280 {
        let name = format!("g{number}");
        let set = filesystem::SetAttributes::default();
        let what = NewObject::Regular;
        other.create_object(&cx.cx(), &theirs, &name_of(&name), what, &set).await.unwrap();
        other.durable(&cx.watermark).await.unwrap();
        if number % 40 == 39 {
            rig.env.sleep(Duration::from_millis(10)).await;
        }
    }
    rig.env.sleep(Duration::from_millis(100)).await;
    let (inodes, entries) = (rig.budget.inodes(), rig.budget.entries());
    assert!(inodes < 400 && entries <= 600, "{inodes} inodes and {entries} entries");
    drop((root, theirs));
    drop(other);
    assert!(rig.names(&rig.root().await, 1000).await.unwrap().len() == 280);
}

/// Architecture section 3, "Data": unstable data is flushed at its age, also when nothing was written for so long before that
/// nobody looks for it any more.
#[tokio::test]
async fn data_written_after_a_long_rest_is_flushed_at_its_age() {
    let settings = Settings { dirty_age: Duration::from_millis(200), ..Settings::default() };
    let rig = Rig::with_env(settings, Env::real(), Budget::new(1000, 1000, 1 << 20, 0)).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.env.sleep(Duration::from_millis(420)).await;
    for _ in 0..2 {
        rig.write(&file, 0, &[1; 100], Stability::Unstable).await.unwrap();
        assert!(rig.budget.dirty_bytes() > 0);
        let start = rig.env.now();
        while rig.budget.dirty_bytes() > 0 {
            rig.env.sleep(Duration::from_millis(5)).await;
            assert!(rig.env.now().since(start) < Duration::from_secs(20), "it is never flushed");
        }
    }
}

/// Architecture section 4, "Process budgets": one that rests gives way at once, though nobody wakes it but those who need room.
#[tokio::test]
async fn who_rests_gives_way_when_others_need_room() {
    let rig = Rig::with_env(quick(), Env::real(), Budget::new(1000, 300, 1 << 20, 0)).await;
    let other = FileSystem::create(rig.parts_over(&Memory::new()), rig.settings.clone()).await.unwrap();
    let root = rig.root().await;
    for number in 0..250 {
        rig.file(&root, &format!("f{number}")).await.unwrap();
    }
    let cx = crate::rig::Caller::root();
    let theirs = other.root().await.unwrap();
    rig.env.sleep(Duration::from_millis(100)).await;
    let kept = rig.budget.entries();
    assert!((250..=300).contains(&kept), "{kept} entries are kept while there is room");
    for number in 0..100 {
        let set = filesystem::SetAttributes::default();
        let name = format!("g{number}");
        other.create_object(&cx.cx(), &theirs, &name_of(&name), NewObject::Regular, &set).await.unwrap();
    }
    other.durable(&cx.watermark).await.unwrap();
    rig.env.sleep(Duration::from_millis(100)).await;
    let left = rig.budget.entries();
    assert!(left < kept, "{left} entries are kept: the one that rests had {kept} of them, and gave nothing");
}

/// Data of small stable writes stays in memory until its batch is durable, and counts for as long; a shard that fails
/// gives it all back.
#[tokio::test]
async fn data_on_its_way_counts_until_it_is_durable() {
    let budget = Budget::new(1000, 1000, 256 << 10, 0);
    let mut rig = Rig::with_env(Settings::default(), Env::real(), budget).await;
    let faults = rig.open_faulty(false).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    faults.hold_commits();
    let rig = std::sync::Arc::new(rig);
    let writers = |count: u64| -> Vec<_> {
        let write = |number: u64| {
            let (rig, file) = (rig.clone(), file.clone());
            tokio::spawn(async move { rig.write(&file, number * 65_536, &[1; 60_000], Stability::FileSync).await })
        };
        (0..count).map(write).collect()
    };
    let tasks = writers(12);
    rig.env.sleep(Duration::from_millis(50)).await;
    let held = rig.budget.dirty_bytes();
    assert!((180_000..(256 << 10) + 140_000).contains(&held), "{held} bytes");
    faults.release();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(rig.budget.dirty_bytes(), 0);

    faults.hold_commits();
    let tasks = writers(12);
    rig.env.sleep(Duration::from_millis(50)).await;
    faults.cut();
    for task in tasks {
        assert_eq!(task.await.unwrap().err(), Some(FsError::Failed));
    }
    drop(file);
    let budget = rig.budget.clone();
    drop(rig);
    tokio::task::yield_now().await;
    assert_eq!(budget.dirty_bytes(), 0);
}
