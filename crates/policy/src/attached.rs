//! The policies that hang on a caller. IAM User Guide, "Policies and permissions in IAM", policy types.

use std::sync::Arc;

use aws_wire::Caller;

use crate::Document;

/// A policy where it hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// What to call it in an explanation: a managed policy's ARN, or `NAME (inline, user/mara)`.
    pub name: String,
    /// What it says.
    pub document: Arc<Document>,
}

/// Everything that hangs on one caller. The account's root has nothing: nothing limits it but a resource's own policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerPolicies {
    /// The identity's own, inline and managed, and those of its groups: one of them must allow.
    pub identity: Vec<AttachedPolicy>,
    /// The permissions boundary: where there is one, it must allow too.
    pub boundary: Option<AttachedPolicy>,
    /// The session's own: where there are any, one of them must allow too.
    pub session: Vec<AttachedPolicy>,
}

/// Knows what hangs on each identity. Asked once for every call: it answers from memory.
pub trait IdentityPolicies: Send + Sync {
    /// Everything that hangs on this caller at this moment; nothing for one who does not exist any more.
    fn policies_of(&self, caller: &Caller) -> CallerPolicies;
}
