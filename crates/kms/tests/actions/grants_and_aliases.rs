//! Grants, aliases, tags, policies and lists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crate::support::{SERVICE, World, code, describe, encryption_context, new_key, pairs, root, seen, service};
use kms::{Kms, KmsError, model, ops};

const FILE_SYSTEM: &[(&str, &str)] = &[("aws:elasticfilesystem:filesystem:id", "fs-1")];

async fn list(kms: &Kms, key: &str) -> Vec<model::GrantListEntry> {
    let input = model::ListGrantsRequest { key_id: key.to_owned(), ..Default::default() };
    ops::list_grants::run(kms, &root(), input).await.unwrap().grants.unwrap()
}

async fn data_key(kms: &Kms, name: &str, context: &[(&str, &str)], arn: &str) -> Result<(), KmsError> {
    kms.make_data_key(&service(), name, arn, &encryption_context(context)).await
}

/// EFS user guide, "Using encryption": the service's grant names the service, its operations and exactly the file
/// system's encryption context; the service can do nothing without it, with another context, or after its end.
#[tokio::test]
async fn a_service_lives_by_its_grant() {
    let world = World::new(41).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let arn = describe(&kms, &key).await.arn.unwrap();
    assert_eq!(code(data_key(&kms, "a", FILE_SYSTEM, &arn).await), "AccessDeniedException");

    let grant = kms.grant_to_service(&root(), SERVICE, &key, &encryption_context(FILE_SYSTEM)).await.unwrap();
    assert_eq!(grant.key_arn, arn);
    let shown = list(&kms, &key).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].grantee_principal.as_deref(), Some(SERVICE));
    assert_eq!(shown[0].retiring_principal.as_deref(), Some(SERVICE));
    assert_eq!(shown[0].issuing_account.as_deref(), Some("arn:aws:iam::000000000001:root"));
    assert_eq!(shown[0].constraints.as_ref().unwrap().encryption_context_equals, Some(pairs(FILE_SYSTEM)));

    data_key(&kms, "a", FILE_SYSTEM, &arn).await.unwrap();
    let other = [("aws:elasticfilesystem:filesystem:id", "fs-2")];
    assert_eq!(code(data_key(&kms, "b", &other, &arn).await), "AccessDeniedException");
    let open = async || kms.open_data_key(&service(), "a", &arn, &encryption_context(FILE_SYSTEM)).await;
    let first = open().await.unwrap();

    let revoke =
        model::RevokeGrantRequest { key_id: key.clone(), grant_id: grant.grant_id.clone(), ..Default::default() };
    ops::revoke_grant::run(&kms, &root(), revoke).await.unwrap();
    let refused = open().await.err().unwrap();
    assert!(refused.is_refusal() && refused.to_string().contains(&arn), "{refused}");

    // A new grant of the same shape brings the same data key back.
    kms.grant_to_service(&root(), SERVICE, &key, &encryption_context(FILE_SYSTEM)).await.unwrap();
    assert_eq!(open().await.unwrap().expose(), first.expose());
    kms.retire_service_grants(SERVICE, &encryption_context(FILE_SYSTEM)).await.unwrap();
    assert!(list(&kms, &key).await.is_empty());
}

/// KMS developer guide, "AWS managed keys": made on first use, with its policy, shown as AWS's; nobody can use, disable
/// or delete it directly.
#[tokio::test]
async fn the_services_key_is_made_on_first_use_and_is_not_the_customers() {
    let world = World::new(42).await;
    let kms = world.open().await;
    let aliases = ops::list_aliases::run(&kms, &root(), Default::default()).await.unwrap().aliases.unwrap();
    assert_eq!((aliases.len(), aliases[0].target_key_id.clone()), (1, None));
    let alias = "alias/aws/elasticfilesystem";
    kms.grant_to_service(&root(), SERVICE, alias, &encryption_context(FILE_SYSTEM)).await.unwrap();
    let made = describe(&kms, alias).await;
    assert_eq!(made.key_manager, Some(model::KeyManagerType::Aws));
    let kms = world.open().await;
    assert_eq!(describe(&kms, alias).await.arn, made.arn);
    let key_id = made.key_id;

    let policy = model::GetKeyPolicyRequest { key_id: key_id.clone(), ..Default::default() };
    let policy = ops::get_key_policy::run(&kms, &root(), policy).await.unwrap().policy.unwrap();
    assert!(policy.contains("auto-elasticfilesystem-1") && policy.contains("kms:ViaService"));
    let rotation = model::GetKeyRotationStatusRequest { key_id: key_id.clone() };
    let rotation = ops::get_key_rotation_status::run(&kms, &root(), rotation).await.unwrap();
    assert_eq!((rotation.key_rotation_enabled, rotation.rotation_period_in_days), (Some(true), Some(365)));

    let disable = model::DisableKeyRequest { key_id: key_id.clone() };
    assert_eq!(code(ops::disable_key::run(&kms, &root(), disable).await), "AccessDeniedException");
    let delete = model::ScheduleKeyDeletionRequest { key_id: key_id.clone(), ..Default::default() };
    assert_eq!(code(ops::schedule_key_deletion::run(&kms, &root(), delete).await), "AccessDeniedException");
    let plaintext = aws_wire::SecretBlob::new(b"x".to_vec());
    let encrypt = model::EncryptRequest { key_id, plaintext, ..Default::default() };
    assert_eq!(code(ops::encrypt::run(&kms, &root(), encrypt).await), "AccessDeniedException");
}

/// KMS developer guide, rotation: a service's key gets a new version each year; what the old one wrapped still opens.
#[tokio::test]
async fn the_services_key_rotates_each_year() {
    let world = World::new(43).await;
    let kms = world.open().await;
    let alias = "alias/aws/elasticfilesystem";
    let grant = kms.grant_to_service(&root(), SERVICE, alias, &encryption_context(FILE_SYSTEM)).await.unwrap();
    data_key(&kms, "a", FILE_SYSTEM, &grant.key_arn).await.unwrap();
    let before = describe(&kms, alias).await.current_key_material_id;
    world.simulation.advance(std::time::Duration::from_secs(366 * 86_400));
    kms.run_due().await.unwrap();
    let kms = world.open().await;
    assert_ne!(describe(&kms, alias).await.current_key_material_id, before);
    kms.open_data_key(&service(), "a", &grant.key_arn, &encryption_context(FILE_SYSTEM)).await.unwrap();
}

/// KMS API, CreateGrant, Name: the same name and terms give the same grant and a fresh token; without a name each call
/// makes one. RetireGrant takes the token.
#[tokio::test]
async fn a_named_grant_is_made_once() {
    let world = World::new(44).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let grant = async |name: Option<&str>, operations: Vec<model::GrantOperation>| {
        let input = model::CreateGrantRequest {
            key_id: key.clone(),
            grantee_principal: Some("arn:aws:iam::000000000001:role/reader".to_owned()),
            name: name.map(str::to_owned),
            operations,
            ..Default::default()
        };
        ops::create_grant::run(&kms, &root(), input).await
    };
    use model::GrantOperation::{Decrypt, Encrypt, Sign};
    let one = grant(Some("n"), vec![Decrypt, Encrypt]).await.unwrap();
    let same = grant(Some("n"), vec![Encrypt, Decrypt]).await.unwrap();
    assert_eq!(one.grant_id, same.grant_id);
    assert_ne!(one.grant_token, same.grant_token);
    assert_ne!(grant(Some("n"), vec![Decrypt]).await.unwrap().grant_id, one.grant_id);
    assert_ne!(grant(None, vec![Decrypt]).await.unwrap().grant_id, grant(None, vec![Decrypt]).await.unwrap().grant_id);
    assert_eq!(code(grant(None, vec![Sign]).await), "ValidationException");
    assert_eq!(code(grant(None, vec![]).await), "ValidationException");

    let retire = |token: String| model::RetireGrantRequest { grant_token: Some(token), ..Default::default() };
    let token = same.grant_token.unwrap();
    let mut forged = token.clone();
    forged.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
    assert_eq!(code(ops::retire_grant::run(&kms, &root(), retire(forged)).await), "InvalidGrantTokenException");
    ops::retire_grant::run(&kms, &root(), retire(token.clone())).await.unwrap();
    assert_eq!(code(ops::retire_grant::run(&kms, &root(), retire(token)).await), "NotFoundException");
}

/// KMS API, GrantConstraints and principals: sizes and forms beyond the model's shapes.
#[tokio::test]
async fn malformed_grants_are_refused() {
    let world = World::new(45).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let grant = async |change: &dyn Fn(&mut model::CreateGrantRequest)| {
        let mut input = model::CreateGrantRequest {
            key_id: key.clone(),
            grantee_principal: Some(SERVICE.to_owned()),
            operations: vec![model::GrantOperation::Decrypt],
            ..Default::default()
        };
        change(&mut input);
        code(ops::create_grant::run(&kms, &root(), input).await)
    };
    assert_eq!(grant(&|_| {}).await, "ok");
    assert_eq!(grant(&|input| input.grantee_principal = None).await, "ValidationException");
    assert_eq!(grant(&|input| input.grantee_principal = Some("mara".to_owned())).await, "InvalidArnException");
    assert_eq!(grant(&|input| input.grantee_service_principal = Some(SERVICE.to_owned())).await, "ValidationException");
    let nine: std::collections::BTreeMap<_, _> = (0..9).map(|number| (number.to_string(), String::new())).collect();
    let constraints = model::GrantConstraints { encryption_context_subset: Some(nine), ..Default::default() };
    assert_eq!(grant(&|input| input.constraints = Some(constraints.clone())).await, "ValidationException");
    assert_eq!(grant(&|input| input.grant_tokens = Some(vec!["x".to_owned()])).await, "InvalidGrantTokenException");
}

/// KMS API, CreateAlias and its siblings: names, reservation, uniqueness, and the texts.
#[tokio::test]
async fn aliases_are_names_of_their_own() {
    let world = World::new(46).await;
    let kms = world.open().await;
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let create = async |name: &str| {
        let input = model::CreateAliasRequest { alias_name: name.to_owned(), target_key_id: key.clone() };
        ops::create_alias::run(&kms, &root(), input).await
    };
    create("alias/mine").await.unwrap();
    let (taken, text) = seen(create("alias/mine").await.unwrap_err());
    assert_eq!(taken, "AlreadyExistsException");
    assert_eq!(text, "An alias with the name arn:aws:kms:us-east-1:000000000001:alias/mine already exists");
    assert_eq!(code(create("mine").await), "ValidationException");
    assert_eq!(code(create("alias/aws/mine").await), "NotAuthorizedException");
    assert_eq!(code(create("alias/a:b").await), "ValidationException");

    let update = model::UpdateAliasRequest { alias_name: "alias/mine".to_owned(), target_key_id: other.clone() };
    ops::update_alias::run(&kms, &root(), update).await.unwrap();
    assert_eq!(describe(&kms, "alias/mine").await.key_id, other);
    let delete = model::DeleteAliasRequest { alias_name: "alias/mine".to_owned() };
    ops::delete_alias::run(&kms, &root(), delete.clone()).await.unwrap();
    let (gone, text) = seen(ops::delete_alias::run(&kms, &root(), delete).await.unwrap_err());
    assert_eq!(gone, "NotFoundException");
    assert_eq!(text, "Alias arn:aws:kms:us-east-1:000000000001:alias/mine is not found.");
}

/// KMS API, ListKeys, ListAliases, ListGrants: following the marker gives everything once.
#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new(47).await;
    let kms = world.open().await;
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..7 {
        keys.insert(new_key(&kms).await);
    }
    let mut seen = Vec::new();
    let mut marker = None;
    loop {
        let input = model::ListKeysRequest { limit: Some(3), marker: marker.clone(), ..Default::default() };
        let page = ops::list_keys::run(&kms, &root(), input).await.unwrap();
        assert_eq!(page.truncated, Some(page.next_marker.is_some()));
        seen.extend(page.keys.unwrap().into_iter().map(|key| key.key_id.unwrap()));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, keys.into_iter().collect::<Vec<_>>());
    let input = model::ListKeysRequest { marker: Some("nonsense".to_owned()), ..Default::default() };
    assert_eq!(code(ops::list_keys::run(&kms, &root(), input).await), "InvalidMarkerException");
}

/// KMS API, CreateKey: what is not offered is named, and a key without a policy gets the default one.
#[tokio::test]
async fn keys_that_are_not_offered_are_refused() {
    let world = World::new(48).await;
    let kms = world.open().await;
    let create = async |change: &dyn Fn(&mut model::CreateKeyRequest)| {
        let mut input = model::CreateKeyRequest::default();
        change(&mut input);
        code(ops::create_key::run(&kms, &root(), input).await)
    };
    assert_eq!(create(&|input| input.key_spec = Some(model::KeySpec::Sm2)).await, "UnsupportedOperationException");
    assert_eq!(create(&|input| input.multi_region = Some(true)).await, "UnsupportedOperationException");
    for origin in [model::OriginType::AwsCloudhsm, model::OriginType::ExternalKeyStore] {
        assert_eq!(create(&|input| input.origin = Some(origin)).await, "UnsupportedOperationException");
    }
    assert_eq!(create(&|input| input.key_usage = Some(model::KeyUsageType::SignVerify)).await, "ValidationException");
    assert_eq!(create(&|input| input.policy = Some("{".to_owned())).await, "MalformedPolicyDocumentException");
    let tag = |key: &str| model::Tag { tag_key: key.to_owned(), tag_value: "v".to_owned() };
    assert_eq!(create(&|input| input.tags = Some(vec![tag("aws:x")])).await, "TagException");
    assert_eq!(create(&|input| input.tags = Some(vec![tag("a"), tag("a")])).await, "TagException");
    let key = new_key(&kms).await;
    let policy = model::GetKeyPolicyRequest { key_id: key, ..Default::default() };
    let policy = ops::get_key_policy::run(&kms, &root(), policy).await.unwrap();
    assert!(policy.policy.unwrap().contains("arn:aws:iam::000000000001:root"));
}
