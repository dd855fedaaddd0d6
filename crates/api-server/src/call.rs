//! One call: signature, input, decision, audit begin, act, audit complete. Architecture section 6.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use audit::{AuditLog, Entry, Event, Outcome, Resource};
use aws_wire::shape::Protocol;
use aws_wire::sigv4::{RequestParts, Verified, Verifier};
use aws_wire::{ApiError, Arn, CallContext, Timestamp, json, validate};
use env::{Env, Instant};
use identity::Identities;
use policy::{Authorize, Conditions, Decision, Request};
use serde_json::{Value, json};

use crate::action::{Action, Answer, Class, Judged, ServiceActions};
use crate::annotate::Annotate;
use crate::rates::Throttle;
use crate::reply::{self, Reply};
use crate::route::{Incoming, Route, route};
use crate::web_keys::WebKeys;

/// Everything that calls share.
pub(crate) struct House {
    pub(crate) services: Vec<ServiceActions>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) authorize: Arc<dyn Authorize>,
    pub(crate) audit: AuditLog,
    pub(crate) verifier: Verifier,
    pub(crate) region: String,
    pub(crate) env: Env,
    pub(crate) refusals: Refusals,
    pub(crate) annotate: OnceLock<Arc<dyn Annotate>>,
    pub(crate) throttle: Throttle,
    pub(crate) throttled: Refusals,
    pub(crate) web_keys: WebKeys,
}

/// Unsigned peers, and callers beyond their rate, may not fill the disk: so many of their refusals a second are written
/// down, the rest are counted.
pub(crate) struct Refusals(parking_lot::Mutex<(Instant, u32, u64)>);

/// What signatures for services without a region are made for.
const GLOBAL_REGION: &str = "us-east-1";

/// Refusals written down in one second.
const REFUSALS_PER_SECOND: u32 = 10;

impl Refusals {
    pub(crate) fn new() -> Self {
        Self(parking_lot::Mutex::new((Instant::ZERO, 0, 0)))
    }

    /// Whether this one is written down, and how many before it were not.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let (since, written, skipped) = &mut *state;
        if now.since(*since).as_secs() >= 1 {
            (*since, *written) = (now, 0);
        }
        if *written >= REFUSALS_PER_SECOND {
            *skipped += 1;
            return None;
        }
        *written += 1;
        Some(std::mem::take(skipped))
    }
}

/// Where a request came from and by which id it goes.
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
    pub(crate) request_id: String,
}

impl House {
    /// Answers a request.
    pub(crate) async fn answer(&self, mut request: Incoming, origin: Origin) -> Reply {
        let now = self.env.wall();
        let time = Timestamp::from_unix(now.seconds, now.nanoseconds);
        let found = match route(&self.services, &request) {
            Ok(found) => found,
            Err(lost) => {
                tracing::debug!(request_id = origin.request_id, code = lost.error.code, "no such operation");
                return reply::error(lost.service, &origin.request_id, &lost.error);
            }
        };
        let service = found.actions.service;
        let judged = found.actions.action(&found.name).map(|action| action.judged);
        let authenticated = match judged {
            Some(Judged::ByToken) => self.authenticate_by_token(&request, &origin, &found, time).await,
            Some(Judged::Before | Judged::ByHandler) | None => self.authenticate(&request, &origin, &found, time),
        };
        let cx = match authenticated {
            Ok(cx) => cx,
            Err(error) => {
                self.note_refusal(&request, &origin, &found, &error, time).await;
                return reply::error(Some(service), &origin.request_id, &error);
            }
        };
        // The body is wiped before the call acts; the room stays taken for as long as what was parsed from it lives.
        let (_room, input) = match request.body.room_to_parse() {
            Ok(Some(room)) => (Some(room), found.input(&request)),
            Ok(None) => (None, Err(validate::Invalid::Constraint("The request has too many parts.".to_owned()))),
            Err(error) => return reply::error(Some(service), &origin.request_id, &error.api_error()),
        };
        drop(request);
        match self.perform(cx, found, input).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(request_id = origin.request_id, code = error.code, message = error.message, "refused");
                reply::error(Some(service), &origin.request_id, &error)
            }
        }
    }

    fn authenticate(
        &self,
        request: &Incoming,
        origin: &Origin,
        found: &Route<'_>,
        time: Timestamp,
    ) -> Result<CallContext, ApiError> {
        let service = found.actions.service;
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let parts = RequestParts {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &headers,
            body: &request.body,
        };
        let regions: &[&str] = if found.actions.global { &[&self.region, GLOBAL_REGION] } else { &[&self.region] };
        let verified = self
            .verifier
            .verify_in(&parts, service.signing_name, regions, time, &*self.identities)
            .map_err(|error| error.api_error(service.protocol))?;
        let unknown = || aws_wire::sigv4::SignatureError::UnknownKey.api_error(service.protocol);
        let caller = self.identities.caller(&verified.access_key_id, verified.token.as_deref()).ok_or_else(unknown)?;
        if verified.token.is_none() {
            self.note_use(&verified, time);
        }
        Ok(CallContext {
            account: caller.account.clone(),
            caller,
            region: verified.region,
            request_id: origin.request_id.clone(),
            source_ip: Some(origin.address),
            user_agent: user_agent(request),
            secure: origin.secure,
            time,
        })
    }

    /// When and for what an access key signed last is asked for by GetAccessKeyLastUsed. Writing it down may wait.
    fn note_use(&self, verified: &Verified, time: Timestamp) {
        let Verified { access_key_id, service, region, .. } = verified;
        if self.identities.note_use(access_key_id, service, region, time) {
            let (identities, id) = (self.identities.clone(), access_key_id.clone());
            tokio::spawn(async move {
                if let Err(error) = identities.keep_use(&id).await {
                    tracing::warn!(%error, "the last use of an access key could not be written down");
                }
            });
        }
    }

    /// A call that has no signature: the token in it says whose it is.
    async fn authenticate_by_token(
        &self,
        request: &Incoming,
        origin: &Origin,
        found: &Route<'_>,
        time: Timestamp,
    ) -> Result<CallContext, ApiError> {
        let action = found.actions.action(&found.name);
        checked(found.input(request), action, found.actions.service.protocol)?;
        let role_arn = found.parameter("RoleArn").unwrap_or_default();
        let token = found.parameter("WebIdentityToken").unwrap_or_default();
        let presented = self.identities.presented(role_arn, token)?;
        let mut keys = self.web_keys.known(&presented).await?;
        if !self.identities.is_signed_by(token, &keys) {
            keys = self.web_keys.renewed(&presented).await?;
        }
        let caller = self.identities.web_caller(role_arn, token, &keys, time)?;
        Ok(CallContext {
            account: Arn::parse(role_arn).map(|arn| arn.account).unwrap_or_default(),
            caller,
            region: self.region.clone(),
            request_id: origin.request_id.clone(),
            source_ip: Some(origin.address),
            user_agent: user_agent(request),
            secure: origin.secure,
            time,
        })
    }

    async fn note_refusal(
        &self,
        request: &Incoming,
        origin: &Origin,
        found: &Route<'_>,
        error: &ApiError,
        time: Timestamp,
    ) {
        tracing::info!(request_id = origin.request_id, address = %origin.address, code = error.code, "signature refused");
        let Some(skipped) = self.refusals.admit(self.env.now()) else { return };
        let mut event =
            Event::service(found.actions.event_source, &found.name, &self.region, self.identities.account(), time);
        event.event_type = audit::EventType::ApiCall;
        event.identity = json!({"type": "Unidentified"});
        event.source_ip = Some(origin.address.to_string());
        event.user_agent = user_agent(request);
        event.request_id = Some(origin.request_id.clone());
        event.read_only = true;
        let mut outcome = Outcome::failure(error.code, &error.message);
        if skipped > 0 {
            outcome.additional = json!({"refusalsNotRecorded": skipped});
        }
        if let Err(error) = self.audit.note(event, outcome).await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }

    /// A throttled call acts on nothing, so it has one record and not two, and that within bounds.
    async fn note_throttled(&self, cx: &CallContext, found: &Route<'_>, class: Class, error: &ApiError) {
        let Some(skipped) = self.throttled.admit(self.env.now()) else { return };
        tracing::info!(request_id = cx.request_id, account = cx.account, operation = found.name, "throttled");
        let mut event = Event::call(cx, found.actions.event_source, &found.name, class.read_only(), Value::Null);
        event.api_version = found.actions.event_version;
        let mut outcome = Outcome::failure(error.code, &error.message);
        if skipped > 0 {
            outcome.additional = json!({"throttledNotRecorded": skipped});
        }
        if let Err(error) = self.audit.note(event, outcome).await {
            tracing::error!(%error, "a throttled call could not be recorded");
        }
    }

    /// From the rate to the completed record.
    async fn perform(
        &self,
        cx: CallContext,
        found: Route<'_>,
        input: Result<Value, validate::Invalid>,
    ) -> Result<Reply, ApiError> {
        let service = found.actions.service;
        let action = found.actions.action(&found.name);
        let class = action.map_or(Class::Read, |action| action.class);
        let input = checked(input, action, service.protocol);
        let (seen, now) = (input.as_ref().ok(), self.env.now());
        if let Err(error) = self.throttle.admit(&cx, service, &found.name, class, seen, now) {
            self.note_throttled(&cx, &found, class, &error).await;
            return Err(error);
        }
        let shown = input.as_ref().map_or(Value::Null, |input| parameters(action, input));
        let resource = action.zip(input.as_ref().ok()).and_then(|(action, input)| named(action, input));
        let arn = match (&found.actions.locate, &input) {
            (Some(locate), Ok(input)) => locate(&cx, &found.name, input),
            _ => (found.actions.arn)(&cx, resource),
        };
        let iam =
            action.map_or_else(|| format!("{}:{}", service.signing_name, found.name), |action| action.iam.clone());
        let judged = action.map_or(Judged::Before, |action| action.judged);
        let decision = if found.actions.decides || judged != Judged::Before {
            Decision::Allow
        } else {
            self.decide(&cx, &iam, &arn)
        };
        let mut event = Event::call(&cx, found.actions.event_source, &found.name, class.read_only(), shown);
        event.api_version = found.actions.event_version;
        event.resources = resources(found.actions, &arn, resource);
        if let (Some(annotate), Ok(input), Decision::Allow) = (self.annotate.get(), &input, &decision) {
            event.additional = annotate.annotate(&cx, found.actions.event_source, &found.name, input);
        }
        let entry = self.audit.begin(event, class.durable()).await.map_err(|error| self.unrecorded(&cx, &error))?;
        let refused = |error: ApiError, entry: Entry| -> Result<Reply, ApiError> {
            self.complete(entry, Outcome::failure(error.code, &error.message), &cx);
            Err(error)
        };
        if service.signing_name == "iam" && identity::is_own_session(&cx) {
            // IAM User Guide, "Requesting temporary security credentials": no call of IAM without a second factor.
            return refused(aws_wire::sigv4::SignatureError::UnknownKey.api_error(service.protocol), entry);
        }
        if let Decision::Deny(why) = decision {
            let error = ApiError::denied(service.protocol, &cx.caller.arn.to_string(), &iam);
            let mut outcome = Outcome::failure(error.code, &error.message);
            outcome.additional = json!({"reason": why});
            self.complete(entry, outcome, &cx);
            return Err(error);
        }
        let input = match input {
            Ok(input) => input,
            Err(error) => return refused(error, entry),
        };
        let Some(action) = action else { return refused((found.actions.refuse)(&found.name), entry) };
        let key_known = !entry_has_no_key(found.actions, &arn);
        match (action.handler)(cx.clone(), input).await {
            Ok(answer) => {
                let outcome = success(&answer, found.actions, key_known);
                self.complete(entry, outcome, &cx);
                // An action of the Query protocol answers even when it has nothing to say.
                let spoken = action.operation.output || service.protocol == Protocol::Query;
                let body = spoken.then_some(answer.body);
                Ok(reply::result(service.protocol, action.operation.status, &cx.request_id, body))
            }
            Err(error) => refused(error, entry),
        }
    }

    fn decide(&self, cx: &CallContext, iam: &str, arn: &Arn) -> Decision {
        let conditions = Conditions::of_call(cx);
        self.authorize.decide(&Request { caller: &cx.caller, action: iam, resource: arn, conditions: &conditions })
    }

    fn complete(&self, entry: Entry, outcome: Outcome, cx: &CallContext) {
        if let Err(error) = entry.complete(outcome) {
            // The act is done and its begin record stands; the log itself refuses everything from here on.
            tracing::error!(%error, request_id = cx.request_id, "the outcome of a call could not be recorded");
        }
    }

    fn unrecorded(&self, cx: &CallContext, error: &audit::AuditError) -> ApiError {
        tracing::error!(%error, request_id = cx.request_id, "a call was refused: it could not be recorded");
        ApiError::new("InternalFailure", 500, "The call could not be recorded and was not carried out.")
    }
}

fn user_agent(request: &Incoming) -> Option<String> {
    let text = request.header("user-agent")?;
    Some(text.chars().filter(|character| !character.is_control()).take(1024).collect())
}

/// The input, judged by the model.
fn checked(
    input: Result<Value, validate::Invalid>,
    action: Option<&Action>,
    protocol: Protocol,
) -> Result<Value, ApiError> {
    let shape = action.and_then(|action| action.operation.input);
    let judged = input.and_then(|input| match shape {
        Some(shape) => validate::check(&input, shape).map(|()| input),
        None => Ok(input),
    });
    judged.map_err(|invalid| json::invalid(protocol, &invalid))
}

/// The parameters as the audit record has them; null when there are none.
fn parameters(action: Option<&Action>, input: &Value) -> Value {
    let Some(shape) = action.and_then(|action| action.operation.input) else { return Value::Null };
    let mut shown = validate::redacted(input, shape);
    if let (Some("CreateFileSystem"), Some(object)) =
        (action.map(|action| action.operation.name), shown.as_object_mut())
    {
        // EFS logs this flag whether or not the request had it: the metric filter of the EFS user guide's walkthrough
        // on enforcing encryption reads it.
        object.entry("encrypted").or_insert(Value::Bool(false));
    }
    if shown.as_object().is_some_and(serde_json::Map::is_empty) { Value::Null } else { shown }
}

/// What the input says it is about.
fn named<'a>(action: &Action, input: &'a Value) -> Option<&'a str> {
    action.resource.iter().find_map(|member| input.get(*member).and_then(Value::as_str))
}

fn resources(actions: &ServiceActions, arn: &Arn, named: Option<&str>) -> Vec<Resource> {
    // An alias is not the key; the handler's answer says which key it was.
    if named.is_none() || arn.resource.ends_with('*') || entry_has_no_key(actions, arn) {
        return Vec::new();
    }
    let kind = if arn.resource.starts_with("access-point/") { "AWS::EFS::AccessPoint" } else { actions.resource_kind };
    vec![Resource { arn: arn.to_string(), account: arn.account.clone(), kind }]
}

fn entry_has_no_key(actions: &ServiceActions, arn: &Arn) -> bool {
    actions.service.signing_name == "kms" && (!arn.resource.starts_with("key/") || arn.resource.ends_with('*'))
}

fn success(answer: &Answer, actions: &ServiceActions, key_known: bool) -> Outcome {
    let mut outcome = Outcome::success(answer.elements.clone());
    if let Some(key) = answer.key.as_ref().filter(|_| !key_known) {
        let account = key.account.clone();
        outcome.resources.push(Resource { arn: key.to_string(), account, kind: actions.resource_kind });
    }
    outcome
}
