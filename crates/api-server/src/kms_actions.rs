//! The rows of KMS: action, handler, class, resource. KMS API Reference, 2014-11-01.

use aws_wire::{ApiError, Arn, CallContext};
use kms::{Kms, model, ops};

use crate::action::{ServiceActions, rows};

/// The rows over a KMS.
pub fn kms(kms: Kms) -> ServiceActions {
    let actions = rows! { kms: model, ops;
    //  action                            file                               class   resource
        "CancelKeyDeletion"               cancel_key_deletion                Mutate  ["KeyId"];
        "CreateAlias"                     create_alias                       Mutate  ["TargetKeyId"];
        "CreateGrant"                     create_grant                       Mutate  ["KeyId"];
        "CreateKey"                       create_key                         Mutate  [];
        "Decrypt"                         decrypt                            Crypto  ["KeyId"];
        "DeleteAlias"                     delete_alias                       Mutate  ["AliasName"];
        "DeleteImportedKeyMaterial"       delete_imported_key_material       Mutate  ["KeyId"];
        "DeriveSharedSecret"              derive_shared_secret               Crypto  ["KeyId"];
        "DescribeKey"                     describe_key                       Read    ["KeyId"];
        "DisableKey"                      disable_key                        Mutate  ["KeyId"];
        "DisableKeyRotation"              disable_key_rotation               Mutate  ["KeyId"];
        "EnableKey"                       enable_key                         Mutate  ["KeyId"];
        "EnableKeyRotation"               enable_key_rotation                Mutate  ["KeyId"];
        "Encrypt"                         encrypt                            Crypto  ["KeyId"];
        "GenerateDataKey"                 generate_data_key                  Crypto  ["KeyId"];
        "GenerateDataKeyPair"             generate_data_key_pair             Crypto  ["KeyId"];
        "GenerateDataKeyPairWithoutPlaintext" generate_data_key_pair_without_plaintext Crypto ["KeyId"];
        "GenerateDataKeyWithoutPlaintext" generate_data_key_without_plaintext Crypto ["KeyId"];
        "GenerateMac"                     generate_mac                       Crypto  ["KeyId"];
        "GenerateRandom"                  generate_random                    Crypto  [];
        "GetKeyPolicy"                    get_key_policy                     Read    ["KeyId"];
        "GetKeyRotationStatus"            get_key_rotation_status            Read    ["KeyId"];
        "GetParametersForImport"          get_parameters_for_import          Crypto  ["KeyId"];
        "GetPublicKey"                    get_public_key                     Read    ["KeyId"];
        "ImportKeyMaterial"               import_key_material                Mutate  ["KeyId"];
        "ListAliases"                     list_aliases                       Read    ["KeyId"];
        "ListGrants"                      list_grants                        Read    ["KeyId"];
        "ListKeyPolicies"                 list_key_policies                  Read    ["KeyId"];
        "ListKeyRotations"                list_key_rotations                 Read    ["KeyId"];
        "ListKeys"                        list_keys                          Read    [];
        "ListResourceTags"                list_resource_tags                 Read    ["KeyId"];
        "ListRetirableGrants"             list_retirable_grants              Read    [];
        "PutKeyPolicy"                    put_key_policy                     Mutate  ["KeyId"];
        "ReEncrypt"                       re_encrypt                         Crypto  ["DestinationKeyId"];
        "RetireGrant"                     retire_grant                       Mutate  ["KeyId"];
        "RevokeGrant"                     revoke_grant                       Mutate  ["KeyId"];
        "RotateKeyOnDemand"               rotate_key_on_demand               Mutate  ["KeyId"];
        "ScheduleKeyDeletion"             schedule_key_deletion              Mutate  ["KeyId"];
        "Sign"                            sign                               Crypto  ["KeyId"];
        "TagResource"                     tag_resource                       Mutate  ["KeyId"];
        "UntagResource"                   untag_resource                     Mutate  ["KeyId"];
        "UpdateAlias"                     update_alias                       Mutate  ["TargetKeyId"];
        "UpdateKeyDescription"            update_key_description             Mutate  ["KeyId"];
        "Verify"                          verify                             Crypto  ["KeyId"];
        "VerifyMac"                       verify_mac                         Crypto  ["KeyId"];
    };
    ServiceActions {
        service: &model::SERVICE,
        event_source: "kms.amazonaws.com",
        event_version: None,
        arn,
        locate: None,
        global: false,
        resource_kind: "AWS::KMS::Key",
        decides: true,
        actions,
        refuse: |name| {
            let text = format!("{name} is not supported by this server.");
            ApiError::of(&model::errors::UNSUPPORTED_OPERATION_EXCEPTION, text)
        },
    }
}

/// A key id, an alias or an ARN as an ARN; every key when none is named or the name is no name.
fn arn(cx: &CallContext, named: Option<&str>) -> Arn {
    let here = |resource: String| Arn::new("kms", &cx.region, &cx.account, resource);
    match named {
        None => here("key/*".to_owned()),
        Some(text) if text.starts_with("arn:") => Arn::parse(text).unwrap_or_else(|| here("key/*".to_owned())),
        Some(text) if text.starts_with("alias/") => here(text.to_owned()),
        Some(text) => here(format!("key/{text}")),
    }
}
