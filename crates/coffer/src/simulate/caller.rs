//! A caller that is known by its ARN alone.

use aws_wire::{Arn, Caller, CallerKind, Session, Timestamp};

use crate::CofferError;

/// A service is no ARN; it works for `account`.
pub(crate) fn service(text: &str, account: &str) -> Option<Caller> {
    (!text.starts_with("arn:") && text.ends_with(".amazonaws.com")).then(|| Caller::service(account, text))
}

/// The caller of an ARN: root, a user, a role or one of its sessions. IAM User Guide, "IAM identifiers".
pub(crate) fn of_arn(text: &str) -> Result<Caller, CofferError> {
    let unknown = || {
        CofferError::Stopped(format!(
            "--caller {text}: it is the ARN of a user, a role, a role's session or an account's root, or a service's name"
        ))
    };
    let arn = Arn::parse(text).ok_or_else(unknown)?;
    let plain = Caller::root(&arn.account, None);
    if arn.service == "iam" && arn.resource == "root" {
        return Ok(plain);
    }
    let last = arn.resource.rsplit('/').next().unwrap_or_default().to_owned();
    let session_of = |role: Arn, name: &str| Session {
        name: name.to_owned(),
        issuer: role,
        issuer_id: String::new(),
        created: Timestamp::default(),
        details: Default::default(),
    };
    match (arn.service.as_str(), arn.kind_and_id()) {
        ("iam", Some(("user", _))) => Ok(Caller { arn, user_name: Some(last), kind: CallerKind::User, ..plain }),
        ("iam", Some(("role", _))) => {
            let name = "simulation";
            let session = Arn::new("sts", "", &arn.account, format!("assumed-role/{last}/{name}"));
            let session_of = session_of(arn, name);
            Ok(Caller { arn: session, session: Some(session_of), kind: CallerKind::AssumedRole, ..plain })
        }
        ("sts", Some(("assumed-role", rest))) => {
            let (role, name) = rest.split_once('/').ok_or_else(unknown)?;
            // The role's path is not in the session's ARN.
            let session = session_of(Arn::new("iam", "", &arn.account, format!("role/{role}")), name);
            Ok(Caller { arn, session: Some(session), kind: CallerKind::AssumedRole, ..plain })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use aws_wire::CallerKind;

    /// IAM User Guide, "IAM identifiers": users, roles, sessions, root, and nothing else.
    #[test]
    fn callers_are_known_by_their_arns() {
        for (text, kind, arn) in [
            ("arn:aws:iam::000000000001:root", CallerKind::Root, "arn:aws:iam::000000000001:root"),
            ("arn:aws:iam::000000000001:user/a/mara", CallerKind::User, "arn:aws:iam::000000000001:user/a/mara"),
            (
                "arn:aws:iam::000000000001:role/a/reader",
                CallerKind::AssumedRole,
                "arn:aws:sts::000000000001:assumed-role/reader/simulation",
            ),
            (
                "arn:aws:sts::000000000001:assumed-role/reader/ci",
                CallerKind::AssumedRole,
                "arn:aws:sts::000000000001:assumed-role/reader/ci",
            ),
        ] {
            let caller = super::of_arn(text).unwrap();
            assert_eq!((caller.kind, caller.arn.to_string(), &*caller.account), (kind, arn.to_owned(), "000000000001"));
        }
        for text in ["mara", "arn:aws:iam::000000000001:group/staff", "arn:aws:kms:us-east-1:000000000001:key/1"] {
            assert!(super::of_arn(text).is_err(), "{text}");
        }
        assert!(super::service("elasticfilesystem.us-east-1.amazonaws.com", "000000000001").is_some());
        assert!(super::service("arn:aws:iam::000000000001:user/x.amazonaws.com", "000000000001").is_none());
    }
}
