//! What happened, in the shape of a CloudTrail record.

use aws_wire::{CallContext, Caller, CallerKind, Session, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

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

    /// The beginning of the record as text: all that is the same before and after the act. It lacks what an [`Outcome`] adds.
    pub(crate) fn text(&self, event_id: &str) -> Text {
        let kind = match self.event_type {
            EventType::ApiCall => "AwsApiCall",
            EventType::ServiceEvent => "AwsServiceEvent",
        };
        let mut text = Text::with_room(2048);
        text.put("eventVersion", "1.08");
        text.put("userIdentity", &self.identity);
        text.put("eventTime", &self.time.iso());
        text.put("eventSource", self.source);
        text.put("eventName", cut(&self.name));
        text.put("awsRegion", cut(&self.region));
        text.put("sourceIPAddress", &self.source_ip.as_deref().map(cut));
        text.put("userAgent", &self.user_agent.as_deref().map(cut));
        text.put_bounded("requestParameters", &self.parameters);
        if let Some(id) = &self.request_id {
            text.put("requestID", cut(id));
        }
        text.put("eventID", event_id);
        text.put("readOnly", &self.read_only);
        text.put("eventType", kind);
        if let Some(version) = self.api_version {
            text.put("apiVersion", version);
        }
        text.put("managementEvent", &true);
        text.put("eventCategory", "Management");
        text.put("recipientAccountId", &self.account);
        text
    }

    /// The object of a line: what phase of which event it is, and the record, from what [`Self::text`] gave; as far as it is known
    /// before the act, or with how it ended.
    pub(crate) fn line(&self, phase: &str, event_id: &str, text: &Text, outcome: Option<&Outcome>) -> Vec<u8> {
        let mut line = Text::with_room(text.0.len() + 1024);
        line.put("phase", phase);
        line.put("eventID", event_id);
        line.name("record");
        line.0.extend_from_slice(&text.0);
        self.put_outcome(outcome, &mut line);
        line.0.extend_from_slice(b"}}");
        line.0
    }

    fn put_outcome(&self, outcome: Option<&Outcome>, text: &mut Text) {
        let error = outcome.and_then(|outcome| outcome.error.as_ref());
        if let Some((code, message)) = error {
            text.put("errorCode", cut(code));
            text.put("errorMessage", cut(message));
        }
        match outcome.filter(|_| error.is_none()) {
            Some(outcome) => text.put_bounded("responseElements", &outcome.response),
            None => text.put("responseElements", &Value::Null),
        }
        let found = outcome.map(|outcome| outcome.resources.as_slice()).unwrap_or_default();
        if !self.resources.is_empty() || !found.is_empty() {
            let all: Vec<Value> = self.resources.iter().chain(found).map(resource).collect();
            text.put("resources", &all);
        }
        match (self.additional.is_null(), outcome.map(|outcome| &outcome.additional).filter(|more| !more.is_null())) {
            (true, None) => {}
            (false, None) => text.put_bounded("additionalEventData", &self.additional),
            (_, Some(more)) => text.put_bounded("additionalEventData", &joined(&self.additional, more)),
        }
    }
}

/// A JSON object without its end, written member by member. Each call of the API makes two records, so they are made as text.
pub(crate) struct Text(Vec<u8>);

impl Text {
    fn with_room(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.push(b'{');
        Self(text)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        self.value(value);
    }

    /// The value of the member whose name was written last; gives its length.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> usize {
        let start = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            // Text, numbers and values of JSON can always be written.
            self.0.truncate(start);
            self.0.extend_from_slice(b"null");
        }
        self.0.len() - start
    }

    /// The same for what a peer can make large.
    fn put_bounded(&mut self, name: &str, value: &Value) {
        self.name(name);
        let start = self.0.len();
        let size = self.value(value);
        if size > PART_BYTES_MAX {
            self.0.truncate(start);
            self.value(&json!({"omitted": true, "originalSize": size, "reason": "too large"}));
        }
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
}

/// What was known before and what is known after, in one object.
fn joined(before: &Value, after: &Value) -> Value {
    let mut all = before.as_object().cloned().unwrap_or_default();
    match after.as_object() {
        Some(after) => all.extend(after.clone()),
        None => return after.clone(),
    }
    Value::Object(all)
}

fn resource(one: &Resource) -> Value {
    json!({"ARN": one.arn, "accountId": one.account, "type": one.kind})
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

fn cut(text: &str) -> &str {
    text.char_indices().nth(TEXT_MAX).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
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
