//! The key-state table, over the actions themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crate::support::import::{Parameters, imported};
use crate::support::{World, code, decrypt, describe, disable, enable, encrypt, new_key, root, schedule, seen};
use kms::{Kms, KmsError, model, ops};

/// What a cell of the table may say.
const OK: &str = "ok";
const DISABLED: &str = "DisabledException";
const INVALID: &str = "KMSInvalidStateException";
const UNSUPPORTED: &str = "UnsupportedOperationException";

/// The columns Enabled, Disabled, PendingDeletion, PendingImport of each row. KMS developer guide, "Key state table".
const TABLE: &[(&str, [&str; 4])] = &[
    ("CancelKeyDeletion", [INVALID, INVALID, OK, INVALID]),
    ("CreateAlias", [OK, OK, INVALID, OK]),
    ("CreateGrant", [OK, DISABLED, INVALID, INVALID]),
    ("Decrypt", [OK, DISABLED, INVALID, INVALID]),
    ("DeleteAlias", [OK, OK, OK, OK]),
    ("DescribeKey", [OK, OK, OK, OK]),
    ("DisableKey", [OK, OK, INVALID, INVALID]),
    ("EnableKey", [OK, OK, INVALID, INVALID]),
    ("Encrypt", [OK, DISABLED, INVALID, INVALID]),
    ("GenerateDataKey", [OK, DISABLED, INVALID, INVALID]),
    ("GenerateDataKeyWithoutPlaintext", [OK, DISABLED, INVALID, INVALID]),
    ("GetKeyPolicy", [OK, OK, OK, OK]),
    ("GetKeyRotationStatus", [OK, OK, OK, UNSUPPORTED]),
    ("ListAliases", [OK, OK, OK, OK]),
    ("ListGrants", [OK, OK, OK, OK]),
    ("ListKeyPolicies", [OK, OK, OK, OK]),
    ("ListResourceTags", [OK, OK, OK, OK]),
    ("ReEncrypt", [OK, DISABLED, INVALID, INVALID]),
    ("RetireGrant", [OK, OK, OK, OK]),
    ("RevokeGrant", [OK, OK, OK, OK]),
    ("ScheduleKeyDeletion", [OK, OK, INVALID, OK]),
    ("TagResource", [OK, OK, INVALID, OK]),
    ("UntagResource", [OK, OK, INVALID, OK]),
    ("UpdateAlias", [OK, OK, INVALID, OK]),
    ("UpdateKeyDescription", [OK, OK, INVALID, OK]),
    ("DisableKeyRotation", [OK, DISABLED, INVALID, UNSUPPORTED]),
    ("EnableKeyRotation", [OK, DISABLED, INVALID, UNSUPPORTED]),
    ("RotateKeyOnDemand", [OK, DISABLED, INVALID, INVALID]),
    // Of keys whose material is imported, in all four states.
    ("DeleteImportedKeyMaterial", [OK, OK, OK, OK]),
    ("GetParametersForImport", [OK, OK, INVALID, OK]),
    ("ImportKeyMaterial", [OK, OK, INVALID, OK]),
];

/// The rows that are for keys with imported material only.
const IMPORTS: &[&str] = &["DeleteImportedKeyMaterial", "GetParametersForImport", "ImportKeyMaterial"];

/// A KMS key with everything that the actions need, and then in a state of the table.
struct Subject {
    key: String,
    arn: String,
    blob: Vec<u8>,
    grant: String,
    /// Of a key with imported material.
    parameters: Option<Parameters>,
}

async fn subject(kms: &Kms, state: usize) -> Subject {
    let key = new_key(kms).await;
    subject_of(kms, state, key, None).await
}

/// The same with imported material, which it lacks in the last state.
async fn imported_subject(kms: &Kms, state: usize) -> Subject {
    let (key, parameters) = imported(kms, 1).await;
    subject_of(kms, state, key, Some(parameters)).await
}

async fn subject_of(kms: &Kms, state: usize, key: String, parameters: Option<Parameters>) -> Subject {
    let blob = encrypt(kms, &key, &[]).await;
    let alias = |name: &str| model::CreateAliasRequest {
        alias_name: format!("alias/{name}-{key}"),
        target_key_id: key.clone(),
    };
    ops::create_alias::run(kms, &root(), alias("mine")).await.unwrap();
    let grant = ops::create_grant::run(kms, &root(), grant_request(&key)).await.unwrap().grant_id.unwrap();
    match state {
        0 => {}
        1 => disable(kms, &key).await,
        2 => schedule(kms, &key, 7).await,
        _ => drop(crate::support::import::delete(kms, &key, None).await.unwrap()),
    }
    let arn = describe(kms, &key).await.arn.unwrap();
    Subject { key, arn, blob, grant, parameters }
}

fn grant_request(key: &str) -> model::CreateGrantRequest {
    model::CreateGrantRequest {
        key_id: key.to_owned(),
        grantee_principal: Some("arn:aws:iam::000000000001:user/mara".to_owned()),
        operations: vec![model::GrantOperation::Decrypt],
        ..model::CreateGrantRequest::default()
    }
}

#[allow(clippy::too_many_lines, reason = "one arm for each row of the table")]
async fn act(kms: &Kms, action: &str, on: &Subject) -> Result<(), KmsError> {
    let cx = root();
    let key_id = on.key.clone();
    let alias_name = format!("alias/mine-{key_id}");
    let blob = Some(on.blob.clone().into());
    match action {
        "CancelKeyDeletion" => {
            ops::cancel_key_deletion::run(kms, &cx, model::CancelKeyDeletionRequest { key_id }).await.map(drop)
        }
        "CreateAlias" => {
            let alias_name = format!("alias/new-{key_id}");
            let input = model::CreateAliasRequest { alias_name, target_key_id: key_id };
            ops::create_alias::run(kms, &cx, input).await
        }
        "CreateGrant" => ops::create_grant::run(kms, &cx, grant_request(&key_id)).await.map(drop),
        "Decrypt" => decrypt(kms, &on.blob, &[]).await.map(drop),
        "DeleteAlias" => ops::delete_alias::run(kms, &cx, model::DeleteAliasRequest { alias_name }).await,
        "DescribeKey" => {
            let input = model::DescribeKeyRequest { key_id, ..Default::default() };
            ops::describe_key::run(kms, &cx, input).await.map(drop)
        }
        "DeleteImportedKeyMaterial" => crate::support::import::delete(kms, &key_id, None).await.map(drop),
        "GetParametersForImport" => {
            let input = model::GetParametersForImportRequest {
                key_id,
                wrapping_algorithm: model::AlgorithmSpec::RsaesOaepSha256,
                wrapping_key_spec: model::WrappingKeySpec::Rsa2048,
            };
            ops::get_parameters_for_import::run(kms, &cx, input).await.map(drop)
        }
        "ImportKeyMaterial" => {
            let request = on.parameters.as_ref().unwrap().request(&key_id, 1);
            ops::import_key_material::run(kms, &cx, request).await.map(drop)
        }
        "DisableKeyRotation" => {
            ops::disable_key_rotation::run(kms, &cx, model::DisableKeyRotationRequest { key_id }).await
        }
        "EnableKeyRotation" => {
            let input = model::EnableKeyRotationRequest { key_id, ..Default::default() };
            ops::enable_key_rotation::run(kms, &cx, input).await
        }
        "RotateKeyOnDemand" => {
            ops::rotate_key_on_demand::run(kms, &cx, model::RotateKeyOnDemandRequest { key_id }).await.map(drop)
        }
        "DisableKey" => ops::disable_key::run(kms, &cx, model::DisableKeyRequest { key_id }).await,
        "EnableKey" => ops::enable_key::run(kms, &cx, model::EnableKeyRequest { key_id }).await,
        "Encrypt" => {
            let plaintext = aws_wire::SecretBlob::new(b"x".to_vec());
            let input = model::EncryptRequest { key_id, plaintext, ..Default::default() };
            ops::encrypt::run(kms, &cx, input).await.map(drop)
        }
        "GenerateDataKey" => {
            let key_spec = Some(model::DataKeySpec::Aes256);
            let input = model::GenerateDataKeyRequest { key_id, key_spec, ..Default::default() };
            ops::generate_data_key::run(kms, &cx, input).await.map(drop)
        }
        "GenerateDataKeyWithoutPlaintext" => {
            let number_of_bytes = Some(64);
            let input = model::GenerateDataKeyWithoutPlaintextRequest { key_id, number_of_bytes, ..Default::default() };
            ops::generate_data_key_without_plaintext::run(kms, &cx, input).await.map(drop)
        }
        "GetKeyPolicy" => {
            let input = model::GetKeyPolicyRequest { key_id, ..Default::default() };
            ops::get_key_policy::run(kms, &cx, input).await.map(drop)
        }
        "GetKeyRotationStatus" => {
            ops::get_key_rotation_status::run(kms, &cx, model::GetKeyRotationStatusRequest { key_id }).await.map(drop)
        }
        "ListAliases" => {
            let input = model::ListAliasesRequest { key_id: Some(key_id), ..Default::default() };
            ops::list_aliases::run(kms, &cx, input).await.map(drop)
        }
        "ListGrants" => {
            let input = model::ListGrantsRequest { key_id, ..Default::default() };
            ops::list_grants::run(kms, &cx, input).await.map(drop)
        }
        "ListKeyPolicies" => {
            let input = model::ListKeyPoliciesRequest { key_id, ..Default::default() };
            ops::list_key_policies::run(kms, &cx, input).await.map(drop)
        }
        "ListResourceTags" => {
            let input = model::ListResourceTagsRequest { key_id, ..Default::default() };
            ops::list_resource_tags::run(kms, &cx, input).await.map(drop)
        }
        "ReEncrypt" => {
            let destination_key_id = new_key(kms).await;
            let input = model::ReEncryptRequest { ciphertext_blob: blob, destination_key_id, ..Default::default() };
            ops::re_encrypt::run(kms, &cx, input).await.map(drop)
        }
        "RetireGrant" => {
            let grant_id = Some(on.grant.clone());
            let input = model::RetireGrantRequest { key_id: Some(key_id), grant_id, ..Default::default() };
            ops::retire_grant::run(kms, &cx, input).await
        }
        "RevokeGrant" => {
            let input = model::RevokeGrantRequest { key_id, grant_id: on.grant.clone(), ..Default::default() };
            ops::revoke_grant::run(kms, &cx, input).await
        }
        "ScheduleKeyDeletion" => {
            let input = model::ScheduleKeyDeletionRequest { key_id, ..Default::default() };
            ops::schedule_key_deletion::run(kms, &cx, input).await.map(drop)
        }
        "TagResource" => {
            let tag = model::Tag { tag_key: "a".to_owned(), tag_value: "b".to_owned() };
            ops::tag_resource::run(kms, &cx, model::TagResourceRequest { key_id, tags: vec![tag] }).await
        }
        "UntagResource" => {
            let input = model::UntagResourceRequest { key_id, tag_keys: vec!["a".to_owned()] };
            ops::untag_resource::run(kms, &cx, input).await
        }
        "UpdateAlias" => {
            ops::update_alias::run(kms, &cx, model::UpdateAliasRequest { alias_name, target_key_id: key_id }).await
        }
        "UpdateKeyDescription" => {
            let input = model::UpdateKeyDescriptionRequest { key_id, description: "d".to_owned() };
            ops::update_key_description::run(kms, &cx, input).await
        }
        other => panic!("no arm for {other}"),
    }
}

/// KMS developer guide, "Key state table": every action in every state that a key can be brought into.
#[tokio::test]
async fn every_action_answers_in_every_state_as_the_table_says() {
    let world = World::new(21).await;
    let kms = world.open().await;
    for (action, answers) in TABLE {
        for (state, expected) in answers.iter().enumerate() {
            let subject = if state == 3 || IMPORTS.contains(action) {
                imported_subject(&kms, state).await
            } else {
                subject(&kms, state).await
            };
            let outcome = act(&kms, action, &subject).await;
            assert_eq!(code(outcome), *expected, "{action} in state {state}");
        }
    }
}

/// KMS API, error texts: the exception names the key's ARN and the state.
#[tokio::test]
async fn state_errors_name_the_key() {
    let world = World::new(22).await;
    let kms = world.open().await;
    for (state, action, text) in [
        (1, "Encrypt", "is disabled."),
        (2, "Encrypt", "is pending deletion."),
        (0, "CancelKeyDeletion", "is not pending deletion."),
        (3, "Encrypt", "is pending import."),
        (3, "GetKeyRotationStatus", "origin is EXTERNAL which is not valid for this operation."),
    ] {
        let subject = if state == 3 { imported_subject(&kms, state).await } else { subject(&kms, state).await };
        let (_, message) = seen(act(&kms, action, &subject).await.unwrap_err());
        assert_eq!(message, format!("{} {text}", subject.arn));
    }
}

/// KMS API, CancelKeyDeletion: the key comes back disabled and must be enabled; what it encrypted opens again. All of
/// it survives a restart.
#[tokio::test]
async fn states_survive_a_restart() {
    let world = World::new(23).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, &[("a", "b")]).await;
    schedule(&kms, &key, 7).await;
    let kms = world.open().await;
    let waiting = describe(&kms, &key).await;
    assert_eq!(waiting.key_state, Some(model::KeyState::PendingDeletion));
    assert_eq!(waiting.deletion_date.unwrap().seconds(), world.env.wall().seconds + 7 * 86_400);
    assert_eq!(waiting.enabled, Some(false));
    ops::cancel_key_deletion::run(&kms, &root(), model::CancelKeyDeletionRequest { key_id: key.clone() })
        .await
        .unwrap();
    let kms = world.open().await;
    assert_eq!(describe(&kms, &key).await.key_state, Some(model::KeyState::Disabled));
    enable(&kms, &key).await;
    let kms = world.open().await;
    assert_eq!(decrypt(&kms, &blob, &[("a", "b")]).await.unwrap(), b"plaintext");
}

/// The leases' notice: every change of a key's usability is told, and a change to the same state is not.
#[tokio::test]
async fn changes_of_usability_are_told() {
    let world = World::new(24).await;
    let kms = world.open().await;
    let subject = subject(&kms, 0).await;
    let mut events = kms.events();
    for action in ["DisableKey", "EnableKey", "CreateGrant", "RevokeGrant", "ScheduleKeyDeletion", "CancelKeyDeletion"]
    {
        act(&kms, action, &subject).await.unwrap();
        assert_eq!(events.try_recv().unwrap().key_arn, subject.arn, "{action}");
        assert!(events.try_recv().is_err(), "{action}");
    }
    act(&kms, "DisableKey", &subject).await.unwrap();
    assert!(events.try_recv().is_err());
}

/// The leases' notice: a grant for one encryption context concerns whoever uses that one, and nobody else.
#[tokio::test]
async fn a_grants_notice_names_its_context() {
    let world = World::new(26).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let context = crate::support::encryption_context(&[("aws:elasticfilesystem:filesystem:id", "fs-1")]);
    let mut events = kms.events();
    kms.grant_to_service(&root(), crate::support::SERVICE, &key, &context).await.unwrap();
    assert_eq!(events.try_recv().unwrap().change, kms::KeyChange::GrantMade(Some(context.clone())));
    kms.retire_service_grants(crate::support::SERVICE, &context).await.unwrap();
    assert_eq!(events.try_recv().unwrap().change, kms::KeyChange::GrantEnded(Some(context)));
    disable(&kms, &key).await;
    assert_eq!(events.try_recv().unwrap().change, kms::KeyChange::State);
}

/// The leases' notice: a change that became durable is told even if its caller went away before the answer.
#[tokio::test]
async fn a_change_is_told_though_its_caller_is_gone() {
    let world = World::new(25).await;
    let kms = world.open().await;
    let subject = subject(&kms, 0).await;
    let mut events = kms.events();
    let (caller, key_id) = (kms.clone(), subject.key.clone());
    let mut call = Box::pin(async move {
        let cx = root();
        ops::disable_key::run(&caller, &cx, model::DisableKeyRequest { key_id }).await
    });
    std::future::poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(call);
    assert_eq!(events.recv().await.unwrap().key_arn, subject.arn);
    assert_eq!(describe(&kms, &subject.key).await.key_state, Some(model::KeyState::Disabled));
}
