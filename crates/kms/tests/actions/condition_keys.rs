//! Every condition key of KMS that is about what is served here: a call is allowed where the condition holds and refused where
//! it does not. KMS developer guide, "AWS KMS condition keys"; IAM User Guide, "AWS global condition context keys".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crate::support::users::{Users, house, user};
use crate::support::{ACCOUNT, SERVICE, World, encryption_context, root, seen};
use aws_wire::CallContext;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms::{Kms, ops};
use serde_json::{Value, json};

const REFUSED: &str = "AccessDeniedException";

/// A user whose one policy allows an action under a condition.
struct Scene {
    _world: World,
    kms: Kms,
    users: Users,
    mara: CallContext,
}

/// Runs an action with an input as the model has it; the code of its error, or its answer.
macro_rules! run {
    ($scene:expr, $cx:expr, $file:ident, $input:expr) => {
        match ops::$file::run(&$scene.kms, $cx, aws_wire::validate::decode(&$input).unwrap()).await {
            Ok(answer) => Ok(serde_json::to_value(&answer).unwrap()),
            Err(error) => Err(seen(error).0),
        }
    };
}

/// Holds each condition against a call that is allowed only where it holds: key, the value of this call, another one.
macro_rules! rows {
    ($scene:expr, $action:literal, $file:ident, $input:expr, $rows:expr) => {
        for (key, right, wrong) in $rows {
            for (operator, value, expected) in
                [("StringEquals", right, "ok"), ("StringEquals", wrong, REFUSED), ("StringNotEquals", right, REFUSED)]
            {
                $scene.may($action, json!({operator: {key: value}}));
                let outcome = run!($scene, &$scene.mara, $file, $input);
                let seen = outcome.err().unwrap_or_else(|| "ok".to_owned());
                assert_eq!(seen, expected, "{} with {operator} {key} {value}", $action);
            }
        }
    };
}

impl Scene {
    async fn new() -> Self {
        let (world, kms, users) = house().await;
        Self { _world: world, kms, users, mara: user(ACCOUNT, "mara") }
    }

    fn may(&self, action: &str, condition: Value) {
        let mut statements =
            json!([{"Effect": "Allow", "Action": format!("kms:{action}"), "Resource": "*", "Condition": condition}]);
        if action == "CreateKey" {
            // Whoever makes a key must be able to change its policy.
            let statement = json!({"Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"});
            statements.as_array_mut().unwrap().push(statement);
        }
        self.users.may("mara", statements);
    }

    /// A KMS key with the alias `alias/app`.
    async fn key(&self, spec: &str, usage: &str) -> String {
        let made = run!(self, &root(), create_key, json!({"KeySpec": spec, "KeyUsage": usage})).unwrap();
        let key = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        run!(self, &root(), create_alias, json!({"AliasName": "alias/app", "TargetKeyId": key})).unwrap();
        key
    }
}

fn bytes(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

const ALIAS: (&str, &str, &str) = ("kms:RequestAlias", "alias/app", "alias/other");

/// `kms:EncryptionAlgorithm`, `kms:RequestAlias`, `kms:EncryptionContext:KEY`: an algorithm that is left out is the default.
#[tokio::test]
async fn symmetric_encryption_names_its_algorithm() {
    let scene = Scene::new().await;
    scene.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let rows = [
        ("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256"),
        ALIAS,
        ("kms:EncryptionContext:team", "blue", "red"),
        ("kms:EncryptionContextKeys", "team", "fs"),
    ];
    let context = json!({"team": "blue"});
    let input = json!({"KeyId": "alias/app", "Plaintext": bytes(b"x"), "EncryptionContext": context});
    rows!(scene, "Encrypt", encrypt, input, rows);
    let blob = run!(scene, &root(), encrypt, input).unwrap()["CiphertextBlob"].clone();
    let sealed = json!({"KeyId": "alias/app", "CiphertextBlob": blob, "EncryptionContext": context});
    rows!(scene, "Decrypt", decrypt, sealed, rows);
    let again = json!({"CiphertextBlob": blob, "SourceKeyId": "alias/app", "SourceEncryptionContext": context,
        "DestinationKeyId": "alias/app", "DestinationEncryptionContext": context});
    rows!(scene, "ReEncrypt*", re_encrypt, again, rows);
    rows!(scene, "ReEncrypt*", re_encrypt, again, [("kms:ReEncryptOnSameKey", "true", "false")]);
    let data = json!({"KeyId": "alias/app", "KeySpec": "AES_256", "EncryptionContext": context});
    rows!(scene, "GenerateDataKey", generate_data_key, data, rows);
    rows!(scene, "GenerateDataKeyWithoutPlaintext", generate_data_key_without_plaintext, data, rows);
    let pair = json!({"KeyId": "alias/app", "KeyPairSpec": "ECC_NIST_P256", "EncryptionContext": context});
    rows!(scene, "GenerateDataKeyPair", generate_data_key_pair, pair, rows);
    let spec = [("kms:DataKeyPairSpec", "ECC_NIST_P256", "ECC_NIST_P384")];
    rows!(scene, "GenerateDataKeyPair", generate_data_key_pair, pair, spec);
    let name = "GenerateDataKeyPairWithoutPlaintext";
    scene.may(name, json!({"StringEquals": {"kms:DataKeyPairSpec": "ECC_NIST_P256"}}));
    run!(scene, &scene.mara, generate_data_key_pair_without_plaintext, pair).unwrap();
    scene.may(name, json!({"StringEquals": {"kms:DataKeyPairSpec": "RSA_2048"}}));
    let refused = run!(scene, &scene.mara, generate_data_key_pair_without_plaintext, pair);
    assert_eq!(refused.unwrap_err(), REFUSED);
}

/// `kms:EncryptionAlgorithm` of an RSA key; in a ReEncrypt each half has its own.
#[tokio::test]
async fn rsa_encryption_names_its_algorithm() {
    let scene = Scene::new().await;
    let key = scene.key("RSA_2048", "ENCRYPT_DECRYPT").await;
    let (sha1, sha256) = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256");
    let rows = [("kms:EncryptionAlgorithm", sha256, sha1)];
    let input = json!({"KeyId": key, "Plaintext": bytes(b"x"), "EncryptionAlgorithm": sha256});
    rows!(scene, "Encrypt", encrypt, input, rows);
    let blob = run!(scene, &root(), encrypt, input).unwrap()["CiphertextBlob"].clone();
    rows!(
        scene,
        "Decrypt",
        decrypt,
        json!({"KeyId": key, "CiphertextBlob": blob, "EncryptionAlgorithm": sha256}),
        rows
    );
    let again = json!({"CiphertextBlob": blob, "SourceKeyId": key, "SourceEncryptionAlgorithm": sha256,
        "DestinationKeyId": key, "DestinationEncryptionAlgorithm": sha1});
    let half = |action: &str, algorithm: &str| {
        json!({"Effect": "Allow", "Action": action, "Resource": "*",
            "Condition": {"StringEquals": {"kms:EncryptionAlgorithm": algorithm}}})
    };
    for (from, to, expected) in [(sha256, sha1, true), (sha256, sha256, false), (sha1, sha1, false)] {
        scene.users.may("mara", json!([half("kms:ReEncryptFrom", from), half("kms:ReEncryptTo", to)]));
        let outcome = run!(scene, &scene.mara, re_encrypt, again);
        assert_eq!(outcome.is_ok(), expected, "{from} {to}: {outcome:?}");
    }
}

/// `kms:SigningAlgorithm` and `kms:MessageType`: a message without a type is RAW.
#[tokio::test]
async fn signatures_name_algorithm_and_message_type() {
    let scene = Scene::new().await;
    scene.key("ECC_NIST_P256", "SIGN_VERIFY").await;
    let raw = [
        ("kms:SigningAlgorithm", "ECDSA_SHA_256", "ECDSA_SHA_384"),
        ("kms:MessageType", "RAW", "DIGEST"),
        ("kms:KeyUsage", "SIGN_VERIFY", "ENCRYPT_DECRYPT"),
        ALIAS,
    ];
    let input = json!({"KeyId": "alias/app", "Message": bytes(b"x"), "SigningAlgorithm": "ECDSA_SHA_256"});
    rows!(scene, "Sign", sign, input, raw);
    let mut signed = input.clone();
    signed["Signature"] = run!(scene, &root(), sign, input).unwrap()["Signature"].clone();
    rows!(scene, "Verify", verify, signed, raw);
    let digest = json!({"KeyId": "alias/app", "Message": bytes(&[7; 32]), "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256"});
    rows!(scene, "Sign", sign, digest, [("kms:MessageType", "DIGEST", "RAW")]);
    rows!(scene, "GetPublicKey", get_public_key, json!({"KeyId": "alias/app"}), [ALIAS]);
}

/// `kms:MacAlgorithm`.
#[tokio::test]
async fn macs_name_their_algorithm() {
    let scene = Scene::new().await;
    scene.key("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let rows = [("kms:MacAlgorithm", "HMAC_SHA_256", "HMAC_SHA_512"), ALIAS];
    let input = json!({"KeyId": "alias/app", "Message": bytes(b"x"), "MacAlgorithm": "HMAC_SHA_256"});
    rows!(scene, "GenerateMac", generate_mac, input, rows);
    let mut made = input.clone();
    made["Mac"] = run!(scene, &root(), generate_mac, input).unwrap()["Mac"].clone();
    rows!(scene, "VerifyMac", verify_mac, made, rows);
}

/// `kms:KeyAgreementAlgorithm`.
#[tokio::test]
async fn key_agreement_names_its_algorithm() {
    let scene = Scene::new().await;
    scene.key("ECC_NIST_P256", "KEY_AGREEMENT").await;
    let public = run!(scene, &root(), get_public_key, json!({"KeyId": "alias/app"})).unwrap()["PublicKey"].clone();
    let input = json!({"KeyId": "alias/app", "KeyAgreementAlgorithm": "ECDH", "PublicKey": public});
    rows!(
        scene,
        "DeriveSharedSecret",
        derive_shared_secret,
        input,
        [("kms:KeyAgreementAlgorithm", "ECDH", "SM2DSA"), ALIAS]
    );
}

/// What is known of a KMS key: `kms:CallerAccount`, `kms:KeySpec`, `kms:KeyUsage`, `kms:KeyOrigin`, `kms:MultiRegion`,
/// `kms:ResourceAliases`, the older `kms:CustomerMasterKeySpec` and `kms:CustomerMasterKeyUsage`, and `aws:ResourceAccount`.
#[tokio::test]
async fn a_key_is_described() {
    let scene = Scene::new().await;
    let key = scene.key("HMAC_384", "GENERATE_VERIFY_MAC").await;
    let of_key = [
        ("kms:KeySpec", "HMAC_384", "HMAC_256"),
        ("kms:KeyUsage", "GENERATE_VERIFY_MAC", "ENCRYPT_DECRYPT"),
        ("kms:CustomerMasterKeySpec", "HMAC_384", "HMAC_256"),
        ("kms:CustomerMasterKeyUsage", "GENERATE_VERIFY_MAC", "ENCRYPT_DECRYPT"),
        ("kms:KeyOrigin", "AWS_KMS", "EXTERNAL"),
        ("kms:MultiRegion", "false", "true"),
        ("kms:CallerAccount", ACCOUNT, "000000000002"),
    ];
    rows!(scene, "DescribeKey", describe_key, json!({"KeyId": key}), of_key);
    let known = [("kms:ResourceAliases", "alias/app", "alias/other"), ("aws:ResourceAccount", ACCOUNT, "000000000002")];
    rows!(scene, "DescribeKey", describe_key, json!({"KeyId": key}), known);
    rows!(scene, "CreateKey", create_key, json!({"KeySpec": "HMAC_384", "KeyUsage": "GENERATE_VERIFY_MAC"}), of_key);
}

/// `kms:BypassPolicyLockoutSafetyCheck` of CreateKey and PutKeyPolicy: false where the request does not say it.
#[tokio::test]
async fn a_bypassed_lockout_check_is_seen() {
    let scene = Scene::new().await;
    let key = scene.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let name = "kms:BypassPolicyLockoutSafetyCheck";
    rows!(scene, "CreateKey", create_key, json!({}), [(name, "false", "true")]);
    let bypassed = json!({"BypassPolicyLockoutSafetyCheck": true});
    rows!(scene, "CreateKey", create_key, bypassed, [(name, "true", "false")]);
    let policy =
        json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}});
    let put = json!({"KeyId": key, "Policy": policy.to_string(), "BypassPolicyLockoutSafetyCheck": true});
    rows!(scene, "PutKeyPolicy", put_key_policy, put, [(name, "true", "false")]);
}

/// `kms:RotationPeriodInDays` and `kms:ScheduleKeyDeletionPendingWindowInDays`: 365 and 30 where the request does not say them.
#[tokio::test]
async fn periods_are_numbers_of_the_request() {
    let scene = Scene::new().await;
    let key = scene.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let rotation = "kms:RotationPeriodInDays";
    for (input, least, expected) in [
        (json!({"KeyId": key}), 365, true),
        (json!({"KeyId": key}), 366, false),
        (json!({"KeyId": key, "RotationPeriodInDays": 100}), 101, false),
    ] {
        scene.may("EnableKeyRotation", json!({"NumericGreaterThanEquals": {rotation: least}}));
        let outcome = run!(scene, &scene.mara, enable_key_rotation, input);
        assert_eq!(outcome.is_ok(), expected, "{least}: {outcome:?}");
    }
    let window = "kms:ScheduleKeyDeletionPendingWindowInDays";
    for (days, expected) in [(31, false), (30, true)] {
        scene.may("ScheduleKeyDeletion", json!({"NumericGreaterThanEquals": {window: days}}));
        let outcome = run!(scene, &scene.mara, schedule_key_deletion, json!({"KeyId": key}));
        assert_eq!(outcome.is_ok(), expected, "{days}: {outcome:?}");
    }
}

/// What CreateGrant is asked for: `kms:GrantOperations`, `kms:GranteePrincipal`, `kms:RetiringPrincipal`,
/// `kms:GrantConstraintType`, `kms:GrantIsForAWSResource`, which ListGrants and RevokeGrant know too.
#[tokio::test]
async fn grants_are_described() {
    let scene = Scene::new().await;
    let key = scene.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let (sam, eve) = (format!("arn:aws:iam::{ACCOUNT}:user/sam"), format!("arn:aws:iam::{ACCOUNT}:user/eve"));
    let constraints = json!({"EncryptionContextSubset": {"team": "blue"}});
    let input = json!({"KeyId": key, "GranteePrincipal": sam, "RetiringPrincipal": eve, "Operations": ["Decrypt"],
        "Constraints": constraints});
    let rows = [
        ("kms:GranteePrincipal", sam.as_str(), eve.as_str()),
        ("kms:RetiringPrincipal", &eve, &sam),
        ("kms:GrantOperations", "Decrypt", "Encrypt"),
        ("kms:GrantConstraintType", "EncryptionContextSubset", "EncryptionContextEquals"),
        ("kms:GrantIsForAWSResource", "false", "true"),
        ("kms:EncryptionContextKeys", "team", "fs"),
    ];
    rows!(scene, "CreateGrant", create_grant, input, rows);
    let for_service = [("kms:GrantIsForAWSResource", "false", "true")];
    rows!(scene, "ListGrants", list_grants, json!({"KeyId": key}), for_service);
    let grants = run!(scene, &root(), list_grants, json!({"KeyId": key})).unwrap();
    let revoke = json!({"KeyId": key, "GrantId": grants["Grants"][0]["GrantId"]});
    rows!(scene, "RevokeGrant", revoke_grant, revoke, for_service);
}

/// `kms:ViaService`, `kms:GrantIsForAWSResource`, `aws:ViaAWSService`, `aws:CalledVia`, `aws:CalledViaFirst` and
/// `aws:CalledViaLast`: what a service does in the caller's name, and what the caller does itself.
#[tokio::test]
async fn calls_through_a_service_say_so() {
    let scene = Scene::new().await;
    let key = scene.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let away = aws_wire::Arn::new("kms", "us-east-1", ACCOUNT, "key/elsewhere");
    let context = encryption_context(&[("fs", "1")]);
    let principal = "elasticfilesystem.amazonaws.com";
    for (condition, expected) in [
        (json!({"StringEquals": {"kms:ViaService": SERVICE}}), true),
        (json!({"StringEquals": {"kms:ViaService": "rds.us-east-1.amazonaws.com"}}), false),
        (json!({"Bool": {"kms:GrantIsForAWSResource": "true"}}), true),
        (json!({"Bool": {"aws:ViaAWSService": "true"}}), true),
        (json!({"Bool": {"aws:ViaAWSService": "false"}}), false),
        (json!({"ForAnyValue:StringEquals": {"aws:CalledVia": [principal]}}), true),
        (json!({"ForAnyValue:StringEquals": {"aws:CalledVia": ["athena.amazonaws.com"]}}), false),
        (json!({"StringEquals": {"aws:CalledViaFirst": principal, "aws:CalledViaLast": principal}}), true),
        (json!({"StringNotEquals": {"aws:CalledViaLast": principal}}), false),
    ] {
        scene.users.may("mara", json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": condition}));
        let granted = scene.kms.grant_to_service(&scene.mara, SERVICE, &key, &context).await;
        assert_eq!(granted.is_ok(), expected, "{condition}: {granted:?}");
        let elsewhere = scene.kms.may_through(&scene.mara, SERVICE, "CreateGrant", &away, &context);
        assert_eq!(elsewhere.is_ok(), expected, "{condition}: {elsewhere:?}");
        // The same by the caller itself is none of these.
        let own = run!(scene, &scene.mara, describe_key, json!({"KeyId": key}));
        let itself = condition == json!({"Bool": {"aws:ViaAWSService": "false"}})
            || condition == json!({"StringNotEquals": {"aws:CalledViaLast": principal}});
        assert_eq!(own.is_ok(), itself, "{condition}: {own:?}");
    }
}
