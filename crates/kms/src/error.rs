//! What can be wrong with a KMS request, named by the condition. [`crate::aws_error`] says what the caller sees.

use storage::StorageError;

use crate::KeyRingError;

/// Why a KMS action did not happen.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// No such key, alias or grant.
    #[error("{0}")]
    NotFound(String),
    /// An ARN that names nothing this action takes.
    #[error("{0}")]
    InvalidArn(String),
    /// A value that the model's shapes cannot forbid.
    #[error("{0}")]
    Validation(String),
    /// The KMS key is disabled; its ARN.
    #[error("{0} is disabled.")]
    Disabled(String),
    /// The KMS key waits for its deletion; its ARN.
    #[error("{0} is pending deletion.")]
    PendingDeletion(String),
    /// The KMS key waits for imported material; its ARN.
    #[error("{0} is pending import.")]
    PendingImport(String),
    /// The KMS key's material is not as the action needs it.
    #[error("{0}")]
    MaterialState(String),
    /// The KMS key does not wait for its deletion; its ARN.
    #[error("{0} is not pending deletion.")]
    NotPendingDeletion(String),
    /// The ciphertext or its context is wrong; which of the two is never said.
    #[error("the ciphertext does not open")]
    InvalidCiphertext,
    /// The named KMS key did not make this ciphertext.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// The signature is not one of this message under this KMS key.
    #[error("the signature does not verify")]
    InvalidSignature,
    /// The MAC is not the one of this message under this KMS key.
    #[error("the MAC does not verify")]
    InvalidMac,
    /// The KMS key is not made for this use.
    #[error("{0}")]
    InvalidKeyUsage(String),
    /// The alias exists.
    #[error("{0}")]
    AlreadyExists(String),
    /// An alias name that is reserved.
    #[error("alias names that begin with alias/aws/ are reserved")]
    ReservedAlias,
    /// The caller may not; the text names caller, action and resource.
    #[error("{0}")]
    AccessDenied(String),
    /// A quota is reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// A tag is not acceptable.
    #[error("{0}")]
    Tag(String),
    /// A marker that no earlier page gave.
    #[error("the marker is not valid")]
    InvalidMarker,
    /// A grant token that was not issued here or was changed.
    #[error("the grant token is not valid")]
    InvalidGrantToken,
    /// An import token that was not issued here for this KMS key, or was changed.
    #[error("the import token is not valid for this KMS key")]
    InvalidImportToken,
    /// An import token whose day is over.
    #[error("the import token has expired; get another one, with its public key, by GetParametersForImport")]
    ExpiredImportToken,
    /// Imported material that is not what the KMS key takes now.
    #[error("{0}")]
    IncorrectKeyMaterial(String),
    /// Not the form of a grant id.
    #[error("The grant ID is not valid.")]
    InvalidGrantId,
    /// A key policy that cannot be taken.
    #[error("{0}")]
    MalformedPolicy(String),
    /// A part of KMS that is not offered.
    #[error("{0}")]
    Unsupported(String),
    /// The request asked only whether it would succeed, and it would.
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    /// The records cannot be read or written.
    #[error("the key records are not available: {0}")]
    Storage(#[from] StorageError),
    /// The key ring cannot move to its next epoch.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// What KMS does by itself could not be written down, and so it was not done.
    #[error("it cannot be written down and so is not done: {0}")]
    Unrecorded(String),
    /// A record of ours does not open or does not make sense.
    #[error("a key record is damaged: {0}")]
    Damaged(String),
}

impl KmsError {
    /// Whether this is a decision about the KMS key (disabled, deleted, denied), as opposed to a service that cannot
    /// answer. A lease seals at once on the first and goes on until its end on the second.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Storage(_) | Self::KeyRing(_) | Self::Unrecorded(_) | Self::Damaged(_) => false,
            Self::NotFound(_)
            | Self::InvalidArn(_)
            | Self::Validation(_)
            | Self::Disabled(_)
            | Self::PendingDeletion(_)
            | Self::PendingImport(_)
            | Self::NotPendingDeletion(_)
            | Self::InvalidCiphertext
            | Self::IncorrectKey
            | Self::InvalidSignature
            | Self::InvalidMac
            | Self::InvalidKeyUsage(_)
            | Self::AlreadyExists(_)
            | Self::ReservedAlias
            | Self::AccessDenied(_)
            | Self::LimitExceeded(_)
            | Self::Tag(_)
            | Self::InvalidMarker
            | Self::InvalidGrantToken
            | Self::InvalidImportToken
            | Self::ExpiredImportToken
            | Self::IncorrectKeyMaterial(_)
            | Self::MaterialState(_)
            | Self::InvalidGrantId
            | Self::MalformedPolicy(_)
            | Self::Unsupported(_)
            | Self::DryRun => true,
        }
    }
}
