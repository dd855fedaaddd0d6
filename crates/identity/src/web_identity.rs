//! Those whom an OpenID Connect provider vouches for. STS API, AssumeRoleWithWebIdentity: such a call has no signature;
//! the provider's token stands in its place.
//!
//! Nothing is fetched here: whoever can reach providers is told which document is wanted and brings the keys.

use aws_wire::{Arn, Caller, CallerKind, Timestamp, WebIdentity};

use crate::jwt::{Claims, KeySet, Token};
use crate::provider::{Provider, place};
use crate::{Identities, IdentityError};

/// Clocks of providers may differ by so much.
const SKEW_SECONDS: i64 = 300;

/// A provider whose keys are wanted to judge a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Presented {
    /// The issuer's URL; its discovery document is at `/.well-known/openid-configuration` below it.
    pub issuer: String,
    /// SHA-1 fingerprints of certificates that its server may stand on.
    pub thumbprints: Vec<String>,
}

/// The public keys of a provider.
pub struct ProviderKeys(KeySet);

impl ProviderKeys {
    /// Reads a JWK set; `None` when it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        KeySet::parse(bytes).map(Self)
    }
}

fn invalid(text: &str) -> IdentityError {
    IdentityError::InvalidIdentityToken(text.to_owned())
}

impl Identities {
    /// The registered provider that a token for a role names, before anything of the token is believed.
    ///
    /// # Errors
    /// [`IdentityError::InvalidIdentityToken`] when it is no token, or its issuer is not registered in the role's
    /// account.
    pub fn presented(&self, role_arn: &str, token: &str) -> Result<Presented, IdentityError> {
        let token = Token::parse(token).ok_or_else(malformed)?;
        let provider = self.provider(role_arn, &token.claims)?;
        Ok(Presented { issuer: provider.url.clone(), thumbprints: provider.thumbprints.clone() })
    }

    fn provider(&self, role_arn: &str, claims: &Claims) -> Result<Provider, IdentityError> {
        let account = Arn::parse(role_arn).map(|arn| arn.account).unwrap_or_default();
        let found = self.look(|state| {
            let account = state.account(&account)?;
            account.providers().get(place(claims.issuer.trim_end_matches('/'))).cloned()
        });
        // The scheme counts, too.
        let found = found.filter(|provider| provider.url == claims.issuer.trim_end_matches('/'));
        found.map(|provider| Provider::clone(&provider)).ok_or_else(|| {
            let issuer: String = claims.issuer.chars().filter(|letter| !letter.is_control()).take(255).collect();
            invalid(&format!("No OpenIDConnect provider found in your account for {issuer}"))
        })
    }

    /// Whether a signature of these keys is on a token; a provider may have changed its keys since.
    pub fn is_signed_by(&self, token: &str, keys: &ProviderKeys) -> bool {
        Token::parse(token).is_some_and(|token| token.is_signed_by(&keys.0))
    }

    /// The caller whom a token is about, when its provider signed it, for one of its audiences, and its time is not over.
    ///
    /// # Errors
    /// [`IdentityError::InvalidIdentityToken`], [`IdentityError::ExpiredIdentityToken`].
    pub fn web_caller(
        &self,
        role_arn: &str,
        token: &str,
        keys: &ProviderKeys,
        now: Timestamp,
    ) -> Result<Caller, IdentityError> {
        let token = Token::parse(token).ok_or_else(malformed)?;
        let provider = self.provider(role_arn, &token.claims)?;
        if !token.is_signed_by(&keys.0) {
            return Err(invalid("Couldn't verify the token's signature with the keys of its identity provider."));
        }
        let claims = &token.claims;
        if now.seconds() >= claims.expires {
            let expired = Timestamp::from_unix(claims.expires, 0).iso();
            return Err(IdentityError::ExpiredIdentityToken(format!(
                "Token expired: current date/time {} must be before the expiration date/time {expired}",
                now.iso()
            )));
        }
        let early = |moment: &i64| *moment > now.seconds() + SKEW_SECONDS;
        if claims.not_before.as_ref().is_some_and(early) || claims.issued.as_ref().is_some_and(early) {
            return Err(invalid("The token is not valid yet."));
        }
        // Where a token says to whom it was given, that one is its audience. IAM User Guide, "Available keys for AWS OIDC
        // federation".
        let audience = match &claims.authorized_party {
            Some(party) => Some(party),
            None => claims.audiences.iter().find(|audience| provider.client_ids.contains(*audience)),
        };
        let audience = audience.filter(|audience| provider.client_ids.contains(*audience));
        let audience = audience.ok_or_else(|| invalid("Incorrect token audience"))?;
        Ok(caller(&provider, claims, audience))
    }
}

fn malformed() -> IdentityError {
    invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
}

fn caller(provider: &Provider, claims: &Claims, audience: &str) -> Caller {
    let arn = provider.arn();
    let identity = WebIdentity {
        provider: arn.clone(),
        audience: audience.to_owned(),
        subject: claims.subject.clone(),
        methods: claims.methods.clone(),
    };
    Caller {
        // Nobody's account: no principal that names an account means this caller.
        account: String::new(),
        principal_id: format!("{arn}:{audience}:{}", claims.subject),
        arn,
        user_name: Some(claims.subject.clone()),
        access_key_id: None,
        session: None,
        tags: std::collections::BTreeMap::new(),
        kind: CallerKind::WebIdentity(identity),
    }
}
