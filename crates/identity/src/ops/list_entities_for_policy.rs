//! ListEntitiesForPolicy: names the users, groups and roles that a managed policy hangs on. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListEntitiesForPolicyRequest;
use crate::model::iam::{EntityType, PolicyUsageType};
use crate::page::Page;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListEntitiesForPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        target::policy(state, cx, &input.policy_arn)?;
        let (attached, bounded) = state.uses(&cx.account, &input.policy_arn);
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let mut found = match input.policy_usage_filter {
            Some(PolicyUsageType::PermissionsBoundary) => bounded,
            Some(PolicyUsageType::PermissionsPolicy) | None => attached,
        };
        found.retain(|principal| {
            let kind = match input.entity_filter {
                None => None,
                Some(EntityType::User) => Some(Kind::User),
                Some(EntityType::Group) => Some(Kind::Group),
                Some(EntityType::Role) => Some(Kind::Role),
                Some(EntityType::LocalManagedPolicy | EntityType::AwsManagedPolicy) => return false,
            };
            kind.is_none_or(|kind| kind == principal.kind()) && principal.path.starts_with(prefix)
        });
        // One page runs over groups, roles and users; their keys keep the three apart.
        let mut items: Vec<_> = found
            .iter()
            .map(|principal| {
                let (name, id, word) = match principal.kind() {
                    Kind::Group => ("GroupName", "GroupId", "group"),
                    Kind::Role => ("RoleName", "RoleId", "role"),
                    Kind::User => ("UserName", "UserId", "user"),
                };
                let members = vec![Xml::Text(name, principal.name.clone()), Xml::Text(id, principal.id.clone())];
                (format!("{word}/{}", principal.name.to_ascii_lowercase()), Xml::Node("member", members))
            })
            .collect();
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        let scope = "ListEntitiesForPolicy";
        let page = Page { scope, marker: input.marker.as_deref(), items_max: input.max_items };
        Ok(apart(page.of("Entities", items.into_iter())?))
    })
}

/// The entities of a page as the three lists of the answer.
fn apart(members: Vec<Xml>) -> Vec<Xml> {
    let (mut groups, mut roles, mut users, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for member in members {
        let Xml::Node("Entities", items) = member else {
            rest.push(member);
            continue;
        };
        for item in items {
            let name = match &item {
                Xml::Node(_, parts) => parts.first(),
                Xml::Text(..) => None,
            };
            match name {
                Some(Xml::Text("GroupName", _)) => groups.push(item),
                Some(Xml::Text("RoleName", _)) => roles.push(item),
                _ => users.push(item),
            }
        }
    }
    rest.extend([Xml::Node("PolicyGroups", groups), Xml::Node("PolicyRoles", roles), Xml::Node("PolicyUsers", users)]);
    rest
}
