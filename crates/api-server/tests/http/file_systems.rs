//! EFS over REST-JSON: bindings, statuses, errors, and what the audit trail makes of it.

use serde_json::{Value, json};

use crate::house::House;

/// EFS API, CreateFileSystem and DescribeFileSystems: 201 with the description; path, query and body each bound.
#[tokio::test]
async fn a_file_system_is_created_and_described() {
    let house = House::new().await;
    let request = json!({"CreationToken": "t", "Encrypted": true, "Tags": [{"Key": "Name", "Value": "n"}]});
    let created = house.efs("POST", "file-systems", "", request).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("content-type"), Some("application/json"));
    let made = created.json();
    let id = made["FileSystemId"].as_str().unwrap().to_owned();
    assert!(made["KmsKeyId"].as_str().unwrap().starts_with("arn:aws:kms:us-east-1:000000000001:key/"));
    let listed = house.efs("GET", "file-systems", &format!("FileSystemId={id}&MaxItems=5"), Value::Null).await;
    assert_eq!(listed.json()["FileSystems"][0]["Name"], "n", "{listed:?}");
    let arn = made["FileSystemArn"].as_str().unwrap().replace(':', "%3A").replace('/', "%2F");
    let tags = house.efs("GET", &format!("resource-tags/{arn}"), "", Value::Null).await;
    assert_eq!(tags.json()["Tags"], json!([{"Key": "Name", "Value": "n"}]));
    let untagged = house.efs("DELETE", &format!("resource-tags/{id}"), "tagKeys=Name&tagKeys=b%20c", Value::Null).await;
    assert_eq!((untagged.status, untagged.body.as_str()), (200, ""));
}

/// EFS API, errors: code in `ErrorCode` and in the header, the status and the extra members of the model.
#[tokio::test]
async fn efs_errors_have_their_shape() {
    let house = House::new().await;
    let made = house.efs("POST", "file-systems", "", json!({"CreationToken": "t"})).await.json();
    let again = house.efs("POST", "file-systems", "", json!({"CreationToken": "t"})).await;
    assert_eq!((again.status, again.header("x-amzn-errortype")), (409, Some("FileSystemAlreadyExists")));
    assert_eq!(again.json()["ErrorCode"], "FileSystemAlreadyExists");
    assert_eq!(again.json()["FileSystemId"], made["FileSystemId"]);
    let absent = house.efs("DELETE", "file-systems/fs-00000000000000000", "", Value::Null).await;
    assert_eq!((absent.status, absent.json()["ErrorCode"].as_str()), (404, Some("FileSystemNotFound")));
    for (method, path, query, body, status, code) in [
        ("GET", "file-systems", "MaxItems=x", Value::Null, 400, "BadRequest"),
        ("GET", "file-systems", "MaxItems=0", Value::Null, 400, "BadRequest"),
        ("GET", "file-systems", "Marker=%zz", Value::Null, 400, "IncompleteSignatureException"),
        ("DELETE", "file-systems/nonsense", "", Value::Null, 400, "BadRequest"),
        ("POST", "file-systems", "", json!([]), 400, "BadRequest"),
        ("POST", "file-systems", "", json!({"CreationToken": "u", "Encrypted": "yes"}), 400, "BadRequest"),
        ("PUT", "account-preferences", "", json!({"ResourceIdType": "LONG_ID"}), 400, "BadRequest"),
        ("PATCH", "file-systems", "", Value::Null, 404, "UnknownOperationException"),
        ("GET", "nothing", "", Value::Null, 404, "UnknownOperationException"),
    ] {
        let reply = house.efs(method, path, query, body).await;
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (status, Some(code)),
            "{method} {path}?{query}: {reply:?}"
        );
    }
}

/// EFS User Guide, "Logging EFS API calls": `encrypted` is there as a boolean even when the request left it out.
#[tokio::test]
async fn an_unencrypted_file_system_is_recorded_as_such() {
    let house = House::new().await;
    let made = house.efs("POST", "file-systems", "", json!({"CreationToken": "t"})).await.json();
    let records = house.records().await;
    let line = records.iter().find(|line| line["phase"] == "complete").unwrap();
    let record = &line["record"];
    assert_eq!(record["eventName"], "CreateFileSystem");
    assert_eq!(record["eventSource"], "elasticfilesystem.amazonaws.com");
    assert_eq!(record["apiVersion"], "2015-02-01");
    assert_eq!(record["requestParameters"], json!({"creationToken": "t", "encrypted": false}));
    assert_eq!(record["responseElements"]["encrypted"], false);
    assert_eq!(record["responseElements"]["fileSystemId"], made["FileSystemId"]);
    assert_eq!(record["readOnly"], false);
}
