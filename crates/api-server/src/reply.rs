//! What goes back: status, headers and body of results and errors, in each protocol.

use aws_wire::shape::{Protocol, Service};
use aws_wire::{ApiError, json, query};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use zeroize::Zeroizing;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A whole answer.
pub(crate) type Reply = Response<Full<Bytes>>;

fn reply(status: u16, content_type: &'static str, request_id: &str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    reply
}

/// A result; `body` is wiped once hyper has sent it.
pub(crate) fn result(protocol: Protocol, status: u16, request_id: &str, body: Option<Zeroizing<Vec<u8>>>) -> Reply {
    let bytes = body.map_or_else(Bytes::new, Bytes::from_owner);
    reply(status, json::content_type(protocol), request_id, bytes)
}

/// An error. Without a service it is said in JSON, which every client of an unknown kind can at least show.
pub(crate) fn error(service: Option<&Service>, request_id: &str, error: &ApiError) -> Reply {
    let protocol = service.map_or(Protocol::Json11, |service| service.protocol);
    let body = match protocol {
        Protocol::Json11 | Protocol::RestJson => json::error(protocol, error),
        Protocol::Query => {
            let iam = service.is_some_and(|service| service.signing_name == "iam");
            let namespace = if iam { crate::iam_actions::NAMESPACE } else { crate::sts_actions::NAMESPACE };
            query::error(protocol, namespace, error, request_id).into_bytes()
        }
        Protocol::Ec2Query => query::error(protocol, crate::ec2::NAMESPACE, error, request_id).into_bytes(),
    };
    let mut reply = reply(error.status, json::content_type(protocol), request_id, body.into());
    if matches!(protocol, Protocol::Json11 | Protocol::RestJson) {
        reply.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.code));
    }
    reply
}

/// Whether calls and clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    /// Calls are, clients not yet.
    Starting,
    /// The audit log failed, so nothing is.
    Failed,
    /// The root key is not there yet, so nothing is.
    Sealed,
}

/// `/health`: 200 only when all is served.
pub(crate) fn health(health: Health, request_id: &str) -> Reply {
    let (status, text) = match health {
        Health::Good => (200, "{\"status\":\"ok\"}"),
        Health::Starting => (503, "{\"status\":\"starting\"}"),
        Health::Failed => (503, "{\"status\":\"failed\"}"),
        Health::Sealed => (503, "{\"status\":\"sealed\"}"),
    };
    reply(status, "application/json", request_id, Bytes::from_static(text.as_bytes()))
}
