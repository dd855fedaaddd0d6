//! CreatePolicy: makes a managed policy. IAM API, version 2010-05-08.

use std::collections::BTreeMap;

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::managed::{ManagedPolicy, PolicyVersion};
use crate::model::iam::CreatePolicyRequest;
use crate::principal::VERSION;
use crate::state::Update;
use crate::{Identities, IdentityError, access_key, quota, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreatePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let tags = tags::with(&tags::Tags::new(), input.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)))?;
    let document = target::managed_document(&input.policy_document)?;
    let policy = ManagedPolicy {
        version: VERSION,
        account: cx.account.clone(),
        id: access_key::unique_id("ANPA", identities.env()),
        name: input.policy_name,
        path: target::path(input.path)?,
        description: input.description,
        created: cx.time,
        updated: cx.time,
        tags,
        versions: BTreeMap::from([(1, PolicyVersion { document, created: cx.time })]),
        default: 1,
        latest: 1,
    };
    identities
        .change(|state| {
            let there = state.account(&cx.account).map(|account| account.policies());
            if there.is_some_and(|there| there.contains_key(&policy.name.to_ascii_lowercase())) {
                let text = format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
                return Err(IdentityError::EntityAlreadyExists(text));
            }
            if there.is_some_and(|there| there.len() >= quota::POLICIES) {
                return Err(target::exceeded("CustomerManagedPoliciesPerAccount", quota::POLICIES));
            }
            let shown = vec![Xml::Node("Policy", describe::policy(state, &cx.account, &policy, Extent::Whole))];
            Ok((vec![Update::Policy(policy)], shown))
        })
        .await
}
