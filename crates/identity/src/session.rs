//! Temporary credentials. IAM User Guide, "Temporary security credentials in IAM".
//!
//! A session is stored nowhere: its token is its record, sealed under a key that only this installation has. Whoever
//! signs with temporary credentials sends the token along, and it is opened anew for each call.

use std::collections::BTreeMap;

use aws_wire::sigv4::{Credential, Session as SigningSession};
use aws_wire::{Arn, Caller, CallerKind, Session, SessionDetails, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{Key, Label};
use env::Env;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::access_key;
use crate::principal::Principal;

const LABEL: Label = Label::new("identity/session");
/// The version of what is in a token.
const VERSION: u8 = 1;
/// No token that was ever given out is longer.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// So many bytes of policies, tags and names fit into a token.
pub(crate) const PACKED_BYTES_MAX: usize = 8 * 1024;

/// What a token holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Content {
    version: u8,
    secret: String,
    pub(crate) account: String,
    pub(crate) subject: Subject,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) details: SessionDetails,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// The account's root.
    Root,
    /// A user, by id: name and tags are those of the moment of use.
    User { id: String },
    /// A role.
    Role { id: String, arn: String, session: String },
}

/// What a session is made of.
pub(crate) struct Wanted {
    pub(crate) account: String,
    pub(crate) subject: Subject,
    pub(crate) created: Timestamp,
    pub(crate) seconds: i64,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) details: SessionDetails,
}

/// Temporary credentials, shown once.
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires: Timestamp,
}

/// Seals and opens tokens.
pub(crate) struct Tokens {
    key: Key,
}

impl Tokens {
    pub(crate) fn new(key: Key) -> Self {
        Self { key }
    }

    /// Makes credentials.
    pub(crate) fn issue(&self, wanted: Wanted, env: &Env) -> Credentials {
        let Wanted { account, subject, created, seconds, tags, details } = wanted;
        let (access_key_id, secret) = access_key::temporary(env);
        let expires = created.plus_seconds(seconds);
        let content =
            Content { version: VERSION, secret: secret.to_string(), account, subject, created, expires, tags, details };
        // Structures of texts and numbers always serialise.
        let plain = Zeroizing::new(serde_json::to_vec(&content).unwrap_or_default());
        // The id is the place of the seal: a token opens only beside the key id that it was given out with.
        let sealed = self.key.seal(LABEL, access_key_id.as_bytes(), &plain, env);
        Credentials { token: Zeroizing::new(STANDARD.encode(sealed)), access_key_id, secret, expires }
    }

    /// What is in a token that came with a key id; none when it is not one of ours.
    pub(crate) fn open(&self, access_key_id: &str, token: &str) -> Option<Content> {
        if token.len() > TOKEN_BYTES_MAX || !access_key_id.starts_with("ASIA") {
            return None;
        }
        let sealed = STANDARD.decode(token).ok()?;
        let plain = self.key.open(LABEL, access_key_id.as_bytes(), &sealed).ok()?;
        let content: Content = serde_json::from_slice(&plain).ok()?;
        (content.version == VERSION).then_some(content)
    }
}

impl Content {
    /// What the verifier of signatures needs.
    pub(crate) fn credential(&self, token: &str) -> Credential {
        let session = SigningSession { token: Zeroizing::new(token.to_owned()), expires: self.expires };
        Credential { secret: Zeroizing::new(self.secret.clone()), session: Some(session) }
    }

    /// The caller of a role's session.
    pub(crate) fn assumed_role(&self, id: &str, role: Arn, name: &str, access_key_id: &str) -> Caller {
        let role_name = role.resource.rsplit('/').next().unwrap_or_default();
        let arn = Arn::new("sts", "", &self.account, format!("assumed-role/{role_name}/{name}"));
        Caller {
            account: self.account.clone(),
            arn,
            principal_id: format!("{id}:{name}"),
            user_name: None,
            access_key_id: Some(access_key_id.to_owned()),
            session: Some(Session {
                name: name.to_owned(),
                issuer: role,
                issuer_id: id.to_owned(),
                created: self.created,
                details: self.details.clone(),
            }),
            tags: self.tags.clone(),
            kind: CallerKind::AssumedRole,
        }
    }

    /// The caller of a session that a user or the root got for itself.
    pub(crate) fn own(&self, mut caller: Caller, access_key_id: &str) -> Caller {
        caller.access_key_id = Some(access_key_id.to_owned());
        caller.session = Some(Session {
            name: caller.user_name.clone().unwrap_or_else(|| "root".to_owned()),
            issuer: caller.arn.clone(),
            issuer_id: caller.principal_id.clone(),
            created: self.created,
            details: self.details.clone(),
        });
        caller
    }
}

/// A user as a caller.
pub(crate) fn user(user: &Principal, access_key_id: &str) -> Caller {
    Caller {
        account: user.account.clone(),
        arn: user.arn(),
        principal_id: user.id.clone(),
        user_name: Some(user.name.clone()),
        access_key_id: Some(access_key_id.to_owned()),
        session: None,
        tags: user.tags.clone(),
        kind: CallerKind::User,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_wire::{SessionDetails, Timestamp};
    use crypto::Key;
    use env::Env;

    use super::{Subject, Tokens, Wanted};

    fn wanted() -> Wanted {
        Wanted {
            account: "000000000001".to_owned(),
            subject: Subject::Root,
            created: Timestamp::from_unix(1000, 0),
            seconds: 900,
            tags: BTreeMap::new(),
            details: SessionDetails::default(),
        }
    }

    /// Architecture section 5: a token opens beside its own key id and under its own installation's key, and no changed
    /// bit of it goes unnoticed.
    #[test]
    fn a_token_opens_only_where_it_belongs() {
        let env = Env::real();
        let tokens = Tokens::new(Key::random(&env));
        let made = tokens.issue(wanted(), &env);
        assert!(made.access_key_id.starts_with("ASIA") && made.access_key_id.len() == 20);
        let content = tokens.open(&made.access_key_id, &made.token).unwrap();
        assert_eq!((content.expires.seconds(), &content.subject), (1900, &Subject::Root));
        assert_eq!(*content.credential(&made.token).secret, *made.secret);
        assert!(!made.token.contains(made.secret.as_str()));
        let other = tokens.issue(wanted(), &env);
        assert!(tokens.open(&other.access_key_id, &made.token).is_none());
        assert!(Tokens::new(Key::random(&env)).open(&made.access_key_id, &made.token).is_none());
        for at in 0..made.token.len() {
            let mut bytes = made.token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(tokens.open(&made.access_key_id, std::str::from_utf8(&bytes).unwrap()).is_none());
        }
        for nonsense in ["", "AAAA", "not base64 at all"] {
            assert!(tokens.open(&made.access_key_id, nonsense).is_none());
        }
        assert!(tokens.open(&made.access_key_id, &"A".repeat(1 << 20)).is_none());
    }
}
