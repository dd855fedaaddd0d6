//! Finds what a request names, or says that it is not there; what the operations on users, groups and roles share.

use std::sync::Arc;

use aws_wire::{Arn, CallContext, CallerKind};

use crate::access_key::AccessKey;
use crate::exclusion::Exclusion;
use crate::gathered::Gathered;
use crate::managed::{self, ManagedPolicy};
use crate::policy_text::PolicyText;
use crate::principal::{Detail, Kind, Principal, VERSION};
use crate::provider::Provider;
use crate::state::{State, Update};
use crate::tags::Tags;
use crate::{Identities, IdentityError, access_key as keys, quota, trust};

/// The user, group or role of the caller's account that has this name.
pub(crate) fn principal<'a>(
    state: &'a State,
    cx: &CallContext,
    kind: Kind,
    name: &str,
) -> Result<&'a Arc<Principal>, IdentityError> {
    state
        .principal(&cx.account, kind, name)
        .ok_or_else(|| IdentityError::NoSuchEntity(format!("The {} with name {name} cannot be found.", kind.word())))
}

/// The named user, or the caller itself where none is named; none is the account's root.
pub(crate) fn user_or_caller<'a>(
    state: &'a State,
    cx: &CallContext,
    name: Option<&str>,
) -> Result<Option<&'a Arc<Principal>>, IdentityError> {
    match (name, &cx.caller.kind) {
        (Some(name), _) => principal(state, cx, Kind::User, name).map(Some),
        (None, CallerKind::Root) => Ok(None),
        (None, CallerKind::User) => {
            let user = state.by_id(&cx.account, Kind::User, &cx.caller.principal_id);
            user.map(Some).ok_or_else(|| IdentityError::NoSuchEntity("The user cannot be found.".to_owned()))
        }
        (None, _) => {
            Err(IdentityError::Validation("Must specify userName when calling with non-User credentials".to_owned()))
        }
    }
}

/// The managed policy of this ARN, if the caller's account may know it.
pub(crate) fn policy<'a>(
    state: &'a State,
    cx: &CallContext,
    arn: &str,
) -> Result<&'a Arc<ManagedPolicy>, IdentityError> {
    let found = state.policy(arn).filter(|policy| policy.is_aws() || policy.account == cx.account);
    found.ok_or_else(|| IdentityError::NoSuchEntity(format!("Policy {arn} was not found.")))
}

/// The same, if the account may change it.
pub(crate) fn own_policy<'a>(
    state: &'a State,
    cx: &CallContext,
    arn: &str,
) -> Result<&'a Arc<ManagedPolicy>, IdentityError> {
    let found = policy(state, cx, arn)?;
    if found.is_aws() {
        let caller = cx.caller.arn.to_string();
        return Err(IdentityError::Unmodifiable(format!(
            "User: {caller} may not change the AWS managed policy {arn}."
        )));
    }
    Ok(found)
}

/// A policy that is to hang on something.
pub(crate) fn attachable(state: &State, cx: &CallContext, arn: &str) -> Result<(), IdentityError> {
    if Arn::parse(arn).is_none_or(|parsed| parsed.service != "iam" || !parsed.resource.starts_with("policy/")) {
        return Err(IdentityError::InvalidInput(format!("ARN {arn} is not valid.")));
    }
    match policy(state, cx, arn) {
        Ok(_) => Ok(()),
        Err(_) => Err(IdentityError::NoSuchEntity(format!("Policy {arn} does not exist or is not attachable."))),
    }
}

/// The user, group or role of the caller's account whose policies a simulation is about, and these.
pub(crate) fn policy_source(
    identities: &Identities,
    cx: &CallContext,
    arn: &str,
    excluded: &[Exclusion<'_>],
) -> Result<(Arn, Gathered), IdentityError> {
    let source = Arn::parse(arn).filter(|arn| arn.account == cx.account);
    let gathered = source.as_ref().and_then(|arn| identities.look(|state| Gathered::of_arn(state, arn, excluded)));
    source.zip(gathered).ok_or_else(|| IdentityError::NoSuchEntity(format!("The entity {arn} cannot be found.")))
}

/// The OpenID Connect provider of this ARN.
pub(crate) fn provider<'a>(state: &'a State, cx: &CallContext, arn: &str) -> Result<&'a Arc<Provider>, IdentityError> {
    let place = Arn::parse(arn).filter(|arn| arn.account == cx.account);
    let place = place.as_ref().and_then(|arn| arn.resource.strip_prefix("oidc-provider/"));
    let account = state.account(&cx.account);
    place
        .zip(account)
        .and_then(|(place, account)| account.providers().get(place))
        .ok_or_else(|| IdentityError::NoSuchEntity(format!("OpenIDConnect Provider not found for arn {arn}")))
}

/// A path as it is kept.
pub(crate) fn path(given: Option<String>) -> Result<String, IdentityError> {
    let path = given.unwrap_or_else(|| "/".to_owned());
    if path.contains("//") {
        return Err(IdentityError::Validation("The path may not have empty parts.".to_owned()));
    }
    Ok(path)
}

/// What a new user, group or role is made of.
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) boundary: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) detail: Detail,
}

/// A new user, group or role, if there is room for it and its name is free.
pub(crate) fn made(
    state: &State,
    cx: &CallContext,
    new: New,
    identities: &Identities,
) -> Result<Principal, IdentityError> {
    let New { name, path: given, boundary, tags, detail } = new;
    let mut principal = Principal {
        version: VERSION,
        account: cx.account.clone(),
        id: String::new(),
        name,
        path: path(given)?,
        created: cx.time,
        tags,
        inline: std::collections::BTreeMap::new(),
        attached: std::collections::BTreeSet::new(),
        boundary,
        detail,
    };
    let kind = principal.kind();
    principal.id = keys::unique_id(kind.id_prefix(), identities.env());
    name_is_free(state, cx, kind, &principal.name, None)?;
    let (most, what) = match kind {
        Kind::User => (quota::USERS, "UsersPerAccount"),
        Kind::Group => (quota::GROUPS, "GroupsPerAccount"),
        Kind::Role => (quota::ROLES, "RolesPerAccount"),
    };
    if state.account(&cx.account).is_some_and(|account| account.count(kind) >= most) {
        return Err(exceeded(what, most));
    }
    if let Some(arn) = &principal.boundary {
        attachable(state, cx, arn)?;
    }
    Ok(principal)
}

/// Whether a name is free, or belongs to the one with this id.
pub(crate) fn name_is_free(
    state: &State,
    cx: &CallContext,
    kind: Kind,
    name: &str,
    own: Option<&str>,
) -> Result<(), IdentityError> {
    let taken = state.account(&cx.account).and_then(|account| account.taken(kind, name));
    match taken.filter(|found| Some(found.id.as_str()) != own) {
        None => Ok(()),
        Some(_) => {
            Err(IdentityError::EntityAlreadyExists(format!("{} with name {name} already exists.", kind.title())))
        }
    }
}

/// A quota that is used up.
pub(crate) fn exceeded(what: &str, most: usize) -> IdentityError {
    IdentityError::LimitExceeded(format!("Cannot exceed quota for {what}: {most}"))
}

/// Changes one user, group or role.
pub(crate) async fn change(
    identities: &Identities,
    cx: &CallContext,
    (kind, name): (Kind, &str),
    by: impl FnOnce(&State, &mut Principal) -> Result<(), IdentityError>,
) -> Result<(), IdentityError> {
    identities
        .change(|state| {
            let mut changed = Principal::clone(principal(state, cx, kind, name)?);
            by(state, &mut changed)?;
            Ok((vec![Update::Principal(changed)], ()))
        })
        .await
}

/// Whether a user, a group or a role may go: nothing may hang on it.
pub(crate) fn deletable(principal: &Principal) -> Result<(), IdentityError> {
    let conflict = |text: &str| Err(IdentityError::DeleteConflict(text.to_owned()));
    if !principal.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !principal.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    Ok(())
}

/// Puts an inline policy.
pub(crate) fn put_inline(principal: &mut Principal, name: String, text: &str) -> Result<(), IdentityError> {
    principal.inline.insert(name, PolicyText::for_identity(text)?);
    let most = principal.kind().inline_characters();
    if principal.inline.values().map(PolicyText::characters).sum::<usize>() > most {
        return Err(IdentityError::LimitExceeded(format!(
            "Maximum policy size of {most} bytes exceeded for {} {}",
            principal.kind().word(),
            principal.name
        )));
    }
    Ok(())
}

/// The sentence for an inline policy that is not there.
pub(crate) fn no_inline(kind: Kind, name: &str) -> IdentityError {
    IdentityError::NoSuchEntity(format!("The {} policy with name {name} cannot be found.", kind.word()))
}

/// Attaches a managed policy; one that hangs there already stays.
pub(crate) fn attach(
    state: &State,
    cx: &CallContext,
    principal: &mut Principal,
    arn: String,
) -> Result<(), IdentityError> {
    attachable(state, cx, &arn)?;
    principal.attached.insert(arn);
    if principal.attached.len() > quota::ATTACHED {
        return Err(exceeded(&format!("PoliciesPer{}", principal.kind().title()), quota::ATTACHED));
    }
    Ok(())
}

/// Detaches a managed policy.
pub(crate) fn detach(principal: &mut Principal, arn: &str) -> Result<(), IdentityError> {
    if principal.attached.remove(arn) {
        return Ok(());
    }
    Err(IdentityError::NoSuchEntity(format!("Policy {arn} was not found.")))
}

/// A user's access key, or one of the account's root.
pub(crate) fn access_key<'a>(
    state: &'a State,
    cx: &CallContext,
    user: Option<&Arc<Principal>>,
    id: &str,
) -> Result<&'a Arc<AccessKey>, IdentityError> {
    let owner = user.map(|user| user.id.as_str());
    let key = state.key(id).filter(|key| key.account == cx.account && key.user.as_deref() == owner);
    key.ok_or_else(|| no_access_key(id))
}

/// The sentence for an access key that is not there.
pub(crate) fn no_access_key(id: &str) -> IdentityError {
    IdentityError::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
}

/// A document for a managed policy.
pub(crate) fn managed_document(text: &str) -> Result<PolicyText, IdentityError> {
    let document = PolicyText::for_identity(text)?;
    if document.characters() > quota::MANAGED_CHARACTERS {
        return Err(exceeded("PolicySize", quota::MANAGED_CHARACTERS));
    }
    Ok(document)
}

/// The number of a version that a managed policy has.
pub(crate) fn version(policy: &ManagedPolicy, version_id: &str) -> Result<u32, IdentityError> {
    managed::number(version_id).filter(|number| policy.versions.contains_key(number)).ok_or_else(|| {
        let arn = policy.arn();
        IdentityError::NoSuchEntity(format!("Policy {arn} version {version_id} does not exist or is not attachable."))
    })
}

/// Whether all that a role's trust policy names is there: who is made later under a name that was named in vain would be
/// trusted by surprise.
pub(crate) fn trusted_exist(state: &State, role: &Principal) -> Result<(), IdentityError> {
    let names = role.role().map(|role| role.trust.aws_principals()).unwrap_or_default();
    for name in names {
        if name == "*" || trust::is_account(&name) {
            continue;
        }
        let arn = Arn::parse(&name).filter(|arn| matches!(arn.service.as_str(), "iam" | "sts"));
        // Accounts elsewhere cannot be looked into.
        let there = arn.is_some_and(|arn| {
            state.account(&arn.account).is_none() || arn.service == "sts" || state.by_arn(&arn).is_some()
        });
        if !there {
            let text = format!("Invalid principal in policy: \"AWS\":\"{name}\"");
            return Err(IdentityError::MalformedPolicyDocument(text));
        }
    }
    Ok(())
}
