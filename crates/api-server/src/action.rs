//! One row of the action table: what a call is called, who may make it, how it is audited, who handles it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_wire::shape::{Input, Operation, Protocol, Service};
use aws_wire::{ApiError, Arn, CallContext, json, validate};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// How a call is audited and whether its record must be on disk before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Changes nothing and uses no key.
    Read,
    /// Changes nothing but uses a key: the record comes first, as with a change.
    Crypto,
    /// Changes something.
    Mutate,
}

impl Class {
    /// Whether the begin record must be durable before the act.
    pub fn durable(self) -> bool {
        self != Self::Read
    }

    /// CloudTrail `readOnly`: using a key counts as reading.
    pub fn read_only(self) -> bool {
        self != Self::Mutate
    }
}

/// What a handler gives back.
pub struct Answer {
    /// The body, wiped when it has been sent.
    pub body: Zeroizing<Vec<u8>>,
    /// The same for the audit record: lowerCamelCase, without secrets; null unless something was changed.
    pub elements: Value,
    /// The key that was used or made, for the record's resources.
    pub key: Option<Arn>,
}

/// Runs one action. The input has passed the model's constraints.
pub type Handler = Arc<dyn Fn(CallContext, Value) -> Answering + Send + Sync>;
/// A handler at work.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

/// One row.
#[derive(Clone)]
pub struct Action {
    /// The operation of the model.
    pub operation: &'static Operation,
    /// The permission: `kms:Encrypt`.
    pub iam: String,
    /// How it is audited.
    pub class: Class,
    /// Input members that name the resource, the first present one counts; none: the whole kind.
    pub resource: &'static [&'static str],
    /// Who decides whether a caller may do it.
    pub judged: Judged,
    /// The handler.
    pub handler: Handler,
}

/// Who decides whether a caller may do something, and how the caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The house, before the handler runs.
    Before,
    /// The handler: it needs no permission, or more than the caller's own policies count.
    ByHandler,
    /// The handler; the call has no signature but a token of an identity provider in its stead.
    ByToken,
}

/// How an action and its input become the ARN that is authorised.
pub type Locate = Arc<dyn Fn(&CallContext, &str, &Value) -> Arn + Send + Sync>;

/// A service with its rows.
#[derive(Clone)]
pub struct ServiceActions {
    /// The service's model.
    pub service: &'static Service,
    /// CloudTrail `eventSource`.
    pub event_source: &'static str,
    /// CloudTrail `apiVersion`, for services that log one.
    pub event_version: Option<&'static str>,
    /// How input members become the ARN that is authorised.
    pub arn: fn(&CallContext, Option<&str>) -> Arn,
    /// The same for services where that takes the whole input, and a look at what is there.
    pub locate: Option<Locate>,
    /// Whether it is one service for all regions: signatures for `us-east-1` are taken, too.
    pub global: bool,
    /// CloudTrail's type of that resource.
    pub resource_kind: &'static str,
    /// Whether the service decides about each call itself, since its resources have policies of their own. Otherwise the
    /// call is decided before it comes to a handler.
    pub decides: bool,
    /// The rows.
    pub actions: Vec<Action>,
    /// What a known operation without a row is answered with.
    pub refuse: fn(&str) -> ApiError,
}

/// Makes the rows of a service: for each, the handler `ops::FILE::run` with the generated input type of the action.
macro_rules! rows {
    ($service:ident: $model:ident, $ops:ident; $($name:literal $file:ident $class:ident [$($member:literal),*];)*) => {
        vec![$({
            let service = $service.clone();
            $crate::Action::row(&$model::SERVICE, $name, $crate::Class::$class, &[$($member),*], std::sync::Arc::new(
                move |cx, value| {
                    let service = service.clone();
                    Box::pin(async move {
                        let protocol = $model::SERVICE.protocol;
                        let input = $crate::action::input(protocol, value)?;
                        let output = $ops::$file::run(&service, &cx, input).await?;
                        $crate::Answer::of(&output, $crate::Class::$class)
                    })
                },
            ))
        }),*]
    };
}

pub(crate) use rows;

/// The typed input of a handler; the texts it was made from are wiped, for a plaintext may be among them.
pub(crate) fn input<T: Input>(protocol: Protocol, value: Value) -> Result<T, ApiError> {
    let input = validate::decode(&value);
    validate::wipe(value);
    input.map_err(|invalid| json::invalid(protocol, &invalid))
}

impl Action {
    /// A row for an operation of a service's model.
    ///
    /// # Panics
    /// When the model has no such operation: the table and the generated model then disagree.
    #[expect(clippy::panic, reason = "a table that disagrees with its model must not start")]
    pub fn row(
        service: &'static Service,
        name: &'static str,
        class: Class,
        resource: &'static [&'static str],
        handler: Handler,
    ) -> Self {
        let Some(operation) = service.operation(name) else { panic!("the model has no operation {name}") };
        Self {
            operation,
            iam: format!("{}:{name}", service.signing_name),
            class,
            resource,
            judged: Judged::Before,
            handler,
        }
    }
}

impl ServiceActions {
    /// The row of an operation.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.operation.name == name)
    }
}

impl Answer {
    /// A handler's output as it leaves the house and as the audit record sees it.
    ///
    /// # Errors
    /// An internal error when the output cannot be written as JSON, which its types exclude.
    pub fn of<T: Serialize>(output: &T, class: Class) -> Result<Self, ApiError> {
        let failed = |_| ApiError::new("InternalFailure", 500, "The answer could not be written.");
        let body = json::result(output).map_err(failed)?;
        let elements = match class {
            Class::Mutate => serde_json::to_value(output).map_err(failed)?,
            // A crypto answer holds secrets: of it only the key's name is taken, from the members that have it.
            Class::Read | Class::Crypto => Value::Null,
        };
        let key = key_of(&body);
        Ok(Self { body, elements: for_record(elements), key })
    }
}

/// The key ARN that KMS answers carry as `KeyId` or within `KeyMetadata`.
fn key_of(body: &[u8]) -> Option<Arn> {
    #[derive(serde::Deserialize)]
    struct Names<'a> {
        #[serde(rename = "KeyId", borrow, default)]
        key_id: Option<&'a str>,
        #[serde(rename = "KeyMetadata", borrow, default)]
        metadata: Option<Metadata<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Metadata<'a> {
        #[serde(rename = "Arn", default)]
        arn: Option<&'a str>,
    }
    let names: Names<'_> = serde_json::from_slice(body).ok()?;
    let text = names.metadata.and_then(|metadata| metadata.arn).or(names.key_id)?;
    Arn::parse(text).filter(|arn| arn.service == "kms")
}

/// The output as a record shows it.
fn for_record(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, value)| !validate::SECRET_MEMBERS.contains(&name.as_str()) && !value.is_null())
                .map(|(name, value)| (validate::lower_camel(&name), for_record(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(for_record).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Answer, Class};

    /// CloudTrail, KMS events: responses in lowerCamelCase, never plaintext or ciphertext; reads show nothing.
    #[test]
    fn records_show_no_secrets() {
        let output = json!({"KeyId": "arn:aws:kms:us-east-1:000000000001:key/k", "Plaintext": "AAAA", "GrantId": "g", "GrantToken": "t"});
        let answer = Answer::of(&output, Class::Mutate).unwrap();
        assert_eq!(answer.elements, json!({"keyId": "arn:aws:kms:us-east-1:000000000001:key/k", "grantId": "g"}));
        assert_eq!(answer.key.unwrap().resource, "key/k");
        assert_eq!(Answer::of(&output, Class::Crypto).unwrap().elements, Value::Null);
        assert!(Answer::of(&(), Class::Mutate).unwrap().elements.is_null());
    }
}
