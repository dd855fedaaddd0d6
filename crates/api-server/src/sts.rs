//! STS, as far as it is served: GetCallerIdentity. STS API, version 2011-06-15.

use aws_wire::query::{self, Xml};
use aws_wire::shape::{Operation, Protocol, Service, Shape};
use aws_wire::{ApiError, Arn, CallContext};
use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::action::{Action, Answer, Answering, Class, Handler, ServiceActions};

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

static NOTHING: Shape = Shape::Structure(&[]);

/// The model, by hand: botocore's has no constraints that matter here.
pub(crate) static SERVICE: Service = Service {
    signing_name: "sts",
    api_version: "2011-06-15",
    protocol: Protocol::Query,
    target_prefix: None,
    operations: &[GET_CALLER_IDENTITY],
    unsupported: &[],
    errors: &[],
};

const GET_CALLER_IDENTITY: Operation = Operation {
    name: "GetCallerIdentity",
    method: "POST",
    path: "/",
    status: 200,
    input: Some(&NOTHING),
    output: true,
    errors: &[],
};

/// The rows.
pub(crate) fn actions() -> ServiceActions {
    let handler: Handler = Arc::new(get_caller_identity);
    let action = Action::row(&SERVICE, "GetCallerIdentity", Class::Read, &[], handler);
    ServiceActions {
        service: &SERVICE,
        event_source: "sts.amazonaws.com",
        event_version: None,
        arn: |cx, _| Arn::new("sts", "", &cx.account, "*"),
        resource_kind: "AWS::STS::Caller",
        decides: false,
        actions: vec![action],
        refuse: |_| unknown(),
    }
}

/// What the Query protocol says to an action it does not have.
pub(crate) fn unknown() -> ApiError {
    ApiError::new("InvalidAction", 400, "Could not find operation for the given action and version")
}

fn get_caller_identity(cx: CallContext, _input: Value) -> Answering {
    let elements: Vec<Xml> = identity::ops::get_caller_identity::run(&cx);
    let text = query::answer(NAMESPACE, "GetCallerIdentity", &elements, &cx.request_id);
    let answer = Answer { body: Zeroizing::new(text.into_bytes()), elements: Value::Null, key: None };
    Box::pin(std::future::ready(Ok(answer)))
}
