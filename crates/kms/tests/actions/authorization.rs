//! Who may use a KMS key: key policies, what hangs on the caller, grants, accounts. KMS developer guide, "Authentication and
//! access control for AWS KMS".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crate::support::users::{house, user};
use crate::support::{ACCOUNT, SERVICE, code, encrypt, encryption_context, new_key, pairs, root, seen, service};
use aws_wire::CallContext;
use kms::{KeyChange, Kms, model, ops};
use serde_json::{Value, json};

const AWAY: &str = "000000000002";

async fn put(kms: &Kms, cx: &CallContext, key_id: &str, statements: Value, bypass: bool) -> Result<(), kms::KmsError> {
    let input = model::PutKeyPolicyRequest {
        key_id: key_id.to_owned(),
        policy: json!({"Version": "2012-10-17", "Statement": statements}).to_string(),
        bypass_policy_lockout_safety_check: Some(bypass),
        ..model::PutKeyPolicyRequest::default()
    };
    ops::put_key_policy::run(kms, cx, input).await
}

fn root_may_all() -> Value {
    json!({"Sid": "root", "Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"})
}

async fn decrypts(kms: &Kms, cx: &CallContext, blob: &[u8], context: &[(&str, &str)]) -> String {
    let input = model::DecryptRequest {
        ciphertext_blob: Some(blob.to_vec().into()),
        encryption_context: Some(pairs(context)),
        ..model::DecryptRequest::default()
    };
    code(ops::decrypt::run(kms, cx, input).await)
}

/// KMS developer guide, "Default key policy": it leaves the key to the account, and so to the policies of its users.
#[tokio::test]
async fn the_default_policy_leaves_the_key_to_identity_policies() {
    let (_world, kms, users) = house().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, &[]).await;
    let mara = user(ACCOUNT, "mara");
    assert_eq!(decrypts(&kms, &mara, &blob, &[]).await, "AccessDeniedException");
    users.may("mara", json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": format!("*:key/{key}")}));
    assert_eq!(decrypts(&kms, &mara, &blob, &[]).await, "ok");
    users.may("mara", json!([
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT"}}},
    ]));
    assert_eq!(decrypts(&kms, &mara, &blob, &[]).await, "AccessDeniedException");
}

/// KMS developer guide, "Key policies": without delegation to the account its identity policies count for nothing, not even root.
#[tokio::test]
async fn a_key_policy_without_delegation_is_all_there_is() {
    let (_world, kms, users) = house().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, &[("a", "b")]).await;
    let only = json!([{"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:user/mara")},
        "Action": ["kms:Decrypt", "kms:PutKeyPolicy"], "Resource": "*",
        "Condition": {"StringEqualsIfExists": {"kms:EncryptionContext:a": "b"}}}]);
    assert_eq!(code(put(&kms, &root(), &key, only.clone(), false).await), "MalformedPolicyDocumentException");
    put(&kms, &root(), &key, only, true).await.unwrap();
    users.may("sam", json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}));
    assert_eq!(decrypts(&kms, &user(ACCOUNT, "mara"), &blob, &[("a", "b")]).await, "ok");
    assert_eq!(decrypts(&kms, &user(ACCOUNT, "mara"), &blob, &[("a", "c")]).await, "AccessDeniedException");
    assert_eq!(decrypts(&kms, &user(ACCOUNT, "sam"), &blob, &[("a", "b")]).await, "AccessDeniedException");
    assert_eq!(decrypts(&kms, &root(), &blob, &[("a", "b")]).await, "AccessDeniedException");
    put(&kms, &user(ACCOUNT, "mara"), &key, json!([root_may_all()]), true).await.unwrap();
    assert_eq!(decrypts(&kms, &root(), &blob, &[("a", "b")]).await, "ok");
}

/// KMS API, PutKeyPolicy: what is wrong with it changes nothing; whoever holds a lease is told of what is right.
#[tokio::test]
async fn a_policy_is_put_whole_or_not_at_all() {
    let (world, kms, _users) = house().await;
    let key = new_key(&kms).await;
    let mut events = kms.events();
    let bad = model::PutKeyPolicyRequest { key_id: key.clone(), policy: "{}".to_owned(), ..Default::default() };
    assert_eq!(code(ops::put_key_policy::run(&kms, &root(), bad).await), "MalformedPolicyDocumentException");
    let named = model::PutKeyPolicyRequest {
        key_id: key.clone(),
        policy: json!({"Statement": root_may_all()}).to_string(),
        policy_name: Some("other".to_owned()),
        ..Default::default()
    };
    assert_eq!(code(ops::put_key_policy::run(&kms, &root(), named).await), "ValidationException");
    assert!(events.try_recv().is_err());
    let statements = json!([root_may_all(),
        {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}]);
    put(&kms, &root(), &key, statements, false).await.unwrap();
    assert_eq!(events.try_recv().unwrap().change, KeyChange::State);
    drop(kms);
    let again = world.open().await;
    let input = model::EncryptRequest {
        key_id: key,
        plaintext: aws_wire::SecretBlob::new(b"x".to_vec()),
        ..model::EncryptRequest::default()
    };
    let (code, text) = seen(ops::encrypt::run(&again, &root(), input).await.unwrap_err());
    assert_eq!(code, "AccessDeniedException");
    assert!(text.ends_with("with an explicit deny in a resource-based policy"), "{text}");
}

/// KMS developer guide, "Allowing users in other accounts to use a KMS key": both sides must say yes.
#[tokio::test]
async fn another_account_needs_both_sides() {
    let (_world, kms, users) = house().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, &[]).await;
    let away = user(AWAY, "ann");
    users.may("ann", json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}));
    assert_eq!(decrypts(&kms, &away, &blob, &[]).await, "InvalidCiphertextException");
    let theirs = json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{AWAY}:root")},
        "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringEquals": {"kms:CallerAccount": AWAY}}});
    put(&kms, &root(), &key, json!([root_may_all(), theirs]), false).await.unwrap();
    assert_eq!(decrypts(&kms, &away, &blob, &[]).await, "ok");
    users.may("ann", json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}));
    assert_eq!(decrypts(&kms, &away, &blob, &[]).await, "InvalidCiphertextException");
    let arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{key}");
    let describe = model::DescribeKeyRequest { key_id: arn, ..Default::default() };
    let absent = model::DescribeKeyRequest {
        key_id: format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"),
        ..Default::default()
    };
    assert_eq!(code(ops::describe_key::run(&kms, &away, describe).await), "AccessDeniedException");
    assert_eq!(code(ops::describe_key::run(&kms, &away, absent).await), "AccessDeniedException");
}

/// KMS developer guide, "Condition keys": aliases, tags, grants' terms, waiting periods.
#[tokio::test]
async fn conditions_see_the_request() {
    let (_world, kms, users) = house().await;
    let key = new_key(&kms).await;
    let alias = model::CreateAliasRequest { alias_name: "alias/app".to_owned(), target_key_id: key.clone() };
    ops::create_alias::run(&kms, &root(), alias).await.unwrap();
    let mara = user(ACCOUNT, "mara");
    let may = |action: &str, condition: Value| {
        users.may("mara", json!({"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}));
    };
    let described = async |key_id: &str| {
        let input = model::DescribeKeyRequest { key_id: key_id.to_owned(), ..Default::default() };
        code(ops::describe_key::run(&kms, &mara, input).await)
    };
    may("kms:DescribeKey", json!({"StringEquals": {"kms:RequestAlias": "alias/app"}}));
    assert_eq!(
        (described("alias/app").await.as_str(), described(&key).await.as_str()),
        ("ok", "AccessDeniedException")
    );
    may("kms:DescribeKey", json!({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/a*"}}));
    assert_eq!(described(&key).await, "ok");
    may("kms:DescribeKey", json!({"StringEquals": {"aws:ResourceTag/team": "blue"}}));
    assert_eq!(described(&key).await, "AccessDeniedException");
    let tag = model::Tag { tag_key: "team".to_owned(), tag_value: "blue".to_owned() };
    let input = model::TagResourceRequest { key_id: key.clone(), tags: vec![tag] };
    ops::tag_resource::run(&kms, &root(), input).await.unwrap();
    assert_eq!(described(&key).await, "ok");

    may(
        "kms:ScheduleKeyDeletion",
        json!({"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}}),
    );
    let schedule = async |days| {
        let input = model::ScheduleKeyDeletionRequest { key_id: key.clone(), pending_window_in_days: Some(days) };
        code(ops::schedule_key_deletion::run(&kms, &mara, input).await)
    };
    assert_eq!(schedule(7).await, "AccessDeniedException");

    may(
        "kms:CreateGrant",
        json!({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "DescribeKey"]},
        "StringLike": {"kms:GranteePrincipal": "*:user/s*"}}),
    );
    let grant = async |operations: &[model::GrantOperation], grantee: &str| {
        let input = model::CreateGrantRequest {
            key_id: key.clone(),
            grantee_principal: Some(format!("arn:aws:iam::{ACCOUNT}:user/{grantee}")),
            operations: operations.to_vec(),
            ..Default::default()
        };
        code(ops::create_grant::run(&kms, &mara, input).await)
    };
    assert_eq!(grant(&[model::GrantOperation::Decrypt], "sam").await, "ok");
    assert_eq!(grant(&[model::GrantOperation::Encrypt], "sam").await, "AccessDeniedException");
    assert_eq!(grant(&[model::GrantOperation::Decrypt], "ann").await, "AccessDeniedException");
    assert_eq!(schedule(20).await, "AccessDeniedException");
}

/// KMS developer guide, "Granting CreateGrant permission": a child gives no more than its parent, and is as strict.
#[tokio::test]
async fn a_child_grant_stays_within_its_parent() {
    let (_world, kms, _users) = house().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, &[("fs", "1"), ("more", "x")]).await;
    let grant =
        async |cx: &CallContext, grantee: &str, operations: &[model::GrantOperation], subset: &[(&str, &str)]| {
            let input = model::CreateGrantRequest {
                key_id: key.clone(),
                grantee_principal: Some(format!("arn:aws:iam::{ACCOUNT}:user/{grantee}")),
                operations: operations.to_vec(),
                constraints: (!subset.is_empty()).then(|| model::GrantConstraints {
                    encryption_context_subset: Some(pairs(subset)),
                    ..Default::default()
                }),
                ..Default::default()
            };
            code(ops::create_grant::run(&kms, cx, input).await)
        };
    use model::GrantOperation::{CreateGrant, Decrypt, Encrypt};
    let (mara, sam) = (user(ACCOUNT, "mara"), user(ACCOUNT, "sam"));
    assert_eq!(grant(&root(), "mara", &[Decrypt, CreateGrant], &[("fs", "1")]).await, "ok");
    assert_eq!(grant(&mara, "sam", &[Decrypt], &[]).await, "AccessDeniedException");
    assert_eq!(grant(&mara, "sam", &[Encrypt], &[("fs", "1")]).await, "AccessDeniedException");
    assert_eq!(grant(&mara, "sam", &[Decrypt], &[("fs", "2")]).await, "AccessDeniedException");
    assert_eq!(decrypts(&kms, &sam, &blob, &[("fs", "1"), ("more", "x")]).await, "AccessDeniedException");
    assert_eq!(grant(&mara, "sam", &[Decrypt], &[("fs", "1"), ("more", "x")]).await, "ok");
    assert_eq!(decrypts(&kms, &sam, &blob, &[("fs", "1"), ("more", "x")]).await, "ok");
}

/// EFS user guide, "Encrypting data at rest": what a service does by its grant ends with an explicit deny in the key's policy.
#[tokio::test]
async fn a_denial_in_the_key_policy_beats_a_grant() {
    let (_world, kms, _users) = house().await;
    let key = new_key(&kms).await;
    let context = encryption_context(&[("fs", "1")]);
    let grant = kms.grant_to_service(&root(), SERVICE, &key, &context).await.unwrap();
    kms.make_data_key(&service(), "fs-1", &grant.key_arn, &context).await.unwrap();
    kms.open_data_key(&service(), "fs-1", &grant.key_arn, &context).await.unwrap();
    let deny = json!({"Effect": "Deny", "Principal": {"Service": SERVICE}, "Action": "kms:Decrypt", "Resource": "*"});
    put(&kms, &root(), &key, json!([root_may_all(), deny]), false).await.unwrap();
    let refused = kms.open_data_key(&service(), "fs-1", &grant.key_arn, &context).await.map(|_| ());
    assert!(refused.unwrap_err().is_refusal());
    put(&kms, &root(), &key, json!([root_may_all()]), false).await.unwrap();
    kms.open_data_key(&service(), "fs-1", &grant.key_arn, &context).await.unwrap();
}
