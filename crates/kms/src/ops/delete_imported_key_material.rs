//! DeleteImportedKeyMaterial: the KMS key stays, and cannot be used until the same material is imported again. KMS API,
//! DeleteImportedKeyMaterial.

use aws_wire::CallContext;

use crate::imported::check_origin;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// DeleteImportedKeyMaterial.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::DeleteImportedKeyMaterialRequest,
) -> Result<model::DeleteImportedKeyMaterialResponse, KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "DeleteImportedKeyMaterial", &EncryptionContext::default())?;
    check_origin(&key)?;
    state_table::check(Action::DeleteImportedKeyMaterial, &key)?;
    let key_material_id = kms.delete_import(&turn, &key, input.key_material_id.as_deref()).await?;
    Ok(model::DeleteImportedKeyMaterialResponse { key_id: Some(key.arn()), key_material_id })
}
