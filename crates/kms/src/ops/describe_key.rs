//! DescribeKey: what a KMS key is and what state it is in. KMS API, DescribeKey.

use aws_wire::CallContext;

use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, access, metadata, model};

/// DescribeKey.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::DescribeKeyRequest,
) -> Result<model::DescribeKeyResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = access::named_by(cx, &input.key_id);
    kms.allow_with(cx, &key, "DescribeKey", &EncryptionContext::default(), facts)?;
    state_table::check(Action::DescribeKey, &key)?;
    Ok(model::DescribeKeyResponse { key_metadata: Some(metadata::of(kms, &key)) })
}
