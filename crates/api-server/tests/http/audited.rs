//! The audit trail around every call.

use std::sync::Arc;

use api_server::Limits;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policy::{Authorize, Decision, Request};
use serde_json::{Value, json};

use crate::house::House;

struct NobodyMay;

impl Authorize for NobodyMay {
    fn decide(&self, _: &Request<'_>) -> Decision {
        Decision::Deny("because".to_owned())
    }
}

fn completed<'a>(records: &'a [Value], name: &str) -> &'a Value {
    let found = records.iter().rev().find(|line| line["phase"] == "complete" && line["record"]["eventName"] == name);
    &found.unwrap_or_else(|| panic!("no record of {name}"))["record"]
}

/// CloudTrail, KMS events: who, what, on which key, with which outcome; one begin and one completion for each call.
#[tokio::test]
async fn every_call_is_begun_and_completed() {
    let house = House::new().await;
    let created = house.kms("CreateKey", json!({})).await.json();
    let (id, arn) = (&created["KeyMetadata"]["KeyId"], &created["KeyMetadata"]["Arn"]);
    let context = json!({"aws:elasticfilesystem:filesystem:id": "fs-1"});
    house.kms("GenerateDataKey", json!({"KeyId": id, "KeySpec": "AES_256", "EncryptionContext": context})).await;
    house.kms("ListKeys", json!({})).await;
    house.form("sts", "Action=GetCallerIdentity&Version=2011-06-15").await;
    let records = house.records().await;
    assert_eq!(records.iter().filter(|line| line["phase"] == "begin").count(), 4);
    assert_eq!(records.iter().filter(|line| line["phase"] == "complete").count(), 4);
    let create = completed(&records, "CreateKey");
    assert_eq!(create["readOnly"], false);
    assert_eq!(create["responseElements"]["keyMetadata"]["arn"], *arn);
    assert_eq!(create["resources"], json!([{"ARN": arn, "accountId": "000000000001", "type": "AWS::KMS::Key"}]));
    assert_eq!(create["userIdentity"]["type"], "Root");
    assert_eq!(create["userIdentity"]["accessKeyId"], house.key.id);
    let generate = completed(&records, "GenerateDataKey");
    assert_eq!(generate["requestParameters"]["encryptionContext"], context);
    assert_eq!((&generate["readOnly"], &generate["responseElements"]), (&json!(true), &Value::Null));
    assert_eq!(generate["resources"][0]["ARN"], *arn);
    assert_eq!(completed(&records, "GetCallerIdentity")["eventSource"], "sts.amazonaws.com");
    assert!(audit::verify(&house.audit).unwrap().incomplete.is_empty());
}

/// CloudTrail: failed calls are recorded too, with what the caller was told; validation failures and refusals included.
#[tokio::test]
async fn failures_are_recorded() {
    let house = House::new().await;
    house.kms("DescribeKey", json!({"KeyId": "alias/none"})).await;
    house.kms("Encrypt", json!({})).await;
    house.kms("ReplicateKey", json!({})).await;
    let records = house.records().await;
    assert_eq!(completed(&records, "DescribeKey")["errorCode"], "NotFoundException");
    assert_eq!(completed(&records, "Encrypt")["errorCode"], "ValidationException");
    assert_eq!(completed(&records, "ReplicateKey")["errorCode"], "UnsupportedOperationException");
}

/// Architecture section 6 and KMS: neither plaintexts nor ciphertexts nor secrets nor signatures nor grant tokens are ever
/// in the log.
#[tokio::test]
async fn the_log_holds_no_secret() {
    let house = House::new().await;
    let id = house.kms("CreateKey", json!({})).await.json()["KeyMetadata"]["KeyId"].clone();
    let canary = STANDARD.encode("a canary of thirty-two bytes....");
    let blob = house.kms("Encrypt", json!({"KeyId": id, "Plaintext": canary})).await.json()["CiphertextBlob"].clone();
    house.kms("Decrypt", json!({"CiphertextBlob": blob})).await;
    let made = house.kms("GenerateDataKey", json!({"KeyId": id, "KeySpec": "AES_256"})).await.json();
    let grant = json!({"KeyId": id, "GranteePrincipal": "arn:aws:iam::000000000001:user/x", "Operations": ["Decrypt"]});
    let token = house.kms("CreateGrant", grant).await.json()["GrantToken"].clone();
    assert!(token.is_string());
    // Used, refused as one too many, and given back: each call is recorded without it.
    house.kms("Encrypt", json!({"KeyId": id, "Plaintext": canary, "GrantTokens": [token]})).await;
    house.kms("DescribeKey", json!({"KeyId": id, "GrantTokens": vec![token.clone(); 11]})).await;
    house.kms("RetireGrant", json!({"GrantToken": token})).await;
    assert_eq!(completed(&house.records().await, "RetireGrant")["errorCode"], Value::Null);
    let text = std::fs::read_to_string(&house.audit).unwrap();
    let texts = [&blob, &made["Plaintext"], &token].map(|value| value.as_str().unwrap());
    for secret in texts.into_iter().chain([canary.as_str(), house.key.secret.as_str()]) {
        assert!(!text.contains(secret));
    }
    assert!(!text.contains("Signature="));
}

/// CloudTrail, KMS events: of signatures, MACs, key pairs and shared secrets the log has the key and the algorithm, and
/// neither what went in nor what came out.
#[tokio::test]
async fn the_log_holds_nothing_of_key_pairs() {
    let house = House::new().await;
    let create = async |spec: &str, usage: &str| {
        house.kms("CreateKey", json!({"KeySpec": spec, "KeyUsage": usage})).await.json()["KeyMetadata"]["KeyId"].clone()
    };
    let signer = create("ECC_NIST_P256", "SIGN_VERIFY").await;
    let agrees = create("ECC_NIST_P256", "KEY_AGREEMENT").await;
    let macs = create("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let symmetric = create("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
    let canary = STANDARD.encode("a canary of thirty-two bytes....");
    let sign = json!({"KeyId": signer, "Message": canary, "SigningAlgorithm": "ECDSA_SHA_256"});
    let signature = house.kms("Sign", sign.clone()).await.json()["Signature"].clone();
    let with = |mut body: Value, name: &str, value: &Value| {
        body[name] = value.clone();
        body
    };
    let verified = house.kms("Verify", with(sign, "Signature", &signature)).await.json();
    assert_eq!(verified["SignatureValid"], true);
    let mac_request = json!({"KeyId": macs, "Message": canary, "MacAlgorithm": "HMAC_SHA_256"});
    let mac = house.kms("GenerateMac", mac_request.clone()).await.json()["Mac"].clone();
    assert_eq!(house.kms("VerifyMac", with(mac_request, "Mac", &mac)).await.json()["MacValid"], true);
    let public = house.kms("GetPublicKey", json!({"KeyId": signer})).await.json()["PublicKey"].clone();
    let derive = json!({"KeyId": agrees, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public});
    let secret = house.kms("DeriveSharedSecret", derive).await.json()["SharedSecret"].clone();
    let pair = json!({"KeyId": symmetric, "KeyPairSpec": "ECC_NIST_P256"});
    let pair = house.kms("GenerateDataKeyPair", pair).await.json();
    let records = house.records().await;
    let signed = completed(&records, "Sign");
    assert_eq!(signed["requestParameters"], json!({"keyId": signer, "signingAlgorithm": "ECDSA_SHA_256"}));
    assert_eq!((&signed["readOnly"], &signed["responseElements"]), (&json!(true), &Value::Null));
    let text = std::fs::read_to_string(&house.audit).unwrap();
    let (private, sealed) = (&pair["PrivateKeyPlaintext"], &pair["PrivateKeyCiphertextBlob"]);
    for hidden in [&signature, &mac, &public, &secret, private, sealed] {
        assert!(!text.contains(hidden.as_str().unwrap()));
    }
    assert!(!text.contains(&canary));
}

/// Architecture section 6: a denial is an error by its AWS name to the caller; its reason is in the log and nowhere else.
#[tokio::test]
async fn a_denial_keeps_its_reason_to_the_log() {
    let house = House::with(Limits::default(), Arc::new(NobodyMay)).await;
    let reply = house.efs("POST", "file-systems", "", json!({"CreationToken": "t"})).await;
    assert_eq!(reply.json()["ErrorCode"], "AccessDeniedException");
    assert!(!reply.body.contains("because"));
    let records = house.records().await;
    assert_eq!(completed(&records, "CreateFileSystem")["additionalEventData"]["reason"], "because");
}

/// Threat model: unsigned peers leave a trace, but cannot fill the disk with it.
#[tokio::test]
async fn refused_signatures_are_noted_within_bounds() {
    let house = House::new().await;
    let request = b"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: TrentService.ListKeys\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    for _ in 0..40 {
        assert_eq!(house.send(request).await.json()["__type"], "MissingAuthenticationTokenException");
    }
    let notes = house.records().await.iter().filter(|line| line["phase"] == "note").count();
    assert!((1..40).contains(&notes), "{notes}");
}
