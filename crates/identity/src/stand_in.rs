//! Callers that do not call: for whoever runs the server and asks what somebody might do.

use aws_wire::{Arn, Caller, CallerKind, Session};

use crate::principal::Kind;
use crate::{Identities, now, session};

impl Identities {
    /// The caller that an ARN means: an account's root, a user, a role or one of its sessions, as it is when it calls now; none
    /// when there is no such one.
    #[must_use]
    pub fn stand_in(&self, arn: &Arn) -> Option<Caller> {
        self.look(|state| {
            if arn.service == "iam" && arn.resource == "root" {
                return state.account(&arn.account).map(|_| Caller::root(&arn.account, None));
            }
            let (role_name, session_name) = match arn.resource.strip_prefix("assumed-role/") {
                Some(rest) if arn.service == "sts" => rest.split_once('/').map(|(role, name)| (Some(role), name))?,
                Some(_) => return None,
                None => (None, "simulation"),
            };
            let principal = match role_name {
                Some(name) => state.principal(&arn.account, Kind::Role, name)?,
                None => state.by_arn(arn)?,
            };
            let plain = Caller { access_key_id: None, ..session::user(principal, "") };
            match principal.kind() {
                Kind::User => Some(plain),
                // A group calls nobody.
                Kind::Group => None,
                Kind::Role => Some(Caller {
                    arn: Arn::new("sts", "", &arn.account, format!("assumed-role/{}/{session_name}", principal.name)),
                    principal_id: format!("{}:{session_name}", principal.id),
                    user_name: None,
                    session: Some(Session {
                        name: session_name.to_owned(),
                        issuer: principal.arn(),
                        issuer_id: principal.id.clone(),
                        created: now(self.env()),
                        details: Default::default(),
                    }),
                    kind: CallerKind::AssumedRole,
                    ..plain
                }),
            }
        })
    }
}
