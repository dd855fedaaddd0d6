//! Who may do what: the `Authorize` trait, IAM-style policy documents, and their evaluation.
//!
//! IAM User Guide, "Policy evaluation logic". This crate knows callers, actions, resources and conditions by name only;
//! the services say what those are.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic"))]

mod attached;
mod authorize;
mod checked;
mod condition;
mod context_keys;
mod decide;
mod document;
mod evaluate;
mod fact_type;
mod position;
mod variable;
mod wildcard;

pub use attached::{AttachedPolicy, CallerPolicies, IdentityPolicies};
pub use authorize::{Authorize, ByIdentity, Conditions, Decision, DefaultFileSystemPolicy, NoPolicies, Request};
pub use checked::Checked;
pub use condition::Condition;
pub use context_keys::ContextKeys;
pub use decide::{Basis, Considered, Explanation, Part, Refusal, ResourcePolicy, decide, explain};
pub use document::{Document, Effect, Malformed, Principals, Scope, Statement};
pub use evaluate::{Fit, Kind, Named, Verdict, evaluate};
pub use fact_type::FactType;
pub use position::{Position, Span, statement_spans};
pub use wildcard::matches;
