//! What a document says about a request. IAM User Guide, "Policy evaluation logic".

use aws_wire::{Caller, CallerKind};

use crate::document::{Document, Effect, Principals, Scope, Statement};
use crate::variable::matches_with;
use crate::{Request, matches};

/// Where a document hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On the caller: it has no principals.
    Identity,
    /// On the resource: it says whom it is about.
    Resource,
}

/// What one document says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A statement (by its Sid) denies.
    Denies(String),
    /// A statement allows and none denies.
    Allows,
    /// No statement is about it.
    Silent,
}

/// How a resource's policy names a caller. The later ones are the closer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// By its account: the account's own policies decide.
    Account,
    /// By the role of its session.
    Role,
    /// By itself, or as one of everybody.
    Caller,
}

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It is about this request.
    Applies(Named),
    /// It is about other callers.
    OtherPrincipal,
    /// It is about other actions.
    OtherAction,
    /// It is about other resources.
    OtherResource,
    /// This condition does not hold.
    Condition(String),
}

/// What a document's statements come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The first statement that denies.
    pub(crate) denies: Option<usize>,
    /// The statement that allows and names the caller most closely.
    pub(crate) allows: Option<(usize, Named)>,
}

/// What a document says.
pub fn evaluate(document: &Document, kind: Kind, request: &Request<'_>) -> Verdict {
    let said = said(document, kind, request, |_, _, _| ());
    match (said.denies.and_then(|at| document.statements.get(at)), said.allows) {
        (Some(statement), _) => Verdict::Denies(statement.sid.clone().unwrap_or_default()),
        (None, Some(_)) => Verdict::Allows,
        (None, None) => Verdict::Silent,
    }
}

/// Goes through all statements; `witness` hears what became of each.
pub(crate) fn said(
    document: &Document,
    kind: Kind,
    request: &Request<'_>,
    mut witness: impl FnMut(usize, &Statement, Fit),
) -> Said {
    let mut said = Said::default();
    for (at, statement) in document.statements.iter().enumerate() {
        let fit = fit(statement, kind, request);
        if let Fit::Applies(named) = fit {
            match statement.effect {
                Effect::Deny => said.denies = said.denies.or(Some(at)),
                Effect::Allow if said.allows.is_none_or(|(_, before)| before < named) => {
                    said.allows = Some((at, named));
                }
                Effect::Allow => {}
            }
        }
        witness(at, statement, fit);
    }
    said
}

fn fit(statement: &Statement, kind: Kind, request: &Request<'_>) -> Fit {
    let named = match (kind, &statement.principals) {
        (Kind::Identity, None) => Some(Named::Caller),
        (Kind::Identity, Some(_)) | (Kind::Resource, None) => None,
        (Kind::Resource, Some(Scope::Only(principals))) => named(principals, request.caller),
        // An account that is left out is its root alone: its users and roles must be left out by name.
        (Kind::Resource, Some(Scope::AllBut(principals))) => match named(principals, request.caller) {
            Some(Named::Caller | Named::Role) => None,
            Some(Named::Account) if request.caller.kind == CallerKind::Root => None,
            Some(Named::Account) | None => Some(Named::Caller),
        },
    };
    let Some(named) = named else { return Fit::OtherPrincipal };
    let action = within(&statement.actions, |pattern| {
        matches(&pattern.to_ascii_lowercase(), &request.action.to_ascii_lowercase())
    });
    if !action {
        return Fit::OtherAction;
    }
    if let Some(scope) = &statement.resources {
        let arn = request.resource.to_string();
        let fits = |pattern: &String| matches_with(pattern, &arn, request.conditions, statement.variables);
        if !within(scope, fits) {
            return Fit::OtherResource;
        }
    }
    match statement.conditions.iter().find(|condition| !condition.holds(request.conditions)) {
        Some(condition) => Fit::Condition(condition.to_string()),
        None => Fit::Applies(named),
    }
}

fn within(scope: &Scope<Vec<String>>, holds: impl Fn(&String) -> bool) -> bool {
    match scope {
        Scope::Only(patterns) => patterns.iter().any(holds),
        Scope::AllBut(patterns) => !patterns.iter().any(holds),
    }
}

fn named(principals: &Principals, caller: &Caller) -> Option<Named> {
    if principals.anyone {
        return Some(Named::Caller);
    }
    if let CallerKind::Service(principal) = &caller.kind {
        return principals.services.contains(principal).then_some(Named::Caller);
    }
    let (arn, issuer) = (caller.arn.to_string(), caller.session.as_ref().map(|session| session.issuer.to_string()));
    let one = |name: &String| {
        let account = name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
        if *name == arn && caller.kind != CallerKind::Root {
            Some(Named::Caller)
        } else if Some(name) == issuer.as_ref() {
            Some(if caller.kind == CallerKind::AssumedRole { Named::Role } else { Named::Caller })
        } else {
            (account.unwrap_or(name) == caller.account).then_some(Named::Account)
        }
    };
    if let CallerKind::WebIdentity(identity) = &caller.kind {
        return principals.federated.contains(&identity.provider.to_string()).then_some(Named::Caller);
    }
    principals.aws.iter().filter_map(one).max()
}

#[cfg(test)]
mod tests {
    use aws_wire::{Arn, Caller, CallerKind, Session, Timestamp};

    use super::{Kind, Verdict, evaluate};
    use crate::{Conditions, Document, Request};

    fn verdict(document: &str, kind: Kind, caller: &Caller, action: &str, secure: bool) -> Verdict {
        let resource = Arn::new("elasticfilesystem", "us-east-1", "000000000001", "file-system/fs-01234567");
        let conditions = Conditions::new().with("aws:SecureTransport", secure.to_string());
        let request = Request { caller, action, resource: &resource, conditions: &conditions };
        evaluate(&Document::parse(document).unwrap(), kind, &request)
    }

    /// EFS User Guide, "Creating file system policies": enforce in-transit encryption for all clients.
    #[test]
    fn the_transit_policy_denies_clear_connections_only() {
        let document = r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"all","Effect":"Allow","Principal":{"AWS":"*"},"Action":["elasticfilesystem:ClientMount","elasticfilesystem:ClientWrite"]},
            {"Sid":"tls","Effect":"Deny","Principal":{"AWS":"*"},"Action":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
        let root = Caller::root("000000000001", None);
        let of = |action, secure| verdict(document, Kind::Resource, &root, action, secure);
        assert_eq!(of("elasticfilesystem:ClientMount", true), Verdict::Allows);
        assert_eq!(of("elasticfilesystem:clientmount", true), Verdict::Allows);
        assert_eq!(of("elasticfilesystem:ClientMount", false), Verdict::Denies("tls".to_owned()));
        assert_eq!(of("elasticfilesystem:ClientRootAccess", true), Verdict::Silent);
    }

    /// IAM User Guide, "Principal": an account's root stands for the account; services are named apart; a role's name
    /// stands for its sessions; NotPrincipal with an account leaves its root out and nobody else.
    #[test]
    fn principals_are_told_apart() {
        let policy = |principal: &str| {
            format!(r#"{{"Statement":{{"Effect":"Allow",{principal},"Action":"elasticfilesystem:*","Resource":"*"}}}}"#)
        };
        let root = Caller::root("000000000001", None);
        let service = Caller::service("000000000001", "backup.amazonaws.com");
        let session = Caller {
            arn: Arn::new("sts", "", "000000000001", "assumed-role/reader/ci"),
            kind: CallerKind::AssumedRole,
            session: Some(Session {
                name: "ci".to_owned(),
                issuer: Arn::new("iam", "", "000000000001", "role/reader"),
                issuer_id: "AROA".to_owned(),
                created: Timestamp::default(),
                details: Default::default(),
            }),
            ..root.clone()
        };
        let of =
            |principal: &str, caller| verdict(&policy(principal), Kind::Resource, caller, "elasticfilesystem:X", true);
        assert_eq!(of(r#""Principal":{"AWS":"arn:aws:iam::000000000001:root"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""Principal":{"AWS":"000000000001"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""Principal":{"AWS":"000000000002"}"#, &root), Verdict::Silent);
        assert_eq!(of(r#""Principal":{"AWS":"000000000001"}"#, &service), Verdict::Silent);
        assert_eq!(of(r#""Principal":{"Service":"backup.amazonaws.com"}"#, &service), Verdict::Allows);
        assert_eq!(of(r#""NotPrincipal":{"AWS":"000000000002"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""NotPrincipal":{"AWS":"000000000001"}"#, &root), Verdict::Silent);
        for name in ["arn:aws:iam::000000000001:role/reader", "arn:aws:sts::000000000001:assumed-role/reader/ci"] {
            assert_eq!(of(&format!(r#""Principal":{{"AWS":"{name}"}}"#), &session), Verdict::Allows, "{name}");
            assert_eq!(of(&format!(r#""NotPrincipal":{{"AWS":"{name}"}}"#), &session), Verdict::Silent, "{name}");
        }
        assert_eq!(of(r#""Principal":{"AWS":"arn:aws:iam::000000000001:role/other"}"#, &session), Verdict::Silent);
        assert_eq!(of(r#""NotPrincipal":{"AWS":"000000000001"}"#, &session), Verdict::Allows);
    }

    /// IAM grammar: identity policies have no principals, resource policies must have them.
    #[test]
    fn a_document_in_the_wrong_place_says_nothing() {
        let root = Caller::root("000000000001", None);
        let identity = r#"{"Statement":{"Effect":"Allow","NotAction":"kms:*","Resource":"*"}}"#;
        assert_eq!(verdict(identity, Kind::Identity, &root, "elasticfilesystem:X", true), Verdict::Allows);
        assert_eq!(verdict(identity, Kind::Identity, &root, "kms:Encrypt", true), Verdict::Silent);
        assert_eq!(verdict(identity, Kind::Resource, &root, "elasticfilesystem:X", true), Verdict::Silent);
    }
}
