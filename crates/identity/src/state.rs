//! All identities in memory, and the changes that go to disk and memory alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_wire::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use storage::{Change, SealedRecords};

use crate::access_key::AccessKey;
use crate::managed::{AWS, ManagedPolicy};
use crate::principal::{Kind, Principal};
use crate::provider::Provider;
use crate::{IdentityError, aws_managed};

/// Where the records are.
const ACCOUNTS: &str = "identity/accounts/";
const KEYS: &str = "identity/access-key/";
const PRINCIPALS: &str = "identity/principal/";
const POLICIES: &str = "identity/policy/";
const PROVIDERS: &str = "identity/oidc-provider/";

/// Everything.
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    keys: HashMap<String, Arc<AccessKey>>,
    aws: BTreeMap<String, Arc<ManagedPolicy>>,
}

/// One account.
#[derive(Default)]
pub(crate) struct Account {
    users: Entities,
    groups: Entities,
    roles: Entities,
    /// By name in small letters.
    policies: BTreeMap<String, Arc<ManagedPolicy>>,
    /// By the issuer without its scheme.
    providers: BTreeMap<String, Arc<Provider>>,
}

/// Principals of one kind, by name and by id. Names that differ in case only are one name.
#[derive(Default)]
struct Entities {
    by_name: BTreeMap<String, Arc<Principal>>,
    names: HashMap<String, String>,
}

impl Entities {
    fn put(&mut self, principal: Arc<Principal>) {
        let name = principal.name.to_ascii_lowercase();
        if let Some(before) = self.names.insert(principal.id.clone(), name.clone())
            && before != name
        {
            self.by_name.remove(&before);
        }
        self.by_name.insert(name, principal);
    }

    fn remove(&mut self, principal: &Principal) {
        self.names.remove(&principal.id);
        self.by_name.remove(&principal.name.to_ascii_lowercase());
    }
}

/// The record of an account that was made after the installation.
#[derive(Serialize, Deserialize)]
struct StoredAccount {
    version: u8,
    account: String,
    created: Timestamp,
}

/// One change.
pub(crate) enum Update {
    Account(String, Timestamp),
    Principal(Principal),
    NoPrincipal(Arc<Principal>),
    Policy(ManagedPolicy),
    NoPolicy(Arc<ManagedPolicy>),
    Provider(Provider),
    NoProvider(Arc<Provider>),
    Key(AccessKey),
    NoKey(Arc<AccessKey>),
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    // Structures of texts, numbers, lists and maps with text keys always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}

fn provider_record(provider: &Provider) -> String {
    format!("{PROVIDERS}{}/{}", provider.account, provider.place())
}

impl Update {
    /// What it is on disk.
    pub(crate) fn record(&self) -> Change {
        match self {
            Self::Account(account, created) => {
                let stored = StoredAccount { version: 1, account: account.clone(), created: *created };
                Change::Put(format!("{ACCOUNTS}{account}"), encoded(&stored))
            }
            Self::Principal(principal) => Change::Put(format!("{PRINCIPALS}{}", principal.id), encoded(principal)),
            Self::NoPrincipal(principal) => Change::Delete(format!("{PRINCIPALS}{}", principal.id)),
            Self::Policy(policy) => Change::Put(format!("{POLICIES}{}", policy.id), encoded(policy)),
            Self::NoPolicy(policy) => Change::Delete(format!("{POLICIES}{}", policy.id)),
            Self::Provider(provider) => Change::Put(provider_record(provider), encoded(provider)),
            Self::NoProvider(provider) => Change::Delete(provider_record(provider)),
            Self::Key(key) => key.record(),
            Self::NoKey(key) => Change::Delete(format!("{KEYS}{}", key.id)),
        }
    }
}

impl State {
    /// Reads everything.
    pub(crate) async fn load(records: &SealedRecords, first: &str) -> Result<Self, IdentityError> {
        let aws = aws_managed::all()?;
        let mut state = Self { accounts: BTreeMap::new(), keys: HashMap::new(), aws };
        state.accounts.insert(first.to_owned(), Account::default());
        // One pass over the shard, which holds the records of other services, too.
        for (name, value) in records.load("identity/").await? {
            let update = if name.starts_with(ACCOUNTS) {
                let stored: StoredAccount = read(&name, &value)?;
                Update::Account(stored.account, stored.created)
            } else if name.starts_with(KEYS) {
                Update::Key(AccessKey::decode(&value).ok_or(IdentityError::Unreadable(name))?)
            } else if name.starts_with(PRINCIPALS) {
                Update::Principal(read(&name, &value)?)
            } else if name.starts_with(POLICIES) {
                Update::Policy(read(&name, &value)?)
            } else if name.starts_with(PROVIDERS) {
                Update::Provider(read(&name, &value)?)
            } else {
                continue;
            };
            state.apply(update);
        }
        Ok(state)
    }

    /// Makes a change in memory.
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Account(account, _) => _ = self.accounts.entry(account).or_default(),
            Update::Principal(principal) => {
                let principal = Arc::new(principal);
                self.account_mut(&principal.account).entities_mut(principal.kind()).put(principal);
            }
            Update::NoPrincipal(principal) => {
                self.account_mut(&principal.account).entities_mut(principal.kind()).remove(&principal);
            }
            Update::Policy(policy) => {
                let name = policy.name.to_ascii_lowercase();
                self.account_mut(&policy.account).policies.insert(name, Arc::new(policy));
            }
            Update::NoPolicy(policy) => {
                _ = self.account_mut(&policy.account).policies.remove(&policy.name.to_ascii_lowercase());
            }
            Update::Provider(provider) => {
                let place = provider.place().to_owned();
                self.account_mut(&provider.account).providers.insert(place, Arc::new(provider));
            }
            Update::NoProvider(provider) => {
                _ = self.account_mut(&provider.account).providers.remove(provider.place());
            }
            Update::Key(key) => _ = self.keys.insert(key.id.clone(), Arc::new(key)),
            Update::NoKey(key) => _ = self.keys.remove(&key.id),
        }
    }

    fn account_mut(&mut self, account: &str) -> &mut Account {
        self.accounts.entry(account.to_owned()).or_default()
    }

    /// An account; none when there is no such one.
    pub(crate) fn account(&self, account: &str) -> Option<&Account> {
        self.accounts.get(account)
    }

    /// The principal of that name.
    pub(crate) fn principal(&self, account: &str, kind: Kind, name: &str) -> Option<&Arc<Principal>> {
        self.account(account)?.named(kind, name)
    }

    /// The principal of that id.
    pub(crate) fn by_id(&self, account: &str, kind: Kind, id: &str) -> Option<&Arc<Principal>> {
        let entities = self.account(account)?.entities(kind);
        entities.by_name.get(entities.names.get(id)?)
    }

    /// The principal of that ARN.
    pub(crate) fn by_arn(&self, arn: &Arn) -> Option<&Arc<Principal>> {
        let (word, rest) = arn.kind_and_id()?;
        let kind = [Kind::User, Kind::Group, Kind::Role].into_iter().find(|kind| kind.word() == word)?;
        let name = rest.rsplit('/').next()?;
        self.principal(&arn.account, kind, name).filter(|found| found.arn() == *arn)
    }

    /// The managed policy of that ARN, AWS's own included.
    pub(crate) fn policy(&self, arn: &str) -> Option<&Arc<ManagedPolicy>> {
        let parsed = Arn::parse(arn)?;
        if parsed.account == AWS {
            return self.aws.get(arn);
        }
        let name = parsed.resource.rsplit('/').next()?.to_ascii_lowercase();
        self.account(&parsed.account)?.policies.get(&name).filter(|policy| policy.arn() == parsed)
    }

    /// AWS's own policies.
    pub(crate) fn aws_policies(&self) -> impl Iterator<Item = &Arc<ManagedPolicy>> {
        self.aws.values()
    }

    /// An access key.
    pub(crate) fn key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.keys.get(id)
    }

    /// The access keys of a user (by id), or of the account's root, oldest first.
    pub(crate) fn keys_of(&self, account: &str, user: Option<&str>) -> Vec<&Arc<AccessKey>> {
        let of = |key: &&Arc<AccessKey>| key.account == account && key.user.as_deref() == user;
        let mut keys: Vec<_> = self.keys.values().filter(of).collect();
        keys.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        keys
    }

    /// When an account's root got its first access key, which is when the account was made.
    pub(crate) fn root_created(&self, account: &str) -> Timestamp {
        self.keys_of(account, None).first().map_or_else(Timestamp::default, |key| key.created)
    }

    /// Those that a managed policy is attached to, and those that it bounds.
    pub(crate) fn uses(&self, account: &str, policy_arn: &str) -> (Vec<&Arc<Principal>>, Vec<&Arc<Principal>>) {
        let all = || {
            let account = self.account(account);
            let kinds = [Kind::Group, Kind::User, Kind::Role];
            account.into_iter().flat_map(move |account| kinds.into_iter().flat_map(|kind| account.all(kind)))
        };
        let attached = all().filter(|principal| principal.attached.contains(policy_arn)).collect();
        let bounded = all().filter(|principal| principal.boundary.as_deref() == Some(policy_arn)).collect();
        (attached, bounded)
    }
}

fn read<T: for<'a> Deserialize<'a>>(name: &str, value: &[u8]) -> Result<T, IdentityError> {
    serde_json::from_slice(value).map_err(|_| IdentityError::Unreadable(name.to_owned()))
}

impl Account {
    fn entities(&self, kind: Kind) -> &Entities {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
            Kind::Role => &self.roles,
        }
    }

    fn entities_mut(&mut self, kind: Kind) -> &mut Entities {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
            Kind::Role => &mut self.roles,
        }
    }

    /// All of one kind, by name.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Principal>> {
        self.entities(kind).by_name.values()
    }

    /// How many of one kind there are.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.entities(kind).by_name.len()
    }

    /// The one of that name, written as it is.
    pub(crate) fn named(&self, kind: Kind, name: &str) -> Option<&Arc<Principal>> {
        self.taken(kind, name).filter(|found| found.name == name)
    }

    /// The one that has that name, whatever the case of its letters.
    pub(crate) fn taken(&self, kind: Kind, name: &str) -> Option<&Arc<Principal>> {
        self.entities(kind).by_name.get(&name.to_ascii_lowercase())
    }

    /// The users of a group, by name.
    pub(crate) fn members<'a>(&'a self, group_id: &'a str) -> impl Iterator<Item = &'a Arc<Principal>> {
        self.all(Kind::User).filter(move |user| user.groups().any(|id| id == group_id))
    }

    /// Its managed policies by name in small letters.
    pub(crate) fn policies(&self) -> &BTreeMap<String, Arc<ManagedPolicy>> {
        &self.policies
    }

    /// Its OpenID Connect providers by issuer.
    pub(crate) fn providers(&self) -> &BTreeMap<String, Arc<Provider>> {
        &self.providers
    }
}
