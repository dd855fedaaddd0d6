//! Access keys: an id that is shown and a secret that is shown once. IAM API, CreateAccessKey.

use std::fmt;

use aws_wire::Timestamp;
use env::Env;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An access key.
pub struct AccessKey {
    /// `AKIA` and sixteen letters and digits.
    pub id: String,
    /// Forty characters.
    pub secret: Zeroizing<String>,
    /// Whose root it is.
    pub account: String,
    /// When it was made.
    pub created: Timestamp,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccessKey({})", self.id)
    }
}

/// How a key is stored; the record around it is sealed.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: &'a str,
    secret: &'a str,
    account: &'a str,
    created: Timestamp,
}

impl AccessKey {
    /// A fresh key.
    pub(crate) fn generate(account: &str, created: Timestamp, env: &Env) -> Self {
        let id = format!("AKIA{}", letters::<16>(ID_LETTERS, env).as_str());
        let secret = letters::<40>(SECRET_LETTERS, env);
        Self { id, secret, account: account.to_owned(), created }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored { id: &self.id, secret: &self.secret, account: &self.account, created: self.created };
        // A structure of texts and a number always serialises.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let Stored { id, secret, account, created } = serde_json::from_slice(bytes).ok()?;
        let secret = Zeroizing::new(secret.to_owned());
        Some(Self { id: id.to_owned(), secret, account: account.to_owned(), created })
    }
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

    use super::AccessKey;

    /// IAM API, AccessKey: the forms of id and secret that clients check.
    #[test]
    fn keys_have_the_form_of_access_keys() {
        let key = AccessKey::generate("000000000001", Timestamp::default(), &Env::real());
        assert_eq!((key.id.len(), key.secret.len()), (20, 40));
        assert!(
            key.id.starts_with("AKIA") && key.id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        );
        let again = AccessKey::decode(&key.encode()).unwrap();
        assert_eq!((&again.id, &*again.secret, &again.account), (&key.id, &*key.secret, &key.account));
        assert!(!format!("{key:?}").contains(key.secret.as_str()));
        assert!(AccessKey::decode(b"{}").is_none());
    }
}
