//! The KMS key that the file service makes for itself, and its grants on those that customers choose.

use serde_json::json;

use crate::house::House;

const ALIAS: &str = "alias/aws/elasticfilesystem";

/// KMS developer guide, "AWS managed keys": nobody changes, disables or deletes a service's key, and its rotation is on.
#[tokio::test]
async fn the_service_key_is_the_services() {
    let house = House::new().await;
    let described = house.kms("DescribeKey", json!({ "KeyId": ALIAS })).await.json();
    let metadata = &described["KeyMetadata"];
    assert_eq!((&metadata["KeyManager"], &metadata["KeyState"]), (&json!("AWS"), &json!("Enabled")));
    let (id, arn) = (metadata["KeyId"].as_str().unwrap(), metadata["Arn"].as_str().unwrap());
    let made = house.kms("CreateKey", json!({})).await.json();
    let own = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    assert_eq!(house.kms("CreateAlias", json!({ "AliasName": "alias/own", "TargetKeyId": own })).await.status, 200);
    for (action, input) in [
        ("DisableKey", json!({ "KeyId": id })),
        ("EnableKey", json!({ "KeyId": id })),
        ("ScheduleKeyDeletion", json!({ "KeyId": id, "PendingWindowInDays": 7 })),
        ("CancelKeyDeletion", json!({ "KeyId": id })),
        ("UpdateKeyDescription", json!({ "KeyId": id, "Description": "mine" })),
        ("TagResource", json!({ "KeyId": id, "Tags": [{ "TagKey": "a", "TagValue": "b" }] })),
        ("UntagResource", json!({ "KeyId": id, "TagKeys": ["a"] })),
        ("CreateAlias", json!({ "AliasName": "alias/mine", "TargetKeyId": id })),
        ("UpdateAlias", json!({ "AliasName": "alias/own", "TargetKeyId": id })),
    ] {
        let refused = house.kms(action, input).await;
        let told = refused.json();
        assert_eq!((refused.status, &told["__type"]), (400, &json!("AccessDeniedException")), "{action}: {told}");
        let message = told["message"].as_str().unwrap();
        let wanted = format!("is not authorized to perform: kms:{action} on resource: {arn}");
        assert!(message.contains(&wanted), "{action}: {message}");
    }
    for (action, input) in [
        ("CreateAlias", json!({ "AliasName": "alias/aws/mine", "TargetKeyId": own })),
        ("UpdateAlias", json!({ "AliasName": ALIAS, "TargetKeyId": own })),
        ("DeleteAlias", json!({ "AliasName": ALIAS })),
    ] {
        let refused = house.kms(action, input).await;
        let told = refused.json();
        assert_eq!((refused.status, &told["__type"]), (400, &json!("NotAuthorizedException")), "{action}: {told}");
    }
    let status = house.kms("GetKeyRotationStatus", json!({ "KeyId": id })).await.json();
    assert_eq!(status["KeyRotationEnabled"], true);
    let after = house.kms("DescribeKey", json!({ "KeyId": ALIAS })).await.json();
    assert_eq!(after["KeyMetadata"], *metadata);
}

/// EFS user guide, "Encrypting data at rest": an encrypted file system holds a grant on its customer's key, for itself alone,
/// which ListGrants shows; the service's key can be revoked by grant only, as its policy says.
#[tokio::test]
async fn an_encrypted_file_system_holds_a_grant() {
    let house = House::new().await;
    let made = house.kms("CreateKey", json!({})).await.json();
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    let input = json!({ "CreationToken": "t", "Encrypted": true, "KmsKeyId": key });
    let created = house.efs("POST", "file-systems", "", input).await.json();
    let id = created["FileSystemId"].as_str().unwrap();
    let listed = house.kms("ListGrants", json!({ "KeyId": key })).await.json();
    let grants = listed["Grants"].as_array().unwrap();
    assert_eq!(grants.len(), 1);
    let grant = &grants[0];
    assert_eq!(grant["GranteePrincipal"], "elasticfilesystem.us-east-1.amazonaws.com");
    assert_eq!(grant["RetiringPrincipal"], "elasticfilesystem.us-east-1.amazonaws.com");
    assert_eq!(
        grant["Constraints"],
        json!({ "EncryptionContextEquals": { "aws:elasticfilesystem:filesystem:id": id } })
    );
    assert_eq!(grant["IssuingAccount"], "arn:aws:iam::000000000001:root");
    let mut operations: Vec<&str> =
        grant["Operations"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    operations.sort_unstable();
    assert_eq!(operations, ["Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "RetireGrant"]);
    let revoked = house.kms("RevokeGrant", json!({ "KeyId": key, "GrantId": grant["GrantId"] })).await;
    assert_eq!(revoked.status, 200);
    let listed = house.kms("ListGrants", json!({ "KeyId": key })).await.json();
    assert_eq!(listed["Grants"], json!([]));
}
