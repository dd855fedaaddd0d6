//! ImportKeyMaterial: material of the caller's own for a KMS key that was made for it. KMS API, ImportKeyMaterial.

use aws_wire::CallContext;
use crypto::Key;
use policy::Conditions;

use crate::imported::{Said, check_origin, valid_to};
use crate::material::aside;
use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// ImportKeyMaterial.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ImportKeyMaterialRequest,
) -> Result<model::ImportKeyMaterialResponse, KmsError> {
    let valid_to = valid_to(input.expiration_model, input.valid_to, kms.now())?;
    if input.key_material_id.is_some() && input.import_type == Some(model::ImportType::NewKeyMaterial) {
        return Err(KmsError::Validation(
            "You cannot specify a KeyMaterialId when ImportType is NEW_KEY_MATERIAL.".to_owned(),
        ));
    }
    let expiration_model = crate::imported::model_of(valid_to);
    let facts = || {
        Conditions::of_call(cx)
            .with("kms:ExpirationModel", expiration_model.as_str())
            .with_all("kms:ValidTo", valid_to.map(|date| date.to_string()))
    };
    let check = |key: &KeyRecord| {
        kms.allow_with(cx, key, "ImportKeyMaterial", &EncryptionContext::default(), facts())?;
        check_origin(key)?;
        state_table::check(Action::ImportKeyMaterial, key)
    };
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    check(&key)?;
    let parameters = kms.open_import_token(&key, &input.import_token.0)?;
    let wrapped = input.encrypted_key_material.0;
    let opened = aside(move || parameters.unwrap(&wrapped)).await?;
    // The token is ours and so its key is whole: it is the wrapped material that does not open.
    let mut opened = opened.map_err(|_| KmsError::InvalidCiphertext)?;
    let bytes = opened.len();
    let material = Key::take(&mut opened).map_err(|_| {
        KmsError::IncorrectKeyMaterial(format!(
            "A KMS key of KeySpec SYMMETRIC_DEFAULT takes key material of 256 bits, not {}.",
            bytes * 8
        ))
    })?;
    let turn = kms.turn().await;
    // That took a while; what became of the key meanwhile counts.
    let key = kms.find_id(&key.account, &key.region, &key.id)?;
    check(&key)?;
    let said = Said {
        kind: input.import_type,
        id: input.key_material_id,
        valid_to,
        description: input.key_material_description,
    };
    let id = kms.import(&turn, &key, &material, said).await?;
    Ok(model::ImportKeyMaterialResponse { key_id: Some(key.arn()), key_material_id: Some(id) })
}
