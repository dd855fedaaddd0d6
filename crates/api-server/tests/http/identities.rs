//! IAM and STS over HTTP: users and sessions sign calls of their own, and the audit log never sees a secret.

use aws_wire::sigv4::{Signer, percent_encode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::house::{Call, House, REGION, Reply};

/// Credentials as an answer gave them out.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// The text of the first element of a name.
pub(crate) fn element(reply: &Reply, name: &str) -> Option<String> {
    let (_, rest) = reply.body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.replace("&amp;", "&"))
}

pub(crate) fn must(reply: Reply) -> Reply {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

fn code(reply: &Reply) -> (u16, String) {
    (reply.status, element(reply, "Code").unwrap_or_default())
}

fn form(version: &str, action: &str, members: &[(&str, &str)]) -> String {
    let mut body = format!("Action={action}&Version={version}");
    members.iter().for_each(|(name, value)| body.push_str(&format!("&{name}={}", percent_encode(value))));
    body
}

impl Credentials {
    pub(crate) fn of(reply: &Reply) -> Self {
        let part = |name: &str| element(reply, name);
        Self { id: part("AccessKeyId").unwrap(), secret: part("SecretAccessKey").unwrap(), token: part("SessionToken") }
    }

    pub(crate) fn signer(&self, service: &str) -> Signer {
        Signer {
            access_key_id: self.id.clone(),
            secret: Zeroizing::new(self.secret.clone()),
            token: self.token.clone(),
            region: REGION.to_owned(),
            service: service.to_owned(),
        }
    }
}

impl House {
    pub(crate) async fn iam(&self, action: &str, members: &[(&str, &str)]) -> Reply {
        self.form("iam", &form("2010-05-08", action, members)).await
    }

    async fn by(&self, who: &Credentials, service: &str, body: String, target: Option<&str>) -> Reply {
        let headers = target.map(|target| ("x-amz-target", target)).into_iter().collect();
        let call = Call { service, method: "POST", path: "/", query: "", headers, body };
        self.send(&self.signed_by(&who.signer(service), &call)).await
    }

    pub(crate) async fn sts_by(&self, who: &Credentials, action: &str, members: &[(&str, &str)]) -> Reply {
        self.by(who, "sts", form("2011-06-15", action, members), None).await
    }

    async fn iam_by(&self, who: &Credentials, action: &str, members: &[(&str, &str)]) -> Reply {
        self.by(who, "iam", form("2010-05-08", action, members), None).await
    }

    pub(crate) async fn list_keys_by(&self, who: &Credentials) -> Reply {
        self.by(who, "kms", "{}".to_owned(), Some("TrentService.ListKeys")).await
    }

    /// A user of that name and its access key.
    async fn user(&self, name: &str) -> Credentials {
        must(self.iam("CreateUser", &[("UserName", name)]).await);
        Credentials::of(&must(self.iam("CreateAccessKey", &[("UserName", name)]).await))
    }
}

const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:ListKeys","iam:ListUsers"],"Resource":"*"}}"#;

/// IAM User Guide, "Policy evaluation logic": a user may what its policies say and nothing else; its key says who it is.
#[tokio::test]
async fn a_user_may_what_its_policies_say() {
    let house = House::of_identities().await;
    let mara = house.user("mara").await;
    let identity = must(house.sts_by(&mara, "GetCallerIdentity", &[]).await);
    assert_eq!(element(&identity, "Arn").unwrap(), "arn:aws:iam::000000000001:user/mara");
    let denied = house.list_keys_by(&mara).await;
    assert_eq!((denied.status, &denied.json()["__type"]), (400, &json!("AccessDeniedException")));
    assert_eq!(code(&house.iam_by(&mara, "ListUsers", &[]).await), (403, "AccessDenied".to_owned()));
    let policy = [("UserName", "mara"), ("PolicyName", "p"), ("PolicyDocument", ALLOW)];
    must(house.iam("PutUserPolicy", &policy).await);
    must(house.list_keys_by(&mara).await);
    let listed = must(house.iam_by(&mara, "ListUsers", &[]).await);
    assert!(
        listed.body.contains("<IsTruncated>false</IsTruncated>") && listed.body.contains("<UserName>mara</UserName>")
    );
    assert_eq!(code(&house.iam_by(&mara, "CreateUser", &[("UserName", "x")]).await), (403, "AccessDenied".to_owned()));
    let inactive = [("UserName", "mara"), ("AccessKeyId", &*mara.id), ("Status", "Inactive")];
    let updated = must(house.iam("UpdateAccessKey", &inactive).await);
    assert!(updated.body.starts_with(
        "<UpdateAccessKeyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata>"
    ));
    let refused = house.sts_by(&mara, "GetCallerIdentity", &[]).await;
    assert_eq!(code(&refused), (403, "InvalidClientTokenId".to_owned()));
}

/// IAM API, common errors and those of its actions: codes, statuses and sentences.
#[tokio::test]
async fn errors_are_those_of_iam() {
    let house = House::new().await;
    house.user("mara").await;
    let name = ("UserName", "mara");
    for (action, members, status, wanted, text) in [
        ("CreateUser", vec![name], 409, "EntityAlreadyExists", "User with name mara already exists."),
        ("GetUser", vec![("UserName", "bob")], 404, "NoSuchEntity", "The user with name bob cannot be found."),
        (
            "CreateUser",
            vec![("UserName", "a b")],
            400,
            "ValidationError",
            "1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [\\w+=,.@-]+",
        ),
        (
            "CreateUser",
            vec![],
            400,
            "ValidationError",
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "PutUserPolicy",
            vec![name, ("PolicyName", "p"), ("PolicyDocument", "nonsense")],
            400,
            "MalformedPolicyDocument",
            "Syntax errors in policy.",
        ),
        ("DeleteUser", vec![name], 409, "DeleteConflict", "Cannot delete entity, must delete access keys first."),
        (
            "AttachUserPolicy",
            vec![name, ("PolicyArn", "arn:aws:iam::000000000001:policy/none")],
            404,
            "NoSuchEntity",
            "Policy arn:aws:iam::000000000001:policy/none does not exist or is not attachable.",
        ),
        (
            "CreateInstanceProfile",
            vec![],
            400,
            "InvalidAction",
            "Could not find operation CreateInstanceProfile for version 2010-05-08",
        ),
    ] {
        let reply = house.iam(action, &members).await;
        assert_eq!(code(&reply), (status, wanted.to_owned()), "{action}: {reply:?}");
        let said = element(&reply, "Message").unwrap().replace("&apos;", "'");
        assert_eq!(said, text, "{action}");
    }
    must(house.iam("CreateAccessKey", &[name]).await);
    assert_eq!(code(&house.iam("CreateAccessKey", &[name]).await), (409, "LimitExceeded".to_owned()));
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:user/mara"},"Action":"sts:AssumeRole"}}"#;

/// STS API, AssumeRole; IAM User Guide, "Using temporary credentials": a session signs with its token and with nothing less.
#[tokio::test]
async fn a_session_signs_with_its_token() {
    let house = House::of_identities().await;
    let mara = house.user("mara").await;
    must(house.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]).await);
    must(house.iam("PutRolePolicy", &[("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", ALLOW)]).await);
    let role = ("RoleArn", "arn:aws:iam::000000000001:role/r");
    let made = must(house.sts_by(&mara, "AssumeRole", &[role, ("RoleSessionName", "s1")]).await);
    assert_eq!(element(&made, "Arn").unwrap(), "arn:aws:sts::000000000001:assumed-role/r/s1");
    let session = Credentials::of(&made);
    must(house.list_keys_by(&session).await);
    let identity = must(house.sts_by(&session, "GetCallerIdentity", &[]).await);
    assert_eq!(element(&identity, "Arn").unwrap(), "arn:aws:sts::000000000001:assumed-role/r/s1");
    let without = Credentials { token: None, ..session.clone() };
    assert_eq!(house.list_keys_by(&without).await.json()["__type"], "UnrecognizedClientException");
    let others = Credentials { token: Some("AAAA".to_owned()), ..session.clone() };
    assert_eq!(house.list_keys_by(&others).await.json()["__type"], "UnrecognizedClientException");
    let wrong = Credentials { secret: "wrong".to_owned(), ..session.clone() };
    assert_eq!(house.list_keys_by(&wrong).await.json()["__type"], "InvalidSignatureException");
    let own = Credentials::of(&must(house.sts_by(&mara, "GetSessionToken", &[]).await));
    assert_eq!(
        element(&must(house.sts_by(&own, "GetCallerIdentity", &[]).await), "Arn").unwrap(),
        "arn:aws:iam::000000000001:user/mara"
    );
    must(house.iam("DeleteRolePolicy", &[("RoleName", "r"), ("PolicyName", "p")]).await);
    must(house.iam("DeleteRole", &[("RoleName", "r")]).await);
    assert_eq!(house.list_keys_by(&session).await.json()["__type"], "AccessDeniedException");
}

/// CloudTrail, IAM and STS events: who, what, with which outcome; secrets and tokens are in no record.
#[tokio::test]
async fn records_show_who_and_no_secret() {
    let house = House::of_identities().await;
    let mara = house.user("mara").await;
    must(house.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]).await);
    let role = ("RoleArn", "arn:aws:iam::000000000001:role/r");
    let session = Credentials::of(&must(house.sts_by(&mara, "AssumeRole", &[role, ("RoleSessionName", "s1")]).await));
    house.list_keys_by(&session).await;
    let records = house.records().await;
    let of = |name: &str| -> Value {
        let found =
            records.iter().rev().find(|line| line["phase"] == "complete" && line["record"]["eventName"] == name);
        found.unwrap()["record"].clone()
    };
    let key = of("CreateAccessKey");
    assert_eq!(key["responseElements"]["accessKey"]["accessKeyId"], json!(mara.id));
    assert_eq!((&key["readOnly"], &key["eventSource"]), (&json!(false), &json!("iam.amazonaws.com")));
    let assume = of("AssumeRole");
    assert_eq!(assume["userIdentity"]["type"], "IAMUser");
    assert_eq!(assume["resources"][0]["ARN"], "arn:aws:iam::000000000001:role/r");
    assert_eq!(assume["responseElements"]["credentials"]["accessKeyId"], json!(session.id));
    let list = of("ListKeys");
    assert_eq!(list["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"], "arn:aws:iam::000000000001:role/r");
    let all = serde_json::to_string(&records).unwrap();
    for secret in [&mara.secret, &session.secret, session.token.as_ref().unwrap()] {
        assert!(!all.contains(secret.as_str()));
    }
}
