//! The key-state table: what each action answers in each state of a KMS key. KMS developer guide, "Key states of AWS
//! KMS keys", table "Key state table".

use crate::KmsError;
use crate::record::{KeyRecord, KeyState};

/// The actions that the table has rows for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CancelKeyDeletion,
    CreateAlias,
    CreateGrant,
    Decrypt,
    DeleteAlias,
    DeleteImportedKeyMaterial,
    DeriveSharedSecret,
    DescribeKey,
    DisableKey,
    DisableKeyRotation,
    EnableKey,
    EnableKeyRotation,
    Encrypt,
    GenerateDataKey,
    GenerateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext,
    GenerateDataKeyWithoutPlaintext,
    GenerateMac,
    GetKeyPolicy,
    GetKeyRotationStatus,
    GetParametersForImport,
    GetPublicKey,
    ImportKeyMaterial,
    ListAliases,
    ListGrants,
    ListKeyPolicies,
    ListKeyRotations,
    ListResourceTags,
    PutKeyPolicy,
    ReEncrypt,
    RetireGrant,
    RevokeGrant,
    RotateKeyOnDemand,
    ScheduleKeyDeletion,
    Sign,
    TagResource,
    UntagResource,
    UpdateAlias,
    UpdateKeyDescription,
    Verify,
    VerifyMac,
}

/// A cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The action goes on.
    Go,
    /// DisabledException.
    Disabled,
    /// KMSInvalidStateException, pending deletion.
    Deletion,
    /// KMSInvalidStateException, pending import.
    Import,
    /// KMSInvalidStateException, not pending deletion.
    NoDeletion,
    /// UnsupportedOperationException.
    Unsupported,
}

use Answer::{Deletion, Disabled, Go, Import, NoDeletion, Unsupported};

/// The row of an action: Enabled, Disabled, PendingDeletion, PendingImport.
#[rustfmt::skip]
const fn row(action: Action) -> [Answer; 4] {
    match action {
        Action::Encrypt
        | Action::Decrypt
        | Action::ReEncrypt
        | Action::GenerateDataKey
        | Action::GenerateDataKeyWithoutPlaintext
        | Action::GenerateDataKeyPair
        | Action::GenerateDataKeyPairWithoutPlaintext
        | Action::Sign
        | Action::Verify
        | Action::GenerateMac
        | Action::VerifyMac
        | Action::GetPublicKey
        | Action::DeriveSharedSecret
        | Action::CreateGrant          => [Go,         Disabled,   Deletion, Import],
        Action::DescribeKey
        | Action::GetKeyPolicy
        | Action::PutKeyPolicy
        | Action::ListKeyPolicies
        | Action::ListGrants
        | Action::RetireGrant
        | Action::RevokeGrant
        | Action::ListAliases
        | Action::ListResourceTags
        | Action::DeleteAlias
        | Action::DeleteImportedKeyMaterial
                                       => [Go,         Go,         Go,       Go],
        Action::EnableKey
        | Action::DisableKey           => [Go,         Go,         Deletion, Import],
        Action::ScheduleKeyDeletion    => [Go,         Go,         Deletion, Go],
        Action::CancelKeyDeletion      => [NoDeletion, NoDeletion, Go,       NoDeletion],
        Action::CreateAlias
        | Action::UpdateAlias
        | Action::TagResource
        | Action::UntagResource
        | Action::UpdateKeyDescription => [Go,         Go,         Deletion, Go],
        Action::EnableKeyRotation
        | Action::DisableKeyRotation   => [Go,         Disabled,   Deletion, Unsupported],
        Action::GetParametersForImport
        | Action::ImportKeyMaterial    => [Go,         Go,         Deletion, Go],
        Action::RotateKeyOnDemand      => [Go,         Disabled,   Deletion, Import],
        Action::ListKeyRotations       => [Go,         Go,         Go,       Go],
        Action::GetKeyRotationStatus   => [Go,         Go,         Go,       Unsupported],
    }
}

/// Whether `action` may go on in the key's state, or the table's exception.
pub(crate) fn check(action: Action, key: &KeyRecord) -> Result<(), KmsError> {
    let [enabled, disabled, deletion, import] = row(action);
    let answer = match key.state {
        KeyState::Enabled => enabled,
        KeyState::Disabled => disabled,
        KeyState::PendingDeletion { .. } => deletion,
        KeyState::PendingImport => import,
    };
    match answer {
        Go => Ok(()),
        Disabled => Err(KmsError::Disabled(key.arn())),
        Deletion => Err(KmsError::PendingDeletion(key.arn())),
        Import => Err(KmsError::PendingImport(key.arn())),
        NoDeletion => Err(KmsError::NotPendingDeletion(key.arn())),
        Unsupported => Err(KmsError::Unsupported(format!(
            "{} origin is EXTERNAL which is not valid for this operation.",
            key.arn()
        ))),
    }
}
