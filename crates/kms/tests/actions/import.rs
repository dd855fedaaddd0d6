//! Import of key material. KMS developer guide, "Importing key material"; KMS API, GetParametersForImport, ImportKeyMaterial,
//! DeleteImportedKeyMaterial.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::time::Duration;

use crate::support::import::{Parameters, delete, import, imported, new_external, parameters, usual};
use crate::support::{World, code, decrypt, describe, disable, encrypt, new_key, root, schedule, seen};
use kms::backup::Backup;
use kms::model::{AlgorithmSpec, ExpirationModelType, ImportState, KeyMaterialState, KeyState, WrappingKeySpec};
use kms::{KeyChange, Kms, model, ops};

const DAY: u64 = 86_400;

async fn state(kms: &Kms, key: &str) -> KeyState {
    describe(kms, key).await.key_state.unwrap()
}

async fn materials(kms: &Kms, key: &str) -> Vec<model::RotationsListEntry> {
    let input = model::ListKeyRotationsRequest {
        key_id: key.to_owned(),
        include_key_material: Some(model::IncludeKeyMaterial::AllKeyMaterial),
        ..model::ListKeyRotationsRequest::default()
    };
    ops::list_key_rotations::run(kms, &root(), input).await.unwrap().rotations.unwrap()
}

async fn rotate(kms: &Kms, key: &str) -> String {
    let input = model::RotateKeyOnDemandRequest { key_id: key.to_owned() };
    code(ops::rotate_key_on_demand::run(kms, &root(), input).await)
}

/// KMS API, CreateKey, `Origin` EXTERNAL: the key waits for its material and says so; asymmetric and HMAC keys are not
/// offered with it.
#[tokio::test]
async fn a_key_for_imports_waits_for_them() {
    let world = World::new(121).await;
    let kms = world.open().await;
    let key = new_external(&kms).await;
    let said = describe(&kms, &key).await;
    assert_eq!(said.origin, Some(model::OriginType::External));
    assert_eq!((said.key_state, said.enabled), (Some(KeyState::PendingImport), Some(false)));
    assert_eq!((said.current_key_material_id, said.expiration_model, said.valid_to), (None, None, None));
    assert!(materials(&kms, &key).await.is_empty());
    assert_eq!(delete(&kms, &key, None).await.unwrap(), None);
    for (spec, usage) in [
        (model::KeySpec::Rsa2048, model::KeyUsageType::SignVerify),
        (model::KeySpec::Hmac256, model::KeyUsageType::GenerateVerifyMac),
    ] {
        let input = model::CreateKeyRequest {
            origin: Some(model::OriginType::External),
            key_spec: Some(spec),
            key_usage: Some(usage),
            ..model::CreateKeyRequest::default()
        };
        let refused = seen(ops::create_key::run(&kms, &root(), input).await.unwrap_err());
        assert_eq!(refused.0, "UnsupportedOperationException");
        assert!(refused.1.contains("Origin EXTERNAL") && refused.1.contains(spec.as_str()), "{}", refused.1);
    }
}

/// KMS API, GetParametersForImport: material comes in by each wrapping algorithm and key; what it is called depends on it and
/// on the KMS key; everything is there after a restart.
#[tokio::test]
async fn material_comes_in_by_every_wrapping() {
    let world = World::new(122).await;
    let mut ids = Vec::new();
    for (algorithm, spec) in [
        (AlgorithmSpec::RsaesOaepSha1, WrappingKeySpec::Rsa2048),
        (AlgorithmSpec::RsaesOaepSha256, WrappingKeySpec::Rsa3072),
        (AlgorithmSpec::RsaAesKeyWrapSha1, WrappingKeySpec::Rsa2048),
        (AlgorithmSpec::RsaAesKeyWrapSha256, WrappingKeySpec::Rsa4096),
    ] {
        let kms = world.open().await;
        let key = new_external(&kms).await;
        let found = parameters(&kms, &key, algorithm, spec).await.unwrap();
        assert_eq!(found.valid_to, world.env.wall().seconds + 86_400);
        assert!(found.token.len() <= 6144);
        let mut events = kms.events();
        let id = import(&kms, found.request(&key, 7)).await.unwrap();
        assert_eq!(events.try_recv().unwrap().change, KeyChange::State);
        let said = describe(&kms, &key).await;
        assert_eq!((said.key_state, said.enabled), (Some(KeyState::Enabled), Some(true)));
        assert_eq!(said.current_key_material_id.as_ref(), Some(&id));
        assert_eq!((said.expiration_model, said.valid_to), (Some(ExpirationModelType::KeyMaterialDoesNotExpire), None));
        let blob = encrypt(&kms, &key, &[]).await;
        let kms = world.open().await;
        assert_eq!(decrypt(&kms, &blob, &[]).await.unwrap(), b"plaintext");
        // The same token and the same material, as often as one likes while the token is valid.
        assert_eq!(import(&kms, found.request(&key, 7)).await.unwrap(), id);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "the same material has another id under each key");
    assert!(ids.iter().all(|id| id.len() == 64));
}

/// KMS API, GetParametersForImport: other keys, algorithms and wrapping keys than these are UnsupportedOperationException.
#[tokio::test]
async fn other_keys_and_wrappings_are_refused() {
    let world = World::new(123).await;
    let kms = world.open().await;
    let (own, external) = (new_key(&kms).await, new_external(&kms).await);
    let token = usual(&kms, &external).await;
    let arn = describe(&kms, &own).await.arn.unwrap();
    let text = format!("{arn} origin is AWS_KMS which is not valid for this operation.");
    let unsupported = ("UnsupportedOperationException".to_owned(), text);
    let asked = |key: &str, algorithm, spec| {
        let (kms, key) = (kms.clone(), key.to_owned());
        async move { seen(parameters(&kms, &key, algorithm, spec).await.err().unwrap()) }
    };
    assert_eq!(asked(&own, AlgorithmSpec::RsaesOaepSha1, WrappingKeySpec::Rsa2048).await, unsupported);
    assert_eq!(seen(import(&kms, token.request(&own, 1)).await.unwrap_err()), unsupported);
    assert_eq!(seen(delete(&kms, &own, None).await.unwrap_err()), unsupported);
    for (algorithm, spec) in [
        (AlgorithmSpec::RsaesPkcs1V15, WrappingKeySpec::Rsa2048),
        (AlgorithmSpec::Sm2pke, WrappingKeySpec::Rsa2048),
        (AlgorithmSpec::RsaesOaepSha1, WrappingKeySpec::Sm2),
    ] {
        assert_eq!(asked(&external, algorithm, spec).await.0, "UnsupportedOperationException");
    }
}

/// KMS API, ImportKeyMaterial: each thing that is wrong has its exception, and nothing is changed.
#[tokio::test]
async fn each_wrong_import_has_its_exception() {
    let world = World::new(124).await;
    let kms = world.open().await;
    let now = world.env.wall().seconds;
    let (key, other) = (new_external(&kms).await, new_external(&kms).await);
    let (mine, others) = (usual(&kms, &key).await, usual(&kms, &other).await);
    let good = || mine.request(&key, 1);
    let said = |request| {
        let kms = kms.clone();
        async move { code(import(&kms, request).await) }
    };
    let expiring = |seconds| mine.until(&key, 1, seconds);
    let none = ExpirationModelType::KeyMaterialDoesNotExpire;
    for wrong in [
        model::ImportKeyMaterialRequest { expiration_model: None, ..good() },
        model::ImportKeyMaterialRequest { expiration_model: Some(none), ..expiring(now + 10) },
        model::ImportKeyMaterialRequest {
            import_type: Some(model::ImportType::NewKeyMaterial),
            key_material_id: Some("0".repeat(64)),
            ..good()
        },
        model::ImportKeyMaterialRequest { key_material_id: Some("0".repeat(64)), ..good() },
        expiring(now),
        expiring(now + 365 * 86_400 + 1),
    ] {
        assert_eq!(said(wrong).await, "ValidationException");
    }
    let missing = "00000000-0000-0000-0000-000000000000";
    assert_eq!(said(mine.request(missing, 1)).await, "NotFoundException");
    // Tokens: another key's, changed anywhere, cut, none at all.
    assert_eq!(said(others.request(&key, 1)).await, "InvalidImportTokenException");
    for at in [0, 1, 8, 9, 40, mine.token.len() - 1] {
        let mut changed = mine.token.clone();
        changed[at] ^= 1;
        let wrong = model::ImportKeyMaterialRequest { import_token: changed.into(), ..good() };
        assert_eq!(said(wrong).await, "InvalidImportTokenException", "byte {at}");
    }
    for length in [0, 1, 8, 9, 41, mine.token.len() - 1] {
        let cut = mine.token[..length].to_vec();
        let wrong = model::ImportKeyMaterialRequest { import_token: cut.into(), ..good() };
        assert_eq!(said(wrong).await, "InvalidImportTokenException", "{length} bytes");
    }
    // Material: not wrapped for this token, no ciphertext, of another length.
    let with = |bytes: Vec<u8>| model::ImportKeyMaterialRequest { encrypted_key_material: bytes.into(), ..good() };
    assert_eq!(said(with(others.wrap(&[1; 32]))).await, "InvalidCiphertextException");
    assert_eq!(said(with(vec![0; 256])).await, "InvalidCiphertextException");
    assert_eq!(said(with(vec![0; 7])).await, "InvalidCiphertextException");
    for length in [16, 31, 33, 64] {
        assert_eq!(said(with(mine.wrap(&vec![1; length]))).await, "IncorrectKeyMaterialException", "{length}");
    }
    assert_eq!(state(&kms, &key).await, KeyState::PendingImport);
    let existing = model::ImportType::ExistingKeyMaterial;
    let wrong = model::ImportKeyMaterialRequest { import_type: Some(existing), ..good() };
    assert_eq!(said(wrong).await, "IncorrectKeyMaterialException");
    // Once there is material, only the same is taken, unless it is said to be new.
    let id = import(&kms, good()).await.unwrap();
    assert_eq!(said(mine.request(&key, 2)).await, "IncorrectKeyMaterialException");
    assert_eq!(said(mine.new_material(&key, 1)).await, "IncorrectKeyMaterialException");
    let named = |id: String| model::ImportKeyMaterialRequest { key_material_id: Some(id), ..good() };
    assert_eq!(said(named("0".repeat(64))).await, "IncorrectKeyMaterialException");
    assert_eq!(said(named(id.clone())).await, "ok");
    assert_eq!(code(delete(&kms, &key, Some(&"0".repeat(64))).await), "NotFoundException");
    schedule(&kms, &key, 7).await;
    assert_eq!(said(good()).await, "KMSInvalidStateException");
}

/// KMS API, GetParametersForImport, `ParametersValidTo`: a token lives for 24 hours, restarts and moves of the epoch
/// included; what it was sealed under is destroyed a day later, and then nothing opens it.
#[tokio::test]
async fn a_token_lives_for_a_day() {
    let world = World::new(125).await;
    let kms = world.open().await;
    let key = new_external(&kms).await;
    let token = usual(&kms, &key).await;
    // Something else is deleted, and the epoch moves.
    let (gone, gone_token) = imported(&kms, 9).await;
    delete(&kms, &gone, None).await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    assert_eq!(epoch(&world), 2);
    world.simulation.advance(Duration::from_secs(DAY - 62));
    drop(kms);
    let old = world.copy().await;
    let kms = world.open().await;
    import(&kms, token.request(&key, 1)).await.unwrap();
    world.simulation.advance(Duration::from_secs(1));
    assert_eq!(code(import(&kms, token.request(&key, 1)).await), "ExpiredImportTokenException");
    // Today's tokens are sealed under today's key.
    import(&kms, usual(&kms, &key).await.request(&key, 1)).await.unwrap();
    world.simulation.advance(Duration::from_secs(DAY));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    assert_eq!(epoch(&world), 3);
    assert!(world.open_ring(&old).await.is_err(), "the first day's import key is in an old copy");
    assert_eq!(code(import(&kms, gone_token.request(&gone, 9)).await), "ExpiredImportTokenException");
    // A token that names an import key that never was.
    let mut forged = token.token.clone();
    forged[1..9].copy_from_slice(&(world.env.wall().seconds - 5).to_be_bytes());
    let forged = model::ImportKeyMaterialRequest { import_token: forged.into(), ..token.request(&key, 1) };
    assert_eq!(code(import(&kms, forged).await), "InvalidImportTokenException");
}

/// The epoch that the secret is at.
fn epoch(world: &World) -> u64 {
    let text = std::fs::read_to_string(world.path().join("epoch.secret")).unwrap();
    let (_, after) = text.split_once("coffer-epoch-secret-1 ").unwrap();
    after.split_whitespace().next().unwrap().parse().unwrap()
}

/// KMS API, DeleteImportedKeyMaterial: the key is PendingImport, leases are told, nothing decrypts; the same material brings
/// it all back, other material does not.
#[tokio::test]
async fn deleted_material_comes_back_by_the_same_import() {
    let world = World::new(126).await;
    let kms = world.open().await;
    let (key, token) = imported(&kms, 3).await;
    let id = describe(&kms, &key).await.current_key_material_id.unwrap();
    let blob = encrypt(&kms, &key, &[("a", "b")]).await;
    let mut events = kms.events();
    assert_eq!(delete(&kms, &key, None).await.unwrap().as_ref(), Some(&id));
    assert_eq!(events.try_recv().unwrap().change, KeyChange::State);
    // Once more is no error, and changes nothing.
    assert_eq!(delete(&kms, &key, Some(&id)).await.unwrap().as_ref(), Some(&id));
    assert!(events.try_recv().is_err());
    for kms in [kms, world.open().await] {
        let said = describe(&kms, &key).await;
        assert_eq!((said.key_state, said.expiration_model), (Some(KeyState::PendingImport), None));
        assert_eq!(said.current_key_material_id.as_ref(), Some(&id));
        assert_eq!(materials(&kms, &key).await[0].import_state, Some(ImportState::PendingImport));
        assert_eq!(code(decrypt(&kms, &blob, &[("a", "b")]).await), "KMSInvalidStateException");
        assert_eq!(code(import(&kms, token.request(&key, 4)).await), "IncorrectKeyMaterialException");
        assert_eq!(code(rotate_status(&kms, &key).await), "UnsupportedOperationException");
    }
    let kms = world.open().await;
    assert_eq!(import(&kms, token.request(&key, 3)).await.unwrap(), id);
    assert_eq!(decrypt(&kms, &blob, &[("a", "b")]).await.unwrap(), b"plaintext");
    // A key that waits for its deletion goes on waiting, and when that is cancelled waits for its material.
    schedule(&kms, &key, 7).await;
    delete(&kms, &key, None).await.unwrap();
    assert_eq!(state(&kms, &key).await, KeyState::PendingDeletion);
    ops::cancel_key_deletion::run(&kms, &root(), model::CancelKeyDeletionRequest { key_id: key.clone() })
        .await
        .unwrap();
    assert_eq!(state(&kms, &key).await, KeyState::PendingImport);
    import(&kms, token.request(&key, 3)).await.unwrap();
    assert_eq!(decrypt(&kms, &blob, &[("a", "b")]).await.unwrap(), b"plaintext");
    // Material that is there already may be imported again into a disabled key, which stays disabled.
    disable(&kms, &key).await;
    import(&kms, token.request(&key, 3)).await.unwrap();
    assert_eq!(state(&kms, &key).await, KeyState::Disabled);
}

async fn rotate_status(kms: &Kms, key: &str) -> Result<(), kms::KmsError> {
    let input = model::GetKeyRotationStatusRequest { key_id: key.to_owned() };
    ops::get_key_rotation_status::run(kms, &root(), input).await.map(drop)
}

/// Architecture section 5, "Erasure": deleted material is beyond an older copy of the data directory, whatever step of the
/// deletion or of the move a crash comes at; and it is whole or gone, never half.
#[tokio::test]
async fn an_old_copy_does_not_bring_deleted_material_back() {
    for after in [false, true] {
        let mut finished = false;
        for step in 1..40 {
            let world = World::new(127).await;
            let kms = world.open().await;
            let (key, token) = imported(&kms, 3).await;
            let (kept, _) = imported(&kms, 4).await;
            import(&kms, usual(&kms, &kept).await.new_material(&kept, 5)).await.unwrap();
            let (blob, kept_blob) = (encrypt(&kms, &key, &[]).await, encrypt(&kms, &kept, &[]).await);
            drop(kms);
            let old = world.copy().await;
            let kms = world.open().await;

            world.cut.arm(step, after);
            let deleted = delete(&kms, &key, None).await.is_ok();
            world.simulation.advance(Duration::from_secs(61));
            finished = deleted && kms.run_due().await.is_ok();
            world.cut.disarm();
            drop(kms);

            let kms = world.open().await;
            let gone = state(&kms, &key).await == KeyState::PendingImport;
            assert!(gone || !deleted, "step {step}: an answered deletion is undone");
            assert_eq!(decrypt(&kms, &blob, &[]).await.is_ok(), !gone, "step {step}");
            delete(&kms, &key, None).await.unwrap();
            world.simulation.advance(Duration::from_secs(61));
            kms.run_due().await.unwrap();
            assert!(world.open_ring(&old).await.is_err(), "step {step}: the old copy opens");
            // What was not deleted is there, what waits for a rotation too.
            assert_eq!(decrypt(&kms, &kept_blob, &[]).await.unwrap(), b"plaintext");
            assert_eq!(rotate(&kms, &kept).await, "ok");
            assert!(encrypt(&kms, &kept, &[]).await.len() > 32);
            import(&kms, token.request(&key, 3)).await.unwrap();
            assert_eq!(decrypt(&kms, &blob, &[]).await.unwrap(), b"plaintext");
            if finished {
                break;
            }
        }
        assert!(finished, "the deletion has fewer steps than the test allows");
    }
}

/// Material with a date of its own, an hour from now.
async fn expiring(world: &World, kms: &Kms) -> (String, Parameters, Vec<u8>) {
    let (key, token) = imported(kms, 6).await;
    let blob = encrypt(kms, &key, &[]).await;
    import(kms, token.until(&key, 6, world.env.wall().seconds + 3600)).await.unwrap();
    (key, token, blob)
}

/// KMS developer guide, "Setting an expiration time": at its date the material is out of use, leases are told; an hour later
/// it is deleted for ever. Imported again it is back, with the date that this import says.
#[tokio::test]
async fn material_expires_on_its_date() {
    let world = World::new(128).await;
    let kms = world.open().await;
    let (key, token, blob) = expiring(&world, &kms).await;
    let date = world.env.wall().seconds + 3600;
    let said = describe(&kms, &key).await;
    assert_eq!(said.expiration_model, Some(ExpirationModelType::KeyMaterialExpires));
    assert_eq!(said.valid_to.unwrap().seconds(), date);
    assert_eq!(materials(&kms, &key).await[0].valid_to.unwrap().seconds(), date);
    drop(kms);
    let old = world.copy().await;
    let kms = world.open().await;
    world.simulation.advance(Duration::from_secs(3599));
    kms.run_due().await.unwrap();
    assert!(decrypt(&kms, &blob, &[]).await.is_ok());
    let mut events = kms.events();
    world.simulation.advance(Duration::from_secs(1));
    kms.run_due().await.unwrap();
    assert_eq!(events.try_recv().unwrap().change, KeyChange::State);
    assert_eq!(code(decrypt(&kms, &blob, &[]).await), "KMSInvalidStateException");
    let said = describe(&kms, &key).await;
    assert_eq!((said.key_state, said.expiration_model), (Some(KeyState::PendingImport), None));
    let entry = materials(&kms, &key).await.remove(0);
    assert_eq!((entry.import_state, entry.valid_to), (Some(ImportState::PendingImport), None));
    world.simulation.advance(Duration::from_secs(3600));
    kms.run_due().await.unwrap();
    world.simulation.advance(Duration::from_secs(61));
    kms.run_due().await.unwrap();
    assert_eq!(epoch(&world), 2);
    assert!(world.open_ring(&old).await.is_err());
    let date = world.env.wall().seconds + 365 * 86_400;
    import(&kms, token.until(&key, 6, date)).await.unwrap();
    assert_eq!(decrypt(&kms, &blob, &[]).await.unwrap(), b"plaintext");
    assert_eq!(describe(&kms, &key).await.valid_to.unwrap().seconds(), date);
    // Without a date it stays.
    import(&kms, token.request(&key, 6)).await.unwrap();
    world.simulation.advance(Duration::from_secs(400 * DAY));
    kms.run_due().await.unwrap();
    assert!(decrypt(&kms, &blob, &[]).await.is_ok());
}

/// Architecture section 5, "Erasure": a time of day that is wrong for a while deletes no material: the key is out of use
/// meanwhile, and as it was when the clock is set right, restarts included.
#[tokio::test]
async fn a_clock_that_is_set_right_again_deletes_no_material() {
    let world = World::new(129).await;
    let kms = world.open().await;
    let (key, _, blob) = expiring(&world, &kms).await;
    let (disabled, ..) = expiring(&world, &kms).await;
    disable(&kms, &disabled).await;
    let right = world.env.wall();
    let mut wrong = right;
    wrong.seconds += 4000;
    for _ in 0..2 {
        world.simulation.set_wall(wrong);
        let kms = world.open().await;
        kms.run_due().await.unwrap();
        for key in [&key, &disabled] {
            assert_eq!(state(&kms, key).await, KeyState::PendingImport);
        }
        world.simulation.advance(Duration::from_secs(3000));
        kms.run_due().await.unwrap();
        world.simulation.set_wall(right);
        let kms = world.open().await;
        kms.run_due().await.unwrap();
        assert_eq!(state(&kms, &disabled).await, KeyState::Disabled);
        assert_eq!(decrypt(&kms, &blob, &[]).await.unwrap(), b"plaintext");
    }
}

/// KMS developer guide, "Rotating imported key material": new material waits for RotateKeyOnDemand; all of what was current
/// once is needed for the key to be used, and only what waits may be replaced.
#[tokio::test]
async fn rotation_takes_the_material_that_waits() {
    let world = World::new(130).await;
    let kms = world.open().await;
    let (key, token) = imported(&kms, 1).await;
    let first = describe(&kms, &key).await.current_key_material_id.unwrap();
    let old = encrypt(&kms, &key, &[]).await;
    assert_eq!(rotate(&kms, &key).await, "KMSInvalidStateException");
    let input = model::EnableKeyRotationRequest { key_id: key.clone(), ..model::EnableKeyRotationRequest::default() };
    let refused = seen(ops::enable_key_rotation::run(&kms, &root(), input).await.unwrap_err());
    assert_eq!(refused.0, "UnsupportedOperationException");
    assert!(refused.1.ends_with("origin is EXTERNAL which is not valid for this operation."), "{}", refused.1);

    let described = model::ImportKeyMaterialRequest {
        key_material_description: Some("spring".to_owned()),
        ..token.new_material(&key, 2)
    };
    let second = import(&kms, described).await.unwrap();
    assert_eq!(code(import(&kms, token.new_material(&key, 3)).await), "KMSInvalidStateException");
    // It may be deleted and another take its place, and the key is used all the while.
    delete(&kms, &key, Some(&second)).await.unwrap();
    assert_eq!(materials(&kms, &key).await.len(), 1);
    assert_eq!(rotate(&kms, &key).await, "KMSInvalidStateException");
    let second = import(&kms, token.new_material(&key, 3)).await.unwrap();
    let described = model::ImportKeyMaterialRequest {
        key_material_description: Some("autumn".to_owned()),
        ..token.request(&key, 3)
    };
    assert_eq!(import(&kms, described).await.unwrap(), second);
    let seen_states = |entries: Vec<model::RotationsListEntry>| {
        entries.into_iter().map(|entry| (entry.key_material_id.unwrap(), entry.key_material_state.unwrap())).collect()
    };
    let states: Vec<_> = seen_states(materials(&kms, &key).await);
    let expected = [(first.clone(), KeyMaterialState::Current), (second.clone(), KeyMaterialState::PendingRotation)];
    assert_eq!(states, expected);
    assert_eq!(describe(&kms, &key).await.current_key_material_id.as_ref(), Some(&first));

    let kms = world.open().await;
    assert_eq!(rotate(&kms, &key).await, "ok");
    let entries = materials(&kms, &key).await;
    assert_eq!(entries[1].key_material_description.as_deref(), Some("autumn"));
    assert_eq!(entries[1].rotation_type, Some(model::RotationType::OnDemand));
    assert_eq!((entries[0].rotation_date, entries[0].import_state), (None, Some(ImportState::Imported)));
    let states: Vec<_> = seen_states(entries);
    let expected = [(first.clone(), KeyMaterialState::NonCurrent), (second.clone(), KeyMaterialState::Current)];
    assert_eq!(states, expected);
    let new = encrypt(&kms, &key, &[]).await;
    for blob in [&old, &new] {
        assert_eq!(decrypt(&kms, blob, &[]).await.unwrap(), b"plaintext");
    }
    // Without the older one neither opens; both have to come back.
    assert_eq!(delete(&kms, &key, None).await.unwrap().as_ref(), Some(&second));
    delete(&kms, &key, Some(&first)).await.unwrap();
    for (byte, blob) in [(3, &new), (1, &old)] {
        assert_eq!(code(decrypt(&kms, blob, &[]).await), "KMSInvalidStateException");
        assert_eq!(state(&kms, &key).await, KeyState::PendingImport);
        import(&kms, token.request(&key, byte)).await.unwrap();
    }
    for blob in [&old, &new] {
        assert_eq!(decrypt(&kms, blob, &[]).await.unwrap(), b"plaintext");
    }
}

/// The backup of one server's keys.
async fn backup_of(kms: &Kms) -> Backup {
    Backup::parse(&kms.backup().await.unwrap()).unwrap()
}

/// docs/operations.md, "Backups of keys": imported keys come back from a backup, into another installation too, and know their
/// material there; one that lacked material waits for it; so do key pairs and HMAC keys come back.
#[tokio::test]
async fn imported_keys_come_back_from_a_backup() {
    let world = World::new(132).await;
    let kms = world.open().await;
    let (key, token) = imported(&kms, 1).await;
    let blob = encrypt(&kms, &key, &[]).await;
    let waiting = import(&kms, token.new_material(&key, 2)).await.unwrap();
    let (lacking, _) = imported(&kms, 3).await;
    let lacking_blob = encrypt(&kms, &lacking, &[]).await;
    delete(&kms, &lacking, None).await.unwrap();
    schedule(&kms, &lacking, 7).await;
    let input = model::CreateKeyRequest {
        key_spec: Some(model::KeySpec::Hmac256),
        key_usage: Some(model::KeyUsageType::GenerateVerifyMac),
        ..model::CreateKeyRequest::default()
    };
    let mac_key = ops::create_key::run(&kms, &root(), input).await.unwrap().key_metadata.unwrap().key_id;
    let mac = mac_of(&kms, &mac_key).await;
    let backup = backup_of(&kms).await;

    let other = World::new(133).await;
    let kms = other.open().await;
    assert_eq!(kms.import_keys(&backup).await.unwrap().len(), 3);
    assert_eq!(state(&kms, &key).await, KeyState::Disabled);
    crate::support::enable(&kms, &key).await;
    assert_eq!(decrypt(&kms, &blob, &[]).await.unwrap(), b"plaintext");
    assert_eq!(rotate(&kms, &key).await, "ok");
    assert_eq!(describe(&kms, &key).await.current_key_material_id, Some(waiting));
    assert_eq!(state(&kms, &lacking).await, KeyState::PendingImport);
    let token = usual(&kms, &lacking).await;
    assert_eq!(code(import(&kms, token.request(&lacking, 4)).await), "IncorrectKeyMaterialException");
    import(&kms, token.request(&lacking, 3)).await.unwrap();
    assert_eq!(decrypt(&kms, &lacking_blob, &[]).await.unwrap(), b"plaintext");
    crate::support::enable(&kms, &mac_key).await;
    assert_eq!(mac_of(&kms, &mac_key).await, mac);
}

async fn mac_of(kms: &Kms, key: &str) -> Vec<u8> {
    let input = model::GenerateMacRequest {
        key_id: key.to_owned(),
        mac_algorithm: model::MacAlgorithmSpec::HmacSha256,
        message: aws_wire::SecretBlob::new(b"message".to_vec()),
        dry_run: None,
        grant_tokens: None,
    };
    ops::generate_mac::run(kms, &root(), input).await.unwrap().mac.unwrap().0
}

/// KMS developer guide, "AWS KMS condition keys": the conditions of imports see what the request says.
#[tokio::test]
async fn conditions_of_imports_are_judged() {
    let world = World::new(131).await;
    let kms = world.open().await;
    let key = new_external(&kms).await;
    let deny = |action: &str, operator: &str, name: &str, value: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[
                {{"Effect":"Allow","Principal":{{"AWS":"000000000001"}},"Action":"kms:*","Resource":"*"}},
                {{"Effect":"Deny","Principal":"*","Action":"kms:{action}","Resource":"*",
                 "Condition":{{"{operator}":{{"{name}":"{value}"}}}}}}]}}"#
        )
    };
    let put = |policy: String| {
        let (kms, key_id) = (kms.clone(), key.clone());
        async move {
            let input = model::PutKeyPolicyRequest { key_id, policy, ..model::PutKeyPolicyRequest::default() };
            ops::put_key_policy::run(&kms, &root(), input).await.unwrap();
        }
    };
    let ask = |algorithm, spec| {
        let (kms, key) = (kms.clone(), key.clone());
        async move { code(parameters(&kms, &key, algorithm, spec).await) }
    };
    let get = "GetParametersForImport";
    for (name, value) in [
        ("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_1"),
        ("kms:WrappingKeySpec", "RSA_2048"),
        ("kms:KeyOrigin", "EXTERNAL"),
    ] {
        put(deny(get, "StringEquals", name, value)).await;
        assert_eq!(
            ask(AlgorithmSpec::RsaesOaepSha1, WrappingKeySpec::Rsa2048).await,
            "AccessDeniedException",
            "{name}"
        );
    }
    put(deny(get, "StringNotEquals", "kms:WrappingKeySpec", "RSA_2048")).await;
    assert_eq!(ask(AlgorithmSpec::RsaesOaepSha1, WrappingKeySpec::Rsa2048).await, "ok");
    let token = usual(&kms, &key).await;
    let at = world.env.wall().seconds + 100;
    let model = "kms:ExpirationModel";
    put(deny("ImportKeyMaterial", "StringEquals", model, "KEY_MATERIAL_DOES_NOT_EXPIRE")).await;
    assert_eq!(code(import(&kms, token.request(&key, 1)).await), "AccessDeniedException");
    assert_eq!(code(import(&kms, token.until(&key, 1, at)).await), "ok");
    put(deny("ImportKeyMaterial", "NumericGreaterThan", "kms:ValidTo", &at.to_string())).await;
    assert_eq!(code(import(&kms, token.until(&key, 1, at + 1)).await), "AccessDeniedException");
    assert_eq!(code(import(&kms, token.until(&key, 1, at)).await), "ok");
    put(deny("DeleteImportedKeyMaterial", "StringEquals", "kms:KeyOrigin", "EXTERNAL")).await;
    assert_eq!(code(delete(&kms, &key, None).await), "AccessDeniedException");
}
