//! Key leases: signatures first.

use crypto::Key;
use storage::BoxFuture;

/// Which of the two level-3 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Seals file contents.
    Data,
    /// Seals everything else.
    Metadata,
}

/// Why a key could not be unwrapped. The text is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTrouble {
    /// The key service said no: disabled, pending deletion, denied, not found.
    Refused(String),
    /// The key service did not answer.
    Unreachable(String),
}

/// Where a file system gets its keys unwrapped; called again at each renewal of a lease.
pub trait KeySource: Send + Sync {
    /// Unwraps one key. Every call asks the key service again.
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>>;
}
