//! Accounts and access keys, and the part of STS that needs them. IAM User Guide, "AWS account root user".
//!
//! Records live sealed in the control shard; all of them are held in memory, since every call asks here first.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic"))]

mod access_key;
pub mod ops;

use std::collections::HashMap;
use std::sync::Arc;

use aws_wire::sigv4::{Credential, Secrets};
use aws_wire::{Caller, Timestamp};
use env::Env;
use parking_lot::RwLock;
use storage::{Change, SealedRecords, StorageError};
use zeroize::Zeroizing;

pub use access_key::AccessKey;

/// Where the records of access keys are.
const KEYS: &str = "identity/access-key/";
/// The record of an installation's account.
const ACCOUNT: &str = "identity/account";

/// Why identities cannot be read or changed.
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
    /// There are none.
    #[error("this data directory has no root credentials: run `coffer init`")]
    Uninitialised,
    /// An account is twelve digits.
    #[error("an account id is twelve digits, not {0:?}")]
    BadAccount(String),
}

/// All identities of an installation.
pub struct Identities {
    account: String,
    keys: RwLock<HashMap<String, Arc<AccessKey>>>,
}

impl Identities {
    /// Makes the account and its root's access key; this is the only moment at which the secret can be had.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] when that was done before, [`IdentityError::BadAccount`], the storage's.
    pub async fn create(records: &SealedRecords, account: &str, env: &Env) -> Result<AccessKey, IdentityError> {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IdentityError::BadAccount(account.to_owned()));
        }
        if records.get(ACCOUNT).await?.is_some() {
            return Err(IdentityError::Exists);
        }
        let now = env.wall();
        let key = AccessKey::generate(account, Timestamp::from_unix(now.seconds, now.nanoseconds), env);
        let put = |name: String, value: Vec<u8>| Change::Put(name, value);
        let changes =
            vec![put(ACCOUNT.to_owned(), account.as_bytes().to_vec()), put(format!("{KEYS}{}", key.id), key.encode())];
        records.commit(changes).await?;
        Ok(key)
    }

    /// Reads all identities.
    ///
    /// # Errors
    /// [`IdentityError::Uninitialised`], [`IdentityError::Unreadable`], the storage's.
    pub async fn open(records: &SealedRecords) -> Result<Self, IdentityError> {
        let account = records.get(ACCOUNT).await?.ok_or(IdentityError::Uninitialised)?;
        let account = String::from_utf8(account.to_vec()).map_err(|_| IdentityError::Unreadable(ACCOUNT.to_owned()))?;
        let mut keys = HashMap::new();
        for (name, value) in records.load(KEYS).await? {
            let key = AccessKey::decode(&value).ok_or(IdentityError::Unreadable(name))?;
            keys.insert(key.id.clone(), Arc::new(key));
        }
        Ok(Self { account, keys: RwLock::new(keys) })
    }

    /// The installation's account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Who an access key is; `None` when there is no such key.
    pub fn caller(&self, access_key_id: &str) -> Option<Caller> {
        let keys = self.keys.read();
        let key = keys.get(access_key_id)?;
        Some(Caller::root(&key.account, Some(key.id.clone())))
    }

    /// A root access key, for the installation's own signed calls.
    pub fn root_key(&self) -> Option<Arc<AccessKey>> {
        self.keys.read().values().min_by(|one, other| one.id.cmp(&other.id)).cloned()
    }
}

impl Secrets for Identities {
    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        let keys = self.keys.read();
        let key = keys.get(access_key_id)?;
        Some(Credential { secret: Zeroizing::new(key.secret.to_string()), session: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_wire::CallerKind;
    use aws_wire::sigv4::Secrets;
    use crypto::Key;
    use env::Env;
    use storage::SealedRecords;
    use storage::memory::Memory;

    use super::{Identities, IdentityError};

    async fn records(memory: &Memory, key: &Key, env: &Env) -> SealedRecords {
        let (shard, _segments) = memory.open();
        SealedRecords::open(shard, key, env.clone()).await.unwrap()
    }

    /// IAM User Guide, "AWS account root user": the root's key is made once, survives a restart, and names the account.
    #[tokio::test]
    async fn root_credentials_are_made_once_and_found_again() {
        let (env, _simulation) = Env::simulated(1);
        let (memory, key) = (Memory::new(), Key::random(&env));
        let records = Arc::new(records(&memory, &key, &env).await);
        assert!(matches!(Identities::open(&records).await, Err(IdentityError::Uninitialised)));
        let made = Identities::create(&records, "000000000001", &env).await.unwrap();
        assert!(matches!(Identities::create(&records, "000000000001", &env).await, Err(IdentityError::Exists)));
        let identities = Identities::open(&records).await.unwrap();
        assert_eq!(identities.account(), "000000000001");
        let caller = identities.caller(&made.id).unwrap();
        assert_eq!(
            (caller.kind, caller.arn.to_string()),
            (CallerKind::Root, "arn:aws:iam::000000000001:root".to_owned())
        );
        assert_eq!(*identities.credential(&made.id).unwrap().secret, *made.secret);
        assert!(identities.caller("AKIAOTHER").is_none());
        assert!(identities.credential("").is_none());
        assert_eq!(identities.root_key().unwrap().id, made.id);
    }

    /// AWS account ids are twelve digits.
    #[tokio::test]
    async fn a_bad_account_is_refused() {
        let (env, _simulation) = Env::simulated(1);
        let records = records(&Memory::new(), &Key::random(&env), &env).await;
        for account in ["", "1", "00000000000a", "0000000000001"] {
            assert!(matches!(Identities::create(&records, account, &env).await, Err(IdentityError::BadAccount(_))));
        }
    }
}
