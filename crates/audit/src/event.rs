//! What happened, in the shape of a CloudTrail record.

use aws_wire::{CallContext, Caller, CallerKind, Session, Timestamp};
use serde_json::{Map, Value, json};

/// Parameters or results larger than this are left out, as CloudTrail does with large events.
const PART_BYTES_MAX: usize = 64 * 1024;
/// Texts that a peer chose are cut at this length.
const TEXT_MAX: usize = 1024;

/// CloudTrail `eventType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// A call of an API.
    ApiCall,
    /// Something that the service did by itself, such as the deletion of a key at its date.
    ServiceEvent,
}

/// One entry of `resources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its ARN.
    pub arn: String,
    /// Whose it is.
    pub account: String,
    /// Its type: `AWS::KMS::Key`, `AWS::EFS::FileSystem`.
    pub kind: &'static str,
}

/// What is known before the act.
#[derive(Debug, Clone)]
pub struct Event {
    /// `kms.amazonaws.com`.
    pub source: &'static str,
    /// The action's name.
    pub name: String,
    /// The API's version, where CloudTrail has one.
    pub api_version: Option<&'static str>,
    /// Whether it is a call or the service's own doing.
    pub event_type: EventType,
    /// CloudTrail `userIdentity`.
    pub identity: Value,
    /// The region.
    pub region: String,
    /// The account it concerns.
    pub account: String,
    /// Where it came from: an address, or a service's name.
    pub source_ip: Option<String>,
    /// The client's word about itself.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Parameters in lowerCamelCase, without secrets; null when there are none.
    pub parameters: Value,
    /// What it is about.
    pub resources: Vec<Resource>,
    /// What only the log may know, and knows before the act, such as what will stop with it; null when there is nothing.
    pub additional: Value,
    /// When it came.
    pub time: Timestamp,
}

/// How it ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Code and message of the error, as the caller got them.
    pub error: Option<(String, String)>,
    /// `responseElements`: null for reads and failures.
    pub response: Value,
    /// Resources that were only known afterwards, such as a new key.
    pub resources: Vec<Resource>,
    /// What only the log may know, such as the reason of a denial.
    pub additional: Value,
}

impl Event {
    /// A call of an API.
    pub fn call(cx: &CallContext, source: &'static str, name: &str, read_only: bool, parameters: Value) -> Self {
        let service = cx.caller.service_principal().map(str::to_owned);
        Self {
            source,
            name: name.to_owned(),
            api_version: None,
            event_type: EventType::ApiCall,
            identity: identity(&cx.caller),
            region: cx.region.clone(),
            account: cx.account.clone(),
            source_ip: cx.source_ip.map(|address| address.to_string()).or_else(|| service.clone()),
            user_agent: cx.user_agent.clone().or(service),
            request_id: Some(cx.request_id.clone()),
            read_only,
            parameters,
            resources: Vec::new(),
            additional: Value::Null,
            time: cx.time,
        }
    }

    /// Something that the service does by itself: no caller, no parameters. CloudTrail `AwsServiceEvent`.
    pub fn service(source: &'static str, name: &str, region: &str, account: &str, time: Timestamp) -> Self {
        Self {
            source,
            name: name.to_owned(),
            api_version: None,
            event_type: EventType::ServiceEvent,
            identity: json!({"accountId": account, "invokedBy": "AWS Internal"}),
            region: region.to_owned(),
            account: account.to_owned(),
            source_ip: Some("AWS Internal".to_owned()),
            user_agent: Some("AWS Internal".to_owned()),
            request_id: None,
            read_only: false,
            parameters: Value::Null,
            resources: Vec::new(),
            additional: Value::Null,
            time,
        }
    }

    /// The record as far as it is known before the act.
    pub(crate) fn record(&self, event_id: &str) -> Map<String, Value> {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, |text| Value::String(cut(text)));
        let kind = match self.event_type {
            EventType::ApiCall => "AwsApiCall",
            EventType::ServiceEvent => "AwsServiceEvent",
        };
        let mut record = Map::new();
        let mut put = |name: &str, value: Value| _ = record.insert(name.to_owned(), value);
        put("eventVersion", "1.08".into());
        put("userIdentity", self.identity.clone());
        put("eventTime", self.time.iso().into());
        put("eventSource", self.source.into());
        put("eventName", cut(&self.name).into());
        put("awsRegion", cut(&self.region).into());
        put("sourceIPAddress", text(&self.source_ip));
        put("userAgent", text(&self.user_agent));
        put("requestParameters", bounded(self.parameters.clone()));
        put("responseElements", Value::Null);
        if self.request_id.is_some() {
            put("requestID", text(&self.request_id));
        }
        put("eventID", event_id.into());
        put("readOnly", self.read_only.into());
        put("eventType", kind.into());
        if let Some(version) = self.api_version {
            put("apiVersion", version.into());
        }
        put("managementEvent", true.into());
        put("eventCategory", "Management".into());
        put("recipientAccountId", self.account.clone().into());
        if !self.resources.is_empty() {
            put("resources", resources(&self.resources));
        }
        if !self.additional.is_null() {
            put("additionalEventData", bounded(self.additional.clone()));
        }
        record
    }
}

impl Outcome {
    /// It worked; reads answer with null here, as CloudTrail has it.
    pub fn success(response: Value) -> Self {
        Self { response, ..Self::default() }
    }

    /// It failed, with what the caller was told.
    pub fn failure(code: &str, message: &str) -> Self {
        Self { error: Some((code.to_owned(), message.to_owned())), ..Self::default() }
    }

    /// Completes a record.
    pub(crate) fn complete(self, event: &Event, mut record: Map<String, Value>) -> Map<String, Value> {
        let mut put = |name: &str, value: Value| _ = record.insert(name.to_owned(), value);
        match self.error {
            Some((code, message)) => {
                put("errorCode", cut(&code).into());
                put("errorMessage", cut(&message).into());
            }
            None if !self.response.is_null() => put("responseElements", bounded(self.response)),
            None => {}
        }
        let mut all = event.resources.clone();
        all.extend(self.resources);
        if !all.is_empty() {
            put("resources", resources(&all));
        }
        if !self.additional.is_null() {
            put("additionalEventData", bounded(joined(&event.additional, self.additional)));
        }
        record
    }
}

/// What was known before and what is known after, in one object.
fn joined(before: &Value, after: Value) -> Value {
    let Some(before) = before.as_object() else { return after };
    match after {
        Value::Object(after) => Value::Object(before.clone().into_iter().chain(after).collect()),
        after => after,
    }
}

fn resources(all: &[Resource]) -> Value {
    all.iter().map(|one| json!({"ARN": one.arn, "accountId": one.account, "type": one.kind})).collect()
}

/// CloudTrail `userIdentity`. CloudTrail User Guide, "CloudTrail userIdentity element".
fn identity(caller: &Caller) -> Value {
    let kind = match &caller.kind {
        CallerKind::Service(principal) => {
            return json!({"type": "AWSService", "accountId": caller.account, "invokedBy": principal});
        }
        CallerKind::WebIdentity(_) => {
            return json!({
                "type": "WebIdentityUser",
                "principalId": cut(&caller.principal_id),
                "userName": caller.user_name.as_deref().map(cut),
                "identityProvider": caller.arn.to_string(),
            });
        }
        CallerKind::Root => "Root",
        CallerKind::User => "IAMUser",
        CallerKind::AssumedRole => "AssumedRole",
        CallerKind::Anonymous => "Unknown",
    };
    let mut identity = json!({
        "type": kind,
        "principalId": caller.principal_id,
        "arn": caller.arn.to_string(),
        "accountId": caller.account,
    });
    if let Some(object) = identity.as_object_mut() {
        object.extend(caller.access_key_id.iter().map(|id| ("accessKeyId".to_owned(), id.clone().into())));
        object.extend(caller.user_name.iter().map(|name| ("userName".to_owned(), name.clone().into())));
        object.extend(caller.session.iter().map(|session| ("sessionContext".to_owned(), context(caller, session))));
    }
    identity
}

/// What is known of a session; only a role's has an issuer.
fn context(caller: &Caller, session: &Session) -> Value {
    let attributes = json!({"creationDate": session.created.iso(), "mfaAuthenticated": "false"});
    let mut context = json!({"attributes": attributes});
    if caller.kind == CallerKind::AssumedRole {
        let issuer = json!({
            "type": "Role",
            "principalId": session.issuer_id,
            "arn": session.issuer.to_string(),
            "accountId": session.issuer.account,
            "userName": session.issuer.resource.rsplit('/').next(),
        });
        put(&mut context, "sessionIssuer", issuer);
    }
    if let Some(provider) = &session.details.federated_provider {
        put(&mut context, "webIdFederationData", json!({"federatedProvider": provider, "attributes": {}}));
    }
    if let Some(identity) = &session.details.source_identity {
        put(&mut context, "sourceIdentity", identity.clone().into());
    }
    context
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn bounded(part: Value) -> Value {
    let size = part.to_string().len();
    if size <= PART_BYTES_MAX {
        return part;
    }
    json!({"omitted": true, "originalSize": size, "reason": "too large"})
}

#[cfg(test)]
mod tests {
    use aws_wire::{Arn, Caller, CallerKind, Session, SessionDetails, Timestamp, WebIdentity};
    use serde_json::json;

    use super::identity;

    /// CloudTrail User Guide, "CloudTrail userIdentity element": users, role sessions, web identities.
    #[test]
    fn identities_have_the_shapes_of_the_guide() {
        let account = "000000000001";
        let user = Caller {
            arn: Arn::new("iam", "", account, "user/mara"),
            principal_id: "AIDAX".to_owned(),
            user_name: Some("mara".to_owned()),
            access_key_id: Some("AKIAX".to_owned()),
            kind: CallerKind::User,
            ..Caller::root(account, None)
        };
        assert_eq!(
            identity(&user),
            json!({"type": "IAMUser", "principalId": "AIDAX", "arn": "arn:aws:iam::000000000001:user/mara",
                   "accountId": account, "accessKeyId": "AKIAX", "userName": "mara"})
        );
        let provider = "arn:aws:iam::000000000001:oidc-provider/id.example";
        let session = Session {
            name: "s".to_owned(),
            issuer: Arn::new("iam", "", account, "role/a/r"),
            issuer_id: "AROAX".to_owned(),
            created: Timestamp::from_unix(0, 0),
            details: SessionDetails { federated_provider: Some(provider.to_owned()), ..SessionDetails::default() },
        };
        let role = Caller {
            arn: Arn::new("sts", "", account, "assumed-role/r/s"),
            principal_id: "AROAX:s".to_owned(),
            session: Some(session),
            kind: CallerKind::AssumedRole,
            ..Caller::root(account, Some("ASIAX".to_owned()))
        };
        let shown = identity(&role);
        assert_eq!(shown["type"], "AssumedRole");
        assert_eq!(
            shown["sessionContext"],
            json!({"sessionIssuer": {"type": "Role", "principalId": "AROAX", "arn": "arn:aws:iam::000000000001:role/a/r",
                                     "accountId": account, "userName": "r"},
                   "webIdFederationData": {"federatedProvider": provider, "attributes": {}},
                   "attributes": {"creationDate": "1970-01-01T00:00:00Z", "mfaAuthenticated": "false"}})
        );
        let arn = Arn::parse(provider).unwrap();
        let web = WebIdentity {
            provider: arn.clone(),
            audience: "app".to_owned(),
            subject: "ann".to_owned(),
            methods: Vec::new(),
        };
        let stranger = Caller {
            arn,
            principal_id: format!("{provider}:app:ann"),
            user_name: Some("ann".to_owned()),
            kind: CallerKind::WebIdentity(web),
            ..Caller::anonymous()
        };
        assert_eq!(
            identity(&stranger),
            json!({"type": "WebIdentityUser", "principalId": format!("{provider}:app:ann"), "userName": "ann",
                   "identityProvider": provider})
        );
    }
}
