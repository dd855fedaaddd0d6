//! AssumeRoleWithWebIdentity: temporary credentials of a role for somebody whom an OpenID Connect provider vouches for. STS
//! API, version 2011-06-15.

use aws_wire::query::Xml;
use aws_wire::{CallContext, CallerKind, SessionDetails};

use crate::model::sts::AssumeRoleWithWebIdentityRequest;
use crate::provider::place;
use crate::tags::Tags;
use crate::trust::{Question, Trust};
use crate::{Identities, IdentityError, assume};

/// Runs the action for a caller whose token was judged before. The role's trust policy alone decides.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AssumeRoleWithWebIdentityRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let action = "sts:AssumeRoleWithWebIdentity";
    let denied = || IdentityError::AccessDenied(format!("Not authorized to perform {action}"));
    let CallerKind::WebIdentity(identity) = &cx.caller.kind else { return Err(denied()) };
    if input.provider_id.is_some() {
        // It is for OAuth 2.0 access tokens, which are not taken here.
        return Err(IdentityError::Validation("ProviderId is not supported by this server.".to_owned()));
    }
    let found = assume::role(identities, &input.role_arn)?.ok_or_else(denied)?;
    let provider = place(&identity.provider.resource).strip_prefix("oidc-provider/").unwrap_or_default();
    let mut facts = assume::facts(cx, &found, &input.role_session_name)
        .with(&format!("{provider}:aud"), identity.audience.clone())
        .with(&format!("{provider}:sub"), identity.subject.clone())
        .with("aws:FederatedProvider", identity.provider.to_string());
    for method in &identity.methods {
        facts = facts.with(&format!("{provider}:amr"), method.clone());
    }
    let question = Question { action, role: &found.arn, conditions: &facts };
    if found.role.trust.of_provider(&identity.provider, &cx.caller, question) != Trust::Caller {
        return Err(denied());
    }
    let seconds = assume::seconds(&found, input.duration_seconds, false)?;
    let mut details =
        SessionDetails { federated_provider: Some(identity.provider.to_string()), ..SessionDetails::default() };
    let arns = input.policy_arns.into_iter().flatten().filter_map(|policy| policy.arn).collect();
    assume::policies(identities, cx, input.policy, arns, &mut details)?;
    let assumed = assume::assume(identities, cx, &found, &input.role_session_name, (seconds, Tags::new(), details))?;
    let mut members = assumed.xml();
    members.extend([
        Xml::Text("SubjectFromWebIdentityToken", identity.subject.clone()),
        Xml::Text("Provider", identity.provider.to_string()),
        Xml::Text("Audience", identity.audience.clone()),
    ]);
    Ok(members)
}
