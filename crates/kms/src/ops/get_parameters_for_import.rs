//! GetParametersForImport: a public key to wrap key material with, and the token that goes with it. KMS API,
//! GetParametersForImport.

use aws_wire::{Blob, CallContext, SecretBlob};
use policy::Conditions;
use zeroize::Zeroizing;

use crate::imported::check_origin;
use crate::metadata::timestamp;
use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, import, model};

/// GetParametersForImport.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GetParametersForImportRequest,
) -> Result<model::GetParametersForImportResponse, KmsError> {
    let facts = || {
        Conditions::of_call(cx)
            .with("kms:WrappingAlgorithm", input.wrapping_algorithm.as_str())
            .with("kms:WrappingKeySpec", input.wrapping_key_spec.as_str())
    };
    let check = |key: &KeyRecord| {
        kms.allow_with(cx, key, "GetParametersForImport", &EncryptionContext::default(), facts())?;
        check_origin(key)?;
        state_table::check(Action::GetParametersForImport, key)
    };
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    check(&key)?;
    let (wrapping, pair) = import::asked(input.wrapping_algorithm, input.wrapping_key_spec)?;
    let (private, public) = kms.new_pair(pair).await?;
    // That took a while; what became of the key meanwhile counts.
    let key = kms.find_id(&key.account, &key.region, &key.id)?;
    check(&key)?;
    let (token, expires) = kms.import_token(&key, wrapping, &private).await?;
    Ok(model::GetParametersForImportResponse {
        import_token: Some(Blob(token)),
        key_id: Some(key.arn()),
        parameters_valid_to: Some(timestamp(expires)),
        public_key: Some(SecretBlob(Zeroizing::new(public.as_spki().to_vec()))),
    })
}
