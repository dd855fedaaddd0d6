//! GetSessionToken: temporary credentials for the caller itself. STS API, version 2011-06-15. It needs no permission.

use std::collections::BTreeMap;

use aws_wire::query::Xml;
use aws_wire::{CallContext, CallerKind, SessionDetails};

use crate::model::sts::GetSessionTokenRequest;
use crate::session::{Subject, Wanted};
use crate::{Identities, IdentityError, describe};

/// Half a day, when nothing is asked for.
const SECONDS_DEFAULT: i32 = 43_200;
/// The root's sessions last an hour at most.
const ROOT_SECONDS_MAX: i32 = 3600;

/// Runs the action.
///
/// # Errors
/// [`IdentityError::AccessDenied`] for temporary credentials and for an MFA device, of which there are none.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetSessionTokenRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let denied = |text: &str| Err(IdentityError::AccessDenied(text.to_owned()));
    if cx.caller.session.is_some() {
        return denied("Cannot call GetSessionToken with session credentials");
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
        );
    }
    let seconds = input.duration_seconds.unwrap_or(SECONDS_DEFAULT);
    let (subject, seconds) = match cx.caller.kind {
        CallerKind::Root => (Subject::Root, seconds.min(ROOT_SECONDS_MAX)),
        CallerKind::User => (Subject::User { id: cx.caller.principal_id.clone() }, seconds),
        CallerKind::AssumedRole | CallerKind::Service(_) | CallerKind::Anonymous | CallerKind::WebIdentity(_) => {
            return denied("Cannot call GetSessionToken with session credentials");
        }
    };
    let wanted = Wanted {
        account: cx.caller.account.clone(),
        subject,
        created: cx.time,
        seconds: i64::from(seconds),
        tags: BTreeMap::new(),
        details: SessionDetails::default(),
    };
    Ok(vec![describe::credentials(&identities.tokens().issue(wanted, identities.env()))])
}
