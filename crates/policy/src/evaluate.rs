//! From documents to a decision. IAM User Guide, "Policy evaluation logic": deny, else allow, else deny.

use aws_wire::{Caller, CallerKind};

use crate::document::{Document, Effect, Principals, Scope, Statement};
use crate::{Decision, Request, matches};

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

/// What a document says.
pub fn evaluate(document: &Document, kind: Kind, request: &Request<'_>) -> Verdict {
    let about = document.statements.iter().filter(|statement| applies(statement, kind, request));
    let mut verdict = Verdict::Silent;
    for statement in about {
        match statement.effect {
            Effect::Deny => return Verdict::Denies(statement.sid.clone().unwrap_or_default()),
            Effect::Allow => verdict = Verdict::Allows,
        }
    }
    verdict
}

/// What several documents of one account come to: any denial wins, then any permission, else nothing is allowed.
pub fn settle(verdicts: &[Verdict]) -> Decision {
    let denial = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Denies(sid) => Some(format!("explicit deny in statement '{sid}'")),
        Verdict::Allows | Verdict::Silent => None,
    });
    match denial {
        Some(why) => Decision::Deny(why),
        None if verdicts.contains(&Verdict::Allows) => Decision::Allow,
        None => Decision::Deny("no policy allows it".to_owned()),
    }
}

fn applies(statement: &Statement, kind: Kind, request: &Request<'_>) -> bool {
    let principal = match (kind, &statement.principals) {
        (Kind::Identity, None) => true,
        (Kind::Identity, Some(_)) | (Kind::Resource, None) => false,
        (Kind::Resource, Some(Scope::Only(principals))) => named(principals, request.caller),
        (Kind::Resource, Some(Scope::AllBut(principals))) => !named(principals, request.caller),
    };
    let action = within(&statement.actions, |pattern| {
        matches(&pattern.to_ascii_lowercase(), &request.action.to_ascii_lowercase())
    });
    let arn = request.resource.to_string();
    let resource = statement.resources.as_ref().is_none_or(|scope| within(scope, |pattern| matches(pattern, &arn)));
    principal && action && resource && statement.conditions.iter().all(|condition| condition.holds(request.conditions))
}

fn within(scope: &Scope<Vec<String>>, holds: impl Fn(&String) -> bool) -> bool {
    match scope {
        Scope::Only(patterns) => patterns.iter().any(holds),
        Scope::AllBut(patterns) => !patterns.iter().any(holds),
    }
}

fn named(principals: &Principals, caller: &Caller) -> bool {
    if principals.anyone {
        return true;
    }
    if let CallerKind::Service(principal) = &caller.kind {
        return principals.services.contains(principal);
    }
    let arn = caller.arn.to_string();
    principals.aws.iter().any(|name| {
        let account = name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
        *name == arn || account.unwrap_or(name) == caller.account
    })
}

#[cfg(test)]
mod tests {
    use aws_wire::{Arn, Caller};

    use super::{Kind, Verdict, evaluate, settle};
    use crate::{Conditions, Decision, Document, Request};

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

    /// IAM User Guide, "Principal": an account's root stands for the account; services are named apart; NotPrincipal.
    #[test]
    fn principals_are_told_apart() {
        let policy = |principal: &str| {
            format!(r#"{{"Statement":{{"Effect":"Allow",{principal},"Action":"elasticfilesystem:*","Resource":"*"}}}}"#)
        };
        let root = Caller::root("000000000001", None);
        let service = Caller::service("000000000001", "backup.amazonaws.com");
        let of =
            |principal: &str, caller| verdict(&policy(principal), Kind::Resource, caller, "elasticfilesystem:X", true);
        assert_eq!(of(r#""Principal":{"AWS":"arn:aws:iam::000000000001:root"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""Principal":{"AWS":"000000000001"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""Principal":{"AWS":"000000000002"}"#, &root), Verdict::Silent);
        assert_eq!(of(r#""Principal":{"AWS":"000000000001"}"#, &service), Verdict::Silent);
        assert_eq!(of(r#""Principal":{"Service":"backup.amazonaws.com"}"#, &service), Verdict::Allows);
        assert_eq!(of(r#""NotPrincipal":{"AWS":"000000000002"}"#, &root), Verdict::Allows);
        assert_eq!(of(r#""NotPrincipal":{"AWS":"000000000001"}"#, &root), Verdict::Silent);
    }

    /// IAM User Guide, "Policy evaluation logic": explicit deny, then allow, then implicit deny.
    #[test]
    fn a_denial_wins_and_silence_denies() {
        let denies = Verdict::Denies("no".to_owned());
        assert_eq!(settle(&[Verdict::Allows, Verdict::Silent]), Decision::Allow);
        assert!(matches!(settle(&[Verdict::Allows, denies]), Decision::Deny(_)));
        assert!(matches!(settle(&[Verdict::Silent]), Decision::Deny(_)));
        assert!(matches!(settle(&[]), Decision::Deny(_)));
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
