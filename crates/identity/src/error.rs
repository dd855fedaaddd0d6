//! Why identities cannot be read, changed or used.

use policy::Malformed;
use storage::StorageError;

/// One condition each; the sentences that AWS has are AWS's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The control shard said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record opened, but it does not say what an identity record says.
    #[error(
        "the control record {0} is damaged or was written by another version; restore the data directory from a backup, or \
         start the version that wrote it"
    )]
    Unreadable(String),
    /// There are root credentials already.
    #[error("this data directory has root credentials already")]
    Exists,
    /// There is such an account already.
    #[error("account {0} exists already")]
    AccountExists(String),
    /// There are none.
    #[error("this data directory has no root credentials: run `coffer init`")]
    Uninitialised,
    /// An account is twelve digits.
    #[error("an account id is twelve digits, not {0:?}")]
    BadAccount(String),
    /// What was named is not there.
    #[error("{0}")]
    NoSuchEntity(String),
    /// What was to be made is there already.
    #[error("{0}")]
    EntityAlreadyExists(String),
    /// Something still hangs on what was to be deleted.
    #[error("{0}")]
    DeleteConflict(String),
    /// A quota.
    #[error("{0}")]
    LimitExceeded(String),
    /// A policy document is none, or not one for this place.
    #[error("{0}")]
    MalformedPolicyDocument(String),
    /// A value passes the model and is wrong all the same.
    #[error("{0}")]
    InvalidInput(String),
    /// The same, where AWS says it as a failed validation.
    #[error("{0}")]
    Validation(String),
    /// The thing belongs to AWS.
    #[error("{0}")]
    Unmodifiable(String),
    /// The caller may not.
    #[error("{0}")]
    AccessDenied(String),
    /// Session policies and tags together are too large for a token.
    #[error("Packed size of session tags and session policies consumes {0}% of the allotted space.")]
    PackedPolicyTooLarge(usize),
    /// A web identity token that is not to be believed.
    #[error("{0}")]
    InvalidIdentityToken(String),
    /// A web identity token whose time is over.
    #[error("{0}")]
    ExpiredIdentityToken(String),
    /// The identity provider could not be asked.
    #[error("{0}")]
    ProviderUnreachable(String),
}

impl From<Malformed> for IdentityError {
    fn from(malformed: Malformed) -> Self {
        Self::MalformedPolicyDocument(malformed.0)
    }
}
