//! What the record of a call says besides the call: looked up before it acts, by whoever knows more than the service.

use aws_wire::CallContext;
use serde_json::Value;

/// Adds to the audit records of calls.
pub trait Annotate: Send + Sync {
    /// What becomes CloudTrail's `additionalEventData` of a call of the service of `source` that is about to act; null:
    /// nothing. It is in the record before the act, and stays there whatever becomes of the act.
    fn annotate(&self, cx: &CallContext, source: &str, action: &str, input: &Value) -> Value;
}
