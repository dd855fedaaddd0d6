//! AssumeRole: temporary credentials of a role. STS API, version 2011-06-15.

use aws_wire::query::Xml;
use aws_wire::{CallContext, CallerKind, SessionDetails};
use policy::Conditions;

use crate::model::sts::AssumeRoleRequest;
use crate::tags::Tags;
use crate::{Identities, IdentityError, assume, tags};

/// Runs the action. Permission is decided here: by the role's trust policy, and the caller's policies where that leaves it
/// to them.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AssumeRoleRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let refused = |text: &str| IdentityError::AccessDenied(text.to_owned());
    if cx.caller.kind == CallerKind::Root {
        return Err(refused("Roles may not be assumed by root accounts."));
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(refused(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
        ));
    }
    if input.provided_contexts.is_some() {
        return Err(IdentityError::Validation("ProvidedContexts are not supported by this server.".to_owned()));
    }
    let denied = |action: &str| {
        let (caller, role) = (&cx.caller.arn, &input.role_arn);
        refused(&format!("User: {caller} is not authorized to perform: {action} on resource: {role}"))
    };
    let found = assume::role(identities, &input.role_arn)?.ok_or_else(|| denied("sts:AssumeRole"))?;
    let given = input.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone()));
    let given = tags::with(&Tags::new(), given)?;
    let session = cx.caller.session.as_ref();
    let mut details = SessionDetails {
        source_identity: session.and_then(|session| session.details.source_identity.clone()),
        ..SessionDetails::default()
    };
    let tags = inherited(cx, given.clone(), input.transitive_tag_keys.as_deref().unwrap_or_default(), &mut details)?;
    let mut facts = assume::facts(cx, &found, &input.role_session_name);
    if let Some(id) = &input.external_id {
        facts = facts.with("sts:ExternalId", id.clone());
    }
    if let Some(identity) = &input.source_identity {
        if details.source_identity.as_ref().is_some_and(|before| before != identity) {
            return Err(refused("The calling session has another source identity, which cannot be changed."));
        }
        details.source_identity = Some(identity.clone());
    }
    let facts = tag_facts(facts, &given, &details);
    let mut actions = vec!["sts:AssumeRole"];
    actions.extend((!given.is_empty()).then_some("sts:TagSession"));
    actions.extend(details.source_identity.is_some().then_some("sts:SetSourceIdentity"));
    for action in actions {
        if !assume::permitted(identities, cx, &found, action, &facts) {
            return Err(denied(action));
        }
    }
    let seconds = assume::seconds(&found, input.duration_seconds, cx.caller.kind == CallerKind::AssumedRole)?;
    let arns = input.policy_arns.into_iter().flatten().filter_map(|policy| policy.arn).collect();
    assume::policies(identities, cx, input.policy, arns, &mut details)?;
    let source = details.source_identity.clone();
    let assumed = assume::assume(identities, cx, &found, &input.role_session_name, (seconds, tags, details))?;
    let source = source.map(|identity| Xml::Text("SourceIdentity", identity));
    Ok(assumed.xml().into_iter().chain(source).collect())
}

/// The given tags with those that the calling session hands on. IAM User Guide, "Passing session tags", chaining.
fn inherited(
    cx: &CallContext,
    given: Tags,
    transitive: &[String],
    details: &mut SessionDetails,
) -> Result<Tags, IdentityError> {
    let missing = transitive.iter().any(|key| !given.contains_key(key));
    if missing {
        let text = "The specified transitive tag key must be included in the requested tags.";
        return Err(IdentityError::InvalidInput(text.to_owned()));
    }
    details.transitive_tag_keys = transitive.to_vec();
    let mut tags = given;
    for key in cx.caller.session.iter().flat_map(|session| &session.details.transitive_tag_keys) {
        let Some(value) = cx.caller.tags.get(key) else { continue };
        if tags.keys().any(|other| other.eq_ignore_ascii_case(key)) {
            let text = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key \
                        from the calling session.";
            return Err(IdentityError::InvalidInput(text.to_owned()));
        }
        tags.insert(key.clone(), value.clone());
        details.transitive_tag_keys.push(key.clone());
    }
    Ok(tags)
}

fn tag_facts(mut facts: Conditions, given: &Tags, details: &SessionDetails) -> Conditions {
    for (key, value) in given {
        facts = facts.with(&format!("aws:RequestTag/{key}"), value.clone()).with("aws:TagKeys", key.clone());
    }
    for key in &details.transitive_tag_keys {
        facts = facts.with("sts:TransitiveTagKeys", key.clone());
    }
    match &details.source_identity {
        Some(identity) => facts.with("sts:SourceIdentity", identity.clone()),
        None => facts,
    }
}
