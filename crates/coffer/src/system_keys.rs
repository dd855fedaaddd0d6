//! The lease side of the keys: every renewal is a kms:Decrypt by the file service, with the encryption context, audited.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use control::{CONTEXT_NAME, Control, FileSystem, KeyGrant, KeyPurpose, Scope};
use filesystem::lease::{KeyTrouble, Which};
use kms::{KeyChange, KeyNotice};
use storage::BoxFuture;
use tokio::sync::watch;

use crate::data_keys::ServiceKeys;
use crate::owner::DataKeySource;

/// The file systems' keys, joined from `control`, which knows their names, and `kms`, which holds them wrapped.
pub(crate) struct SystemKeys {
    keys: ServiceKeys,
    /// Turns true when the shard of the control records has failed: what memory says of a KMS key may not be so.
    records_failed: watch::Receiver<bool>,
    control: OnceLock<Control>,
}

impl SystemKeys {
    pub(crate) fn new(keys: ServiceKeys, records_failed: watch::Receiver<bool>) -> Self {
        Self { keys, records_failed, control: OnceLock::new() }
    }

    /// Gives the control plane, which is made after its owner of file systems.
    pub(crate) fn join(&self, control: Control) {
        // Set once, when the house is put together.
        let _ = self.control.set(control);
    }

    fn file_system(&self, id: &str) -> Result<Arc<FileSystem>, KeyTrouble> {
        let control = self.control.get().ok_or_else(|| KeyTrouble::Unreachable("KMS is not open yet".to_owned()))?;
        control.file_system(id).ok_or_else(|| KeyTrouble::Refused(format!("{id} is not known")))
    }

    async fn decrypt(&self, id: &str, which: Which) -> Result<crypto::Key, KeyTrouble> {
        if *self.records_failed.borrow() {
            let why = "the storage of the control records has failed, so nobody knows whether the key is enabled";
            return Err(KeyTrouble::Unreachable(why.to_owned()));
        }
        let file_system = self.file_system(id)?;
        let purpose = match which {
            Which::Data => KeyPurpose::Data,
            Which::Metadata => KeyPurpose::Metadata,
        };
        let grant =
            grant_of(&file_system, which).ok_or_else(|| KeyTrouble::Refused(format!("{id} has no {purpose:?} key")))?;
        let scope = Scope { account: &file_system.account, region: &file_system.region };
        self.keys.open(scope, id, purpose, grant).await.map_err(|error| {
            if error.is_refusal() {
                KeyTrouble::Refused(error.to_string())
            } else {
                KeyTrouble::Unreachable(error.to_string())
            }
        })
    }
}

impl DataKeySource for SystemKeys {
    fn unwrap<'a>(&'a self, file_system: &'a str, which: Which) -> BoxFuture<'a, Result<crypto::Key, KeyTrouble>> {
        Box::pin(self.decrypt(file_system, which))
    }

    fn handle_key(&self, file_system: &str) -> Result<crypto::Key, String> {
        let control = self.control.get().ok_or_else(|| "the control plane is not open yet".to_owned())?;
        control.handle_key(file_system).map_err(|error| error.to_string())
    }

    fn grace(&self, file_system: &str, which: Which) -> Duration {
        let Ok(found) = self.file_system(file_system) else { return Duration::ZERO };
        grant_of(&found, which).map(|grant| self.keys.grace(grant)).unwrap_or_default()
    }

    fn is_told(&self, file_system: &str, which: Which) -> bool {
        // What happens in a KMS elsewhere nobody tells us.
        let found = self.file_system(file_system);
        found.is_ok_and(|found| grant_of(&found, which).is_some_and(|grant| grant.provider.is_none()))
    }

    fn is_concerned(&self, file_system: &str, notice: &KeyNotice) -> bool {
        let Ok(found) = self.file_system(file_system) else { return false };
        let of = |grant: &Option<KeyGrant>| grant.as_ref().is_some_and(|grant| grant.key_arn == notice.key_arn);
        let context = match &notice.change {
            KeyChange::State => None,
            KeyChange::GrantMade(context) | KeyChange::GrantEnded(context) => context.as_ref(),
        };
        // Every file system depends on the service's key, each by a grant for itself.
        let is_ours = |pairs: &BTreeMap<String, String>| {
            pairs.len() == 1 && pairs.get(CONTEXT_NAME).is_some_and(|id| id == file_system)
        };
        (of(&found.data_grant) || of(&found.metadata_grant)) && context.is_none_or(|context| is_ours(context.pairs()))
    }
}

fn grant_of(file_system: &FileSystem, which: Which) -> Option<&KeyGrant> {
    match which {
        Which::Data => file_system.data_grant.as_ref(),
        Which::Metadata => file_system.metadata_grant.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_keys::tests::service_keys;

    /// Architecture section 5, "Lease": when nobody knows any more whether a KMS key is enabled, a lease gets no answer and
    /// runs out; it is not renewed from memory.
    #[tokio::test]
    async fn failed_records_are_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let (failed, watched) = watch::channel(false);
        let keys = SystemKeys::new(service_keys(directory.path()).await, watched);
        let before = keys.unwrap("fs-1", Which::Data).await.err();
        assert!(matches!(before, Some(KeyTrouble::Unreachable(why)) if why.contains("not open yet")));
        failed.send_replace(true);
        let after = keys.unwrap("fs-1", Which::Data).await.err();
        assert!(matches!(after, Some(KeyTrouble::Unreachable(why)) if why.contains("storage of the control records")));
    }
}
