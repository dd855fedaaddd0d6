//! Each protocol as clients speak it, and the errors they match on.

use aws_wire::Timestamp;
use aws_wire::shape::{Service, Shape};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use env::Env;
use serde_json::json;

use crate::house::{ACCOUNT, Call, House};

/// Architecture section 6: `/health` answers without a signature.
#[tokio::test]
async fn health_needs_no_signature() {
    let house = House::new().await;
    let reply = house.send(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"status\":\"ok\"}"));
}

/// docs/api.md: while the house opens `/health` says so, and calls are answered all the same.
#[tokio::test]
async fn a_starting_server_says_so_and_answers() {
    let house = House::new().await;
    house.server.set_starting(true);
    let health = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = house.send(health).await;
    assert_eq!((reply.status, &reply.json()["status"]), (503, &json!("starting")));
    assert_eq!(house.kms("ListKeys", json!({})).await.status, 200);
    house.server.set_starting(false);
    assert_eq!(house.send(health).await.status, 200);
}

/// STS API, GetCallerIdentity: by form and by presigned URL.
#[tokio::test]
async fn sts_says_who_signed() {
    let house = House::new().await;
    let reply = house.form("sts", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.contains("<Arn>arn:aws:iam::000000000001:root</Arn>"));
    assert!(reply.body.contains("<Account>000000000001</Account>"));
    let now = Timestamp::from_unix(Env::real().wall().seconds, 0);
    let host = house.address.to_string();
    let query = house.signer("sts").presign("GET", &host, "/", "Action=GetCallerIdentity&Version=2011-06-15", 60, now);
    let request = format!("GET /?{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    assert_eq!(house.send(request.as_bytes()).await.status, 200);
}

/// STS common errors: InvalidAction, SignatureDoesNotMatch, MissingAuthenticationToken in XML.
#[tokio::test]
async fn sts_errors_are_xml() {
    let house = House::new().await;
    let unknown = house.form("sts", "Action=AssumeNobody&Version=2011-06-15").await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body.contains("<Code>InvalidAction</Code>"), "{unknown:?}");
    let wrong = house.form("kms", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(wrong.body.contains("<Code>SignatureDoesNotMatch</Code>"), "{wrong:?}");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let unsigned =
        format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let reply = house.send(unsigned.as_bytes()).await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("<Code>MissingAuthenticationToken</Code>"));
}

/// EC2 API, DescribeAvailabilityZones: aws/efs-utils asks for zones, first with DryRun, and wants `DryRunOperation`
/// with 412.
#[tokio::test]
async fn ec2_describes_zones() {
    let house = House::new().await;
    let ask = "Action=DescribeAvailabilityZones&Version=2016-11-15";
    let dry = house.form("ec2", &format!("{ask}&DryRun=true")).await;
    assert_eq!(dry.status, 412);
    assert!(dry.body.contains("<Code>DryRunOperation</Code>"));
    let all = house.form("ec2", ask).await;
    assert_eq!(all.status, 200);
    assert!(all.body.contains("<zoneName>us-east-1a</zoneName><zoneId>use1-az1</zoneId>"), "{all:?}");
    let one = house.form("ec2", &format!("{ask}&ZoneName.1=us-east-1b")).await;
    assert!(!one.body.contains("us-east-1a") && one.body.contains("use1-az2"));
    let none = house.form("ec2", &format!("{ask}&ZoneName.1=eu-west-1a")).await;
    assert!(none.body.contains("<Code>InvalidParameterValue</Code>"));
}

/// KMS API: a key encrypts and decrypts; answers carry the request id and the JSON 1.1 content type.
#[tokio::test]
async fn kms_encrypts_and_decrypts() {
    let house = House::new().await;
    let created = house.kms("CreateKey", json!({"Description": "d"})).await;
    assert_eq!(created.status, 200, "{created:?}");
    assert_eq!(created.header("content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(created.header("x-amzn-requestid").map(str::len), Some(36));
    let id = created.json()["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let encrypted = house.kms("Encrypt", json!({"KeyId": id, "Plaintext": STANDARD.encode("hello")})).await;
    let blob = encrypted.json()["CiphertextBlob"].clone();
    let decrypted = house.kms("Decrypt", json!({"CiphertextBlob": blob})).await;
    assert_eq!(decrypted.json()["Plaintext"], STANDARD.encode("hello"));
    let disabled = house.kms("DisableKey", json!({"KeyId": id})).await;
    assert_eq!((disabled.status, disabled.body.as_str()), (200, ""));
    let refused = house.kms("Decrypt", json!({"CiphertextBlob": blob})).await;
    assert_eq!((refused.status, refused.json()["__type"].as_str()), (400, Some("DisabledException")));
    assert_eq!(refused.header("x-amzn-errortype"), Some("DisabledException"));
}

/// KMS API, common errors: shape, constraint, unknown and unsupported operations, signature.
#[tokio::test]
async fn kms_errors_have_their_codes() {
    let house = House::new().await;
    for (action, body, code) in [
        ("Encrypt", "{}", "ValidationException"),
        ("Encrypt", "{", "SerializationException"),
        ("Encrypt", "[]", "SerializationException"),
        ("Encrypt", "{\"KeyId\":5}", "SerializationException"),
        ("DescribeKey", "{\"KeyId\":\"1234abcd-12ab-34cd-56ef-1234567890ab\"}", "NotFoundException"),
        ("DescribeKey", "{\"KeyId\":\"arn:aws:kms:us-east-1:000000000002:key/x\"}", "InvalidArnException"),
        (
            "DescribeKey",
            "{\"KeyId\":\"arn:aws:kms:us-east-1:000000000002:key/1234abcd-12ab-34cd-56ef-1234567890ab\"}",
            "AccessDeniedException",
        ),
        ("ReplicateKey", "{}", "UnsupportedOperationException"),
        ("Nonsense", "{}", "UnknownOperationException"),
    ] {
        let reply = house.kms_text(action, body.to_owned()).await;
        assert_eq!((reply.status, reply.json()["__type"].as_str()), (400, Some(code)), "{action} {body}: {reply:?}");
    }
    let missing = house.kms("Encrypt", json!({"Plaintext": ""})).await;
    assert_eq!(
        missing.json()["message"],
        "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1"
    );
    let headers = vec![("x-amz-target", "TrentService.ListKeys")];
    let call = Call { service: "kms", method: "POST", path: "/", query: "", headers, body: "{}".to_owned() };
    let spoilt = String::from_utf8(house.signed(&call)).unwrap().replace("\r\n\r\n{}", "\r\n\r\n[]");
    let reply = house.send(spoilt.as_bytes()).await;
    assert_eq!(reply.json()["__type"], "InvalidSignatureException");
    let nowhere = house.send(b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((nowhere.status, nowhere.json()["__type"].as_str()), (404, Some("UnknownOperationException")));
}

/// The generated models: every pattern compiles, every text constraint has a sane order, errors have HTTP statuses.
#[test]
fn the_generated_tables_are_sound() {
    fn walk(shape: &Shape) {
        match shape {
            Shape::Structure(members) => members.iter().for_each(|member| walk(member.shape)),
            Shape::List { member, .. } => walk(member),
            Shape::Map { key, value, .. } => {
                walk(key);
                walk(value);
            }
            Shape::Text { pattern, min, max, .. } => {
                assert!(
                    pattern.is_none_or(aws_wire::Pattern::compiles),
                    "{:?}",
                    pattern.map(aws_wire::Pattern::source)
                );
                assert!(min.zip(*max).is_none_or(|(min, max)| min <= max));
            }
            _ => {}
        }
    }
    let (iam, sts) = (&identity::model::iam::SERVICE, &identity::model::sts::SERVICE);
    let services: [&Service; 4] = [&kms::model::SERVICE, &control::model::SERVICE, iam, sts];
    for service in services {
        service.operations.iter().filter_map(|operation| operation.input).for_each(walk);
        assert!(service.errors.iter().all(|error| (400..600).contains(&error.status)));
        for operation in service.operations {
            assert!(operation.errors.iter().all(|code| service.errors.iter().any(|error| error.code == *code)));
        }
    }
    assert_eq!(ACCOUNT.len(), 12);
}
