//! Identities as a whole: what the actions do together, and what a restart finds again.

use std::sync::Arc;

use aws_wire::query::Xml;
use aws_wire::sigv4::Secrets;
use aws_wire::{Arn, CallContext, Caller, CallerKind, Timestamp};
use crypto::Key;
use env::Env;
use policy::{Conditions, IdentityPolicies, Request, decide};
use serde_json::json;
use storage::SealedRecords;
use storage::memory::Memory;

use super::{Identities, IdentityError, ops};

const ACCOUNT: &str = "000000000001";

struct House {
    identities: Identities,
    memory: Memory,
    records_key: Key,
    env: Env,
}

async fn records(memory: &Memory, key: &Key, env: &Env) -> Arc<SealedRecords> {
    let (shard, _segments) = memory.open();
    Arc::new(SealedRecords::open(shard, key, env.clone()).await.unwrap())
}

fn session_key() -> Key {
    Key::take_array(&mut [7; 32])
}

impl House {
    async fn new() -> Self {
        let env = Env::real();
        let (memory, records_key) = (Memory::new(), Key::random(&env));
        let records = records(&memory, &records_key, &env).await;
        Identities::create(&records, ACCOUNT, &env).await.unwrap();
        let identities = Identities::open(records, session_key(), env.clone()).await.unwrap();
        Self { identities, memory, records_key, env }
    }

    /// The same after a restart: everything from disk.
    async fn restarted(self) -> Self {
        let Self { memory, records_key, env, identities } = self;
        drop(identities);
        let identities =
            Identities::open(records(&memory, &records_key, &env).await, session_key(), env.clone()).await.unwrap();
        Self { identities, memory, records_key, env }
    }

    fn root(&self) -> CallContext {
        context(Caller::root(ACCOUNT, None))
    }
}

fn context(caller: Caller) -> CallContext {
    CallContext {
        account: caller.account.clone(),
        caller,
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        source_ip: None,
        user_agent: None,
        secure: true,
        time: Timestamp::from_unix(1_700_000_000, 0),
    }
}

/// Runs an action with an input as the model has it.
macro_rules! run {
    ($house:expr, $cx:expr, $file:ident, $input:tt) => {
        ops::$file::run(&$house.identities, $cx, aws_wire::validate::decode(&json!($input)).unwrap()).await
    };
}

fn text<'a>(members: &'a [Xml], wanted: &str) -> Option<&'a str> {
    members.iter().find_map(|member| match member {
        Xml::Text(name, text) if *name == wanted => Some(text.as_str()),
        Xml::Text(..) => None,
        Xml::Node(_, children) => text(children, wanted),
    })
}

const ALLOW_LIST: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}"#;

fn may(house: &House, caller: &Caller, action: &str) -> bool {
    let (resource, conditions) = (Arn::new("kms", "us-east-1", ACCOUNT, "key/*"), Conditions::new());
    let request = Request { caller, action, resource: &resource, conditions: &conditions };
    decide(&request, &house.identities.policies_of(request.caller), None, false).is_ok()
}

/// A user with an access key; the caller that the key makes.
async fn user(house: &House, name: &str) -> (String, Caller) {
    let root = house.root();
    run!(house, &root, create_user, {"UserName": name}).unwrap();
    let made = run!(house, &root, create_access_key, {"UserName": name}).unwrap();
    let id = text(&made, "AccessKeyId").unwrap().to_owned();
    let caller = house.identities.caller(&id, None).unwrap();
    (id, caller)
}

/// IAM User Guide, "AWS account root user": the root's key is made once, survives a restart, and names the account.
#[tokio::test]
async fn root_credentials_are_made_once_and_found_again() {
    let (env, _simulation) = Env::simulated(1);
    let (memory, key) = (Memory::new(), Key::random(&env));
    let records = records(&memory, &key, &env).await;
    let opened = Identities::open(records.clone(), session_key(), env.clone()).await;
    assert!(matches!(opened, Err(IdentityError::Uninitialised)));
    let made = Identities::create(&records, ACCOUNT, &env).await.unwrap();
    assert!(matches!(Identities::create(&records, ACCOUNT, &env).await, Err(IdentityError::Exists)));
    let identities = Identities::open(records, session_key(), env).await.unwrap();
    assert_eq!(identities.account(), ACCOUNT);
    let caller = identities.caller(&made.id, None).unwrap();
    assert_eq!((caller.kind, caller.arn.to_string()), (CallerKind::Root, "arn:aws:iam::000000000001:root".to_owned()));
    assert_eq!(*identities.credential(&made.id).unwrap().secret, *made.secret);
    assert!(identities.caller("AKIAOTHER", None).is_none());
    assert!(identities.credential("").is_none());
    assert_eq!(identities.root_key().unwrap().id, made.id);
}

/// AWS account ids are twelve digits; a further account has a root of its own.
#[tokio::test]
async fn accounts_are_made_once() {
    let house = House::new().await;
    for account in ["", "1", "00000000000a", "0000000000001"] {
        let made = house.identities.create_account(account).await;
        assert!(matches!(made, Err(IdentityError::BadAccount(_))));
    }
    let key = house.identities.create_account("000000000002").await.unwrap();
    let again = house.identities.create_account("000000000002").await;
    assert!(matches!(again, Err(IdentityError::AccountExists(_))));
    let house = house.restarted().await;
    assert_eq!(house.identities.caller(&key.id, None).unwrap().account, "000000000002");
    assert!(matches!(house.identities.create_account("000000000002").await, Err(IdentityError::AccountExists(_))));
    assert_ne!(house.identities.root_key().unwrap().id, key.id);
}

/// IAM User Guide, "Policy evaluation logic": what a user may comes from itself and its groups, within its boundary; after
/// a restart likewise.
#[tokio::test]
async fn permissions_come_from_user_and_groups_within_the_boundary() {
    let house = House::new().await;
    let root = house.root();
    let (id, mara) = user(&house, "mara").await;
    assert!(!may(&house, &mara, "kms:ListKeys"));
    run!(house, &root, create_group, {"GroupName": "staff"}).unwrap();
    run!(house, &root, put_group_policy, {"GroupName": "staff", "PolicyName": "p", "PolicyDocument": ALLOW_LIST})
        .unwrap();
    run!(house, &root, add_user_to_group, {"GroupName": "staff", "UserName": "mara"}).unwrap();
    assert!(may(&house, &mara, "kms:ListKeys") && !may(&house, &mara, "kms:CreateKey"));
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    run!(house, &root, attach_user_policy, {"UserName": "mara", "PolicyArn": admin}).unwrap();
    assert!(may(&house, &mara, "kms:CreateKey"));
    let bound = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    run!(house, &root, put_user_permissions_boundary, {"UserName": "mara", "PermissionsBoundary": bound}).unwrap();
    let house = house.restarted().await;
    let mara = house.identities.caller(&id, None).unwrap();
    assert!(may(&house, &mara, "kms:ListKeys") && !may(&house, &mara, "kms:CreateKey"));
    assert!(house.identities.policies_of(&mara).boundary.is_some());
    // A group keeps its members when it gets another name.
    run!(house, &root, update_group, {"GroupName": "staff", "NewGroupName": "people"}).unwrap();
    let listed = run!(house, &root, list_groups_for_user, {"UserName": "mara"}).unwrap();
    assert_eq!(text(&listed, "GroupName"), Some("people"));
    run!(house, &root, detach_user_policy, {"UserName": "mara", "PolicyArn": admin}).unwrap();
    run!(house, &root, remove_user_from_group, {"GroupName": "people", "UserName": "mara"}).unwrap();
    assert!(!may(&house, &mara, "kms:ListKeys"));
}

/// IAM API, DeleteUser, DeleteGroup, DeletePolicy: nothing goes while something hangs on it, and each sentence says what.
#[tokio::test]
async fn nothing_is_deleted_while_something_hangs_on_it() {
    let house = House::new().await;
    let root = house.root();
    let (id, _) = user(&house, "mara").await;
    let refused = |outcome: Result<Vec<Xml>, IdentityError>| match outcome {
        Err(IdentityError::DeleteConflict(text)) => text,
        other => panic!("{other:?}"),
    };
    let delete = async || run!(house, &root, delete_user, {"UserName": "mara"});
    assert_eq!(refused(delete().await), "Cannot delete entity, must delete access keys first.");
    run!(house, &root, delete_access_key, {"UserName": "mara", "AccessKeyId": id}).unwrap();
    assert!(house.identities.credential(&id).is_none());
    let made = run!(house, &root, create_policy, {"PolicyName": "p", "PolicyDocument": ALLOW_LIST}).unwrap();
    let arn = text(&made, "Arn").unwrap().to_owned();
    run!(house, &root, attach_user_policy, {"UserName": "mara", "PolicyArn": arn}).unwrap();
    assert_eq!(refused(delete().await), "Cannot delete entity, must detach all policies first.");
    let delete_policy = async || run!(house, &root, delete_policy, {"PolicyArn": arn});
    assert_eq!(refused(delete_policy().await), "Cannot delete a policy attached to entities.");
    run!(house, &root, detach_user_policy, {"UserName": "mara", "PolicyArn": arn}).unwrap();
    run!(house, &root, create_policy_version, {"PolicyArn": arn, "PolicyDocument": ALLOW_LIST, "SetAsDefault": true})
        .unwrap();
    assert!(refused(delete_policy().await).starts_with("This policy has more than one version."));
    let version = async |id: &str| run!(house, &root, delete_policy_version, {"PolicyArn": arn, "VersionId": id});
    assert_eq!(refused(version("v2").await), "Cannot delete the default version of a policy.");
    version("v1").await.unwrap();
    delete_policy().await.unwrap();
    delete().await.unwrap();
    assert!(matches!(delete().await, Err(IdentityError::NoSuchEntity(_))));
}

/// IAM User Guide, "IAM and AWS STS quotas".
#[tokio::test]
async fn quotas_are_kept() {
    let house = House::new().await;
    let root = house.root();
    user(&house, "mara").await;
    run!(house, &root, create_access_key, {"UserName": "mara"}).unwrap();
    let third = run!(house, &root, create_access_key, {"UserName": "mara"});
    match third {
        Err(IdentityError::LimitExceeded(text)) => assert_eq!(text, "Cannot exceed quota for AccessKeysPerUser: 2"),
        other => panic!("{other:?}"),
    }
    for number in 0..11 {
        let name = format!("g{number}");
        run!(house, &root, create_group, {"GroupName": name}).unwrap();
        let added = run!(house, &root, add_user_to_group, {"GroupName": name, "UserName": "mara"});
        assert_eq!(added.is_ok(), number < 10, "group {number}");
        let made = run!(house, &root, create_policy, {"PolicyName": name, "PolicyDocument": ALLOW_LIST}).unwrap();
        let arn = text(&made, "Arn").unwrap();
        let attached = run!(house, &root, attach_user_policy, {"UserName": "mara", "PolicyArn": arn});
        assert_eq!(attached.is_ok(), number < 10, "policy {number}");
    }
    let arn = "arn:aws:iam::000000000001:policy/g0";
    for number in 2..=6 {
        let made = run!(house, &root, create_policy_version, {"PolicyArn": arn, "PolicyDocument": ALLOW_LIST});
        assert_eq!(made.is_ok(), number <= 5, "version {number}");
    }
    let long = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"kms:{}","Resource":"*"}}}}"#,
        "a".repeat(2048)
    );
    let put = run!(house, &root, put_user_policy, {"UserName": "mara", "PolicyName": "long", "PolicyDocument": long});
    match put {
        Err(IdentityError::LimitExceeded(text)) => {
            assert_eq!(text, "Maximum policy size of 2048 bytes exceeded for user mara");
        }
        other => panic!("{other:?}"),
    }
}

/// IAM User Guide, "IAM identifiers": names that differ in case only are one name; an inactive key signs nothing.
#[tokio::test]
async fn names_and_keys_are_what_the_guide_says() {
    let house = House::new().await;
    let root = house.root();
    let (id, _) = user(&house, "Mara").await;
    let again = run!(house, &root, create_user, {"UserName": "mara"});
    assert!(matches!(again, Err(IdentityError::EntityAlreadyExists(_))));
    run!(house, &root, update_user, {"UserName": "Mara", "NewUserName": "mara", "NewPath": "/a/"}).unwrap();
    let caller = house.identities.caller(&id, None).unwrap();
    assert_eq!(caller.arn.to_string(), "arn:aws:iam::000000000001:user/a/mara");
    run!(house, &root, update_access_key, {"UserName": "mara", "AccessKeyId": id, "Status": "Inactive"}).unwrap();
    assert!(house.identities.credential(&id).is_none());
    run!(house, &root, update_access_key, {"UserName": "mara", "AccessKeyId": id, "Status": "Active"}).unwrap();
    assert!(house.identities.credential(&id).is_some());
    // Other people's keys are not there for a user that does not own them.
    run!(house, &root, create_user, {"UserName": "bob"}).unwrap();
    let stolen = run!(house, &root, delete_access_key, {"UserName": "bob", "AccessKeyId": id});
    assert!(matches!(stolen, Err(IdentityError::NoSuchEntity(_))));
}

/// IAM API, GetAccessKeyLastUsed: exact while the server runs, a quarter of an hour behind at most after a restart.
#[tokio::test]
async fn the_last_use_of_a_key_is_kept() {
    let house = House::new().await;
    let (id, _) = user(&house, "mara").await;
    let time = Timestamp::from_unix(1_700_000_000, 0);
    assert!(house.identities.note_use(&id, "kms", "us-east-1", time));
    house.identities.keep_use(&id).await.unwrap();
    assert!(!house.identities.note_use(&id, "iam", "us-east-1", time.plus_seconds(60)));
    let ask = async |house: &House| run!(house, &house.root(), get_access_key_last_used, {"AccessKeyId": id}).unwrap();
    assert_eq!(text(&ask(&house).await, "ServiceName"), Some("iam"));
    let house = house.restarted().await;
    let used = ask(&house).await;
    assert_eq!((text(&used, "ServiceName"), text(&used, "UserName")), (Some("kms"), Some("mara")));
    assert!(!house.identities.note_use("AKIANOBODY", "kms", "us-east-1", time));
}

const TRUST_MARA: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
    "Principal":{"AWS":"arn:aws:iam::000000000001:user/mara"},"Action":["sts:AssumeRole","sts:TagSession"]}}"#;

/// The caller of credentials that an STS action answered with.
fn assumed(house: &House, made: &[Xml]) -> Caller {
    let (id, token) = (text(made, "AccessKeyId").unwrap(), text(made, "SessionToken").unwrap());
    assert_eq!(*house.identities.temporary(id, token).unwrap().secret, text(made, "SecretAccessKey").unwrap());
    house.identities.caller(id, Some(token)).unwrap()
}

/// STS API, AssumeRole: a session has the role's permissions within its own policies, and none once the role is gone, even
/// when another one gets its name.
#[tokio::test]
async fn a_session_has_what_its_role_has() {
    let house = House::new().await;
    let root = house.root();
    let (_, mara) = user(&house, "mara").await;
    let cx = context(mara);
    run!(house, &root, create_role, {"RoleName": "r", "Path": "/x/", "AssumeRolePolicyDocument": TRUST_MARA,
        "Tags": [{"Key": "team", "Value": "blue"}]})
    .unwrap();
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    run!(house, &root, attach_role_policy, {"RoleName": "r", "PolicyArn": admin}).unwrap();
    let role = "arn:aws:iam::000000000001:role/x/r";
    let made = run!(house, &cx, assume_role, {"RoleArn": role, "RoleSessionName": "s1"}).unwrap();
    let whole = assumed(&house, &made);
    assert_eq!(whole.arn.to_string(), "arn:aws:sts::000000000001:assumed-role/r/s1");
    assert_eq!(whole.tags.get("team").map(String::as_str), Some("blue"));
    assert!(may(&house, &whole, "kms:CreateKey"));
    let narrow = run!(house, &cx, assume_role, {"RoleArn": role, "RoleSessionName": "s2", "Policy": ALLOW_LIST,
        "Tags": [{"Key": "Team", "Value": "red"}]})
    .unwrap();
    let narrow = assumed(&house, &narrow);
    assert!(may(&house, &narrow, "kms:ListKeys") && !may(&house, &narrow, "kms:CreateKey"));
    assert_eq!(narrow.tags.len(), 1);
    let by_arn = run!(house, &cx, assume_role, {"RoleArn": role, "RoleSessionName": "s3",
        "PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]})
    .unwrap();
    let by_arn = assumed(&house, &by_arn);
    assert!(may(&house, &by_arn, "kms:ListKeys") && !may(&house, &by_arn, "kms:CreateKey"));
    let house = house.restarted().await;
    assert!(may(&house, &whole, "kms:CreateKey"));
    run!(house, &root, detach_role_policy, {"RoleName": "r", "PolicyArn": admin}).unwrap();
    run!(house, &root, delete_role, {"RoleName": "r"}).unwrap();
    assert!(!may(&house, &whole, "kms:ListKeys"));
    run!(house, &root, create_role, {"RoleName": "r", "Path": "/x/", "AssumeRolePolicyDocument": TRUST_MARA}).unwrap();
    run!(house, &root, attach_role_policy, {"RoleName": "r", "PolicyArn": admin}).unwrap();
    assert!(!may(&house, &whole, "kms:ListKeys"));
}

/// STS API, AssumeRole: who is not trusted, asks too long a session, or is root is refused.
#[tokio::test]
async fn who_is_not_trusted_assumes_nothing() {
    let house = House::new().await;
    let root = house.root();
    let (_, mara) = user(&house, "mara").await;
    let (_, bob) = user(&house, "bob").await;
    run!(house, &root, create_role, {"RoleName": "r", "AssumeRolePolicyDocument": TRUST_MARA}).unwrap();
    let role = "arn:aws:iam::000000000001:role/r";
    let denied = |outcome: Result<Vec<Xml>, IdentityError>| match outcome {
        Err(IdentityError::AccessDenied(text)) => text,
        other => panic!("{other:?}"),
    };
    let bob = context(bob);
    let refused = run!(house, &bob, assume_role, {"RoleArn": role, "RoleSessionName": "s1"});
    assert_eq!(
        denied(refused),
        "User: arn:aws:iam::000000000001:user/bob is not authorized to perform: sts:AssumeRole on resource: \
         arn:aws:iam::000000000001:role/r"
    );
    let nowhere =
        run!(house, &bob, assume_role, {"RoleArn": "arn:aws:iam::000000000001:role/none", "RoleSessionName": "s1"});
    assert!(denied(nowhere).ends_with("role/none"));
    let by_root = run!(house, &root, assume_role, {"RoleArn": role, "RoleSessionName": "s1"});
    assert_eq!(denied(by_root), "Roles may not be assumed by root accounts.");
    let mara = context(mara);
    let long = run!(house, &mara, assume_role, {"RoleArn": role, "RoleSessionName": "s1", "DurationSeconds": 3601});
    assert!(matches!(long, Err(IdentityError::Validation(_))));
    // A trust policy that leaves it to the account needs the user's own permission, too; so does an external id.
    let account = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000001"},
        "Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"agreed"}}}}"#;
    run!(house, &root, update_assume_role_policy, {"RoleName": "r", "PolicyDocument": account}).unwrap();
    let attempt =
        async |id: &str| run!(house, &bob, assume_role, {"RoleArn": role, "RoleSessionName": "s1", "ExternalId": id});
    denied(attempt("agreed").await);
    let own = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
    run!(house, &root, put_user_policy, {"UserName": "bob", "PolicyName": "p", "PolicyDocument": own}).unwrap();
    denied(attempt("other").await);
    attempt("agreed").await.unwrap();
}

/// IAM User Guide, "Passing session tags": transitive tags go on along a chain and cannot be changed.
#[tokio::test]
async fn transitive_tags_go_on() {
    let house = House::new().await;
    let root = house.root();
    let (_, mara) = user(&house, "mara").await;
    run!(house, &root, create_role, {"RoleName": "first", "AssumeRolePolicyDocument": TRUST_MARA, "MaxSessionDuration": 7200}).unwrap();
    let trust_first = TRUST_MARA.replace("user/mara", "role/first");
    run!(house, &root, create_role, {"RoleName": "second", "AssumeRolePolicyDocument": trust_first, "MaxSessionDuration": 7200}).unwrap();
    let made = run!(house, &context(mara), assume_role, {"RoleArn": "arn:aws:iam::000000000001:role/first",
        "RoleSessionName": "s1", "DurationSeconds": 7200, "TransitiveTagKeys": ["team"],
        "Tags": [{"Key": "team", "Value": "blue"}, {"Key": "other", "Value": "x"}]})
    .unwrap();
    let first = context(assumed(&house, &made));
    let second = "arn:aws:iam::000000000001:role/second";
    let made = run!(house, &first, assume_role, {"RoleArn": second, "RoleSessionName": "s2"}).unwrap();
    let tags = assumed(&house, &made).tags;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("team".to_owned(), "blue".to_owned())]);
    let changed = run!(house, &first, assume_role, {"RoleArn": second, "RoleSessionName": "s2",
        "Tags": [{"Key": "Team", "Value": "red"}]});
    assert!(matches!(changed, Err(IdentityError::InvalidInput(_))));
    let long = run!(house, &first, assume_role, {"RoleArn": second, "RoleSessionName": "s2", "DurationSeconds": 3601});
    assert!(matches!(long, Err(IdentityError::Validation(_))));
}

/// STS API, GetSessionToken: the caller's own credentials for a while, gone with the user, and none by a session.
#[tokio::test]
async fn a_session_of_ones_own_goes_with_the_user() {
    let house = House::new().await;
    let root = house.root();
    let (id, mara) = user(&house, "mara").await;
    let made = run!(house, &context(mara.clone()), get_session_token, {"DurationSeconds": 900}).unwrap();
    let own = assumed(&house, &made);
    assert_eq!((&own.arn, &own.kind), (&mara.arn, &CallerKind::User));
    assert!(super::is_own_session(&context(own.clone())));
    let again = run!(house, &context(own), get_session_token, {});
    assert!(matches!(again, Err(IdentityError::AccessDenied(_))));
    run!(house, &root, delete_access_key, {"UserName": "mara", "AccessKeyId": id}).unwrap();
    run!(house, &root, delete_user, {"UserName": "mara"}).unwrap();
    let (id, token) = (text(&made, "AccessKeyId").unwrap(), text(&made, "SessionToken").unwrap());
    assert!(house.identities.caller(id, Some(token)).is_none());
    let of_root = run!(house, &root, get_session_token, {}).unwrap();
    assert_eq!(assumed(&house, &of_root).kind, CallerKind::Root);
}

/// IAM API, CreateRole: a trust policy names nobody who is not there, and packed policies have a bound.
#[tokio::test]
async fn trust_in_nobody_is_refused() {
    let house = House::new().await;
    let root = house.root();
    let made = run!(house, &root, create_role, {"RoleName": "r", "AssumeRolePolicyDocument": TRUST_MARA});
    match made {
        Err(IdentityError::MalformedPolicyDocument(text)) => {
            assert_eq!(text, r#"Invalid principal in policy: "AWS":"arn:aws:iam::000000000001:user/mara""#);
        }
        other => panic!("{other:?}"),
    }
    let missing =
        run!(house, &root, attach_user_policy, {"UserName": "mara", "PolicyArn": "arn:aws:iam::000000000001:policy/p"});
    assert!(matches!(missing, Err(IdentityError::NoSuchEntity(_))));
}

mod simulations;
