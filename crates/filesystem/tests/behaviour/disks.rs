//! Disks that are full or damaged, under the real engine, and what clients see (Architecture section 3 and 4).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::rig::Rig;
use env::Env;
use filesystem::{FileSystem, FsError, Stability, fsck};
use storage::{Budgets, Engine};

const MIB: u64 = 1 << 20;

fn engine() -> Engine {
    let budgets =
        Budgets { memtable_bytes: 2 * MIB, segment_bytes: MIB, reserve_bytes: 16 * MIB, ..Budgets::default() };
    Engine::new(budgets, Env::real()).unwrap()
}

/// Opens the shard in `dir`, made if need be, in the place of the rig's own store.
async fn open(rig: &mut Rig, engine: &Engine, dir: &Path) {
    let made = !Engine::exists(dir);
    let opening = if made { engine.create(dir).await } else { engine.open(dir).await };
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = opening.unwrap();
    let settings = rig.settings.clone();
    let opened = if made { FileSystem::create(parts, settings).await } else { FileSystem::open(parts, settings).await };
    rig.fs = opened.unwrap();
}

/// Lets go of the shard, so that it can be opened again.
async fn let_go(rig: &mut Rig) {
    // Another file system in its place.
    rig.crash().await;
    rig.env.sleep(Duration::from_millis(300)).await;
}

async fn check(rig: &Rig, engine: &Engine, dir: &Path) -> fsck::Report {
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = engine.open(dir).await.unwrap();
    let report = fsck::check(parts, rig.settings.clone(), true).await.unwrap();
    rig.env.sleep(Duration::from_millis(300)).await;
    report
}

/// A small disk in memory, gone when the test is over.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Result<Self, String> {
        let kept = tempfile::tempdir().unwrap();
        let size = format!("size={bytes},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "coffer-test"]).arg(kept.path()).output();
        match mounted {
            Ok(done) if done.status.success() => Ok(Self(kept)),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all room but this much.
    fn leave(&self, bytes: usize) {
        let block = vec![1; 1 << 16];
        let mut all = Vec::new();
        let _ = fs::remove_file(self.ballast());
        let mut file = fs::File::create(self.ballast()).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {
            all.push(());
        }
        let kept = (all.len() * block.len()).saturating_sub(bytes);
        file.set_len(kept as u64).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached at once even if the engine's threads have not closed their files yet.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

/// RFC 8881 section 15.1.4.8 (NFS4ERR_NOSPC): on a disk that is full what grows is refused, reads and removals are not,
/// and all goes on when there is room again. A disk that fills up between two looks may end the shard, but takes nothing
/// that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_grows_and_all_goes_on_when_there_is_room() {
    let disk = match SmallDisk::mount(192 * MIB) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: a small disk cannot be mounted here: {why}"),
    };
    let (mut rig, engine, dir) = (Rig::new().await, engine(), disk.0.path().join("shard"));
    open(&mut rig, &engine, &dir).await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &vec![1; 1 << 20], Stability::FileSync).await.unwrap();
    rig.file(&root, "removed").await.unwrap();

    disk.leave(12 << 20);
    rig.env.sleep(Duration::from_millis(700)).await;
    assert_eq!(rig.mkdir(&root, "d").await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.write(&file, 0, &[2; 100_000], Stability::FileSync).await.err(), Some(FsError::NoSpace));
    assert!(rig.read(&file, 0, 1 << 20).await.unwrap() == vec![1; 1 << 20]);
    rig.remove(&root, "removed").await.unwrap();
    rig.truncate(&file, 500_000).await.unwrap();

    fs::remove_file(disk.ballast()).unwrap();
    rig.env.sleep(Duration::from_millis(700)).await;
    rig.mkdir(&root, "d").await.unwrap();
    rig.write(&file, 0, &[3; 100_000], Stability::FileSync).await.unwrap();

    // Nothing is left, and nobody has looked yet.
    disk.leave(0);
    let mut acknowledged = 0;
    for number in 0..400 {
        let made = match rig.file(&root, &format!("g{number}")).await {
            Ok(made) => rig.write(&made, 0, &[4; 50_000], Stability::FileSync).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => acknowledged = number + 1,
            Err(FsError::NoSpace | FsError::Failed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    fs::remove_file(disk.ballast()).unwrap();
    drop((root, file));
    let_go(&mut rig).await;
    let report = check(&rig, &engine, &dir).await;
    assert!(report.is_clean(), "{:#?}", report.problems);
    open(&mut rig, &engine, &dir).await;
    let root = rig.root().await;
    for number in 0..acknowledged {
        let file = rig.lookup(&root, &format!("g{number}")).await.unwrap();
        assert!(rig.read(&file, 0, 50_000).await.unwrap() == [4; 50_000]);
    }
    let file = rig.lookup(&root, "f").await.unwrap();
    assert!(rig.read(&file, 0, 100_000).await.unwrap() == [3; 100_000]);
    rig.mkdir(&root, "at last").await.unwrap();
    rig.fs.close().await.unwrap();
}

/// Architecture section 4: a segment that is missing or cut short is an error of what lies in it; everything else is served,
/// and the file can be written anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_segment_costs_only_what_lies_in_it() {
    let kept = tempfile::tempdir().unwrap();
    let (mut rig, engine, dir) = (Rig::new().await, engine(), kept.path().join("shard"));
    for name in ["missing", "cut", "whole"] {
        // Each opening has segments of its own.
        open(&mut rig, &engine, &dir).await;
        let file = rig.file(&rig.root().await, name).await.unwrap();
        rig.write(&file, 0, &[7; 700_000], Stability::FileSync).await.unwrap();
        rig.fs.close().await.unwrap();
        drop(file);
        let_go(&mut rig).await;
    }
    let mut segments: Vec<PathBuf> =
        fs::read_dir(dir.join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert_eq!(segments.len(), 3);
    fs::remove_file(&segments[0]).unwrap();
    fs::File::options().write(true).open(&segments[1]).unwrap().set_len(300_000).unwrap();

    open(&mut rig, &engine, &dir).await;
    let root = rig.root().await;
    for name in ["missing", "cut"] {
        let file = rig.lookup(&root, name).await.unwrap();
        assert!(matches!(rig.read(&file, 0, 700_000).await, Err(FsError::Io(_))), "{name}");
        assert_eq!(rig.attributes(&file).await.unwrap().size, 700_000);
    }
    let whole = rig.lookup(&root, "whole").await.unwrap();
    assert!(rig.read(&whole, 0, 700_000).await.unwrap() == [7; 700_000]);
    assert!(!*rig.fs.failed().borrow());
    rig.write(&whole, 0, &[8; 100_000], Stability::FileSync).await.unwrap();
    // What is there no more can be removed, or written anew from its beginning to its end.
    rig.fs.collect_orphans();
    rig.remove(&root, "missing").await.unwrap();
    let cut = rig.lookup(&root, "cut").await.unwrap();
    rig.truncate(&cut, 0).await.unwrap();
    rig.write(&cut, 0, &[9; 700_000], Stability::FileSync).await.unwrap();
    assert!(rig.read(&cut, 0, 700_000).await.unwrap() == [9; 700_000]);
    rig.fs.close().await.unwrap();
    drop((root, whole, cut));
    let_go(&mut rig).await;
    let report = check(&rig, &engine, &dir).await;
    assert!(report.is_clean(), "{:#?}", report.problems);
}
