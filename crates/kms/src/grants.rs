//! Grants: permission to use one KMS key, with constraints, names and tokens. KMS developer guide, "Grants in AWS KMS".

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::grant_index::KeyGrants;
use crate::kms::{Kms, Turn};
use crate::record::{Constraints, GrantRecord, Grantee, KeyRecord};
use crate::state::Edit;
use crate::{EncryptionContext, KeyChange, KmsError, uuid};

/// KMS developer guide, "Resource quotas": grants for one KMS key.
const GRANTS_MAX: usize = 50_000;
/// KMS API, GrantConstraints: pairs in one constraint, and characters of a value.
const PAIRS_MAX: usize = 8;
const VALUE_CHARS_MAX: usize = 384;

/// What a new grant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) name: Option<String>,
    pub(crate) grantee: Grantee,
    pub(crate) retiring: Option<Grantee>,
    pub(crate) operations: Vec<String>,
    pub(crate) constraints: Constraints,
}

impl Terms {
    /// Whether a grant of these terms gives no more than `parent` does. KMS developer guide, "Granting CreateGrant
    /// permission".
    pub(crate) fn within(&self, parent: &GrantRecord) -> bool {
        let subset = |inner: &BTreeMap<String, String>, outer: &BTreeMap<String, String>| {
            outer.iter().all(|(name, value)| inner.get(name) == Some(value))
        };
        let own = &self.constraints;
        let as_equal = parent.constraints.equals.as_ref().is_none_or(|outer| own.equals.as_ref() == Some(outer));
        let as_strict =
            parent.constraints.subset.as_ref().is_none_or(|outer| {
                own.equals.as_ref().or(own.subset.as_ref()).is_some_and(|inner| subset(inner, outer))
            });
        as_equal && as_strict && self.operations.iter().all(|operation| parent.operations.contains(operation))
    }

    fn equal(&self, grant: &GrantRecord) -> bool {
        self.name == grant.name
            && self.grantee == grant.grantee
            && self.retiring == grant.retiring
            && sorted(&self.operations) == sorted(&grant.operations)
            && self.constraints == grant.constraints
    }
}

fn sorted(operations: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = operations.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether a grant lets its grantee do `operation` with this encryption context.
fn applies(grant: &GrantRecord, operation: &str, context: &EncryptionContext) -> bool {
    (!is_constrained(operation) || satisfies(&grant.constraints, context))
        && grant.operations.iter().any(|granted| granted == operation)
}

/// Constraints do not apply to operations without an encryption context; a child grant is held against them apart.
fn is_constrained(operation: &str) -> bool {
    !matches!(operation, "DescribeKey" | "RetireGrant" | "CreateGrant")
}

impl KeyGrants {
    /// Those that let their grantees do `operation` with this encryption context.
    pub(crate) fn allowing(
        &self,
        operation: &str,
        context: &EncryptionContext,
    ) -> impl Iterator<Item = &Arc<GrantRecord>> {
        let constrained = is_constrained(operation);
        let some = constrained.then(|| self.for_context(context)).into_iter().flatten();
        let all = (!constrained).then(|| self.iter()).into_iter().flatten();
        some.chain(all).filter(move |grant| applies(grant, operation, context))
    }
}

fn satisfies(constraints: &Constraints, context: &EncryptionContext) -> bool {
    let pairs = context.pairs();
    let subset = |wanted: &BTreeMap<String, String>| wanted.iter().all(|(name, value)| pairs.get(name) == Some(value));
    constraints.equals.as_ref().is_none_or(|wanted| wanted == pairs) && constraints.subset.as_ref().is_none_or(subset)
}

/// The one encryption context that the grant is for, if it is for one only.
fn bound_to(grant: &GrantRecord) -> Option<EncryptionContext> {
    let pairs = grant.constraints.equals.as_ref()?;
    EncryptionContext::new(pairs.clone()).ok()
}

/// Checks what the model's shapes cannot: operations that the key knows, and the sizes of constraints.
pub(crate) fn check(terms: &Terms, key: &KeyRecord) -> Result<(), KmsError> {
    if terms.operations.is_empty() {
        return Err(KmsError::Validation("A grant needs at least one operation.".to_owned()));
    }
    let known = key.kind.grant_operations();
    let foreign: Vec<&str> = sorted(&terms.operations).into_iter().filter(|name| !known.contains(name)).collect();
    if !foreign.is_empty() {
        return Err(KmsError::Validation(format!(
            "Operations [{}] are not valid for a KMS key of key spec {} and key usage {}.",
            foreign.join(", "),
            key.kind.spec().as_str(),
            key.kind.usage().as_str()
        )));
    }
    if !key.kind.is_symmetric() && terms.constraints != Constraints::default() {
        return Err(KmsError::Validation(format!(
            "You cannot specify a grant constraint on an encryption context for a KMS key of key spec {}: its operations \
             take none.",
            key.kind.spec().as_str()
        )));
    }
    let maps = [&terms.constraints.equals, &terms.constraints.subset];
    for pairs in maps.into_iter().flatten() {
        if pairs.is_empty() || pairs.len() > PAIRS_MAX {
            return Err(KmsError::Validation(format!("A grant constraint holds 1 to {PAIRS_MAX} pairs.")));
        }
        if pairs.iter().flat_map(|(name, value)| [name, value]).any(|text| text.chars().count() > VALUE_CHARS_MAX) {
            return Err(KmsError::Validation(format!(
                "A name or value in a grant constraint has at most {VALUE_CHARS_MAX} characters."
            )));
        }
    }
    for grantee in [Some(&terms.grantee), terms.retiring.as_ref()].into_iter().flatten() {
        check_grantee(grantee)?;
    }
    Ok(())
}

fn check_grantee(grantee: &Grantee) -> Result<(), KmsError> {
    let name = grantee.name();
    let is_service = name.ends_with(".amazonaws.com") && !name.contains(['/', ':']);
    let is_account = name.len() == 12 && name.bytes().all(|digit| digit.is_ascii_digit());
    let is_identity = aws_wire::Arn::parse(name).is_some_and(|arn| {
        let kinds = ["user/", "role/", "assumed-role/", "federated-user/"];
        matches!(arn.service.as_str(), "iam" | "sts")
            && arn.account.len() == 12
            && (arn.resource == "root" || kinds.iter().any(|kind| arn.resource.starts_with(kind)))
    });
    let sound = match grantee {
        Grantee::Service(_) => is_service,
        Grantee::Principal(_) => is_service || is_account || is_identity,
    };
    if sound { Ok(()) } else { Err(KmsError::InvalidArn(format!("ARN does not refer to a valid principal: {name}"))) }
}

impl Kms {
    /// Makes a grant, or finds the one of the same name and terms. Answers its id and a fresh token.
    pub(crate) async fn grant(
        &self,
        turn: &Turn,
        key: &KeyRecord,
        terms: Terms,
        issuing_account: &str,
    ) -> Result<(String, String), KmsError> {
        check(&terms, key)?;
        let (count, same) = self.read(|state| {
            let same = terms.name.is_some().then(|| state.grants_of(&key.id).find(|grant| terms.equal(grant)).cloned());
            (state.grants.get(&key.id).map_or(0, KeyGrants::len), same.flatten())
        });
        if let Some(same) = same {
            return Ok((same.id.clone(), self.grant_token(&same)?));
        }
        if count >= GRANTS_MAX {
            return Err(KmsError::LimitExceeded(format!("The KMS key has {GRANTS_MAX} grants.")));
        }
        let grant = GrantRecord {
            key: key.id.clone(),
            id: hex::encode(self.env().random::<32>()),
            name: terms.name,
            grantee: terms.grantee,
            retiring: terms.retiring,
            operations: terms.operations,
            constraints: terms.constraints,
            created: self.now(),
            issuing_account: issuing_account.to_owned(),
        };
        let token = self.grant_token(&grant)?;
        let id = grant.id.clone();
        let change = KeyChange::GrantMade(bound_to(&grant));
        turn.write_and_tell(vec![Edit::PutGrant(grant)], key, change).await?;
        Ok((id, token))
    }

    /// Ends a grant; whoever depends on it is told.
    pub(crate) async fn end_grant(&self, turn: &Turn, key: &KeyRecord, id: &str) -> Result<(), KmsError> {
        let grant = self.read(|state| state.grant(&key.id, id).cloned());
        let change = KeyChange::GrantEnded(grant.and_then(|grant| bound_to(&grant)));
        turn.write_and_tell(vec![Edit::DeleteGrant { key: key.id.clone(), id: id.to_owned() }], key, change).await
    }

    /// A token that names a grant: random, key, grant id, and a MAC over the three. Grants are in force at once here, so
    /// a token gives nothing that the grant does not.
    fn grant_token(&self, grant: &GrantRecord) -> Result<String, KmsError> {
        let malformed = || KmsError::Damaged(format!("grant {} has a malformed id", grant.id));
        let mut bytes = self.env().random::<16>().to_vec();
        bytes.extend_from_slice(&uuid::to_bytes(&grant.key).ok_or_else(malformed)?);
        bytes.extend_from_slice(&hex::decode(&grant.id).map_err(|_| malformed())?);
        let mac = self.tokens().mac16(&bytes);
        bytes.extend_from_slice(&mac);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The KMS key id and grant id that a token names.
    pub(crate) fn read_grant_token(&self, token: &str) -> Result<(String, String), KmsError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| KmsError::InvalidGrantToken)?;
        let (named, mac) = bytes.split_last_chunk::<16>().ok_or(KmsError::InvalidGrantToken)?;
        if !crypto::equal(&self.tokens().mac16(named), mac) {
            return Err(KmsError::InvalidGrantToken);
        }
        let (_, rest) = named.split_first_chunk::<16>().ok_or(KmsError::InvalidGrantToken)?;
        let (key, grant) = rest.split_first_chunk::<16>().ok_or(KmsError::InvalidGrantToken)?;
        Ok((uuid::from_bytes(*key), hex::encode(grant)))
    }

    /// Refuses tokens that were not issued here. A genuine token of a grant that ended is taken and gives nothing.
    pub(crate) fn check_grant_tokens(&self, tokens: Option<&[String]>) -> Result<(), KmsError> {
        for token in tokens.unwrap_or_default() {
            self.read_grant_token(token)?;
        }
        Ok(())
    }
}
