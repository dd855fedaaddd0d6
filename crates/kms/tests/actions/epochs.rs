//! Level 1 of the hierarchy: the key ring, the move to the next epoch, and what an old copy can and cannot do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::time::Duration;

use crate::support::custody::{CONTEXT, data_key, opens};
use crate::support::{World, decrypt, encrypt, encryption_context, new_key, root, schedule, service};
use kms::KeyRingError;

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
/// its aliases and grants, and what it encrypted is gone. It goes an hour after it was found due, so that a wrong time of
/// day alone deletes nothing.
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
    assert_eq!(crate::support::describe(&kms, &key).await.key_id, key);
    drop(kms);
    world.simulation.advance(Duration::from_secs(10));
    let kms = world.open().await;
    let mut events = kms.events();
    for _ in 0..59 {
        kms.run_due().await.unwrap();
        world.simulation.advance(Duration::from_secs(60));
    }
    assert_eq!(crate::support::describe(&kms, &key).await.key_id, key);
    world.simulation.advance(Duration::from_secs(60));
    kms.run_due().await.unwrap();
    assert!(events.try_recv().unwrap().key_arn.ends_with(&key));
    assert_eq!(crate::support::code(decrypt(&kms, &blob, CONTEXT).await), "InvalidCiphertextException");
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

/// Architecture section 5, "Erasure": a time of day that is wrong for a while deletes nothing.
#[tokio::test]
async fn a_clock_that_is_set_right_again_deletes_nothing() {
    let world = World::new(14).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    schedule(&kms, &key, 30).await;
    let right = world.env.wall();
    let mut wrong = right;
    wrong.seconds += 400 * 86_400;
    for _ in 0..3 {
        world.simulation.set_wall(wrong);
        kms.run_due().await.unwrap();
        world.simulation.advance(Duration::from_secs(3000));
        kms.run_due().await.unwrap();
        world.simulation.set_wall(right);
        kms.run_due().await.unwrap();
    }
    let input = kms::model::CancelKeyDeletionRequest { key_id: key.clone() };
    kms::ops::cancel_key_deletion::run(&kms, &root(), input).await.unwrap();
    crate::support::enable(&kms, &key).await;
    assert_eq!(decrypt(&kms, &blob, CONTEXT).await.unwrap(), b"plaintext");
}

/// Architecture section 5, "Erasure": a staged secret that cannot be read is forgotten if no key depends on it, and named if
/// one does.
#[tokio::test]
async fn a_damaged_successor_is_forgotten_or_named() {
    let world = World::new(15).await;
    let next = world.path().join("epoch.secret.next");
    let write = |text: &str| {
        std::fs::write(&next, text).unwrap();
        std::fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("coffer-epoch-sec");
    drop(world.open().await);
    assert!(!next.exists());

    // A move that was cut off when the next row was durable.
    let kms = world.open().await;
    data_key(&kms, "gone").await;
    kms.destroy_data_keys(&["gone".to_owned()]).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    world.cut.arm(2, true);
    kms.run_due().await.unwrap_err();
    world.cut.disarm();
    drop(kms);
    let whole = std::fs::read_to_string(&next).unwrap();
    write(&whole.replace("coffer-epoch-secret-1 2", "coffer-epoch-secret-1 x"));
    let refused = world.try_open().await.err().unwrap().to_string();
    assert!(refused.contains("epoch.secret.next") && refused.contains("restore"), "{refused}");
    assert!(next.exists(), "what the keys need is not thrown away");
    write(&whole);
    world.open().await;
    assert!(!staged(&world));
}

#[derive(Default)]
struct Recorder(std::sync::Mutex<Vec<String>>, std::sync::atomic::AtomicBool);

struct Begun(std::sync::Arc<Recorder>, &'static str);

impl kms::Finish for Begun {
    fn finish(self: Box<Self>, outcome: Result<(), &kms::KmsError>) {
        self.0.0.lock().unwrap().push(format!("{} {}", self.1, if outcome.is_ok() { "done" } else { "failed" }));
    }
}

struct Observing(std::sync::Arc<Recorder>);

impl kms::Observer for Observing {
    fn begin<'a>(&'a self, act: &'a kms::Act) -> storage::BoxFuture<'a, Result<Box<dyn kms::Finish>, String>> {
        Box::pin(async move {
            if self.0.1.load(std::sync::atomic::Ordering::SeqCst) {
                return Err("the disk is full".to_owned());
            }
            self.0.0.lock().unwrap().push(format!("{} begins", act.name));
            Ok(Box::new(Begun(self.0.clone(), act.name)) as Box<dyn kms::Finish>)
        })
    }
}

/// Architecture section 6, "Audit": what KMS does by itself is written down before and after, and is not done if it cannot
/// be written down; one key that fails does not keep the others.
#[tokio::test]
async fn what_kms_does_by_itself_is_written_down() {
    let world = World::new(16).await;
    let kms = world.open().await;
    let recorder = std::sync::Arc::new(Recorder::default());
    kms.observe(std::sync::Arc::new(Observing(recorder.clone())));
    let seen = || std::mem::take(&mut *recorder.0.lock().unwrap());
    crate::support::describe(&kms, "alias/aws/elasticfilesystem").await;
    assert_eq!(seen(), ["CreateKey begins", "CreateKey done"]);
    let keys = [new_key(&kms).await, new_key(&kms).await];
    for key in &keys {
        schedule(&kms, key, 7).await;
    }
    world.simulation.advance(Duration::from_secs(7 * 86_400 + 1));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(3601));
    recorder.1.store(true, std::sync::atomic::Ordering::SeqCst);
    kms.run_due().await.unwrap_err();
    assert_eq!(crate::support::describe(&kms, &keys[0]).await.key_id, keys[0]);
    recorder.1.store(false, std::sync::atomic::Ordering::SeqCst);
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    let expected = ["DeleteKey begins", "DeleteKey done", "DeleteKey begins", "DeleteKey done"];
    assert_eq!(seen(), [&expected[..], &["ReplaceEpochSecret begins", "ReplaceEpochSecret done"]].concat());
    world.simulation.advance(Duration::from_secs(365 * 86_400));
    kms.run_due().await.unwrap();
    assert_eq!(seen(), ["RotateKey begins", "RotateKey done"]);
}
