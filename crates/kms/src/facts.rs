//! What conditions may ask of one request beside what every request has. KMS developer guide, "AWS KMS condition keys".
//!
//! A parameter that a request leaves out counts as what the action takes for it, so that a condition cannot be evaded by
//! leaving it out.

use aws_wire::CallContext;
use policy::Conditions;

use crate::access::named_by;
use crate::model;

/// Encrypt, Decrypt, each half of ReEncrypt, and all that makes data keys: `kms:EncryptionAlgorithm`.
pub(crate) fn of_cipher(
    cx: &CallContext,
    spelling: &str,
    algorithm: Option<model::EncryptionAlgorithmSpec>,
) -> Conditions {
    let algorithm = algorithm.unwrap_or(model::EncryptionAlgorithmSpec::SymmetricDefault);
    named_by(cx, spelling).with("kms:EncryptionAlgorithm", algorithm.as_str())
}

/// GenerateDataKeyPair in both forms: `kms:DataKeyPairSpec` too.
pub(crate) fn of_data_key_pair(cx: &CallContext, spelling: &str, spec: model::DataKeyPairSpec) -> Conditions {
    of_cipher(cx, spelling, None).with("kms:DataKeyPairSpec", spec.as_str())
}

/// Sign and Verify: `kms:SigningAlgorithm`, `kms:MessageType`.
pub(crate) fn of_signature(
    cx: &CallContext,
    spelling: &str,
    algorithm: model::SigningAlgorithmSpec,
    message: Option<model::MessageType>,
) -> Conditions {
    named_by(cx, spelling)
        .with("kms:SigningAlgorithm", algorithm.as_str())
        .with("kms:MessageType", message.unwrap_or(model::MessageType::Raw).as_str())
}

/// GenerateMac and VerifyMac: `kms:MacAlgorithm`.
pub(crate) fn of_mac(cx: &CallContext, spelling: &str, algorithm: model::MacAlgorithmSpec) -> Conditions {
    named_by(cx, spelling).with("kms:MacAlgorithm", algorithm.as_str())
}

/// DeriveSharedSecret: `kms:KeyAgreementAlgorithm`.
pub(crate) fn of_agreement(
    cx: &CallContext,
    spelling: &str,
    algorithm: model::KeyAgreementAlgorithmSpec,
) -> Conditions {
    named_by(cx, spelling).with("kms:KeyAgreementAlgorithm", algorithm.as_str())
}

/// ListGrants and RevokeGrant: `kms:GrantIsForAWSResource`. Here only a service's own calls are for resources of a service,
/// and those do not come this way.
pub(crate) fn of_grants(cx: &CallContext) -> Conditions {
    Conditions::of_call(cx).with("kms:GrantIsForAWSResource", "false")
}

/// The facts of a call that a service makes in its caller's name. `service` is as `kms:ViaService` has it,
/// `elasticfilesystem.us-east-1.amazonaws.com`; `aws:CalledVia` names services without their regions. IAM User Guide, "AWS
/// global condition context keys".
pub(crate) fn through(facts: Conditions, service: &str) -> Conditions {
    let principal = match service.split_once('.') {
        Some((name, _)) => format!("{name}.amazonaws.com"),
        None => service.to_owned(),
    };
    facts
        .with("kms:ViaService", service)
        .with("kms:GrantIsForAWSResource", "true")
        .with("aws:CalledVia", principal.clone())
        .with("aws:CalledViaFirst", principal.clone())
        .with("aws:CalledViaLast", principal)
        .instead("aws:ViaAWSService", "true")
}
