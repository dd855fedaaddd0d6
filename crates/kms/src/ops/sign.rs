//! Sign: a signature over a message or its digest, by the private key of an asymmetric KMS key. KMS API, Sign.

use aws_wire::{Blob, CallContext};
use crypto::{Message, Scheme};

use super::encrypt::dry;
use crate::algorithm::{scheme, scheme_of};
use crate::material::{aside, failed};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// Sign.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::SignRequest) -> Result<model::SignResponse, KmsError> {
    check_message(input.signing_algorithm, input.message_type, input.message.0.len())?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = facts::of_signature(cx, &input.key_id, input.signing_algorithm, input.message_type);
    kms.allow_with(cx, &key, "Sign", &EncryptionContext::default(), facts)?;
    let (_, scheme) = scheme_of(&key, "Sign", input.signing_algorithm)?;
    state_table::check(Action::Sign, &key)?;
    dry(input.dry_run)?;
    let private = kms.private_key(&key)?;
    let message = input.message;
    let signed = aside(move || private.sign(scheme, message_of(input.message_type, &message.0))).await?;
    Ok(model::SignResponse {
        key_id: Some(key.arn()),
        signature: Some(Blob(signed.map_err(|cause| failed(&key, cause))?)),
        signing_algorithm: Some(input.signing_algorithm),
    })
}

/// The message as its type says; without a type it is the message itself.
pub(crate) fn message_of(kind: Option<model::MessageType>, bytes: &[u8]) -> Message<'_> {
    match kind {
        Some(model::MessageType::Digest) => Message::Digest(bytes),
        None | Some(model::MessageType::Raw | model::MessageType::ExternalMu) => Message::Raw(bytes),
    }
}

/// What can be said of message and algorithm before the key is known. KMS API, Sign, `MessageType`.
pub(crate) fn check_message(
    algorithm: model::SigningAlgorithmSpec,
    kind: Option<model::MessageType>,
    length: usize,
) -> Result<(), KmsError> {
    let kind = kind.unwrap_or(model::MessageType::Raw);
    // An algorithm that no key here knows: the key will say so.
    let Some(scheme) = scheme(algorithm) else { return Ok(()) };
    let digest_bytes = match scheme {
        Scheme::RsaPss(hash) | Scheme::RsaPkcs1(hash) | Scheme::Ecdsa(hash) => hash.bytes(),
        Scheme::Ed25519 | Scheme::Ed25519Ph => crypto::Hash::Sha512.bytes(),
    };
    let fits = match kind {
        model::MessageType::Raw => scheme != Scheme::Ed25519Ph,
        model::MessageType::Digest => scheme != Scheme::Ed25519,
        // Of ML-DSA alone.
        model::MessageType::ExternalMu => false,
    };
    if !fits {
        let (kind, algorithm) = (kind.as_str(), algorithm.as_str());
        return Err(KmsError::Validation(format!("MessageType {kind} is not valid for algorithm {algorithm}.")));
    }
    if kind == model::MessageType::Digest && length != digest_bytes {
        return Err(KmsError::Validation(format!("Digest is invalid length for algorithm {}.", algorithm.as_str())));
    }
    Ok(())
}
