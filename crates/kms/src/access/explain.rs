//! Why a call about a KMS key would be allowed or refused, told to whoever runs the server.

use std::sync::Arc;

use aws_wire::{Arn, CallContext};
use policy::{Conditions, Explanation, Request, ResourcePolicy, explain};

use super::{POLICY_NAME, is_grantee, policy_of_nobody};
use crate::{EncryptionContext, Kms};

/// A ruling and all that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRuling {
    /// The ruling, and what became of each statement.
    pub explanation: Explanation,
    /// The ids of the grants that allow it.
    pub grants: Vec<String>,
}

impl Kms {
    /// What KMS would rule on `action`, with the reasons; none when there is no such KMS key. `facts` are those
    /// of the request; those of the key and the encryption context are added here.
    #[must_use]
    pub fn explain(
        &self,
        cx: &CallContext,
        key_arn: &str,
        action: &str,
        context: &EncryptionContext,
        facts: Conditions,
    ) -> Option<KeyRuling> {
        let key = self.key_of_arn(key_arn).filter(|key| key.arn() == key_arn)?;
        let document = self.read(|state| state.policies.get(&key.id).cloned());
        let document = document.unwrap_or_else(|| Arc::new(policy_of_nobody()));
        let facts = self.key_facts(cx, &key, context, facts);
        let arn = Arn::new("kms", &key.region, &key.account, format!("key/{}", key.id));
        let iam = format!("kms:{action}");
        let request = Request { caller: &cx.caller, action: &iam, resource: &arn, conditions: &facts };
        let granted = self.granted(cx, &key, action, context);
        let own = ResourcePolicy { name: POLICY_NAME, owner: &key.account, document: &document };
        let explanation = explain(&request, &self.policies_of(&cx.caller), Some(own), granted);
        let grants = self.read(|state| {
            let granting = state.grants.get(&key.id).into_iter().flat_map(|grants| grants.allowing(action, context));
            let granting = granting.filter(|grant| is_grantee(&cx.caller, &grant.grantee));
            granting.map(|grant| grant.id.clone()).collect()
        });
        Some(KeyRuling { explanation, grants })
    }
}
