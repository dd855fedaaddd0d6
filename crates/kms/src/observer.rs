//! What KMS does by itself, for whoever writes it down: each act is told before it happens and again when it is done.

use storage::BoxFuture;

use crate::KmsError;
use crate::record::KeyRecord;

/// Something that happens without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// `CreateKey` (a service's key, on its first use), `DeleteKey`, `RotateKey`, `ReplaceEpochSecret`; of imported
    /// material `ExpireKeyMaterial` (its date has come), `RestoreKeyMaterial` (it has not, after all) and
    /// `DeleteExpiredKeyMaterial`.
    pub name: &'static str,
    /// The KMS key's ARN, account and region; none when it concerns all.
    pub key: Option<(String, String, String)>,
}

/// An act that has begun.
pub trait Finish: Send {
    /// How it ended.
    fn finish(self: Box<Self>, outcome: Result<(), &KmsError>);
}

/// Writes down what KMS does by itself.
pub trait Observer: Send + Sync {
    /// The act is about to happen. What has to be durable first is so on return; an error, told in words, keeps the act
    /// from happening.
    fn begin<'a>(&'a self, act: &'a Act) -> BoxFuture<'a, Result<Box<dyn Finish>, String>>;
}

impl Act {
    pub(crate) fn on(name: &'static str, key: &KeyRecord) -> Self {
        Self { name, key: Some((key.arn(), key.account.clone(), key.region.clone())) }
    }
}
