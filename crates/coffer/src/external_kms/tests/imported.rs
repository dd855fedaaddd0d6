//! A file system under imported key material, of this house's own KMS: whoever deletes the material seals it.

use crypto::{Oaep, PairKind, PublicKey};
use filesystem::{LeaseState, SealCause};
use kms::model;

use super::{HERE, LEASE, Open, is_sealed, read, write};

/// Imports 32 bytes into a KMS key.
async fn import(near: &Open, key: &str) {
    let input = model::GetParametersForImportRequest {
        key_id: key.to_owned(),
        wrapping_algorithm: model::AlgorithmSpec::RsaesOaepSha256,
        wrapping_key_spec: model::WrappingKeySpec::Rsa2048,
    };
    let found = kms::ops::get_parameters_for_import::run(&near.house.kms, &near.root(), input).await.unwrap();
    let public = PublicKey::from_spki(PairKind::Rsa2048, found.public_key.unwrap().0.to_vec());
    let input = model::ImportKeyMaterialRequest {
        key_id: key.to_owned(),
        import_token: found.import_token.unwrap(),
        encrypted_key_material: public.encrypt(Oaep::Sha256, &[0x33; 32]).unwrap().into(),
        expiration_model: Some(model::ExpirationModelType::KeyMaterialDoesNotExpire),
        ..Default::default()
    };
    kms::ops::import_key_material::run(&near.house.kms, &near.root(), input).await.unwrap();
}

/// Architecture section 5, "Lease": without its imported material a KMS key is refused, and its file system sealed; the same
/// material opens it again, with the file that was open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_material_seals_and_the_same_opens_again() {
    let near = Open::new(HERE, LEASE).await;
    let input = model::CreateKeyRequest { origin: Some(model::OriginType::External), ..Default::default() };
    let made = kms::ops::create_key::run(&near.house.kms, &near.root(), input).await.unwrap();
    let key = made.key_metadata.unwrap().arn.unwrap();
    import(&near, &key).await;
    let id = near.create(&near.root(), "t", &key).await.unwrap();
    let fs = near.house.owner.open(&id).await.unwrap();
    let file = write(&fs, "a", b"before").await.unwrap();

    let input = model::DeleteImportedKeyMaterialRequest { key_id: key.clone(), ..Default::default() };
    kms::ops::delete_imported_key_material::run(&near.house.kms, &near.root(), input).await.unwrap();
    near.until(|| is_sealed(&fs, SealCause::Refused)).await;
    let LeaseState::Sealed { reason, .. } = fs.lease_status().state else { panic!("it serves") };
    assert!(reason.contains("is pending import."), "{reason}");
    assert!(read(&fs, &file).await.is_err());

    import(&near, &key).await;
    near.until(|| fs.lease_status().state == LeaseState::Open).await;
    assert_eq!(read(&fs, &file).await.unwrap(), b"before");
    write(&fs, "b", b"after").await.unwrap();
    drop((fs, file));
    near.close().await;
}
