//! Asymmetric and HMAC keys, over the actions themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::time::Duration;

use crate::support::{World, code, describe, disable, enable, encrypt, new_key, pairs, root, schedule, seen};
use aws_wire::SecretBlob;
use crypto::{Message, PairKind, PrivateKey, PublicKey};
use kms::{Kms, KmsError, model, ops};
use model::{EncryptionAlgorithmSpec as Cipher, KeySpec, KeyUsageType as Usage, SigningAlgorithmSpec as Signing};
use zeroize::Zeroizing;

fn create_request(spec: KeySpec, usage: Usage) -> model::CreateKeyRequest {
    model::CreateKeyRequest { key_spec: Some(spec), key_usage: Some(usage), ..Default::default() }
}

async fn create(kms: &Kms, spec: KeySpec, usage: Usage) -> model::KeyMetadata {
    ops::create_key::run(kms, &root(), create_request(spec, usage)).await.unwrap().key_metadata.unwrap()
}

async fn key(kms: &Kms, spec: KeySpec, usage: Usage) -> String {
    create(kms, spec, usage).await.key_id
}

fn secret(bytes: &[u8]) -> SecretBlob {
    SecretBlob::new(bytes.to_vec())
}

async fn sign(kms: &Kms, key: &str, algorithm: Signing, message: &[u8]) -> Result<Vec<u8>, KmsError> {
    let input = model::SignRequest {
        key_id: key.to_owned(),
        message: secret(message),
        signing_algorithm: algorithm,
        message_type: (algorithm == Signing::Ed25519PhSha512).then_some(model::MessageType::Digest),
        grant_tokens: None,
        dry_run: None,
    };
    Ok(ops::sign::run(kms, &root(), input).await?.signature.unwrap().0)
}

async fn verify(kms: &Kms, key: &str, algorithm: Signing, message: &[u8], signature: &[u8]) -> Result<(), KmsError> {
    let input = model::VerifyRequest {
        key_id: key.to_owned(),
        message: secret(message),
        signature: signature.to_vec().into(),
        signing_algorithm: algorithm,
        message_type: (algorithm == Signing::Ed25519PhSha512).then_some(model::MessageType::Digest),
        grant_tokens: None,
        dry_run: None,
    };
    let answer = ops::verify::run(kms, &root(), input).await?;
    assert_eq!((answer.signature_valid, answer.signing_algorithm), (Some(true), Some(algorithm)));
    Ok(())
}

async fn public_key(kms: &Kms, key: &str) -> Result<model::GetPublicKeyResponse, KmsError> {
    let input = model::GetPublicKeyRequest { key_id: key.to_owned(), grant_tokens: None };
    ops::get_public_key::run(kms, &root(), input).await
}

fn encrypt_request(key: &str, algorithm: Option<Cipher>, plaintext: &[u8]) -> model::EncryptRequest {
    model::EncryptRequest {
        key_id: key.to_owned(),
        plaintext: secret(plaintext),
        encryption_algorithm: algorithm,
        ..Default::default()
    }
}

fn decrypt_request(key: Option<&str>, algorithm: Option<Cipher>, blob: &[u8]) -> model::DecryptRequest {
    model::DecryptRequest {
        key_id: key.map(str::to_owned),
        ciphertext_blob: Some(blob.to_vec().into()),
        encryption_algorithm: algorithm,
        ..Default::default()
    }
}

/// KMS API, CreateKey and KeyMetadata: each key spec with each usage that it has, and the algorithms that follow.
#[tokio::test]
async fn metadata_names_spec_usage_and_algorithms() {
    let world = World::new(61).await;
    let kms = world.open().await;
    let rows = [
        (KeySpec::Rsa2048, Usage::EncryptDecrypt, [2, 0, 0, 0]),
        (KeySpec::Rsa2048, Usage::SignVerify, [0, 6, 0, 0]),
        (KeySpec::EccNistP256, Usage::SignVerify, [0, 1, 0, 0]),
        (KeySpec::EccNistP384, Usage::KeyAgreement, [0, 0, 0, 1]),
        (KeySpec::EccNistP521, Usage::SignVerify, [0, 1, 0, 0]),
        (KeySpec::EccSecgP256k1, Usage::SignVerify, [0, 1, 0, 0]),
        (KeySpec::EccNistEdwards25519, Usage::SignVerify, [0, 2, 0, 0]),
        (KeySpec::Hmac224, Usage::GenerateVerifyMac, [0, 0, 1, 0]),
        (KeySpec::Hmac512, Usage::GenerateVerifyMac, [0, 0, 1, 0]),
    ];
    for (spec, usage, algorithms) in rows {
        let made = create(&kms, spec, usage).await;
        let found = describe(&kms, &made.key_id).await;
        assert_eq!(made, found);
        assert_eq!((found.key_spec, found.key_usage), (Some(spec), Some(usage)));
        let old = found.customer_master_key_spec.map(model::CustomerMasterKeySpec::as_str);
        assert_eq!(old, (spec != KeySpec::EccNistEdwards25519).then_some(spec.as_str()));
        let counts = [
            found.encryption_algorithms.map_or(0, |list| list.len()),
            found.signing_algorithms.map_or(0, |list| list.len()),
            found.mac_algorithms.map_or(0, |list| list.len()),
            found.key_agreement_algorithms.map_or(0, |list| list.len()),
        ];
        assert_eq!(counts, algorithms, "{spec:?}");
        assert_eq!(found.current_key_material_id, None, "only symmetric encryption keys have it");
    }
}

/// KMS API, CreateKey: what does not go together is a ValidationException, what is not offered an
/// UnsupportedOperationException.
#[tokio::test]
async fn other_combinations_are_refused() {
    let world = World::new(62).await;
    let kms = world.open().await;
    let try_create = async |input| code(ops::create_key::run(&kms, &root(), input).await);
    for (spec, usage) in [
        (KeySpec::SymmetricDefault, Usage::SignVerify),
        (KeySpec::SymmetricDefault, Usage::GenerateVerifyMac),
        (KeySpec::Rsa2048, Usage::GenerateVerifyMac),
        (KeySpec::Rsa2048, Usage::KeyAgreement),
        (KeySpec::EccNistP256, Usage::EncryptDecrypt),
        (KeySpec::EccSecgP256k1, Usage::KeyAgreement),
        (KeySpec::EccNistEdwards25519, Usage::KeyAgreement),
        (KeySpec::Hmac256, Usage::SignVerify),
        (KeySpec::Hmac256, Usage::EncapsulateDecapsulate),
    ] {
        assert_eq!(try_create(create_request(spec, usage)).await, "ValidationException", "{spec:?} {usage:?}");
    }
    let bare = model::CreateKeyRequest { key_spec: Some(KeySpec::Rsa2048), ..Default::default() };
    assert_eq!(try_create(bare.clone()).await, "ValidationException", "the usage may not be left out");
    let both = model::CreateKeyRequest {
        customer_master_key_spec: Some(model::CustomerMasterKeySpec::Rsa2048),
        key_usage: Some(Usage::SignVerify),
        ..bare
    };
    assert_eq!(try_create(both).await, "ValidationException");
    let old = model::CreateKeyRequest {
        customer_master_key_spec: Some(model::CustomerMasterKeySpec::EccNistP256),
        key_usage: Some(Usage::SignVerify),
        ..Default::default()
    };
    assert_eq!(try_create(old).await, "ok");
    for spec in [KeySpec::Sm2, KeySpec::MlDsa44, KeySpec::MlKem768] {
        assert_eq!(try_create(create_request(spec, Usage::SignVerify)).await, "UnsupportedOperationException");
    }
}

/// KMS API, Sign, Verify, GetPublicKey: every algorithm of every key; signatures verify here and with the public key alone,
/// and not when anything is changed.
#[tokio::test]
async fn signatures_verify_and_changed_ones_do_not() {
    let world = World::new(63).await;
    let kms = world.open().await;
    let specs = [
        (KeySpec::Rsa2048, PairKind::Rsa2048),
        (KeySpec::EccNistP256, PairKind::P256),
        (KeySpec::EccNistP384, PairKind::P384),
        (KeySpec::EccNistP521, PairKind::P521),
        (KeySpec::EccSecgP256k1, PairKind::P256K1),
        (KeySpec::EccNistEdwards25519, PairKind::Ed25519),
    ];
    let all = create(&kms, KeySpec::Rsa2048, Usage::SignVerify).await.signing_algorithms.unwrap();
    for (spec, kind) in specs {
        let made = create(&kms, spec, Usage::SignVerify).await;
        let key = made.key_id;
        let public = public_key(&kms, &key).await.unwrap();
        assert_eq!((public.key_id, public.key_spec, public.key_usage), (made.arn, Some(spec), Some(Usage::SignVerify)));
        assert_eq!(public.signing_algorithms, made.signing_algorithms);
        let public = PublicKey::from_spki(kind, public.public_key.unwrap().0);
        for algorithm in made.signing_algorithms.clone().unwrap() {
            let message = [7; 64];
            let signature = sign(&kms, &key, algorithm, &message).await.unwrap();
            verify(&kms, &key, algorithm, &message, &signature).await.unwrap();
            let other = verify(&kms, &key, algorithm, &[8; 64], &signature).await;
            assert_eq!(seen(other.unwrap_err()), ("KMSInvalidSignatureException".to_owned(), String::new()));
            let mut changed = signature.clone();
            changed[10] ^= 1;
            let outcome = verify(&kms, &key, algorithm, &message, &changed).await;
            assert_eq!(code(outcome), "KMSInvalidSignatureException");
            if algorithm == Signing::EcdsaSha256 {
                let scheme = crypto::Scheme::Ecdsa(crypto::Hash::Sha256);
                public.verify(scheme, Message::Raw(&message), &signature).unwrap();
            }
        }
        for algorithm in all.iter().chain(&[Signing::EcdsaSha384, Signing::EcdsaSha512, Signing::Sm2dsa]) {
            if made.signing_algorithms.as_ref().unwrap().contains(algorithm) {
                continue;
            }
            assert_eq!(code(sign(&kms, &key, *algorithm, b"x").await), "InvalidKeyUsageException");
            assert_eq!(code(verify(&kms, &key, *algorithm, b"x", b"x").await), "InvalidKeyUsageException");
        }
    }
}

/// KMS API, Sign, `MessageType`: a digest is signed as its message; its length is that of the algorithm's hash; the two
/// forms of Ed25519 take one type each.
#[tokio::test]
async fn a_digest_is_signed_as_its_message() {
    let world = World::new(64).await;
    let kms = world.open().await;
    let key = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let request = |bytes: &[u8], algorithm, kind| model::SignRequest {
        key_id: key.clone(),
        message: secret(bytes),
        message_type: Some(kind),
        signing_algorithm: algorithm,
        grant_tokens: None,
        dry_run: None,
    };
    let sign_as =
        async |bytes: &[u8], algorithm, kind| ops::sign::run(&kms, &root(), request(bytes, algorithm, kind)).await;
    // SHA-256 of "abc", FIPS 180-2 appendix B.1.
    let digest = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    let signed = sign_as(&digest, Signing::EcdsaSha256, model::MessageType::Digest).await.unwrap();
    verify(&kms, &key, Signing::EcdsaSha256, b"abc", &signed.signature.unwrap().0).await.unwrap();
    let short = sign_as(&digest[1..], Signing::EcdsaSha256, model::MessageType::Digest).await.unwrap_err();
    let text = "Digest is invalid length for algorithm ECDSA_SHA_256.";
    assert_eq!(seen(short), ("ValidationException".to_owned(), text.to_owned()));
    for (algorithm, kind) in [
        (Signing::EcdsaSha256, model::MessageType::ExternalMu),
        (Signing::Ed25519Sha512, model::MessageType::Digest),
        (Signing::Ed25519PhSha512, model::MessageType::Raw),
    ] {
        assert_eq!(code(sign_as(&[0; 64], algorithm, kind).await), "ValidationException");
    }
}

/// KMS API, GenerateMac and VerifyMac: each key by its own algorithm only.
#[tokio::test]
async fn macs_verify_and_changed_ones_do_not() {
    let world = World::new(65).await;
    let kms = world.open().await;
    use model::MacAlgorithmSpec as Mac;
    let rows = [
        (KeySpec::Hmac224, Mac::HmacSha224, 28),
        (KeySpec::Hmac256, Mac::HmacSha256, 32),
        (KeySpec::Hmac384, Mac::HmacSha384, 48),
        (KeySpec::Hmac512, Mac::HmacSha512, 64),
    ];
    for (spec, algorithm, length) in rows {
        let key = key(&kms, spec, Usage::GenerateVerifyMac).await;
        let make = async |mac_algorithm, dry_run| {
            let input = model::GenerateMacRequest {
                key_id: key.clone(),
                message: secret(b"message"),
                mac_algorithm,
                grant_tokens: None,
                dry_run,
            };
            ops::generate_mac::run(&kms, &root(), input).await
        };
        let check = async |message: &[u8], mac: &[u8], mac_algorithm, dry_run| {
            let input = model::VerifyMacRequest {
                key_id: key.clone(),
                message: secret(message),
                mac: mac.to_vec().into(),
                mac_algorithm,
                grant_tokens: None,
                dry_run,
            };
            ops::verify_mac::run(&kms, &root(), input).await
        };
        let mac = make(algorithm, None).await.unwrap().mac.unwrap().0;
        assert_eq!(mac.len(), length);
        assert_eq!(mac, make(algorithm, None).await.unwrap().mac.unwrap().0);
        assert_eq!(check(b"message", &mac, algorithm, None).await.unwrap().mac_valid, Some(true));
        let refused = check(b"massage", &mac, algorithm, None).await.unwrap_err();
        assert_eq!(seen(refused), ("KMSInvalidMacException".to_owned(), String::new()));
        assert_eq!(code(check(b"message", &mac[1..], algorithm, None).await), "KMSInvalidMacException");
        assert_eq!(code(make(algorithm, Some(true)).await), "DryRunOperationException");
        assert_eq!(code(check(b"massage", &mac, algorithm, Some(true)).await), "DryRunOperationException");
        for (_, other, _) in rows.iter().filter(|row| row.1 != algorithm) {
            assert_eq!(code(make(*other, None).await), "InvalidKeyUsageException");
            assert_eq!(code(check(b"message", &mac, *other, None).await), "InvalidKeyUsageException");
        }
        assert_eq!(code(public_key(&kms, &key).await), "UnsupportedOperationException");
    }
}

/// KMS API, Encrypt, Decrypt, ReEncrypt with RSA keys: sizes, algorithms, no encryption context, the key must be named.
#[tokio::test]
async fn rsa_keys_encrypt_and_decrypt() {
    let world = World::new(66).await;
    let kms = world.open().await;
    let key = key(&kms, KeySpec::Rsa2048, Usage::EncryptDecrypt).await;
    let encrypts = async |input| ops::encrypt::run(&kms, &root(), input).await;
    let decrypts = async |input| ops::decrypt::run(&kms, &root(), input).await;
    for (algorithm, most) in [(Cipher::RsaesOaepSha1, 214), (Cipher::RsaesOaepSha256, 190)] {
        let sealed = encrypts(encrypt_request(&key, Some(algorithm), &vec![5; most])).await.unwrap();
        assert_eq!(sealed.encryption_algorithm, Some(algorithm));
        let blob = sealed.ciphertext_blob.unwrap().0;
        assert_eq!(blob.len(), 256);
        let opened = decrypts(decrypt_request(Some(&key), Some(algorithm), &blob)).await.unwrap();
        assert_eq!(opened.plaintext.unwrap().0.to_vec(), vec![5; most]);
        assert_eq!((opened.encryption_algorithm, opened.key_material_id), (Some(algorithm), None));
        let long = encrypts(encrypt_request(&key, Some(algorithm), &vec![5; most + 1])).await.unwrap_err();
        let text = format!(
            "Algorithm {} and key spec RSA_2048 cannot encrypt data larger than {most} bytes.",
            algorithm.as_str()
        );
        assert_eq!(seen(long), ("ValidationException".to_owned(), text));
        let mut changed = blob.clone();
        changed[99] ^= 1;
        for bad in [&changed, &blob[1..], b"x"] {
            let outcome = decrypts(decrypt_request(Some(&key), Some(algorithm), bad)).await;
            assert_eq!(code(outcome), "InvalidCiphertextException");
        }
        let nameless = decrypts(decrypt_request(None, Some(algorithm), &blob)).await;
        assert_eq!(code(nameless), "ValidationException");
        assert_eq!(code(decrypts(decrypt_request(Some(&key), None, &blob)).await), "InvalidKeyUsageException");
        let mut dry = decrypt_request(Some(&key), Some(algorithm), &blob);
        dry.dry_run = Some(true);
        assert_eq!(code(decrypts(dry).await), "DryRunOperationException");
        let mut context = decrypt_request(Some(&key), Some(algorithm), &blob);
        context.encryption_context = Some(pairs(&[("a", "b")]));
        assert_eq!(code(decrypts(context).await), "ValidationException");
    }
    assert_eq!(code(encrypts(encrypt_request(&key, None, b"x")).await), "InvalidKeyUsageException");
    let mut context = encrypt_request(&key, Some(Cipher::RsaesOaepSha1), b"x");
    context.encryption_context = Some(pairs(&[("a", "b")]));
    assert_eq!(code(encrypts(context).await), "ValidationException");
    let symmetric = new_key(&kms).await;
    let wrong = encrypts(encrypt_request(&symmetric, Some(Cipher::RsaesOaepSha1), b"x")).await;
    assert_eq!(code(wrong), "InvalidKeyUsageException");
    let wrong = decrypts(decrypt_request(Some(&symmetric), Some(Cipher::RsaesOaepSha1), b"x")).await;
    assert_eq!(code(wrong), "InvalidKeyUsageException");
    let blob = encrypt(&kms, &symmetric, &[]).await;
    assert_eq!(code(decrypts(decrypt_request(Some(&key), None, &blob)).await), "InvalidKeyUsageException");

    // From symmetric to RSA and back.
    let to_rsa = model::ReEncryptRequest {
        ciphertext_blob: Some(blob.into()),
        destination_key_id: key.clone(),
        destination_encryption_algorithm: Some(Cipher::RsaesOaepSha256),
        ..Default::default()
    };
    let moved = ops::re_encrypt::run(&kms, &root(), to_rsa).await.unwrap();
    assert_eq!(moved.destination_encryption_algorithm, Some(Cipher::RsaesOaepSha256));
    assert!(moved.destination_key_material_id.is_none() && moved.source_key_material_id.is_some());
    let bare = model::ReEncryptRequest {
        ciphertext_blob: moved.ciphertext_blob,
        source_key_id: Some(key),
        source_encryption_algorithm: Some(Cipher::RsaesOaepSha256),
        destination_key_id: symmetric,
        destination_encryption_context: Some(pairs(&[("a", "b")])),
        ..Default::default()
    };
    let back = ops::re_encrypt::run(&kms, &root(), bare).await.unwrap();
    assert_eq!(back.source_encryption_algorithm, Some(Cipher::RsaesOaepSha256));
    let blob = back.ciphertext_blob.unwrap().0;
    assert_eq!(crate::support::decrypt(&kms, &blob, &[("a", "b")]).await.unwrap(), b"plaintext");
}

/// KMS API, GenerateDataKeyPair: the sealed private key is the plaintext one and fits the public key; it opens in its context
/// only; the other form shows no plaintext.
#[tokio::test]
async fn data_key_pairs_are_sealed_in_their_context() {
    let world = World::new(67).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    use model::DataKeyPairSpec as Spec;
    let rows = [
        (Spec::Rsa2048, PairKind::Rsa2048),
        (Spec::EccNistP256, PairKind::P256),
        (Spec::EccNistP384, PairKind::P384),
        (Spec::EccNistP521, PairKind::P521),
        (Spec::EccSecgP256k1, PairKind::P256K1),
        (Spec::EccNistEdwards25519, PairKind::Ed25519),
    ];
    let request = |key: &str, spec| model::GenerateDataKeyPairRequest {
        key_id: key.to_owned(),
        key_pair_spec: spec,
        encryption_context: Some(pairs(&[("a", "b")])),
        grant_tokens: None,
        recipient: None,
        dry_run: None,
    };
    for (spec, kind) in rows {
        let made = ops::generate_data_key_pair::run(&kms, &root(), request(&key, spec)).await.unwrap();
        assert_eq!(made.key_pair_spec, Some(spec));
        let blob = made.private_key_ciphertext_blob.unwrap().0;
        let opened = crate::support::decrypt(&kms, &blob, &[("a", "b")]).await.unwrap();
        assert_eq!(opened, made.private_key_plaintext.unwrap().0.to_vec());
        let private = PrivateKey::from_pkcs8(kind, Zeroizing::new(opened)).unwrap();
        assert_eq!(private.public_key().unwrap().as_spki(), made.public_key.unwrap().0);
        assert_eq!(code(crate::support::decrypt(&kms, &blob, &[]).await), "InvalidCiphertextException");
        let input = model::GenerateDataKeyPairWithoutPlaintextRequest {
            key_id: key.clone(),
            key_pair_spec: spec,
            encryption_context: None,
            grant_tokens: None,
            dry_run: None,
        };
        let made = ops::generate_data_key_pair_without_plaintext::run(&kms, &root(), input).await.unwrap();
        let opened = crate::support::decrypt(&kms, &made.private_key_ciphertext_blob.unwrap().0, &[]).await.unwrap();
        let private = PrivateKey::from_pkcs8(kind, Zeroizing::new(opened)).unwrap();
        assert_eq!(private.public_key().unwrap().as_spki(), made.public_key.unwrap().0);
    }
    let sm2 = ops::generate_data_key_pair::run(&kms, &root(), request(&key, Spec::Sm2)).await;
    assert_eq!(code(sm2), "UnsupportedOperationException");
    let rsa = self::key(&kms, KeySpec::Rsa2048, Usage::EncryptDecrypt).await;
    let wrong = ops::generate_data_key_pair::run(&kms, &root(), request(&rsa, Spec::EccNistP256)).await;
    assert_eq!(code(wrong), "InvalidKeyUsageException");
    let dry = model::GenerateDataKeyPairRequest { dry_run: Some(true), ..request(&key, Spec::Rsa4096) };
    let outcome = ops::generate_data_key_pair::run(&kms, &root(), dry).await;
    assert_eq!(code(outcome), "DryRunOperationException");
}

/// KMS API, DeriveSharedSecret: both sides come to the same secret, as long as the field; other keys cannot.
#[tokio::test]
async fn both_sides_derive_the_same_secret() {
    let world = World::new(68).await;
    let kms = world.open().await;
    let derive = async |key: &str, peer: &[u8], dry_run| {
        let input = model::DeriveSharedSecretRequest {
            key_id: key.to_owned(),
            key_agreement_algorithm: model::KeyAgreementAlgorithmSpec::Ecdh,
            public_key: peer.to_vec().into(),
            grant_tokens: None,
            dry_run,
            recipient: None,
        };
        ops::derive_shared_secret::run(&kms, &root(), input).await
    };
    for (spec, kind, length) in [
        (KeySpec::EccNistP256, PairKind::P256, 32),
        (KeySpec::EccNistP384, PairKind::P384, 48),
        (KeySpec::EccNistP521, PairKind::P521, 66),
    ] {
        let key = key(&kms, spec, Usage::KeyAgreement).await;
        let ours = public_key(&kms, &key).await.unwrap();
        assert_eq!(ours.key_agreement_algorithms, Some(vec![model::KeyAgreementAlgorithmSpec::Ecdh]));
        let theirs = PrivateKey::generate(kind).unwrap();
        let peer = theirs.public_key().unwrap();
        let answer = derive(&key, peer.as_spki(), None).await.unwrap();
        assert_eq!(answer.key_origin, Some(model::OriginType::AwsKms));
        let secret = answer.shared_secret.unwrap().0;
        assert_eq!(secret.len(), length);
        assert_eq!(*secret, *theirs.agree(&ours.public_key.unwrap().0).unwrap());
        let mut off = peer.as_spki().to_vec();
        *off.last_mut().unwrap() ^= 1;
        assert_eq!(code(derive(&key, &off, None).await), "ValidationException");
        assert_eq!(code(derive(&key, b"noise", None).await), "ValidationException");
        assert_eq!(code(derive(&key, peer.as_spki(), Some(true)).await), "DryRunOperationException");
    }
    let signing = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let peer = PrivateKey::generate(PairKind::P256).unwrap().public_key().unwrap();
    let refused = derive(&signing, peer.as_spki(), None).await.unwrap_err();
    let arn = describe(&kms, &signing).await.arn.unwrap();
    let text = format!("{arn} key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret.");
    assert_eq!(seen(refused), ("InvalidKeyUsageException".to_owned(), text));
}

/// Architecture section 5, "Erasure": material of every kind survives the move to the next epoch and a restart; a deleted
/// key's does not, and its old copy opens nothing.
#[tokio::test]
async fn material_survives_the_move_to_the_next_epoch() {
    let world = World::new(69).await;
    let kms = world.open().await;
    let signing = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let rsa = key(&kms, KeySpec::Rsa2048, Usage::EncryptDecrypt).await;
    let hmac = key(&kms, KeySpec::Hmac256, Usage::GenerateVerifyMac).await;
    let gone = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let signature = sign(&kms, &signing, Signing::EcdsaSha256, b"before").await.unwrap();
    let sealed =
        ops::encrypt::run(&kms, &root(), encrypt_request(&rsa, Some(Cipher::RsaesOaepSha1), b"before")).await.unwrap();
    let mac = mac_of(&kms, &hmac).await.unwrap();
    schedule(&kms, &gone, 7).await;
    drop(kms);
    let old = world.copy().await;
    let kms = world.open().await;
    for wait in [8 * 86_400, 3601, 61] {
        world.simulation.advance(Duration::from_secs(wait));
        kms.run_due().await.unwrap();
    }
    for kms in [kms, world.open().await] {
        verify(&kms, &signing, Signing::EcdsaSha256, b"before", &signature).await.unwrap();
        let again = sign(&kms, &signing, Signing::EcdsaSha256, b"after").await.unwrap();
        verify(&kms, &signing, Signing::EcdsaSha256, b"after", &again).await.unwrap();
        let blob = sealed.ciphertext_blob.clone().unwrap().0;
        let opened = decrypt_request(Some(&rsa), Some(Cipher::RsaesOaepSha1), &blob);
        let opened = ops::decrypt::run(&kms, &root(), opened).await.unwrap();
        assert_eq!(opened.plaintext.unwrap().0.as_slice(), b"before");
        assert_eq!(mac_of(&kms, &hmac).await.unwrap(), mac);
        assert_eq!(code(sign(&kms, &gone, Signing::EcdsaSha256, b"x").await), "NotFoundException");
    }
    assert!(world.open_ring(&old).await.is_err(), "the copy from before the deletion does not open");
}

async fn mac_of(kms: &Kms, key: &str) -> Result<Vec<u8>, KmsError> {
    let input = model::GenerateMacRequest {
        key_id: key.to_owned(),
        message: secret(b"m"),
        mac_algorithm: model::MacAlgorithmSpec::HmacSha256,
        grant_tokens: None,
        dry_run: None,
    };
    Ok(ops::generate_mac::run(kms, &root(), input).await?.mac.unwrap().0)
}

/// KMS developer guide, "Key state table": the rows of the cryptographic actions of these keys.
#[tokio::test]
async fn states_are_kept() {
    let world = World::new(70).await;
    let kms = world.open().await;
    let signing = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let agreeing = key(&kms, KeySpec::EccNistP256, Usage::KeyAgreement).await;
    let hmac = key(&kms, KeySpec::Hmac256, Usage::GenerateVerifyMac).await;
    let symmetric = new_key(&kms).await;
    let signature = sign(&kms, &signing, Signing::EcdsaSha256, b"m").await.unwrap();
    let mac = mac_of(&kms, &hmac).await.unwrap();
    let peer = PrivateKey::generate(PairKind::P256).unwrap().public_key().unwrap().as_spki().to_vec();
    let all = [&signing, &agreeing, &hmac, &symmetric];
    for expected in ["ok", "DisabledException", "KMSInvalidStateException"] {
        for key in all {
            match expected {
                "ok" => {}
                "DisabledException" => disable(&kms, key).await,
                _ => {
                    enable(&kms, key).await;
                    schedule(&kms, key, 7).await;
                }
            }
        }
        let verify_mac = model::VerifyMacRequest {
            key_id: hmac.clone(),
            message: secret(b"m"),
            mac: mac.clone().into(),
            mac_algorithm: model::MacAlgorithmSpec::HmacSha256,
            grant_tokens: None,
            dry_run: None,
        };
        let derive = model::DeriveSharedSecretRequest {
            key_id: agreeing.clone(),
            key_agreement_algorithm: model::KeyAgreementAlgorithmSpec::Ecdh,
            public_key: peer.clone().into(),
            grant_tokens: None,
            dry_run: None,
            recipient: None,
        };
        let pair = model::GenerateDataKeyPairRequest {
            key_id: symmetric.clone(),
            key_pair_spec: model::DataKeyPairSpec::EccNistP256,
            encryption_context: None,
            grant_tokens: None,
            recipient: None,
            dry_run: None,
        };
        let wrapped = model::GenerateDataKeyPairWithoutPlaintextRequest {
            key_id: symmetric.clone(),
            key_pair_spec: model::DataKeyPairSpec::EccNistP256,
            encryption_context: None,
            grant_tokens: None,
            dry_run: None,
        };
        let cx = root();
        let answers = [
            ("Sign", code(sign(&kms, &signing, Signing::EcdsaSha256, b"m").await)),
            ("Verify", code(verify(&kms, &signing, Signing::EcdsaSha256, b"m", &signature).await)),
            ("GetPublicKey", code(public_key(&kms, &signing).await)),
            ("GenerateMac", code(mac_of(&kms, &hmac).await)),
            ("VerifyMac", code(ops::verify_mac::run(&kms, &cx, verify_mac).await)),
            ("DeriveSharedSecret", code(ops::derive_shared_secret::run(&kms, &cx, derive).await)),
            ("GenerateDataKeyPair", code(ops::generate_data_key_pair::run(&kms, &cx, pair).await)),
            (
                "GenerateDataKeyPairWithoutPlaintext",
                code(ops::generate_data_key_pair_without_plaintext::run(&kms, &cx, wrapped).await),
            ),
        ];
        for (action, answer) in answers {
            assert_eq!(answer, expected, "{action}");
        }
    }
}

/// KMS developer guide, "Grant operations", "Rotating keys", "Aliases"; EFS user guide, "Encrypting data at rest": a key is
/// granted for what it can do, only symmetric encryption keys rotate, make data keys and encrypt file systems, and an alias
/// stays with its type and usage.
#[tokio::test]
async fn what_only_other_keys_can_do_is_refused() {
    let world = World::new(71).await;
    let kms = world.open().await;
    let rsa = key(&kms, KeySpec::Rsa2048, Usage::EncryptDecrypt).await;
    let signing = key(&kms, KeySpec::EccNistP256, Usage::SignVerify).await;
    let agreeing = key(&kms, KeySpec::EccNistP256, Usage::KeyAgreement).await;
    let hmac = key(&kms, KeySpec::Hmac256, Usage::GenerateVerifyMac).await;
    let symmetric = new_key(&kms).await;
    use model::GrantOperation as Grant;
    let grants = [
        (&symmetric, [true, true, false, false, false, false, false]),
        (&rsa, [true, false, true, false, false, false, false]),
        (&signing, [false, false, true, true, false, false, false]),
        (&agreeing, [false, false, true, false, false, true, false]),
        (&hmac, [false, false, false, false, true, false, false]),
    ];
    let operations = [
        Grant::Decrypt,
        Grant::GenerateDataKeyPair,
        Grant::GetPublicKey,
        Grant::Sign,
        Grant::VerifyMac,
        Grant::DeriveSharedSecret,
        Grant::Encapsulate,
    ];
    let request = |key: &str, operations| model::CreateGrantRequest {
        key_id: key.to_owned(),
        grantee_principal: Some("arn:aws:iam::000000000001:user/mara".to_owned()),
        operations,
        ..Default::default()
    };
    for (key, valid) in grants {
        for (operation, valid) in operations.into_iter().zip(valid) {
            let outcome = code(ops::create_grant::run(&kms, &root(), request(key, vec![operation])).await);
            assert_eq!(outcome, if valid { "ok" } else { "ValidationException" }, "{operation:?}");
        }
    }
    let constrained = model::CreateGrantRequest {
        constraints: Some(model::GrantConstraints {
            encryption_context_equals: Some(pairs(&[("a", "b")])),
            ..Default::default()
        }),
        ..request(&rsa, vec![Grant::Decrypt])
    };
    assert_eq!(code(ops::create_grant::run(&kms, &root(), constrained).await), "ValidationException");

    for key in [&rsa, &signing, &agreeing, &hmac] {
        let status = model::GetKeyRotationStatusRequest { key_id: key.clone() };
        let outcome = ops::get_key_rotation_status::run(&kms, &root(), status).await;
        assert_eq!(code(outcome), "UnsupportedOperationException");
        let data_key = model::GenerateDataKeyRequest {
            key_id: key.clone(),
            key_spec: Some(model::DataKeySpec::Aes256),
            ..Default::default()
        };
        let outcome = ops::generate_data_key::run(&kms, &root(), data_key).await;
        assert_eq!(code(outcome), "InvalidKeyUsageException");
        let context = crate::support::encryption_context(&[("a", "b")]);
        let refused = kms.grant_to_service(&root(), crate::support::SERVICE, key, &context).await.unwrap_err();
        assert!(refused.is_refusal());
        assert_eq!(seen(refused).0, "InvalidKeyUsageException");
        assert_eq!(kms.service_grants(crate::support::SERVICE, &context), []);
    }
    for key in [&rsa, &agreeing, &hmac, &symmetric] {
        assert_eq!(code(sign(&kms, key, Signing::EcdsaSha256, b"x").await), "InvalidKeyUsageException");
    }
    for key in [&rsa, &signing, &symmetric] {
        assert_eq!(code(mac_of(&kms, key).await), "InvalidKeyUsageException");
    }
    for key in [&signing, &hmac] {
        let outcome = ops::encrypt::run(&kms, &root(), encrypt_request(key, None, b"x")).await;
        assert_eq!(code(outcome), "InvalidKeyUsageException");
    }
    assert_eq!(code(public_key(&kms, &symmetric).await), "UnsupportedOperationException");

    let alias = |target: &str| model::UpdateAliasRequest {
        alias_name: "alias/signer".to_owned(),
        target_key_id: target.to_owned(),
    };
    let first = model::CreateAliasRequest { alias_name: "alias/signer".to_owned(), target_key_id: signing.clone() };
    ops::create_alias::run(&kms, &root(), first).await.unwrap();
    let other = key_of_p384(&kms).await;
    assert_eq!(code(ops::update_alias::run(&kms, &root(), alias(&other)).await), "ok");
    for target in [&rsa, &agreeing, &hmac, &symmetric] {
        assert_eq!(code(ops::update_alias::run(&kms, &root(), alias(target)).await), "ValidationException");
    }
    verify_by_alias(&kms, "alias/signer").await;
}

async fn key_of_p384(kms: &Kms) -> String {
    key(kms, KeySpec::EccNistP384, Usage::SignVerify).await
}

/// The cryptographic actions take aliases.
async fn verify_by_alias(kms: &Kms, alias: &str) {
    let signature = sign(kms, alias, Signing::EcdsaSha384, b"m").await.unwrap();
    verify(kms, alias, Signing::EcdsaSha384, b"m", &signature).await.unwrap();
}

/// A key that takes seconds to make holds nobody up: other changes go on meanwhile. Architecture section 1, "Names": pairs
/// are made off the runtime and without the right to change state.
#[tokio::test]
async fn making_an_rsa_key_holds_nobody_up() {
    let world = World::new(72).await;
    let kms = world.open().await;
    let symmetric = new_key(&kms).await;
    let slow = tokio::spawn({
        let kms = kms.clone();
        async move { create(&kms, KeySpec::Rsa4096, Usage::SignVerify).await }
    });
    tokio::task::yield_now().await;
    let mut changes = 0;
    while !slow.is_finished() && changes < 20 {
        disable(&kms, &symmetric).await;
        enable(&kms, &symmetric).await;
        changes += 1;
    }
    assert_eq!(changes, 20, "twenty changes of another key take less than one RSA key of 4,096 bits");
    let made = slow.await.unwrap();
    assert_eq!(made.key_spec, Some(KeySpec::Rsa4096));
}
