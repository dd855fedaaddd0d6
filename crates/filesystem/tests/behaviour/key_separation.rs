//! Which key opens what: contents only under the data key, everything else only under the metadata key. Architecture
//! section 5; threat model, "a disabled key".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

use std::sync::Arc;

use crate::rig::Rig;
use bytes::Bytes;
use crypto::Key;
use filesystem::{FileSystem, FsError, KeySource, KeyTrouble, NewObject, Parts, Stability, Which};
use storage::BoxFuture;

/// From one byte, which lies inline, to what fills extents of its own.
const SIZES: [usize; 4] = [1, 4096, 60 << 10, 3_000_000];

/// One byte for each key: the rig's are 1 and 2.
struct Given {
    data: u8,
    metadata: u8,
}

impl KeySource for Given {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        let byte = match which {
            Which::Data => self.data,
            Which::Metadata => self.metadata,
        };
        Box::pin(async move { Ok(Key::take(&mut [byte; 32]).unwrap()) })
    }
}

fn name(size: usize) -> String {
    format!("a file of {size} bytes")
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 | 1).collect()
}

async fn filled() -> Rig {
    let rig = Rig::new().await;
    let root = rig.root().await;
    rig.make(&root, "link", NewObject::Symlink(Bytes::from_static(b"a target"))).await.unwrap();
    for size in SIZES {
        let file = rig.file(&root, &name(size)).await.unwrap();
        rig.write(&file, 0, &content(size), Stability::FileSync).await.unwrap();
    }
    rig.fs.close().await.unwrap();
    rig
}

fn with_keys(rig: &Rig, data: u8, metadata: u8) -> Parts {
    let mut parts = rig.parts();
    parts.keys = Arc::new(Given { data, metadata });
    parts
}

/// Threat model: contents are sealed under the data key only. With the right metadata key and another data key every name,
/// size and target is there, and not a byte of any file, however small.
#[tokio::test]
async fn contents_open_only_under_the_data_key() {
    let mut rig = filled().await;
    rig.fs = FileSystem::open(with_keys(&rig, 9, 2), rig.settings.clone()).await.unwrap();
    let root = rig.root().await;
    assert_eq!(rig.names(&root, 9).await.unwrap().len(), SIZES.len() + 1);
    rig.lookup(&root, "link").await.unwrap();
    for size in SIZES {
        let file = rig.lookup(&root, &name(size)).await.unwrap();
        assert_eq!(rig.attributes(&file).await.unwrap().size, size as u64);
        for offset in [0, size / 2, size - 1] {
            let error = rig.read(&file, offset as u64, 4096).await.unwrap_err();
            assert!(matches!(error, FsError::Io(_)), "{size} at {offset}: {error}");
        }
    }
    // The right keys still open all of it: nothing else was the matter.
    rig.fs = FileSystem::open(with_keys(&rig, 1, 2), rig.settings.clone()).await.unwrap();
    let root = rig.root().await;
    for size in SIZES {
        let file = rig.lookup(&root, &name(size)).await.unwrap();
        let mut found = Vec::new();
        while found.len() < size {
            found.extend(rig.read(&file, found.len() as u64, 1 << 20).await.unwrap());
        }
        assert_eq!(found, content(size));
    }
}

/// Threat model: everything but contents is sealed under the metadata key only: the data key alone opens nothing at all.
#[tokio::test]
async fn nothing_opens_under_the_data_key_alone() {
    let rig = filled().await;
    let opened = FileSystem::open(with_keys(&rig, 1, 9), rig.settings.clone()).await;
    let Ok(fs) = opened else { return };
    let found = fs.root().await;
    assert!(found.is_err(), "the root opened under another metadata key");
}

/// Threat model: the two keys are not interchangeable.
#[tokio::test]
async fn one_key_does_not_stand_in_for_the_other() {
    let mut rig = filled().await;
    rig.fs = FileSystem::open(with_keys(&rig, 2, 2), rig.settings.clone()).await.unwrap();
    let root = rig.root().await;
    for size in SIZES {
        let file = rig.lookup(&root, &name(size)).await.unwrap();
        assert!(rig.read(&file, 0, 4096).await.is_err(), "{size}: the metadata key opened contents");
    }
}
