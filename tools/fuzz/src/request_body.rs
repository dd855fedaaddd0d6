//! Bodies of the JSON protocols: read, judged by the models of every operation, shown in records. KMS API, common errors;
//! CloudTrail, "sensitive data".

use aws_wire::shape::Protocol;
use aws_wire::{json, validate};
use kms::model;

/// Reads a body as the input of every operation of KMS.
pub fn run(bytes: &[u8]) {
    let Ok(body) = json::body(bytes) else { return };
    for operation in model::SERVICE.operations {
        let Some(shape) = operation.input else { continue };
        // What an audit record shows must be there for any body.
        let shown = validate::redacted(&body, shape);
        assert!(shown.is_object(), "{}: a record shows {shown}", operation.name);
        if let Err(invalid) = validate::check(&body, shape) {
            let error = json::invalid(Protocol::Json11, &invalid);
            assert!(matches!(error.code, "ValidationException" | "SerializationException"), "{}", error.code);
            assert!(!json::error(Protocol::Json11, &error).is_empty(), "an error without a body");
        }
    }
    // The types of some handlers; what the model's check passes is what they can take.
    takes::<model::EncryptRequest>(&body, "Encrypt");
    takes::<model::DecryptRequest>(&body, "Decrypt");
    takes::<model::CreateGrantRequest>(&body, "CreateGrant");
    takes::<model::CreateKeyRequest>(&body, "CreateKey");
    takes::<model::ScheduleKeyDeletionRequest>(&body, "ScheduleKeyDeletion");
}

fn takes<T: aws_wire::shape::Input>(body: &serde_json::Value, name: &str) {
    let shape = model::SERVICE.operation(name).and_then(|operation| operation.input).expect("the operation's input");
    if validate::check(body, shape).is_ok() {
        assert!(validate::decode::<T>(body).is_ok(), "{name}: the model's check passes what its handler cannot take");
    }
}
