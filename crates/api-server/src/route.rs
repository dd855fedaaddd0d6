//! Which service and which operation a request is for. Nothing is believed yet; this only reads names.

use aws_wire::shape::{Operation, Protocol, Service};
use aws_wire::validate::Invalid;
use aws_wire::{ApiError, form, json, sigv4};
use serde_json::{Map, Value};

use crate::action::ServiceActions;
use crate::body::Read;

/// A request as it came, its body whole.
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Read,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// Where a request goes.
pub(crate) struct Route<'a> {
    pub(crate) actions: &'a ServiceActions,
    /// The operation's name, known to the service's model.
    pub(crate) name: String,
    source: Source,
}

/// Where the input is. It is parsed only after the signature is found right: parsed JSON takes many times the room of
/// its text.
enum Source {
    Body,
    Rest(&'static Operation, Vec<(String, String)>),
    Form(Vec<(String, String)>),
}

impl Route<'_> {
    /// The input as the model will judge it.
    pub(crate) fn input(&self, request: &Incoming) -> Result<Value, Invalid> {
        match &self.source {
            Source::Body => json::body(&request.body),
            Source::Rest(operation, labels) => {
                let pairs = sigv4::pairs(&request.query)
                    .ok_or_else(|| Invalid::Type("The query string is malformed.".to_owned()))?;
                json::assemble(operation, labels, &pairs, json::body(&request.body)?)
            }
            Source::Form(pairs) => match self.actions.action(&self.name).and_then(|action| action.operation.input) {
                Some(shape) => form::input(pairs, shape),
                None => Ok(Value::Object(Map::new())),
            },
        }
    }
}

impl Route<'_> {
    /// A parameter of a form, as it came.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let Source::Form(pairs) = &self.source else { return None };
        pairs.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A request that names no operation, and the protocol to say so in.
pub(crate) struct Lost {
    pub(crate) service: Option<&'static Service>,
    pub(crate) error: ApiError,
}

/// Finds the route.
pub(crate) fn route<'a>(services: &'a [ServiceActions], request: &Incoming) -> Result<Route<'a>, Lost> {
    if let Some(target) = request.header("x-amz-target") {
        return by_target(services, request, target);
    }
    if let Some(found) = by_path(services, request) {
        return found;
    }
    if request.path == "/" {
        return by_form(services, request);
    }
    Err(Lost { service: None, error: unknown_operation(404) })
}

fn unknown_operation(status: u16) -> ApiError {
    ApiError::new("UnknownOperationException", status, "The requested operation is unknown.")
}

/// JSON 1.1: `X-Amz-Target: TrentService.Encrypt`.
fn by_target<'a>(services: &'a [ServiceActions], request: &Incoming, target: &str) -> Result<Route<'a>, Lost> {
    let (prefix, name) = target.split_once('.').unwrap_or_default();
    let found = services.iter().find(|actions| actions.service.target_prefix == Some(prefix));
    let service = found.map(|actions| actions.service);
    let lost = || Lost { service, error: unknown_operation(400) };
    let actions = found.filter(|actions| known(actions.service, name)).ok_or_else(lost)?;
    if request.method != "POST" || request.path != "/" {
        return Err(lost());
    }
    Ok(Route { actions, name: name.to_owned(), source: Source::Body })
}

fn known(service: &Service, name: &str) -> bool {
    service.operation(name).is_some() || service.unsupported.contains(&name)
}

/// REST-JSON: method and path below the service's version.
fn by_path<'a>(services: &'a [ServiceActions], request: &Incoming) -> Option<Result<Route<'a>, Lost>> {
    let first = request.path.split('/').nth(1)?;
    let actions = services
        .iter()
        .find(|actions| actions.service.protocol == Protocol::RestJson && actions.service.api_version == first)?;
    let service = Some(actions.service);
    let Some((operation, labels)) = json::route(actions.service, &request.method, &request.path) else {
        return Some(Err(Lost { service, error: unknown_operation(404) }));
    };
    Some(Ok(Route { actions, name: operation.name.to_owned(), source: Source::Rest(operation, labels) }))
}

/// Query: `Action` and `Version` in a form or in the URL.
fn by_form<'a>(services: &'a [ServiceActions], request: &Incoming) -> Result<Route<'a>, Lost> {
    let text = if request.body.is_empty() {
        request.query.as_str()
    } else {
        std::str::from_utf8(&request.body).unwrap_or_default()
    };
    let pairs = sigv4::pairs(text).unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let (Some(action), version) = (value("Action"), value("Version").unwrap_or_default()) else {
        return Err(Lost { service: None, error: unknown_operation(404) });
    };
    let query = |service: &Service| matches!(service.protocol, Protocol::Query | Protocol::Ec2Query);
    let found = services.iter().find(|actions| query(actions.service) && actions.service.api_version == version);
    let Some(actions) = found else {
        return Err(Lost { service: Some(&identity::model::sts::SERVICE), error: crate::xml::unknown() });
    };
    if actions.service.operation(action).is_none() {
        return Err(Lost { service: Some(actions.service), error: (actions.refuse)(&printable(action)) });
    }
    let name = action.to_owned();
    Ok(Route { actions, name, source: Source::Form(pairs) })
}

fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}
