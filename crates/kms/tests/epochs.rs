//! Level 1 of the hierarchy: the key ring, the move to the next epoch, and what an old copy can and cannot do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::time::Duration;

use kms::{KeyRingError, Kms};
use support::{World, decrypt, encrypt, encryption_context, new_key, root, schedule, service};

const CONTEXT: &[(&str, &str)] = &[("aws:elasticfilesystem:filesystem:id", "fs-1")];

/// A data key in custody under a new KMS key; the KMS key's ARN.
async fn data_key(kms: &Kms, name: &str) -> String {
    let key = new_key(kms).await;
    let context = encryption_context(CONTEXT);
    let grant = kms.grant_to_service(&root(), support::SERVICE, &key, &context).await.unwrap();
    kms.make_data_key(&service(), name, &grant.key_arn, &context).await.unwrap();
    grant.key_arn
}

async fn opens(kms: &Kms, name: &str, key_arn: &str) -> bool {
    kms.open_data_key(&service(), name, key_arn, &encryption_context(CONTEXT)).await.is_ok()
}

fn staged(world: &World) -> bool {
    world.path().join("epoch.secret.next").exists()
}

/// Architecture section 5, "Erasure": a crash before or after any step of the move to the next epoch loses nothing that
/// survives, brings nothing back, and the next start finishes the move.
#[tokio::test]
async fn a_crash_at_any_step_of_the_move_is_recovered() {
    for after in [false, true] {
        let mut finished = false;
        for step in 1..40 {
            let world = World::new(7).await;
            let kms = world.open().await;
            let mut blobs = Vec::new();
            // More records than one commit of the re-wrap takes.
            for _ in 0..210 {
                let key = new_key(&kms).await;
                blobs.push(encrypt(&kms, &key, CONTEXT).await);
            }
            let kept = data_key(&kms, "kept").await;
            let gone = data_key(&kms, "gone").await;
            let kept_key = kms.open_data_key(&service(), "kept", &kept, &encryption_context(CONTEXT)).await.unwrap();
            kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
            world.simulation.advance(Duration::from_secs(61));

            world.cut.arm(step, after);
            finished = kms.run_due().await.is_ok();
            world.cut.disarm();
            drop(kms);

            let kms = world.open().await;
            for blob in blobs.iter().step_by(41) {
                assert_eq!(decrypt(&kms, blob, CONTEXT).await.unwrap(), b"plaintext");
            }
            let again = kms.open_data_key(&service(), "kept", &kept, &encryption_context(CONTEXT)).await.unwrap();
            assert_eq!(again.expose(), kept_key.expose());
            assert!(!opens(&kms, "gone", &gone).await);
            kms.run_due().await.unwrap();
            assert!(!staged(&world), "step {step}: the move was not finished");
            let secret = std::fs::read_to_string(world.path().join("epoch.secret")).unwrap();
            assert!(!secret.contains("coffer-epoch-secret-1 1 "), "step {step}: the old secret is still in force");
            drop(kms);
            world.open().await;
            if finished {
                break;
            }
        }
        assert!(finished, "the move has fewer steps than the test allows");
    }
}

/// Architecture section 5, "Erasure": an old copy of the data directory does not bring back what was erased, and says why.
#[tokio::test]
async fn an_old_copy_of_the_data_directory_opens_nothing() {
    let world = World::new(8).await;
    let kms = world.open().await;
    let key = data_key(&kms, "gone").await;
    assert!(opens(&kms, "gone", &key).await);
    drop(kms);
    let old = world.copy().await;
    let kms = world.open().await;
    kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();

    let refused = world.open_ring(&old).await.err().unwrap();
    assert!(matches!(refused, KeyRingError::DataOlder { data: 1, secret: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("epoch.secret"));
}

/// Architecture section 5, "Erasure": deletions within a minute share one move.
#[tokio::test]
async fn deletions_within_a_minute_share_one_move() {
    let world = World::new(9).await;
    let kms = world.open().await;
    for name in ["one", "two"] {
        data_key(&kms, name).await;
    }
    kms.destroy_data_keys(&["one".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(59));
    kms.run_due().await.unwrap();
    kms.destroy_data_keys(&["two".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(2));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(120));
    kms.run_due().await.unwrap();
    let secret = std::fs::read_to_string(world.path().join("epoch.secret")).unwrap();
    assert!(secret.contains("coffer-epoch-secret-1 2 "), "{secret}");
}

/// KMS API, ScheduleKeyDeletion: the key goes at its deadline, also when that passed while the server was down, with
/// its aliases and grants, and what it encrypted is gone.
#[tokio::test]
async fn a_deletion_that_fell_due_while_down_is_completed() {
    let world = World::new(10).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    schedule(&kms, &key, 7).await;
    drop(kms);
    world.simulation.advance(Duration::from_secs(7 * 86_400 - 5));
    let kms = world.open().await;
    kms.run_due().await.unwrap();
    assert_eq!(support::describe(&kms, &key).await.key_id, key);
    drop(kms);
    world.simulation.advance(Duration::from_secs(10));
    let kms = world.open().await;
    let mut events = kms.events();
    kms.run_due().await.unwrap();
    assert!(events.try_recv().unwrap().key_arn.ends_with(&key));
    assert_eq!(support::code(decrypt(&kms, &blob, CONTEXT).await), "InvalidCiphertextException");
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    let secret = std::fs::read_to_string(world.path().join("epoch.secret")).unwrap();
    assert!(secret.contains("coffer-epoch-secret-1 2 "));
}

/// Bad input, a wrong root key or epoch secret: a clear error that names the file and the cure.
#[tokio::test]
async fn wrong_key_files_are_named() {
    let world = World::new(11).await;
    drop(world.open().await);
    let other = World::new(12).await;
    let root_key = world.path().join("root.key");
    let right = std::fs::read(&root_key).unwrap();
    std::fs::copy(other.path().join("root.key"), &root_key).unwrap();
    let wrong = world.open_ring(&world.memory).await.err().unwrap().to_string();
    assert!(wrong.contains("root.key") && wrong.contains("wrong root key"), "{wrong}");
    std::fs::write(&root_key, right).unwrap();
    std::fs::copy(other.path().join("epoch.secret"), world.path().join("epoch.secret")).unwrap();
    let damaged = world.open_ring(&world.memory).await.err().unwrap().to_string();
    assert!(damaged.contains("epoch.secret") && damaged.contains("restore"), "{damaged}");
}

/// Level 1: a second init never touches an existing key ring.
#[tokio::test]
async fn an_existing_ring_is_never_replaced() {
    let world = World::new(13).await;
    let provider: std::sync::Arc<dyn kms::root::RootProvider> = std::sync::Arc::new(world.files());
    let again = kms::KeyRing::create(&world.memory.open().0, &provider, &world.env).await;
    assert!(matches!(again, Err(KeyRingError::Exists)));
    let empty = storage::memory::Memory::new();
    assert!(matches!(world.open_ring(&empty).await.err(), Some(KeyRingError::NotInitialised)));
}
