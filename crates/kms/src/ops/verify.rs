//! Verify: whether a signature is one of this message under an asymmetric KMS key. KMS API, Verify.

use aws_wire::CallContext;

use super::encrypt::dry;
use super::sign::{check_message, message_of};
use crate::algorithm::scheme_of;
use crate::material::{aside, failed, public_key};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// Verify. A signature that does not verify is an error, never an answer that says no.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::VerifyRequest) -> Result<model::VerifyResponse, KmsError> {
    check_message(input.signing_algorithm, input.message_type, input.message.0.len())?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = facts::of_signature(cx, &input.key_id, input.signing_algorithm, input.message_type);
    kms.allow_with(cx, &key, "Verify", &EncryptionContext::default(), facts)?;
    let (_, scheme) = scheme_of(&key, "Verify", input.signing_algorithm)?;
    state_table::check(Action::Verify, &key)?;
    dry(input.dry_run)?;
    let public = public_key(&key)?;
    let (message, signature) = (input.message, input.signature);
    let verified =
        aside(move || public.verify(scheme, message_of(input.message_type, &message.0), signature.as_ref())).await?;
    verified.map_err(|cause| failed(&key, cause))?;
    Ok(model::VerifyResponse {
        key_id: Some(key.arn()),
        signature_valid: Some(true),
        signing_algorithm: Some(input.signing_algorithm),
    })
}
