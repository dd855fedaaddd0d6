//! GetContextKeysForCustomPolicy: which condition context keys the given policies refer to. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::gathered::Gathered;
use crate::model::iam::GetContextKeysForCustomPolicyRequest;
use crate::{Identities, IdentityError, describe};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    _identities: &Identities,
    _cx: &CallContext,
    input: GetContextKeysForCustomPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let mut gathered = Gathered::default();
    gathered.add(&input.policy_input_list)?;
    Ok(describe::context_keys(gathered.context_keys()))
}
