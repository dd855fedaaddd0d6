//! The JSON protocols: what a request's parts become, and what a result or an error becomes on the wire.
//!
//! Smithy, "AWS JSON 1.1 protocol" and "AWS REST JSON 1 protocol".

use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::ApiError;
use crate::shape::{Location, Member, Operation, Protocol, Service, Shape};
use crate::sigv4::percent_decode;
use crate::validate::Invalid;

/// Finds the operation of a REST path; literal segments win over labels. The labels' values come with it.
pub fn route(
    service: &'static Service,
    method: &str,
    path: &str,
) -> Option<(&'static Operation, Vec<(String, String)>)> {
    let candidates = service.operations.iter().filter(|operation| operation.method == method);
    let mut matching: Vec<_> =
        candidates.filter_map(|operation| Some((operation, labels(operation.path, path)?))).collect();
    matching.sort_by_key(|(_, labels)| labels.len());
    matching.into_iter().next()
}

fn labels(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    let mut labels = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(labels),
            (Some(wanted), Some(found)) => match wanted.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
                Some(label) if !found.is_empty() => labels.push((label.to_owned(), percent_decode(found)?)),
                None if wanted == found => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Parses a JSON body; an empty one is an empty object.
pub fn body(bytes: &[u8]) -> Result<Value, Invalid> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|_| Invalid::Type("Request body is not valid JSON".to_owned()))?;
    if value.is_object() { Ok(value) } else { Err(Invalid::Type("Unexpected field type".to_owned())) }
}

/// Puts a REST input together: path labels, query pairs and the body's members, each only where the model has it.
pub fn assemble(
    operation: &Operation,
    labels: &[(String, String)],
    pairs: &[(String, String)],
    body: Value,
) -> Result<Value, Invalid> {
    let Some(Shape::Structure(members)) = operation.input else { return Ok(Value::Object(Map::new())) };
    let mut body = match body {
        Value::Object(object) => object,
        _ => return Err(Invalid::Type("Unexpected field type".to_owned())),
    };
    let mut input = Map::new();
    for member in *members {
        let found = match member.location {
            Location::Body => body.remove(member.name),
            Location::Uri => value(labels, member.name, member)?,
            Location::Query(key) => value(pairs, key, member)?,
        };
        if let Some(found) = found {
            input.insert(member.name.to_owned(), found);
        }
    }
    Ok(Value::Object(input))
}

fn value(pairs: &[(String, String)], key: &str, member: &Member) -> Result<Option<Value>, Invalid> {
    let mut texts = pairs.iter().filter(|(name, _)| name == key).map(|(_, text)| text);
    if let Shape::List { member: inner, .. } = member.shape {
        let items: Result<Vec<Value>, Invalid> = texts.map(|text| plain(text, inner)).collect();
        return Ok(Some(items?).filter(|items| !items.is_empty()).map(Value::Array));
    }
    texts.next().map(|text| plain(text, member.shape)).transpose()
}

fn plain(text: &str, shape: &Shape) -> Result<Value, Invalid> {
    let wrong = |wanted: &str| Invalid::Type(format!("STRING_VALUE can not be converted to {wanted}"));
    match shape {
        Shape::Integer { .. } | Shape::Long { .. } => {
            text.parse::<i64>().map(Value::from).map_err(|_| wrong("an Integer"))
        }
        Shape::Double { .. } => text.parse::<f64>().map(Value::from).map_err(|_| wrong("a Double")),
        Shape::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong("a Boolean")),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// The error that a request which the model does not allow gets: each service has its own codes.
pub fn invalid(protocol: Protocol, invalid: &Invalid) -> ApiError {
    let (code, text) = match (protocol, invalid) {
        (Protocol::Json11, Invalid::Type(text)) => ("SerializationException", text),
        (Protocol::Json11, Invalid::Constraint(text)) => ("ValidationException", text),
        (Protocol::RestJson, Invalid::Type(text) | Invalid::Constraint(text)) => ("BadRequest", text),
        (Protocol::Query | Protocol::Ec2Query, Invalid::Type(text) | Invalid::Constraint(text)) => {
            ("ValidationError", text)
        }
    };
    ApiError::new(code, 400, text.clone())
}

/// What `Content-Type` a protocol answers with.
pub fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::RestJson => "application/json",
        Protocol::Query => "text/xml",
        Protocol::Ec2Query => "text/xml;charset=UTF-8",
    }
}

/// An output as the bytes of a body. The buffer is wiped when dropped: a plaintext data key passes through it.
pub fn result<T: Serialize>(output: &T) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    // Room enough for every answer with a secret in it, so that growth leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *bytes, output)?;
    Ok(bytes)
}

/// An error's body. EFS: `ErrorCode`, `Message` and the model's members; KMS: `__type` and `message`.
pub fn error(protocol: Protocol, error: &ApiError) -> Vec<u8> {
    let mut body = Map::new();
    let (code, message) = match protocol {
        Protocol::RestJson => ("ErrorCode", "Message"),
        Protocol::Json11 | Protocol::Query | Protocol::Ec2Query => ("__type", "message"),
    };
    body.insert(code.to_owned(), error.code.into());
    body.insert(message.to_owned(), error.message.clone().into());
    for (name, value) in &error.members {
        body.insert((*name).to_owned(), value.clone().into());
    }
    Value::Object(body).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{assemble, body, error, invalid, route};
    use crate::ApiError;
    use crate::shape::{Location, Member, Operation, Protocol, Service, Shape};
    use crate::validate::Invalid;

    static TEXT: Shape = Shape::Text { min: None, max: None, pattern: None, values: &[], sensitive: false };
    static NUMBER: Shape = Shape::Integer { min: None, max: None };
    static LIST: Shape = Shape::List { member: &TEXT, min: None, max: None };
    static INPUT: Shape = Shape::Structure(&[
        Member { name: "Id", required: true, location: Location::Uri, shape: &TEXT },
        Member { name: "MaxItems", required: false, location: Location::Query("MaxItems"), shape: &NUMBER },
        Member { name: "TagKeys", required: false, location: Location::Query("tagKeys"), shape: &LIST },
        Member { name: "Name", required: false, location: Location::Body, shape: &TEXT },
    ]);
    static SERVICE: Service = Service {
        signing_name: "s",
        api_version: "v",
        protocol: Protocol::RestJson,
        target_prefix: None,
        operations: &[
            operation("One", "/v/things/{Id}"),
            operation("All", "/v/things/all"),
            operation("Slash", "/v/t/{Id}/"),
        ],
        unsupported: &[],
        errors: &[],
    };

    const fn operation(name: &'static str, path: &'static str) -> Operation {
        Operation { name, method: "GET", path, status: 200, input: Some(&INPUT), output: true, errors: &[] }
    }

    /// Smithy, "HTTP bindings": a literal path wins over a label; labels are percent-decoded and never empty.
    #[test]
    fn paths_find_their_operation() {
        let found = |path| route(&SERVICE, "GET", path).map(|(operation, labels)| (operation.name, labels));
        assert_eq!(found("/v/things/all"), Some(("All", vec![])));
        assert_eq!(found("/v/things/a%2Fb"), Some(("One", vec![("Id".to_owned(), "a/b".to_owned())])));
        assert_eq!(found("/v/t/x/").map(|(name, _)| name), Some("Slash"));
        for path in ["/v/things/", "/v/things", "/v/things/a/b", "/v/t/x", "", "/v/things/%zz"] {
            assert_eq!(found(path), None, "{path}");
        }
        assert!(route(&SERVICE, "POST", "/v/things/all").is_none());
    }

    /// Smithy, "HTTP bindings": each member is taken from its own place and from nowhere else.
    #[test]
    fn members_come_from_where_the_model_says() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels = [pair("Id", "x")];
        let pairs = [pair("MaxItems", "5"), pair("tagKeys", "a"), pair("tagKeys", "b"), pair("Name", "query")];
        let input = assemble(&SERVICE.operations[0], &labels, &pairs, json!({"Name": "n", "Id": "body", "Else": 1}));
        assert_eq!(input, Ok(json!({"Id": "x", "MaxItems": 5, "TagKeys": ["a", "b"], "Name": "n"})));
        let wrong = assemble(&SERVICE.operations[0], &labels, &[pair("MaxItems", "five")], json!({}));
        assert_eq!(wrong, Err(Invalid::Type("STRING_VALUE can not be converted to an Integer".to_owned())));
    }

    /// EFS API: `ErrorCode` and `Message`; KMS API: `__type` and `message`; a body that is no object is refused.
    #[test]
    fn errors_have_the_shape_of_their_protocol() {
        let wrong = ApiError::new("FileSystemAlreadyExists", 409, "there").with("FileSystemId", "fs-1");
        let parsed = |protocol| serde_json::from_slice::<Value>(&error(protocol, &wrong)).unwrap();
        assert_eq!(
            parsed(Protocol::RestJson),
            json!({"ErrorCode": "FileSystemAlreadyExists", "Message": "there", "FileSystemId": "fs-1"})
        );
        assert_eq!(parsed(Protocol::Json11)["__type"], "FileSystemAlreadyExists");
        let type_error = body(b"[]").unwrap_err();
        assert_eq!(invalid(Protocol::Json11, &type_error).code, "SerializationException");
        assert_eq!(invalid(Protocol::RestJson, &type_error).code, "BadRequest");
        assert!(body(b"").is_ok());
        assert!(body(b"{").is_err());
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn hostile_input_is_only_refused(path in ".{0,100}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = route(&SERVICE, "GET", &path);
            let _ = body(&bytes);
        }
    }
}
