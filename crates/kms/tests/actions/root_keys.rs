//! Level 0 of the hierarchy: root keys for a passphrase or an age identity, their replacement, and the move to the next
//! epoch under them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::time::Duration;

use crate::support::custody::{CONTEXT, data_key, opens};
use crate::support::{World, decrypt, encrypt, new_key, schedule};
use kms::backup::{Backup, BackupError, recover};
use kms::root::{FileProvider, Holder, Openers, Recipient, RootError, RootProvider, Secret, age_file};
use kms::{KeyRingError, Kms};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn passphrase(text: &str) -> Recipient {
    Recipient::Passphrase { passphrase: secret(text), work_factor: 2 }
}

async fn with_passphrase(seed: u64) -> World {
    World::of(seed, &[passphrase("one")], Openers::default(), Some(secret("one"))).await
}

/// Architecture section 5, level 0: without its passphrase a root key is sealed, which is told from every other trouble; with a
/// wrong one too; with the right one everything opens.
#[tokio::test]
async fn a_passphrase_opens_the_hierarchy() {
    let world = with_passphrase(61).await;
    let files = world.closed_files();
    assert!(matches!(files.load().err(), Some(RootError::Sealed { .. })));
    assert!(matches!(files.unseal(&secret("two")), Err(RootError::Sealed { .. })));
    assert!(matches!(files.load().err(), Some(RootError::Sealed { .. })));
    files.unseal(&secret("one")).unwrap();
    assert_eq!(files.load().unwrap().current.epoch, 1);
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    drop(kms);
    assert_eq!(decrypt(&world.open().await, &blob, CONTEXT).await.unwrap(), b"plaintext");
}

/// Architecture section 5, "Erasure": a crash before or after any step of the move is recovered under a passphrase as well.
#[tokio::test]
async fn the_move_is_recovered_under_a_passphrase() {
    for after in [false, true] {
        let mut finished = false;
        for step in 1..20 {
            let world = with_passphrase(62).await;
            let kms = world.open().await;
            let (kept, gone) = (data_key(&kms, "kept").await, data_key(&kms, "gone").await);
            kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
            world.simulation.advance(Duration::from_secs(61));
            world.cut.arm(step, after);
            finished = kms.run_due().await.is_ok();
            world.cut.disarm();
            drop(kms);
            let kms = world.open().await;
            kms.run_due().await.unwrap();
            assert!(opens(&kms, "kept", &kept).await && !opens(&kms, "gone", &gone).await, "step {step}");
            // A note that outlived its move makes one more.
            assert!(world.files().load().unwrap().current.epoch >= 2, "step {step}");
            if finished {
                break;
            }
        }
        assert!(finished, "the move has fewer steps than the test allows");
    }
}

/// Architecture section 5, "Erasure": under a passphrase, too, an old copy of the data directory opens nothing.
#[tokio::test]
async fn an_old_copy_opens_nothing_under_a_passphrase() {
    let world = with_passphrase(63).await;
    let kms = world.open().await;
    data_key(&kms, "gone").await;
    drop(kms);
    let old = world.copy().await;
    let kms = world.open().await;
    kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    let refused = world.open_ring(&old).await.err().unwrap();
    assert!(matches!(refused, KeyRingError::DataOlder { data: 1, secret: 2, .. }), "{refused}");
}

/// Architecture section 5, level 0: a crash before or after any step of the root key's replacement leaves one root key in force,
/// under which everything opens, and no successor lying about.
#[tokio::test]
async fn a_crash_at_any_step_of_a_new_root_key_is_recovered() {
    for after in [false, true] {
        let mut finished = false;
        for step in 1..10 {
            let mut world = with_passphrase(64).await;
            let kms = world.open().await;
            let key = new_key(&kms).await;
            let blob = encrypt(&kms, &key, CONTEXT).await;
            drop(kms);
            let before = std::fs::read(world.path().join("root.key")).unwrap();
            let (ring, _) = world.open_ring(&world.memory).await.unwrap();
            world.cut.arm(step, after);
            finished = ring.rewrap_root(&[passphrase("two")]).await.is_ok();
            world.cut.disarm();
            drop(ring);
            // As the next start does it: which of the two is in force is settled first, then its passphrase is asked for.
            let provider: std::sync::Arc<dyn RootProvider> = std::sync::Arc::new(world.closed_files());
            let opened = kms::KeyRing::open(world.memory.open().0, provider, world.env.clone()).await;
            assert!(matches!(opened.err(), Some(KeyRingError::Root(RootError::Sealed { .. }))), "step {step}");
            let replaced = std::fs::read(world.path().join("root.key")).unwrap() != before;
            world.secret = Some(secret(if replaced { "two" } else { "one" }));
            let kms = world.open().await;
            assert_eq!(decrypt(&kms, &blob, CONTEXT).await.unwrap(), b"plaintext", "step {step}");
            assert!(!world.path().join("root.key.next").exists(), "step {step}");
            assert!(!world.path().join("root.key.old").exists(), "step {step}");
            if finished {
                assert!(replaced, "a replacement that succeeded is in force");
                break;
            }
        }
        assert!(finished, "a replacement has fewer steps than the test allows");
    }
}

/// Architecture section 5, level 0: in the middle of a move to the next epoch a new root key wraps both epochs.
#[tokio::test]
async fn a_new_root_key_in_the_middle_of_a_move() {
    let world = World::new(65).await;
    let kms = world.open().await;
    let (kept, gone) = (data_key(&kms, "kept").await, data_key(&kms, "gone").await);
    kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    // The next epoch's row is durable, nothing is wrapped again.
    world.cut.arm(3, false);
    kms.run_due().await.unwrap_err();
    world.cut.disarm();
    drop(kms);
    let (ring, _) = world.open_ring(&world.memory).await.unwrap();
    ring.rewrap_root(&[Recipient::File]).await.unwrap();
    drop(ring);
    let kms = world.open().await;
    assert!(opens(&kms, "kept", &kept).await && !opens(&kms, "gone", &gone).await);
    assert_eq!(world.files().load().unwrap().current.epoch, 2);
}

/// docs/operations.md, "Recipients": with several, one that is lost is not the end; one that is taken away opens the file no more;
/// an identity opens it unasked.
#[tokio::test]
async fn one_lost_recipient_is_not_the_end() {
    let identity = tempfile::tempdir().unwrap();
    let file = identity.path().join("identity");
    let key = age::x25519::Identity::generate();
    std::fs::write(&file, age::secrecy::ExposeSecret::expose_secret(&key.to_string())).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let openers = Openers { identities: vec![file.clone()], pin_file: None };
    let recipients = [passphrase("one"), Recipient::X25519(key.to_public().to_string())];
    let world = World::of(66, &recipients, openers, None).await;
    drop(world.open().await);
    let files = world.closed_files();
    assert_eq!(files.add_recipient(&passphrase("three"), &world.env).unwrap(), 3);
    assert_eq!(files.remove_recipient(1).unwrap(), Holder::Passphrase);
    let numbers: Vec<u32> = files.recipients().unwrap().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [2, 3]);
    std::fs::remove_file(&file).unwrap();
    let fresh = world.closed_files();
    assert!(matches!(fresh.load().err(), Some(RootError::Sealed { .. })));
    assert!(fresh.unseal(&secret("one")).is_err());
    fresh.unseal(&secret("three")).unwrap();
    fresh.load().unwrap();
    assert!(!world.path().join("root.key.old").exists() && !world.path().join("root.key.new").exists());
}

async fn backup_of(kms: &Kms) -> Backup {
    let sealed = age_file::seal_for_passphrase(&kms.backup().await.unwrap(), "backup", 2).unwrap();
    Backup::parse(&age_file::open_with_passphrase(&sealed, "backup").unwrap()).unwrap()
}

/// docs/operations.md, "Backups of keys": a lost root key and epoch secret are replaced from a backup of the same epoch; key files
/// that are there are never overwritten; a backup of another installation, or from before a deletion, does not fit.
#[tokio::test]
async fn a_lost_root_key_is_recovered_from_a_backup() {
    let world = World::new(67).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    let kept = data_key(&kms, "kept").await;
    let backup = backup_of(&kms).await;
    drop(kms);
    let shard = world.memory.open().0;
    let again = recover(&shard, &world.files(), &[Recipient::File], &backup, &world.env).await;
    assert!(matches!(again, Err(BackupError::Ring(KeyRingError::Root(RootError::Exists { .. })))));

    let other = World::new(68).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let lost = FileProvider::new(elsewhere.path().join("root.key"), elsewhere.path().join("epoch.secret"));
    let wrong = recover(&shard, &lost, &[Recipient::File], &backup_of(&other.open().await).await, &world.env).await;
    assert!(matches!(wrong, Err(BackupError::Other)));

    std::fs::remove_file(world.path().join("root.key")).unwrap();
    std::fs::remove_file(world.path().join("epoch.secret")).unwrap();
    recover(&world.memory.open().0, &world.closed_files(), &[Recipient::File], &backup, &world.env).await.unwrap();
    let kms = world.open().await;
    assert_eq!(decrypt(&kms, &blob, CONTEXT).await.unwrap(), b"plaintext");
    assert!(opens(&kms, "kept", &kept).await);

    kms.destroy_data_keys(&["kept".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    drop(kms);
    let older = recover(&world.memory.open().0, &lost, &[Recipient::File], &backup, &world.env).await;
    assert!(matches!(older, Err(BackupError::Older { backup: 1, data: 2 })));
    assert!(!elsewhere.path().join("root.key").exists(), "what does not fit writes nothing");
}

/// docs/operations.md, "Backups of keys": a KMS key that was deleted comes back from a backup, disabled; one that exists is not
/// touched; nothing of it says more than that.
#[tokio::test]
async fn a_deleted_key_comes_back_from_a_backup() {
    let world = World::new(69).await;
    let kms = world.open().await;
    let (kept, deleted) = (new_key(&kms).await, new_key(&kms).await);
    let blob = encrypt(&kms, &deleted, CONTEXT).await;
    let backup = backup_of(&kms).await;
    assert!(matches!(kms.import_keys(&backup).await, Err(BackupError::NothingMissing)));
    schedule(&kms, &deleted, 7).await;
    world.simulation.advance(Duration::from_secs(7 * 86_400 + 1));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(3601));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    assert_eq!(crate::support::code(decrypt(&kms, &blob, CONTEXT).await), "InvalidCiphertextException");

    let imported = kms.import_keys(&backup).await.unwrap();
    assert!(imported.len() == 1 && imported[0].ends_with(&deleted), "{imported:?}");
    assert_eq!(crate::support::code(decrypt(&kms, &blob, CONTEXT).await), "DisabledException");
    crate::support::enable(&kms, &deleted).await;
    assert_eq!(decrypt(&kms, &blob, CONTEXT).await.unwrap(), b"plaintext");
    assert_eq!(crate::support::describe(&kms, &kept).await.key_id, kept);
    drop(kms);
    assert_eq!(decrypt(&world.open().await, &blob, CONTEXT).await.unwrap(), b"plaintext");
}

/// Architecture section 1, "Input": what is no backup is refused with a reason, never with a panic.
#[test]
fn what_is_no_backup_is_refused() {
    for text in ["", "{}", "{\"coffer_key_backup\":1}", "[1]", "null", "{\"coffer_key_backup\":\"1\"}"] {
        assert!(matches!(Backup::parse(text.as_bytes()), Err(BackupError::Malformed(_))), "{text}");
    }
    assert!(matches!(Backup::parse(b"{\"coffer_key_backup\":2}"), Err(BackupError::Version(2))));
    let key = "zz".repeat(32);
    let text = format!(
        "{{\"coffer_key_backup\":1,\"control_key\":\"{key}\",\"domain_keys\":{{\"1\":\"{key}\"}},\"records\":{{}}}}"
    );
    assert!(matches!(Backup::parse(text.as_bytes()), Err(BackupError::Malformed(_))));
}
