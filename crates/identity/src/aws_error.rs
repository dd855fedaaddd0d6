//! Each error as IAM and STS say it: code, HTTP status, sentence. IAM API, "Common Errors", and each action's page.

use aws_wire::{ApiError, ErrorShape};

use crate::IdentityError;
use crate::model::{iam, sts};

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        let of = |shape: &ErrorShape, text: String| Self::of(shape, text);
        match error {
            // The cause is for the log: a caller learns nothing of the disk.
            IdentityError::Storage(cause) => {
                tracing::error!(%cause, "identities could not be changed");
                of(&iam::errors::SERVICE_FAILURE_EXCEPTION, "The request could not be carried out.".to_owned())
            }
            IdentityError::Unreadable(record) => {
                tracing::error!(record, "an identity record is unreadable");
                of(&iam::errors::SERVICE_FAILURE_EXCEPTION, "The request could not be carried out.".to_owned())
            }
            error @ (IdentityError::Exists
            | IdentityError::AccountExists(_)
            | IdentityError::Uninitialised
            | IdentityError::BadAccount(_)) => of(&iam::errors::INVALID_INPUT_EXCEPTION, error.to_string()),
            IdentityError::NoSuchEntity(text) => of(&iam::errors::NO_SUCH_ENTITY_EXCEPTION, text),
            IdentityError::EntityAlreadyExists(text) => of(&iam::errors::ENTITY_ALREADY_EXISTS_EXCEPTION, text),
            IdentityError::DeleteConflict(text) => of(&iam::errors::DELETE_CONFLICT_EXCEPTION, text),
            IdentityError::LimitExceeded(text) => of(&iam::errors::LIMIT_EXCEEDED_EXCEPTION, text),
            IdentityError::MalformedPolicyDocument(text) => of(&iam::errors::MALFORMED_POLICY_DOCUMENT_EXCEPTION, text),
            IdentityError::InvalidInput(text) => of(&iam::errors::INVALID_INPUT_EXCEPTION, text),
            IdentityError::Validation(text) => Self::new("ValidationError", 400, text),
            // AWS answers so for its own policies and roles.
            IdentityError::Unmodifiable(text) | IdentityError::AccessDenied(text) => {
                Self::new("AccessDenied", 403, text)
            }
            error @ IdentityError::PackedPolicyTooLarge(_) => {
                of(&sts::errors::PACKED_POLICY_TOO_LARGE_EXCEPTION, error.to_string())
            }
            IdentityError::InvalidIdentityToken(text) => of(&sts::errors::INVALID_IDENTITY_TOKEN_EXCEPTION, text),
            IdentityError::ExpiredIdentityToken(text) => of(&sts::errors::EXPIRED_TOKEN_EXCEPTION, text),
            IdentityError::ProviderUnreachable(text) => of(&sts::errors::IDP_COMMUNICATION_ERROR_EXCEPTION, text),
        }
    }
}
