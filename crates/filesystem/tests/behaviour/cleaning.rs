//! Cleaner and packer: dead space comes back, nothing that is alive goes, whatever clients and crashes do meanwhile
//! (Architecture section 3, "Cleaner and packer").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::rig::{GIVEN, REFUSED, Rig, forger};
use filesystem::{FsError, Node, Settings, Stability};
use storage::Keyspace;

const BLOCK: usize = 4096;

fn small() -> Settings {
    Settings { dead_slack_bytes: 2 << 20, ..Settings::default() }
}

/// Numbers that look like nothing in particular.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A file and what it should hold.
struct Kept {
    node: Node,
    content: Vec<u8>,
}

impl Kept {
    async fn make(rig: &Rig, name: &str, bytes: usize) -> Self {
        let node = rig.file(&rig.root().await, name).await.unwrap();
        let content: Vec<u8> = (0..bytes).map(|at| (at / 97) as u8).collect();
        rig.write(&node, 0, &content, Stability::Unstable).await.unwrap();
        rig.commit(&node).await.unwrap();
        Self { node, content }
    }

    async fn overwrite(&mut self, rig: &Rig, dice: &mut Dice, stability: Stability) {
        let at = dice.below((self.content.len() / BLOCK) as u64) as usize * BLOCK;
        let fill = [dice.below(256) as u8; BLOCK];
        self.content[at..at + BLOCK].copy_from_slice(&fill);
        rig.write(&self.node, at as u64, &fill, stability).await.unwrap();
    }

    async fn check(&self, rig: &Rig) {
        for (nth, expected) in self.content.chunks(1 << 20).enumerate() {
            let found = rig.read(&self.node, (nth << 20) as u64, 1 << 20).await.unwrap();
            assert!(found == expected, "the content of MiB {nth} is another");
        }
    }
}

fn stored(rig: &Rig) -> u64 {
    rig.memory.segments().iter().map(|(_, bytes)| bytes).sum()
}

/// Random overwrites leave a segment with a live piece here and there: only these are copied, and the space of all else comes
/// back, without the data key and through a crash.
#[tokio::test]
async fn overwritten_space_comes_back() {
    let mut rig = Rig::with(small()).await;
    let mut dice = Dice(7);
    let mut file = Kept::make(&rig, "f", 16 << 20).await;
    for _ in 0..3 {
        for round in 0..6000 {
            file.overwrite(&rig, &mut dice, Stability::Unstable).await;
            if round % 2000 == 0 {
                rig.commit(&file.node).await.unwrap();
            }
        }
        rig.commit(&file.node).await.unwrap();
    }
    // Segments are of 4 MiB here, and numbered: so many were filled, whatever the cleaner has given back by now.
    let written = u64::from(rig.memory.segments().last().unwrap().0.number()) * (4 << 20);
    rig.fs.reclaim().await.unwrap();
    let after = stored(&rig);
    // The newest segment is not emptied, whatever is in it.
    assert!(written > 60 << 20 && after < (16 << 20) * 3 / 2 + (8 << 20), "{written} written, {after} after");
    file.check(&rig).await;
    rig.check().await;
    file.node = rig.lookup(&rig.root().await, "f").await.unwrap();
    file.check(&rig).await;
}

/// What a removed file leaves is deleted without being read; what an interrupted flush left, too.
#[tokio::test]
async fn segments_that_nobody_names_are_removed() {
    let mut rig = Rig::with(small()).await;
    let kept = Kept::make(&rig, "kept", 300_000).await;
    for name in ["a", "b", "c"] {
        Kept::make(&rig, name, 9 << 20).await;
    }
    let left = rig.parts().segments.put(vec![bytes::Bytes::from(vec![7; 5 << 20]).into()]).await.unwrap();
    rig.crash().await;
    let root = rig.root().await;
    for name in ["a", "b", "c"] {
        rig.remove(&root, name).await.unwrap();
    }
    rig.fs.collect_orphans();
    let mut rounds = 0;
    while stored(&rig) > 6 << 20 {
        rig.fs.reclaim().await.unwrap();
        rig.env.sleep(Duration::from_millis(20)).await;
        rounds += 1;
        assert!(rounds < 200, "{:?} are left", rig.memory.segments());
    }
    assert!(rig.memory.segments().iter().all(|(segment, _)| *segment != left[0].segment));
    let kept = Kept { node: rig.lookup(&rig.root().await, "kept").await.unwrap(), ..kept };
    kept.check(&rig).await;
    rig.check().await;
}

/// Inline bytes are packed together into a segment, in the background and after a restart; what was overwritten before is not.
#[tokio::test]
async fn inline_bytes_are_packed() {
    let settings = Settings { pack_bytes: 64 << 10, ..small() };
    let mut rig = Rig::with(settings).await;
    let root = rig.root().await;
    let mut files = Vec::new();
    for nth in 0..40 {
        let name = format!("f{nth}");
        let node = rig.file(&root, &name).await.unwrap();
        let content = vec![nth as u8; 100 + nth * 130];
        rig.write(&node, 0, &content, Stability::FileSync).await.unwrap();
        files.push((name, content));
    }
    for _ in 0..500 {
        if rig.memory.keys(Keyspace::Inline) < 40 {
            break;
        }
        rig.env.sleep(Duration::from_millis(10)).await;
    }
    assert!(rig.memory.keys(Keyspace::Inline) < 40, "nothing is packed in the background");
    rig.crash().await;
    rig.fs.reclaim().await.unwrap();
    assert_eq!(rig.memory.keys(Keyspace::Inline), 0);
    rig.crash().await;
    for (name, content) in &files {
        let node = rig.lookup(&rig.root().await, name).await.unwrap();
        assert_eq!(rig.read(&node, 0, 1 << 20).await.unwrap(), *content);
    }
    rig.check().await;
}

/// A map record that does not open is its file's misfortune: everything else is packed and cleaned.
#[tokio::test]
async fn a_damaged_map_holds_up_nobody_else() {
    let mut rig = Rig::with(small()).await;
    let root = rig.root().await;
    let hurt = rig.file(&root, "hurt").await.unwrap();
    rig.write(&hurt, 0, b"lost", Stability::FileSync).await.unwrap();
    let well = rig.file(&root, "well").await.unwrap();
    rig.write(&well, 0, b"kept", Stability::FileSync).await.unwrap();
    let key = [&b"M"[..], &hurt.fileid().to_be_bytes(), &[0; 8]].concat();
    forger::flip(&rig, &key).await;
    rig.crash().await;
    rig.fs.reclaim().await.unwrap();
    assert_eq!(rig.memory.keys(Keyspace::Inline), 1, "only what nobody can name any more is left");
    let root = rig.root().await;
    let (hurt, well) = (rig.lookup(&root, "hurt").await.unwrap(), rig.lookup(&root, "well").await.unwrap());
    assert!(matches!(rig.read(&hurt, 0, 4).await, Err(FsError::Io(_))));
    assert_eq!(rig.read(&well, 0, 4).await.unwrap(), b"kept");
}

/// Clients write, read, truncate and remove while everything is moved under them: they never see an error or old bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_things_move() {
    let settings = Settings { pack_bytes: 32 << 10, dead_slack_bytes: 256 << 10, ..Settings::default() };
    let mut rig = Rig::with(settings).await;
    let mut files = Vec::new();
    for name in ["a", "b", "c"] {
        files.push(Kept::make(&rig, name, 6 << 20).await);
    }
    let (rig_of_all, stop) = (Arc::new(rig), Arc::new(tokio::sync::Notify::new()));
    let passes = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for (nth, mut file) in files.into_iter().enumerate() {
        let (rig, passes) = (rig_of_all.clone(), passes.clone());
        clients.push(tokio::spawn(async move {
            let mut dice = Dice(nth as u64 + 1);
            // Until everything has moved some times.
            for round in (0..100_000_u64).take_while(|round| *round < 1500 || passes.load(Ordering::Relaxed) < 5) {
                let stability = if round % 3 == 0 { Stability::FileSync } else { Stability::Unstable };
                file.overwrite(&rig, &mut dice, stability).await;
                if round % 50 == 0 {
                    let at = dice.below(5 << 20);
                    let found = rig.read(&file.node, at, 300_000).await.unwrap();
                    assert!(found == file.content[at as usize..at as usize + 300_000], "old bytes");
                }
                if round % 400 == 399 {
                    let size = (1 << 20) + dice.below(4 << 20) / 100 * 100;
                    rig.truncate(&file.node, size).await.unwrap();
                    file.content.truncate(size as usize);
                    file.content.resize(6 << 20, 0);
                    rig.truncate(&file.node, 6 << 20).await.unwrap();
                }
            }
            file
        }));
    }
    let cleaner = {
        let (rig, stop, passes) = (rig_of_all.clone(), stop.clone(), passes.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.notified() => return,
                    done = rig.fs.reclaim() => done.unwrap(),
                }
                passes.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    };
    let mut files = Vec::new();
    for client in clients {
        files.push(client.await.unwrap());
    }
    stop.notify_one();
    cleaner.await.unwrap();
    assert!(passes.load(Ordering::Relaxed) >= 5);
    for file in &files {
        file.check(&rig_of_all).await;
        rig_of_all.commit(&file.node).await.unwrap();
    }
    rig = Arc::into_inner(rig_of_all).unwrap();
    rig.check().await;
    for (name, file) in ["a", "b", "c"].iter().zip(&mut files) {
        file.node = rig.lookup(&rig.root().await, name).await.unwrap();
        file.check(&rig).await;
    }
}

/// A file that was written here and there, and rests, has few map entries again; its holes stay holes.
#[tokio::test]
async fn scattered_files_are_merged() {
    let mut rig = Rig::with(Settings { merge_age: Duration::ZERO, ..small() }).await;
    let mut file = Kept::make(&rig, "f", 3 << 20).await;
    let mut dice = Dice(5);
    for _ in 0..600 {
        file.overwrite(&rig, &mut dice, Stability::FileSync).await;
    }
    let sparse = rig.file(&rig.root().await, "sparse").await.unwrap();
    for nth in 0..100_u64 {
        rig.write(&sparse, nth * 8192, &[1; 4096], Stability::FileSync).await.unwrap();
    }
    rig.write(&sparse, 200 * 8192, b"end", Stability::FileSync).await.unwrap();
    let used = rig.attributes(&sparse).await.unwrap().space_used;
    let entries = |report: &filesystem::fsck::Report| report.extents;
    let before = entries(&rig.report().await);
    rig.crash().await;
    rig.fs.reclaim().await.unwrap();
    let after = entries(&rig.report().await);
    // The hundred runs of the sparse file cannot be fewer.
    assert!(before > 500 && after <= 3 + 101, "{before} before, {after} after");
    rig.crash().await;
    file.node = rig.lookup(&rig.root().await, "f").await.unwrap();
    file.check(&rig).await;
    let sparse = rig.lookup(&rig.root().await, "sparse").await.unwrap();
    assert_eq!(rig.attributes(&sparse).await.unwrap().space_used, used);
    let found = rig.read(&sparse, 0, 3 * 4096).await.unwrap();
    assert!(found[..4096] == [1; 4096] && found[4096..8192] == [0; 4096] && found[8192..] == [1; 4096]);
    rig.check().await;
}

/// A seal stops the cleaner as it stops everything; it goes on when the key is back.
#[tokio::test]
async fn a_sealed_file_system_is_let_be() {
    let rig = Rig::with(small()).await;
    let file = Kept::make(&rig, "f", 1 << 20).await;
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    let mut watch = rig.fs.lease_watch();
    watch.wait_for(|state| *state != filesystem::LeaseState::Open).await.unwrap();
    assert!(rig.fs.reclaim().await.is_err());
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    watch.wait_for(|state| *state == filesystem::LeaseState::Open).await.unwrap();
    rig.fs.reclaim().await.unwrap();
    file.check(&rig).await;
}
