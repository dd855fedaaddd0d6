//! Answers of the Query services: XML for the caller, the same without secrets for the audit record.

use aws_wire::query::{self, Xml};
use aws_wire::shape::Operation;
use aws_wire::{ApiError, CallContext, validate};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::action::{Answer, Class};

/// What no record shows.
const SECRETS: [&str; 2] = ["SecretAccessKey", "SessionToken"];

/// What the Query protocol says to an action it does not have.
pub(crate) fn unknown() -> ApiError {
    ApiError::new("InvalidAction", 400, "Could not find operation for the given action and version")
}

/// An answer; the elements are wiped, for there may be a secret among them.
pub(crate) fn answer(
    namespace: &str,
    operation: &Operation,
    mut result: Vec<Xml>,
    cx: &CallContext,
    class: Class,
) -> Answer {
    let text = if operation.output {
        query::answer(namespace, operation.name, &result, &cx.request_id)
    } else {
        query::done(namespace, operation.name, &cx.request_id)
    };
    let elements = match class {
        Class::Mutate | Class::Crypto if !result.is_empty() => object(&result),
        Class::Mutate | Class::Crypto | Class::Read => Value::Null,
    };
    result.iter_mut().for_each(Xml::wipe);
    Answer { body: Zeroizing::new(text.into_bytes()), elements, key: None }
}

fn object(members: &[Xml]) -> Value {
    let shown = members.iter().filter(|member| !SECRETS.contains(&member.name()));
    let named = shown.filter_map(|member| Some((validate::lower_camel(member.name()), value(member)?)));
    Value::Object(named.collect::<Map<_, _>>())
}

/// An element's content; none for an empty one, of which nobody can say whether it is a list.
fn value(element: &Xml) -> Option<Value> {
    match element {
        Xml::Text(_, text) => Some(Value::String(text.clone())),
        Xml::Node(_, children) if children.is_empty() => None,
        Xml::Node(_, children) if children.iter().all(|child| child.name() == "member") => {
            Some(children.iter().filter_map(value).collect())
        }
        Xml::Node(_, children) => Some(object(children)),
    }
}

#[cfg(test)]
mod tests {
    use aws_wire::query::Xml;
    use serde_json::json;

    use super::object;

    /// CloudTrail, IAM and STS events: lowerCamelCase, lists as lists, never a secret.
    #[test]
    fn records_show_no_secrets() {
        let text = |name, value: &str| Xml::Text(name, value.to_owned());
        let answer = [
            Xml::Node("AccessKey", vec![text("AccessKeyId", "AKIAX"), text("SecretAccessKey", "canary")]),
            Xml::Node("Credentials", vec![text("SessionToken", "canary"), text("Expiration", "t")]),
            Xml::Node("Tags", vec![Xml::Node("member", vec![text("Key", "k")])]),
            Xml::Node("Empty", Vec::new()),
        ];
        assert_eq!(
            object(&answer),
            json!({"accessKey": {"accessKeyId": "AKIAX"}, "credentials": {"expiration": "t"}, "tags": [{"key": "k"}]})
        );
    }
}
