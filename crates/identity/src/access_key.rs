//! Access keys: an id that is shown and a secret that is shown once. IAM API, CreateAccessKey.

use std::fmt;

use aws_wire::Timestamp;
use env::Env;
use serde::{Deserialize, Serialize};
use storage::Change;
use zeroize::Zeroizing;

use crate::principal::VERSION;

const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An access key.
pub struct AccessKey {
    /// `AKIA` and sixteen letters and digits.
    pub id: String,
    /// Forty characters.
    pub secret: Zeroizing<String>,
    /// The account that it belongs to.
    pub account: String,
    /// The unique id of the user whose it is; none for the account's root.
    pub user: Option<String>,
    /// Whether it may sign.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it signed last.
    pub last_used: Option<LastUsed>,
}

/// The last use of an access key. IAM API, AccessKeyLastUsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsed {
    /// When.
    pub time: Timestamp,
    /// For which service, as signatures name it.
    pub service: String,
    /// In which region.
    pub region: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccessKey({})", self.id)
    }
}

/// How a key is stored; the record around it is sealed.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(default)]
    version: u8,
    id: &'a str,
    secret: &'a str,
    account: &'a str,
    created: Timestamp,
    #[serde(default)]
    user: Option<String>,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    last_used: Option<LastUsed>,
}

fn yes() -> bool {
    true
}

impl AccessKey {
    /// A fresh key of a user, or of the account's root.
    pub(crate) fn generate(account: &str, user: Option<String>, created: Timestamp, env: &Env) -> Self {
        let id = format!("AKIA{}", letters::<16>(ID_LETTERS, env).as_str());
        let secret = letters::<40>(SECRET_LETTERS, env);
        Self { id, secret, account: account.to_owned(), user, active: true, created, last_used: None }
    }

    /// The same key, active or not.
    pub(crate) fn with_active(&self, active: bool) -> Self {
        Self { active, ..self.copy() }
    }

    /// The same key, used again.
    pub(crate) fn with_use(&self, last_used: LastUsed) -> Self {
        Self { last_used: Some(last_used), ..self.copy() }
    }

    fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            secret: self.secret.clone(),
            account: self.account.clone(),
            user: self.user.clone(),
            active: self.active,
            created: self.created,
            last_used: self.last_used.clone(),
        }
    }

    /// The key on disk.
    pub(crate) fn record(&self) -> Change {
        Change::Put(format!("identity/access-key/{}", self.id), self.encode())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            id: &self.id,
            secret: &self.secret,
            account: &self.account,
            created: self.created,
            user: self.user.clone(),
            active: self.active,
            last_used: self.last_used.clone(),
        };
        // A structure of texts and a number always serialises.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let Stored { version, id, secret, account, created, user, active, last_used } =
            serde_json::from_slice(bytes).ok()?;
        if version > VERSION {
            return None;
        }
        let secret = Zeroizing::new(secret.to_owned());
        Some(Self { id: id.to_owned(), secret, account: account.to_owned(), user, active, created, last_used })
    }

    /// `Active` or `Inactive`.
    pub(crate) fn status(&self) -> &'static str {
        if self.active { "Active" } else { "Inactive" }
    }
}

/// A fresh id and secret for a session.
pub(crate) fn temporary(env: &Env) -> (String, Zeroizing<String>) {
    (format!("ASIA{}", letters::<16>(ID_LETTERS, env).as_str()), letters::<40>(SECRET_LETTERS, env))
}

/// A fresh unique id. IAM User Guide, "IAM identifiers": a prefix and seventeen letters and digits.
pub(crate) fn unique_id(prefix: &str, env: &Env) -> String {
    format!("{prefix}{}", letters::<17>(ID_LETTERS, env).as_str())
}

/// `N` random characters of an alphabet whose size divides 256, so that each is as likely as any other.
fn letters<const N: usize>(alphabet: &[u8], env: &Env) -> Zeroizing<String> {
    let bytes = Zeroizing::new(env.random::<N>());
    let pick = |byte: &u8| alphabet.get(usize::from(*byte) % alphabet.len()).copied().map_or('A', char::from);
    let mut text = Zeroizing::new(String::with_capacity(N));
    text.extend(bytes.iter().map(pick));
    text
}

#[cfg(test)]
mod tests {
    use aws_wire::Timestamp;
    use env::Env;

    use super::{AccessKey, LastUsed};

    /// IAM API, AccessKey: the forms of id and secret that clients check.
    #[test]
    fn keys_have_the_form_of_access_keys() {
        let key = AccessKey::generate("000000000001", None, Timestamp::default(), &Env::real());
        assert_eq!((key.id.len(), key.secret.len()), (20, 40));
        assert!(
            key.id.starts_with("AKIA") && key.id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        );
        let again = AccessKey::decode(&key.encode()).unwrap();
        assert_eq!((&again.id, &*again.secret, &again.account), (&key.id, &*key.secret, &key.account));
        assert!(!format!("{key:?}").contains(key.secret.as_str()));
        assert!(AccessKey::decode(b"{}").is_none());
    }

    /// docs/on-disk-format.md, "Records of the binary itself and of identities": a root's key written before there were
    /// users opens, a record of a later version does not.
    #[test]
    fn older_records_open_and_later_ones_do_not() {
        let old = br#"{"id":"AKIAX","secret":"s","account":"000000000001","created":7}"#;
        let key = AccessKey::decode(old).unwrap();
        assert!(key.active && key.user.is_none() && key.last_used.is_none());
        let later = br#"{"version":2,"id":"AKIAX","secret":"s","account":"000000000001","created":7}"#;
        assert!(AccessKey::decode(later).is_none());
        let used = LastUsed { time: Timestamp::from_unix(9, 0), service: "kms".to_owned(), region: "r".to_owned() };
        let key = key.with_active(false).with_use(used.clone());
        let again = AccessKey::decode(&key.encode()).unwrap();
        assert_eq!((again.active, again.last_used), (false, Some(used)));
    }
}
