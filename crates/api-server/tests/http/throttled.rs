//! Calls beyond the rate of their class.

use std::sync::Arc;

use api_server::{Limits, Rates};
use policy::{ByIdentity, NoPolicies};
use serde_json::{Value, json};

use crate::house::House;

/// A house where each class named may be called once, and then not again in the time of a test.
async fn house(once: &[&str]) -> House {
    let rates = Rates::new(Some(1), once.iter().map(|name| (*name, 0.001))).unwrap();
    House::with(Limits { rates, ..Limits::default() }, Arc::new(ByIdentity::new(Arc::new(NoPolicies)))).await
}

/// KMS developer guide, "Throttling": ThrottlingException with its sentence; the other classes go on.
#[tokio::test]
async fn a_call_too_many_is_throttled_and_others_go_on() {
    let house = house(&["kms.ListKeys"]).await;
    assert_eq!(house.kms("ListKeys", json!({})).await.status, 200);
    let reply = house.kms("ListKeys", json!({})).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.header("x-amzn-errortype"), Some("ThrottlingException"));
    assert_eq!(
        reply.json(),
        json!({
            "__type": "ThrottlingException",
            "message": "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
        })
    );
    assert_eq!(house.kms("ListAliases", json!({})).await.status, 200);
    assert_eq!(house.kms("CreateKey", json!({})).await.status, 200);
}

/// KMS developer guide, "Request quotas": cryptography with symmetric keys shares one quota.
#[tokio::test]
async fn symmetric_cryptography_shares_one_class() {
    let house = house(&["kms.symmetric"]).await;
    assert_eq!(house.kms("GenerateRandom", json!({"NumberOfBytes": 16})).await.status, 200);
    for (action, input) in [
        ("GenerateRandom", json!({"NumberOfBytes": 16})),
        ("Decrypt", json!({"CiphertextBlob": "AAAA"})),
        ("Encrypt", json!({"KeyId": "alias/x", "Plaintext": "AAAA"})),
        ("GenerateDataKey", json!({"KeyId": "alias/x", "KeySpec": "AES_256"})),
    ] {
        assert_eq!(house.kms(action, input).await.json()["__type"], "ThrottlingException", "{action}");
    }
}

/// EFS API: an operation whose error list has a throttling error answers with that one, the others with the common one.
#[tokio::test]
async fn efs_throttles_with_its_own_error() {
    let house = house(&["elasticfilesystem.change"]).await;
    let made = house.efs("POST", "file-systems", "", json!({"CreationToken": "a"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let own = house.efs("POST", "access-points", "", json!({"ClientToken": "a", "FileSystemId": "fs-12345678"})).await;
    assert_eq!((own.status, &own.json()["ErrorCode"]), (429, &json!("ThrottlingException")));
    let common = house.efs("POST", "file-systems", "", json!({"CreationToken": "b"})).await;
    assert_eq!((common.status, &common.json()["ErrorCode"]), (400, &json!("ThrottlingException")));
    assert_eq!(house.efs("GET", "file-systems", "", Value::Null).await.status, 200);
}

/// Threat model: a call is counted once its signature is right, so nobody unsigned uses an account's rate up.
#[tokio::test]
async fn unsigned_calls_use_no_rate_up() {
    let house = house(&["kms.ListKeys"]).await;
    let request = b"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: TrentService.ListKeys\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    for _ in 0..3 {
        assert_eq!(house.send(request).await.json()["__type"], "MissingAuthenticationTokenException");
    }
    assert_eq!(house.kms("ListKeys", json!({})).await.status, 200);
}

/// CloudTrail records throttled calls; threat model: whoever goes on regardless cannot fill the disk with them.
#[tokio::test]
async fn throttled_calls_are_noted_within_bounds() {
    let house = house(&["kms.ListKeys"]).await;
    for _ in 0..60 {
        house.kms("ListKeys", json!({})).await;
    }
    let records = house.records().await;
    let noted: Vec<&Value> =
        records.iter().filter(|line| line["record"]["errorCode"] == "ThrottlingException").collect();
    assert!((1..59).contains(&noted.len()), "{}", noted.len());
    let first = &noted[0]["record"];
    assert_eq!((&noted[0]["phase"], &first["eventName"]), (&json!("note"), &json!("ListKeys")));
    assert_eq!(first["userIdentity"]["accessKeyId"], house.key.id);
    assert!(audit::verify(&house.audit).unwrap().incomplete.is_empty());
}
