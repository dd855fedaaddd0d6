//! Encrypt, Decrypt and the data keys: what opens, what does not, and that a failure never says why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crate::support::{World, code, decrypt, encrypt, new_key, pairs, root};
use aws_wire::ApiError;
use kms::{model, ops};

const CONTEXT: &[(&str, &str)] = &[("department", "files"), ("purpose", "test")];

/// KMS API, InvalidCiphertextException: whatever bit of a blob is changed, and whatever is wrong with the context, the
/// answer is the same byte for byte.
#[tokio::test]
async fn every_failure_looks_the_same() {
    let world = World::new(31).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let other = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    let foreign = encrypt(&kms, &other, CONTEXT).await;
    let mut answers = std::collections::BTreeSet::new();
    let mut see = |outcome: Result<Vec<u8>, kms::KmsError>| {
        let error = ApiError::from(outcome.unwrap_err());
        answers.insert(format!("{} {} {:?} {:?}", error.status, error.code, error.message, error.members));
    };
    for bit in 0..blob.len() * 8 {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        see(decrypt(&kms, &changed, CONTEXT).await);
    }
    // Another key's header before this key's message, and the other way round.
    let mut swapped = foreign[..50].to_vec();
    swapped.extend_from_slice(&blob[50..]);
    see(decrypt(&kms, &swapped, CONTEXT).await);
    for wrong in [&[][..], &[("department", "files")], &[("department", "Files"), ("purpose", "test")]] {
        see(decrypt(&kms, &blob, wrong).await);
    }
    see(decrypt(&kms, b"not a blob", CONTEXT).await);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.first().unwrap().starts_with("400 InvalidCiphertextException"));
}

/// KMS API, Decrypt: the KeyId may be left out; a right one in any spelling is taken; a wrong one is IncorrectKey.
#[tokio::test]
async fn a_key_id_is_checked_in_every_spelling() {
    let world = World::new(32).await;
    let kms = world.open().await;
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let name = "alias/mine".to_owned();
    let alias = model::CreateAliasRequest { alias_name: name.clone(), target_key_id: key.clone() };
    ops::create_alias::run(&kms, &root(), alias).await.unwrap();
    let blob = encrypt(&kms, "alias/mine", CONTEXT).await;
    let try_with = async |key_id: &str| {
        let input = model::DecryptRequest {
            ciphertext_blob: Some(blob.clone().into()),
            encryption_context: Some(pairs(CONTEXT)),
            key_id: Some(key_id.to_owned()),
            ..Default::default()
        };
        code(ops::decrypt::run(&kms, &root(), input).await)
    };
    let arn = "arn:aws:kms:us-east-1:000000000001:";
    for right in [key.clone(), format!("{arn}key/{key}"), name, format!("{arn}alias/mine")] {
        assert_eq!(try_with(&right).await, "ok", "{right}");
    }
    assert_eq!(try_with(&other).await, "IncorrectKeyException");
    for (wrong, expected) in [
        ("nonsense", "NotFoundException"),
        ("alias/absent", "NotFoundException"),
        ("01234567-89ab-cdef-0123-456789abcdef", "NotFoundException"),
        ("arn:aws:kms:eu-west-1:000000000001:alias/mine", "NotFoundException"),
        ("arn:aws:kms:us-east-1:000000000002:alias/mine", "AccessDeniedException"),
        ("arn:aws:s3:::bucket", "InvalidArnException"),
        ("arn:aws:kms:us-east-1:000000000001:key/nonsense", "InvalidArnException"),
    ] {
        assert_eq!(try_with(wrong).await, expected, "{wrong}");
    }
}

/// KMS API, GenerateDataKey: plaintext and blob are the same key; KeySpec or NumberOfBytes, not both and not neither.
#[tokio::test]
async fn data_keys_have_the_length_asked_for() {
    let world = World::new(33).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let make = async |key_spec, number_of_bytes| {
        let input = model::GenerateDataKeyRequest {
            key_id: key.clone(),
            encryption_context: Some(pairs(CONTEXT)),
            key_spec,
            number_of_bytes,
            ..Default::default()
        };
        ops::generate_data_key::run(&kms, &root(), input).await
    };
    for (spec, bytes, length) in [
        (Some(model::DataKeySpec::Aes256), None, 32),
        (Some(model::DataKeySpec::Aes128), None, 16),
        (None, Some(1024), 1024),
    ] {
        let made = make(spec, bytes).await.unwrap();
        let plaintext = made.plaintext.unwrap().0.to_vec();
        assert_eq!(plaintext.len(), length);
        assert_eq!(decrypt(&kms, &made.ciphertext_blob.unwrap().0, CONTEXT).await.unwrap(), plaintext);
    }
    assert_eq!(code(make(None, None).await), "ValidationException");
    assert_eq!(code(make(Some(model::DataKeySpec::Aes256), Some(32)).await), "ValidationException");
}

/// KMS API, DryRun: all checks are made and nothing is done.
#[tokio::test]
async fn a_dry_run_ends_before_the_work() {
    let world = World::new(34).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let input = |key_id: &str| model::EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: aws_wire::SecretBlob::new(b"x".to_vec()),
        dry_run: Some(true),
        ..Default::default()
    };
    assert_eq!(code(ops::encrypt::run(&kms, &root(), input(&key)).await), "DryRunOperationException");
    crate::support::disable(&kms, &key).await;
    assert_eq!(code(ops::encrypt::run(&kms, &root(), input(&key)).await), "DisabledException");
}

/// KMS API, ReEncrypt: the new blob opens with the new context only.
#[tokio::test]
async fn re_encryption_changes_key_and_context() {
    let world = World::new(35).await;
    let kms = world.open().await;
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let blob = encrypt(&kms, &key, CONTEXT).await;
    let input = model::ReEncryptRequest {
        ciphertext_blob: Some(blob.into()),
        source_encryption_context: Some(pairs(CONTEXT)),
        destination_key_id: other.clone(),
        destination_encryption_context: Some(pairs(&[("new", "one")])),
        ..Default::default()
    };
    let done = ops::re_encrypt::run(&kms, &root(), input).await.unwrap();
    assert!(done.key_id.unwrap().ends_with(&other));
    let blob = done.ciphertext_blob.unwrap().0;
    assert_eq!(decrypt(&kms, &blob, &[("new", "one")]).await.unwrap(), b"plaintext");
    assert_eq!(code(decrypt(&kms, &blob, CONTEXT).await), "InvalidCiphertextException");
}
