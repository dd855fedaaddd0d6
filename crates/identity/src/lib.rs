//! Accounts, users, groups, roles, their policies and credentials: IAM and STS. IAM User Guide.
//!
//! Records live sealed in the control shard; all of them are held in memory, since every call asks here first. A change
//! is decided in memory, made durable in one batch, and only then seen.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may panic"))]

mod access_key;
mod arn_template;
mod assume;
mod attached;
mod aws_error;
mod aws_managed;
mod describe;
mod error;
mod exclusion;
mod gathered;
mod jwt;
mod managed;
mod outcome;
mod page;
mod policy_text;
mod principal;
mod provider;
mod quota;
mod resource;
mod session;
mod simulate;
mod stand_in;
mod state;
mod tags;
mod target;
mod trust;
mod uses;
mod web_identity;

pub mod model;
pub mod ops;

use std::collections::HashMap;
use std::sync::Arc;

use aws_wire::sigv4::{Credential, Secrets};
use aws_wire::{Arn, CallContext, Caller, Timestamp};
use crypto::Key;
use env::Env;
use parking_lot::{Mutex, RwLock};
use policy::Document;
use storage::{Change, SealedRecords};
use zeroize::Zeroizing;

pub use access_key::{AccessKey, LastUsed};
pub use error::IdentityError;
pub use provider::{is_provider_url, thumbprint};
pub use resource::resource;
pub use web_identity::{Presented, ProviderKeys};

use principal::Kind;
use session::{Subject, Tokens};
use state::{State, Update};

/// The record of an installation's first account.
const ACCOUNT: &str = "identity/account";

/// All identities of an installation.
pub struct Identities {
    account: String,
    state: RwLock<State>,
    /// Taken by whoever changes something, from the decision to the end.
    turn: tokio::sync::Mutex<()>,
    records: Arc<SealedRecords>,
    tokens: Tokens,
    uses: uses::Uses,
    /// Session policies that were parsed, by their text.
    parsed: Mutex<HashMap<String, Arc<Document>>>,
    env: Env,
}

fn check_account(account: &str) -> Result<(), IdentityError> {
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IdentityError::BadAccount(account.to_owned()));
    }
    Ok(())
}

fn now(env: &Env) -> Timestamp {
    let now = env.wall();
    Timestamp::from_unix(now.seconds, now.nanoseconds)
}

impl Identities {
    /// Makes the account and its root's access key; this is the only moment at which the secret can be had.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] when that was done before, [`IdentityError::BadAccount`], the storage's.
    pub async fn create(records: &SealedRecords, account: &str, env: &Env) -> Result<AccessKey, IdentityError> {
        check_account(account)?;
        if records.get(ACCOUNT).await?.is_some() {
            return Err(IdentityError::Exists);
        }
        let key = AccessKey::generate(account, None, now(env), env);
        records.commit(vec![Change::Put(ACCOUNT.to_owned(), account.as_bytes().to_vec()), key.record()]).await?;
        Ok(key)
    }

    /// Reads all identities. `session_key` seals the tokens of temporary credentials.
    ///
    /// # Errors
    /// [`IdentityError::Uninitialised`], [`IdentityError::Unreadable`], the storage's.
    pub async fn open(records: Arc<SealedRecords>, session_key: Key, env: Env) -> Result<Self, IdentityError> {
        let account = records.get(ACCOUNT).await?.ok_or(IdentityError::Uninitialised)?;
        let account = String::from_utf8(account.to_vec()).map_err(|_| IdentityError::Unreadable(ACCOUNT.to_owned()))?;
        let state = State::load(&records, &account).await?;
        Ok(Self {
            account,
            state: RwLock::new(state),
            turn: tokio::sync::Mutex::default(),
            records,
            tokens: Tokens::new(session_key),
            uses: uses::Uses::default(),
            parsed: Mutex::default(),
            env,
        })
    }

    /// The installation's first account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Makes a further account and its root's access key; this is the only moment at which the secret can be had.
    ///
    /// # Errors
    /// [`IdentityError::AccountExists`], [`IdentityError::BadAccount`], the storage's.
    pub async fn create_account(&self, account: &str) -> Result<AccessKey, IdentityError> {
        check_account(account)?;
        let created = now(&self.env);
        let key = AccessKey::generate(account, None, created, &self.env);
        let shown = key.with_active(true);
        self.change(|state| {
            if state.account(account).is_some() {
                return Err(IdentityError::AccountExists(account.to_owned()));
            }
            Ok((vec![Update::Account(account.to_owned(), created), Update::Key(key)], shown))
        })
        .await
    }

    /// Who signed with an access key and, for temporary credentials, a session token; `None` when there is no such key,
    /// or nobody whose it is any more.
    pub fn caller(&self, access_key_id: &str, token: Option<&str>) -> Option<Caller> {
        let state = self.state.read();
        let Some(token) = token else {
            let key = state.key(access_key_id)?;
            return match &key.user {
                None => Some(Caller::root(&key.account, Some(key.id.clone()))),
                Some(id) => Some(session::user(state.by_id(&key.account, Kind::User, id)?, &key.id)),
            };
        };
        let content = self.tokens.open(access_key_id, token)?;
        match &content.subject {
            Subject::Root => Some(content.own(Caller::root(&content.account, None), access_key_id)),
            Subject::User { id } => {
                let user = session::user(state.by_id(&content.account, Kind::User, id)?, access_key_id);
                Some(content.own(user, access_key_id))
            }
            Subject::Role { id, arn, session } => {
                Some(content.assumed_role(id, Arn::parse(arn)?, session, access_key_id))
            }
        }
    }

    /// The access key of an account's root, for the installation's own signed calls: the oldest that is active.
    pub fn root_key(&self) -> Option<Arc<AccessKey>> {
        let state = self.state.read();
        state.keys_of(&self.account, None).into_iter().find(|key| key.active).cloned()
    }

    /// Decides a change in memory, makes it durable, and lets it be seen. Whatever `decide` gives is given back.
    pub(crate) async fn change<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<(Vec<Update>, T), IdentityError>,
    ) -> Result<T, IdentityError> {
        let _turn = self.turn.lock().await;
        let (updates, result) = decide(&self.state.read())?;
        self.records.commit(updates.iter().map(Update::record).collect()).await?;
        let mut state = self.state.write();
        updates.into_iter().for_each(|update| state.apply(update));
        Ok(result)
    }

    /// Looks at everything as it is now.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.state.read())
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

impl Secrets for Identities {
    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        let state = self.state.read();
        let key = state.key(access_key_id).filter(|key| key.active)?;
        Some(Credential { secret: Zeroizing::new(key.secret.to_string()), session: None })
    }

    fn temporary(&self, access_key_id: &str, token: &str) -> Option<Credential> {
        Some(self.tokens.open(access_key_id, token)?.credential(token))
    }
}

/// Whether a call came with credentials of GetSessionToken, which IAM takes only with a second factor.
pub fn is_own_session(cx: &CallContext) -> bool {
    matches!(cx.caller.kind, aws_wire::CallerKind::User | aws_wire::CallerKind::Root) && cx.caller.session.is_some()
}

#[cfg(test)]
mod tests;
