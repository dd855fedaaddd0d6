//! What a caller sees of each [`KmsError`]: code, HTTP status, text. KMS API Reference, "Common Errors" and each action.

use aws_wire::ApiError;

use crate::KmsError;
use crate::model::errors;

impl From<KmsError> for ApiError {
    fn from(error: KmsError) -> Self {
        Self::from(&error)
    }
}

impl From<&KmsError> for ApiError {
    fn from(error: &KmsError) -> Self {
        let text = error.to_string();
        match error {
            KmsError::NotFound(_) => Self::of(&errors::NOT_FOUND_EXCEPTION, text),
            KmsError::InvalidArn(_) => Self::of(&errors::INVALID_ARN_EXCEPTION, text),
            // In no error list of the model: model validation answers with it for every action.
            KmsError::Validation(_) => Self::new("ValidationException", 400, text),
            KmsError::Disabled(_) => Self::of(&errors::DISABLED_EXCEPTION, text),
            KmsError::PendingDeletion(_)
            | KmsError::PendingImport(_)
            | KmsError::NotPendingDeletion(_)
            | KmsError::MaterialState(_) => Self::of(&errors::KMS_INVALID_STATE_EXCEPTION, text),
            // No text, as at AWS: nothing may tell which part was wrong.
            KmsError::InvalidCiphertext => Self::of(&errors::INVALID_CIPHERTEXT_EXCEPTION, ""),
            KmsError::IncorrectKey => Self::of(&errors::INCORRECT_KEY_EXCEPTION, text),
            // No text either: the code says all.
            KmsError::InvalidSignature => Self::of(&errors::KMS_INVALID_SIGNATURE_EXCEPTION, ""),
            KmsError::InvalidMac => Self::of(&errors::KMS_INVALID_MAC_EXCEPTION, ""),
            KmsError::InvalidKeyUsage(_) => Self::of(&errors::INVALID_KEY_USAGE_EXCEPTION, text),
            KmsError::AlreadyExists(_) => Self::of(&errors::ALREADY_EXISTS_EXCEPTION, text),
            // In no error list of the model; AWS answers so, without a text.
            KmsError::ReservedAlias => Self::new("NotAuthorizedException", 400, ""),
            KmsError::AccessDenied(_) => Self::new("AccessDeniedException", 400, text),
            KmsError::LimitExceeded(_) => Self::of(&errors::LIMIT_EXCEEDED_EXCEPTION, text),
            KmsError::Tag(_) => Self::of(&errors::TAG_EXCEPTION, text),
            KmsError::InvalidMarker => Self::of(&errors::INVALID_MARKER_EXCEPTION, text),
            KmsError::InvalidGrantToken => Self::of(&errors::INVALID_GRANT_TOKEN_EXCEPTION, text),
            KmsError::InvalidImportToken => Self::of(&errors::INVALID_IMPORT_TOKEN_EXCEPTION, text),
            KmsError::ExpiredImportToken => Self::of(&errors::EXPIRED_IMPORT_TOKEN_EXCEPTION, text),
            KmsError::IncorrectKeyMaterial(_) => Self::of(&errors::INCORRECT_KEY_MATERIAL_EXCEPTION, text),
            KmsError::InvalidGrantId => Self::of(&errors::INVALID_GRANT_ID_EXCEPTION, text),
            KmsError::MalformedPolicy(_) => Self::of(&errors::MALFORMED_POLICY_DOCUMENT_EXCEPTION, text),
            KmsError::Unsupported(_) => Self::of(&errors::UNSUPPORTED_OPERATION_EXCEPTION, text),
            KmsError::DryRun => Self::of(&errors::DRY_RUN_OPERATION_EXCEPTION, text),
            KmsError::Storage(cause) => {
                tracing::error!(%cause, "key records are not available");
                Self::of(&errors::KMS_INTERNAL_EXCEPTION, "The key records are not available; try again later.")
            }
            KmsError::KeyRing(cause) => {
                tracing::error!(%cause, "the key ring is not available");
                Self::of(&errors::KMS_INTERNAL_EXCEPTION, "The key ring is not available; try again later.")
            }
            KmsError::Unrecorded(cause) => {
                tracing::error!(%cause, "an act could not be written down");
                Self::of(&errors::KMS_INTERNAL_EXCEPTION, "The act cannot be recorded; try again later.")
            }
            KmsError::Damaged(cause) => {
                tracing::error!(%cause, "a key record is damaged");
                Self::of(&errors::KMS_INTERNAL_EXCEPTION, "A key record cannot be read; see the server's log.")
            }
        }
    }
}
