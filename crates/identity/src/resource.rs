//! What an IAM or STS call is about, for the decision on it. Service Authorization Reference, "Actions, resources, and
//! condition keys for AWS Identity and Access Management".

use aws_wire::{Arn, CallContext, CallerKind};
use serde_json::Value;

use crate::Identities;
use crate::principal::Kind;
use crate::provider::place;

/// Actions that are about the caller where no user is named.
const OF_CALLER: [&str; 5] = ["CreateAccessKey", "DeleteAccessKey", "GetUser", "ListAccessKeys", "UpdateAccessKey"];

/// The ARN that a call of `action` with this input is decided on.
pub fn resource(identities: &Identities, cx: &CallContext, action: &str, input: &Value) -> Arn {
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let all = || Arn::new("iam", "", &cx.account, "*");
    let given = |name: &str| text(name).map(|arn| Arn::parse(arn).unwrap_or_else(all));
    if let Some(arn) = given("RoleArn").or_else(|| given("PolicySourceArn")) {
        return arn;
    }
    if let Some(arn) = given("OpenIDConnectProviderArn") {
        return arn;
    }
    if let Some(url) = text("Url") {
        return Arn::new("iam", "", &cx.account, format!("oidc-provider/{}", place(url)));
    }
    let in_group = matches!(action, "AddUserToGroup" | "RemoveUserFromGroup");
    let kinds = if in_group { [Kind::Group, Kind::User, Kind::Role] } else { [Kind::User, Kind::Role, Kind::Group] };
    for kind in kinds {
        let member = format!("{}Name", kind.title());
        let Some(name) = text(&member) else { continue };
        let found = identities.look(|state| state.principal(&cx.account, kind, name).map(|found| found.arn()));
        let path = text("Path").unwrap_or("/");
        let made = || Arn::new("iam", "", &cx.account, format!("{}{path}{name}", kind.word()));
        return found.unwrap_or_else(made);
    }
    if let Some(arn) = given("PolicyArn") {
        return arn;
    }
    if let Some(name) = text("PolicyName") {
        let path = text("Path").unwrap_or("/");
        return Arn::new("iam", "", &cx.account, format!("policy{path}{name}"));
    }
    if OF_CALLER.contains(&action) && cx.caller.kind == CallerKind::User {
        return cx.caller.arn.clone();
    }
    all()
}
