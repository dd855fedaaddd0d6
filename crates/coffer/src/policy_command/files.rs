//! By policies from files: no server, no installation.

use std::path::Path;
use std::sync::Arc;

use env::Env;
use policy::{AttachedPolicy, CallerPolicies, Document, Request, ResourcePolicy, explain};

use super::SimulateArgs;
use crate::CofferError;
use crate::simulate::{self, Question, Simulated};

/// Answers the question.
pub(super) fn answer(args: &SimulateArgs, question: &Question) -> Result<Vec<Simulated>, CofferError> {
    let arn = question.arn().ok_or_else(|| {
        CofferError::Stopped(format!("--resource {}: with policies from files it is an ARN or *", question.resource))
    })?;
    let caller = match simulate::service(&question.caller, &arn.account) {
        Some(service) => service,
        None => simulate::of_arn(&question.caller)?,
    };
    let identity = args.identity_policies.iter().map(|path| attached(path)).collect::<Result<_, _>>()?;
    let boundary = args.boundary.as_deref().map(attached).transpose()?;
    let policies = CallerPolicies { identity, boundary, session: Vec::new() };
    let resource = args.resource_policy.as_deref().map(|path| Ok((name(path), read(path)?))).transpose()?;
    if let Some((name, document)) = &resource
        && document.statements.iter().any(|statement| statement.principals.is_none())
    {
        return Err(CofferError::Stopped(format!("{name}: every statement of a resource's policy has a Principal")));
    }
    let owner = if arn.account.is_empty() { caller.account.clone() } else { arn.account.clone() };
    let env = Env::real();
    let ruled = question.actions.iter().map(|action| {
        let mut facts = question.with_encryption_context(question.facts(&caller, &env));
        if action.starts_with("kms:") && !caller.account.is_empty() {
            facts = facts.instead("kms:CallerAccount", caller.account.clone());
        }
        let request = Request { caller: &caller, action, resource: &arn, conditions: &facts };
        let own = resource.as_ref().map(|(name, document)| ResourcePolicy { name, owner: &owner, document });
        let explanation = explain(&request, &policies, own, false);
        Simulated::of(&caller, action, &question.resource, &explanation, Vec::new())
    });
    Ok(ruled.collect())
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<Document, CofferError> {
    let text = std::fs::read_to_string(path).map_err(|error| CofferError::io(path, &error))?;
    Document::parse(&text).map_err(|malformed| CofferError::within(path, malformed))
}

fn attached(path: &Path) -> Result<AttachedPolicy, CofferError> {
    let document = read(path)?;
    if document.statements.iter().any(|statement| statement.principals.is_some()) {
        let why = "a policy of an identity has no Principal; give a key policy as --resource-policy";
        return Err(CofferError::within(path, why));
    }
    Ok(AttachedPolicy { name: name(path), document: Arc::new(document) })
}
