//! Rotation: by the calendar and on demand. KMS developer guide, "Rotating AWS KMS keys".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::time::Duration;

use crate::support::{World, code, decrypt, describe, disable, enable, encrypt, new_key, root, schedule};
use kms::{Kms, model, ops};

const DAY: u64 = 86_400;

async fn enable_rotation(kms: &Kms, key: &str, days: Option<i32>) -> String {
    let input = model::EnableKeyRotationRequest { key_id: key.to_owned(), rotation_period_in_days: days };
    code(ops::enable_key_rotation::run(kms, &root(), input).await)
}

async fn disable_rotation(kms: &Kms, key: &str) -> String {
    let input = model::DisableKeyRotationRequest { key_id: key.to_owned() };
    code(ops::disable_key_rotation::run(kms, &root(), input).await)
}

async fn rotate(kms: &Kms, key: &str) -> String {
    let input = model::RotateKeyOnDemandRequest { key_id: key.to_owned() };
    code(ops::rotate_key_on_demand::run(kms, &root(), input).await)
}

async fn status(kms: &Kms, key: &str) -> model::GetKeyRotationStatusResponse {
    let input = model::GetKeyRotationStatusRequest { key_id: key.to_owned() };
    ops::get_key_rotation_status::run(kms, &root(), input).await.unwrap()
}

async fn rotations(kms: &Kms, key: &str, all: bool) -> Vec<model::RotationsListEntry> {
    let mut found = Vec::new();
    let mut marker = None;
    loop {
        let input = model::ListKeyRotationsRequest {
            key_id: key.to_owned(),
            include_key_material: all.then_some(model::IncludeKeyMaterial::AllKeyMaterial),
            limit: Some(2),
            marker,
        };
        let page = ops::list_key_rotations::run(kms, &root(), input).await.unwrap();
        found.extend(page.rotations.unwrap());
        marker = page.next_marker;
        if page.truncated != Some(true) {
            return found;
        }
    }
}

/// KMS developer guide, "How key rotation works": three rotations, and what was encrypted before each still decrypts.
#[tokio::test]
async fn old_ciphertexts_outlive_rotations() {
    let world = World::new(81).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let mut blobs = vec![encrypt(&kms, &key, &[]).await];
    let mut newest = vec![describe(&kms, &key).await.current_key_material_id];
    for _ in 0..3 {
        assert_eq!(rotate(&kms, &key).await, "ok");
        blobs.push(encrypt(&kms, &key, &[]).await);
        newest.push(describe(&kms, &key).await.current_key_material_id);
    }
    drop(kms);
    let kms = world.open().await;
    for blob in &blobs {
        assert_eq!(decrypt(&kms, blob, &[]).await.unwrap(), b"plaintext");
    }
    let listed = rotations(&kms, &key, true).await;
    let ids: Vec<_> = listed.iter().map(|entry| entry.key_material_id.clone()).collect();
    assert_eq!(ids, newest);
    assert_eq!(listed[0].rotation_type, None);
    assert_eq!(listed[3].rotation_type, Some(model::RotationType::OnDemand));
    assert_eq!(listed[3].key_material_state, Some(model::KeyMaterialState::Current));
    assert_eq!(listed[2].key_material_state, Some(model::KeyMaterialState::NonCurrent));
    assert_eq!(rotations(&kms, &key, false).await.len(), 3);
}

/// KMS developer guide, "Enabling automatic key rotation": at its date, after a period of ones own; after Disabled when the key
/// is enabled again; the status tells both.
#[tokio::test]
async fn a_key_rotates_when_its_time_has_come() {
    let world = World::new(82).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    assert_eq!(status(&kms, &key).await.key_rotation_enabled, Some(false));
    assert_eq!(enable_rotation(&kms, &key, Some(90)).await, "ok");
    let first = status(&kms, &key).await;
    assert_eq!((first.key_rotation_enabled, first.rotation_period_in_days), (Some(true), Some(90)));
    world.simulation.advance(Duration::from_secs(89 * DAY));
    assert_eq!(enable_rotation(&kms, &key, Some(90)).await, "ok");
    assert_eq!(status(&kms, &key).await.next_rotation_date, first.next_rotation_date);
    kms.run_due().await.unwrap();
    assert!(rotations(&kms, &key, false).await.is_empty());
    world.simulation.advance(Duration::from_secs(DAY));
    kms.run_due().await.unwrap();
    let made = rotations(&kms, &key, false).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].rotation_type, Some(model::RotationType::Automatic));

    disable(&kms, &key).await;
    assert_eq!(enable_rotation(&kms, &key, None).await, "DisabledException");
    assert_eq!(disable_rotation(&kms, &key).await, "DisabledException");
    assert_eq!(rotate(&kms, &key).await, "DisabledException");
    world.simulation.advance(Duration::from_secs(91 * DAY));
    kms.run_due().await.unwrap();
    assert_eq!(rotations(&kms, &key, false).await.len(), 1);
    enable(&kms, &key).await;
    kms.run_due().await.unwrap();
    assert_eq!(rotations(&kms, &key, false).await.len(), 2);

    schedule(&kms, &key, 7).await;
    assert_eq!(status(&kms, &key).await.key_rotation_enabled, Some(false));
    assert_eq!(enable_rotation(&kms, &key, None).await, "KMSInvalidStateException");
    let cancel = model::CancelKeyDeletionRequest { key_id: key.clone() };
    ops::cancel_key_deletion::run(&kms, &root(), cancel).await.unwrap();
    assert_eq!(status(&kms, &key).await.key_rotation_enabled, Some(true));
    enable(&kms, &key).await;
    assert_eq!(disable_rotation(&kms, &key).await, "ok");
    assert_eq!(status(&kms, &key).await.rotation_period_in_days, None);
}

/// KMS developer guide, "Resource quotas": 25 rotations on demand; a refused one changes nothing.
#[tokio::test]
async fn a_key_is_rotated_on_demand_25_times() {
    let world = World::new(83).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    for _ in 0..25 {
        assert_eq!(rotate(&kms, &key).await, "ok");
    }
    assert_eq!(rotate(&kms, &key).await, "LimitExceededException");
    assert_eq!(rotations(&kms, &key, false).await.len(), 25);
}

/// KMS developer guide, "Rotating AWS KMS keys": the key of a service rotates by itself, and nobody else may change that.
#[tokio::test]
async fn the_key_of_a_service_is_not_rotated_by_callers() {
    let world = World::new(84).await;
    let kms = world.open().await;
    let key = describe(&kms, "alias/aws/elasticfilesystem").await.key_id;
    assert_eq!(rotate(&kms, &key).await, "AccessDeniedException");
    assert_eq!(enable_rotation(&kms, &key, None).await, "AccessDeniedException");
    assert_eq!(disable_rotation(&kms, &key).await, "AccessDeniedException");
    let now = status(&kms, &key).await;
    assert_eq!((now.key_rotation_enabled, now.rotation_period_in_days), (Some(true), Some(365)));
}
