//! EC2, as far as the mount helper asks: DescribeAvailabilityZones. EC2 API, version 2016-11-15.

use std::sync::Arc;

use aws_wire::query::{self, Xml};
use aws_wire::shape::{Location, Member, Operation, Protocol, Service, Shape};
use aws_wire::{ApiError, Arn, CallContext};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::action::{Action, Answer, Answering, Class, Handler, ServiceActions};

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// An availability zone of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name: `us-east-1a`.
    pub name: String,
    /// Its id: `use1-az1`.
    pub id: String,
}

static TEXT: Shape = Shape::Text { min: None, max: Some(128), pattern: None, values: &[], sensitive: false };
static TEXTS: Shape = Shape::List { member: &TEXT, min: None, max: Some(100) };
static INPUT: Shape = Shape::Structure(&[
    Member { name: "DryRun", required: false, location: Location::Body, shape: &Shape::Boolean },
    Member { name: "ZoneName", required: false, location: Location::Body, shape: &TEXTS },
    Member { name: "ZoneId", required: false, location: Location::Body, shape: &TEXTS },
]);

/// The model, by hand.
pub(crate) static SERVICE: Service = Service {
    signing_name: "ec2",
    api_version: "2016-11-15",
    protocol: Protocol::Ec2Query,
    target_prefix: None,
    operations: &[DESCRIBE_AVAILABILITY_ZONES],
    unsupported: &[],
    errors: &[],
};

const DESCRIBE_AVAILABILITY_ZONES: Operation = Operation {
    name: "DescribeAvailabilityZones",
    method: "POST",
    path: "/",
    status: 200,
    input: Some(&INPUT),
    output: true,
    errors: &[],
};

/// The rows.
pub(crate) fn actions(zones: Vec<Zone>) -> ServiceActions {
    let zones = Arc::new(zones);
    let handler: Handler = Arc::new(move |cx, input| describe_availability_zones(&zones, &cx, &input));
    let action = Action::row(&SERVICE, "DescribeAvailabilityZones", Class::Read, &[], handler);
    ServiceActions {
        service: &SERVICE,
        event_source: "ec2.amazonaws.com",
        event_version: None,
        arn: |cx, _| Arn::new("ec2", &cx.region, &cx.account, "*"),
        locate: None,
        global: false,
        resource_kind: "AWS::EC2::AvailabilityZone",
        decides: false,
        actions: vec![action],
        refuse: |name| {
            ApiError::new("InvalidAction", 400, format!("The action {name} is not valid for this web service."))
        },
    }
}

/// The zones, all or those named; `DryRun` only says that it would have worked.
fn describe_availability_zones(zones: &[Zone], cx: &CallContext, input: &Value) -> Answering {
    Box::pin(std::future::ready(select(zones, cx, input)))
}

fn select(zones: &[Zone], cx: &CallContext, input: &Value) -> Result<Answer, ApiError> {
    if input.get("DryRun").and_then(Value::as_bool) == Some(true) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new("DryRunOperation", 412, text));
    }
    let wanted = |member: &str| -> Vec<&str> {
        input.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (names, ids) = (wanted("ZoneName"), wanted("ZoneId"));
    let unknown = names
        .iter()
        .find(|name| !zones.iter().any(|zone| zone.name == **name))
        .or_else(|| ids.iter().find(|id| !zones.iter().any(|zone| zone.id == **id)));
    if let Some(unknown) = unknown {
        return Err(ApiError::new("InvalidParameterValue", 400, format!("Invalid availability zone: [{unknown}]")));
    }
    let chosen = zones.iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name.as_str())) && (ids.is_empty() || ids.contains(&zone.id.as_str()))
    });
    let item = |zone: &Zone| {
        Xml::Node(
            "item",
            vec![
                Xml::Text("optInStatus", "opt-in-not-required".to_owned()),
                Xml::Text("zoneName", zone.name.clone()),
                Xml::Text("zoneId", zone.id.clone()),
                Xml::Text("zoneState", "available".to_owned()),
                Xml::Text("zoneType", "availability-zone".to_owned()),
                Xml::Text("regionName", cx.region.clone()),
                Xml::Text("groupName", cx.region.clone()),
            ],
        )
    };
    let info = [Xml::Node("availabilityZoneInfo", chosen.map(item).collect())];
    let text = query::ec2_answer(NAMESPACE, "DescribeAvailabilityZones", &info, &cx.request_id);
    Ok(Answer { body: Zeroizing::new(text.into_bytes()), elements: Value::Null, key: None })
}
