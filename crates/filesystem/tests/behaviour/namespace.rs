//! Names: creating, finding, listing, renaming, linking, removing, and their errors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

use crate::rig::{Caller, Rig, name_of};
use bytes::Bytes;
use filesystem::{CreateHow, FsError, Kind, NewObject, RemoveWhat, SetAttributes, Settings};

/// Architecture section 3: what was acknowledged is there after a crash, names and attributes alike.
#[tokio::test]
async fn objects_survive_a_crash() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let directory = rig.mkdir(&root, "directory").await.unwrap();
    let file = rig.file(&directory, "file").await.unwrap();
    let link = rig.make(&directory, "link", NewObject::Symlink(Bytes::from_static(b"to"))).await.unwrap();
    rig.link(&file, &root, "second").await.unwrap();
    rig.set(&file, SetAttributes { mode: Some(0o600), uid: Some(7), ..SetAttributes::default() }).await.unwrap();
    let handle = file.handle();
    let before = rig.attributes(&file).await.unwrap();
    drop((root, directory, file, link));
    rig.check().await;

    let root = rig.root().await;
    let directory = rig.lookup(&root, "directory").await.unwrap();
    assert_eq!(directory.kind(), Kind::Directory);
    let file = rig.lookup(&root, "second").await.unwrap();
    assert_eq!(rig.lookup(&directory, "file").await.unwrap(), file);
    assert_eq!(file.handle(), handle);
    assert_eq!(rig.fs.resolve(handle.bytes()).await.unwrap(), file);
    assert_eq!(rig.attributes(&file).await.unwrap(), before);
    assert_eq!((before.links, before.mode, before.uid, before.space_used), (2, 0o600, 7, 4096));
    let link = rig.lookup(&directory, "link").await.unwrap();
    assert_eq!(&rig.fs.readlink(&Caller::root().cx(), &link).await.unwrap()[..], b"to");
    assert_eq!(rig.names(&directory, 1).await.unwrap(), ["file", "link"]);
    assert_eq!(rig.attributes(&root).await.unwrap().links, 3);
    assert_eq!(rig.fs.lookup_parent(&Caller::root().cx(), &directory).await.unwrap(), root);
    assert_eq!(rig.fs.lookup_parent(&Caller::root().cx(), &root).await.err(), Some(FsError::NotFound));
}

/// RFC 8881 sections 18.4, 18.9, 18.25, 18.26: the errors of changes to names.
#[tokio::test]
async fn names_have_their_errors() {
    let rig = Rig::with(Settings { links_max: 3, ..Settings::default() }).await;
    let root = rig.root().await;
    let one = rig.mkdir(&root, "one").await.unwrap();
    let two = rig.mkdir(&one, "two").await.unwrap();
    let file = rig.file(&root, "file").await.unwrap();
    assert_eq!(rig.mkdir(&root, "one").await.err(), Some(FsError::Exists));
    assert_eq!(rig.lookup(&root, "absent").await.err(), Some(FsError::NotFound));
    assert_eq!(rig.lookup(&file, "x").await.err(), Some(FsError::NotDirectory));
    assert_eq!(rig.remove(&root, "one").await.err(), Some(FsError::NotEmpty));
    assert_eq!(rig.remove(&root, "absent").await.err(), Some(FsError::NotFound));
    assert_eq!(rig.rename(&root, "one", &two, "loop").await.err(), Some(FsError::Invalid));
    assert_eq!(rig.rename(&root, "file", &root, "one").await.err(), Some(FsError::Exists));
    assert_eq!(rig.rename(&root, "one", &root, "file").await.err(), Some(FsError::Exists));
    assert_eq!(rig.rename(&root, "absent", &root, "x").await.err(), Some(FsError::NotFound));
    rig.mkdir(&root, "empty").await.unwrap();
    assert_eq!(rig.rename(&root, "empty", &root, "one").await.err(), Some(FsError::NotEmpty));
    rig.rename(&one, "two", &root, "empty").await.unwrap();
    assert_eq!(rig.link(&one, &root, "x").await.err(), Some(FsError::IsDirectory));
    rig.link(&file, &root, "b").await.unwrap();
    rig.link(&file, &root, "c").await.unwrap();
    assert_eq!(rig.link(&file, &root, "d").await.err(), Some(FsError::TooManyLinks));
    assert_eq!(rig.link(&file, &root, "b").await.err(), Some(FsError::Exists));
    rig.rename(&root, "b", &root, "c").await.unwrap();
    assert_eq!(rig.names(&root, 2).await.unwrap(), ["b", "c", "empty", "file", "one"]);
    let long = "x".repeat(256);
    assert_eq!(filesystem::Name::new(long.as_bytes()).err(), Some(FsError::NameTooLong));
    let cx = Caller::root();
    let removed = rig.fs.remove(&cx.cx(), &root, &name_of("file"), RemoveWhat::Directory).await;
    assert_eq!(removed.err(), Some(FsError::NotDirectory));
    let removed = rig.fs.remove(&cx.cx(), &root, &name_of("one"), RemoveWhat::NotDirectory).await;
    assert_eq!(removed.err(), Some(FsError::IsDirectory));
    rig.remove(&root, "one").await.unwrap();
    assert_eq!(rig.attributes(&one).await.err(), Some(FsError::Stale));
    assert_eq!(rig.mkdir(&one, "x").await.err(), Some(FsError::Stale));
}

/// RFC 8881 section 18.16: UNCHECKED4, GUARDED4 and EXCLUSIVE4, retried ones included.
#[tokio::test]
async fn open_creates_as_asked() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let cx = Caller::root();
    let name = name_of("file");
    let exclusive = |byte| CreateHow::Exclusive { verifier: [byte; 8], attributes: SetAttributes::default() };
    let made = rig.fs.open_create(&cx.cx(), &root, &name, exclusive(1)).await.unwrap();
    assert!(made.created && made.change.after > made.change.before);
    rig.fs.durable(&cx.watermark).await.unwrap();
    rig.check().await;
    let root = rig.root().await;
    let again = rig.fs.open_create(&cx.cx(), &root, &name, exclusive(1)).await.unwrap();
    assert!(!again.created && again.node == made.node);
    assert_eq!(rig.fs.open_create(&cx.cx(), &root, &name, exclusive(2)).await.err(), Some(FsError::Exists));
    let guarded = CreateHow::Guarded(SetAttributes::default());
    assert_eq!(rig.fs.open_create(&cx.cx(), &root, &name, guarded).await.err(), Some(FsError::Exists));
    rig.write(&again.node, 0, b"content", filesystem::Stability::FileSync).await.unwrap();
    let truncate = CreateHow::Unchecked(SetAttributes { size: Some(0), ..SetAttributes::default() });
    let opened = rig.fs.open_create(&cx.cx(), &root, &name, truncate).await.unwrap();
    assert!(!opened.created);
    assert_eq!(rig.attributes(&opened.node).await.unwrap().size, 0);
    rig.mkdir(&root, "d").await.unwrap();
    let unchecked = CreateHow::Unchecked(SetAttributes::default());
    let opened = rig.fs.open_create(&cx.cx(), &root, &name_of("d"), unchecked).await;
    assert_eq!(opened.err(), Some(FsError::IsDirectory));
}

/// POSIX.1-2024 sections 4.7 and chown, EFS "chown_restricted": permissions, sticky directories, set-ID bits.
#[tokio::test]
async fn permissions_are_kept() {
    let rig = Rig::new().await;
    let root = rig.root().await;
    let owner = Caller::user(10, 20);
    let other = Caller::user(11, 21);
    let set = SetAttributes::default();
    let denied = rig.fs.create_object(&owner.cx(), &root, &name_of("x"), NewObject::Directory, &set).await;
    assert_eq!(denied.err(), Some(FsError::Access));
    let shared = rig.mkdir(&root, "shared").await.unwrap();
    rig.set(&shared, SetAttributes { mode: Some(0o1777), ..set.clone() }).await.unwrap();
    let made = rig.fs.create_object(&owner.cx(), &shared, &name_of("f"), NewObject::Regular, &set).await.unwrap();
    let removed = rig.fs.remove(&other.cx(), &shared, &name_of("f"), RemoveWhat::Any).await;
    assert_eq!(removed.err(), Some(FsError::NotOwner));
    let chown = SetAttributes { uid: Some(11), ..set.clone() };
    assert_eq!(rig.fs.set_attributes(&owner.cx(), &made.node, &chown, false).await.err(), Some(FsError::NotOwner));
    let mode = SetAttributes { mode: Some(0o6770), ..set.clone() };
    rig.fs.set_attributes(&owner.cx(), &made.node, &mode, false).await.unwrap();
    assert_eq!(rig.fs.set_attributes(&other.cx(), &made.node, &mode, false).await.err(), Some(FsError::NotOwner));
    rig.fs.write(&owner.cx(), &made.node, 0, Bytes::from_static(b"x"), filesystem::Stability::Unstable).await.unwrap();
    assert_eq!(rig.attributes(&made.node).await.unwrap().mode, 0o770);
    let read_only = Caller { read_only: true, ..Caller::root() };
    let denied = rig.fs.create_object(&read_only.cx(), &root, &name_of("y"), NewObject::Fifo, &set).await;
    assert_eq!(denied.err(), Some(FsError::ReadOnly));
    let exists = rig.fs.create_object(&read_only.cx(), &root, &name_of("shared"), NewObject::Directory, &set).await;
    assert_eq!(exists.err(), Some(FsError::Exists));
}

/// Architecture section 3, "Directory entry": with two-bit cookies every name collides, and all of it still holds.
#[tokio::test]
async fn colliding_names_are_told_apart() {
    let mut rig = Rig::with(Settings { cookie_bits: 2, ..Settings::default() }).await;
    let mut expected = Vec::new();
    for round in 0..30 {
        let root = rig.root().await;
        let name = format!("n{round}");
        rig.file(&root, &name).await.unwrap();
        expected.push(name);
        if round % 3 == 2 {
            let gone = expected.remove(round / 3);
            rig.remove(&root, &gone).await.unwrap();
            assert_eq!(rig.lookup(&root, &gone).await.err(), Some(FsError::NotFound));
        }
        if round % 4 == 3 {
            let last = expected.pop().unwrap();
            rig.rename(&root, &last, &root, &format!("r{round}")).await.unwrap();
            expected.push(format!("r{round}"));
        }
        if round % 5 == 4 {
            drop(root);
            rig.check().await;
        }
    }
    let root = rig.root().await;
    expected.sort();
    assert_eq!(rig.names(&root, 3).await.unwrap(), expected);
    for name in &expected {
        rig.lookup(&root, name).await.unwrap();
        rig.remove(&root, name).await.unwrap();
    }
    let directory = rig.mkdir(&root, "d").await.unwrap();
    for name in ["a", "b", "c"] {
        rig.file(&directory, name).await.unwrap();
    }
    for name in ["a", "b", "c"] {
        rig.remove(&directory, name).await.unwrap();
    }
    rig.check().await;
    let root = rig.root().await;
    rig.remove(&root, "d").await.unwrap();
    assert!(rig.names(&root, 9).await.unwrap().is_empty());
}

/// EFS "Metered sizes": an empty file system is 6 KiB, and so is an empty file in it.
#[tokio::test]
async fn sizes_are_metered_as_efs_does() {
    let rig = Rig::new().await;
    let root = rig.root().await;
    assert_eq!(rig.fs.statistics().metered_bytes, 6144);
    let file = rig.file(&root, "f").await.unwrap();
    assert_eq!((rig.fs.statistics().metered_bytes, rig.fs.statistics().objects), (12288, 2));
    rig.write(&file, 0, &[1; 5000], filesystem::Stability::FileSync).await.unwrap();
    assert_eq!(rig.attributes(&file).await.unwrap().space_used, 8192);
    assert_eq!(rig.fs.statistics().metered_bytes, 6144 + 2048 + 8192);
    rig.fs.collect_orphans();
    rig.remove(&root, "f").await.unwrap();
    assert_eq!((rig.fs.statistics().metered_bytes, rig.fs.statistics().objects), (6144, 1));
}
