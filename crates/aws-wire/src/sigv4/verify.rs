//! The verifier. AWS General Reference, "Create a signed AWS API request", read from the other side.
//!
//! Beyond the arithmetic: `host` and every `x-amz-*` header must be signed, the clock may differ by five minutes, the
//! body is always hashed (`UNSIGNED-PAYLOAD` is S3's and refused here), comparison is in constant time.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::{ALGORITHM, Credential, RequestParts, Secrets, SignatureError, TERMINATOR, canonical, mac, sha256_hex};
use crate::Timestamp;

/// The clocks of the two sides may differ by so much.
const SKEW_SECONDS: i64 = 300;
/// The longest life of a presigned URL.
const EXPIRES_SECONDS_MAX: i64 = 604_800;
/// At most so many signing keys are remembered; they are few (keys x days x services), so this is only a wall.
const KEYS_MAX: usize = 1024;
/// A credential or header list longer than this is malformed.
const TEXT_MAX: usize = 4096;

/// Who signed, and for what.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// The access key.
    pub access_key_id: String,
    /// The region of the scope.
    pub region: String,
    /// The service of the scope.
    pub service: String,
    /// The session token that came with temporary credentials.
    pub token: Option<String>,
}

impl fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Verified({} for {} in {})", self.access_key_id, self.service, self.region)
    }
}

/// Signing keys by access key, hash of its secret, and scope: a key whose secret changed is another key.
type SigningKeys = HashMap<(String, String, String), Zeroizing<[u8; 32]>>;

/// Verifies signatures and remembers the signing keys of the day.
#[derive(Default)]
pub struct Verifier {
    keys: Mutex<SigningKeys>,
}

/// A signature as presented, before anything of it is believed.
struct Presented {
    access_key_id: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
    date: Timestamp,
    token: Option<String>,
    /// Lifetime in the URL form; none in the header form.
    expires: Option<i64>,
}

struct Scope {
    day: String,
    region: String,
    service: String,
}

impl Scope {
    fn text(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }
}

impl Verifier {
    /// Judges a request for one service in one region.
    pub fn verify(
        &self,
        parts: &RequestParts<'_>,
        service: &str,
        region: &str,
        now: Timestamp,
        secrets: &dyn Secrets,
    ) -> Result<Verified, SignatureError> {
        self.verify_in(parts, service, &[region], now, secrets)
    }

    /// Judges a request for one service that may be signed for any of these regions; the first is the server's own. A
    /// global service is signed for `us-east-1` wherever it is.
    pub fn verify_in(
        &self,
        parts: &RequestParts<'_>,
        service: &str,
        regions: &[&str],
        now: Timestamp,
        secrets: &dyn Secrets,
    ) -> Result<Verified, SignatureError> {
        let pairs = canonical::pairs(parts.query).ok_or_else(|| incomplete("The query string is malformed."))?;
        let presented = presented(parts, &pairs)?;
        let temporary = presented.token.as_ref().and_then(|token| secrets.temporary(&presented.access_key_id, token));
        let credential = temporary.or_else(|| secrets.credential(&presented.access_key_id));
        let credential = credential.ok_or(SignatureError::UnknownKey)?;
        check_session(&presented, &credential, now)?;
        check_scope(&presented, service, regions)?;
        check_dates(&presented, now)?;
        check_headers(&presented, parts)?;
        let payload = payload_hash(parts)?;
        let text = canonical_text(&presented, parts, &pairs, &payload)?;
        self.check_signature(&presented, &credential, &text)?;
        let Scope { region, service, .. } = presented.scope;
        Ok(Verified { access_key_id: presented.access_key_id, region, service, token: presented.token })
    }

    fn check_signature(
        &self,
        presented: &Presented,
        credential: &Credential,
        canonical: &str,
    ) -> Result<(), SignatureError> {
        let scope = presented.scope.text();
        let name = (presented.access_key_id.clone(), sha256_hex(credential.secret.as_bytes()), scope.clone());
        let known = self.keys.lock().get(&name).cloned();
        let fresh = known.is_none();
        let Scope { day, region, service } = &presented.scope;
        let key = known.unwrap_or_else(|| super::signing_key(&credential.secret, day, region, service));
        let text = super::string_to_sign(&presented.date.basic(), &scope, canonical);
        let expected = mac(&*key, text.as_bytes());
        verify_slices_are_equal(&*expected, &presented.signature).map_err(|_| SignatureError::Mismatch)?;
        if fresh {
            let mut keys = self.keys.lock();
            if keys.len() >= KEYS_MAX {
                keys.clear();
            }
            keys.insert(name, key);
        }
        Ok(())
    }
}

fn incomplete(text: &str) -> SignatureError {
    SignatureError::Incomplete(text.to_owned())
}

fn presented(parts: &RequestParts<'_>, pairs: &[(String, String)]) -> Result<Presented, SignatureError> {
    let mut authorizations = parts.headers.iter().filter(|(name, _)| *name == "authorization");
    let in_query = pairs.iter().any(|(name, _)| name == "X-Amz-Algorithm" || name == "X-Amz-Signature");
    match (authorizations.next(), authorizations.next(), in_query) {
        (None, _, false) => Err(SignatureError::Missing),
        (None, _, true) => from_query(pairs),
        (Some((_, value)), None, false) => from_header(value, parts),
        (Some(_), _, _) => Err(incomplete("Only one way of signing a request may be used.")),
    }
}

fn from_header(value: &[u8], parts: &RequestParts<'_>) -> Result<Presented, SignatureError> {
    let text = std::str::from_utf8(value).map_err(|_| incomplete("The Authorization header is not text."))?;
    let rest = text.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')).ok_or_else(|| {
        incomplete("Unsupported AWS 'algorithm': the Authorization header must begin with AWS4-HMAC-SHA256.")
    })?;
    let mut found: HashMap<&str, &str> = HashMap::new();
    for part in rest.split([',', ' ']).filter(|part| !part.is_empty()).take(16) {
        let (name, value) =
            part.split_once('=').ok_or_else(|| incomplete("A part of the Authorization header has no equal sign."))?;
        if found.insert(name, value).is_some() {
            return Err(incomplete("A part of the Authorization header is there twice."));
        }
    }
    let wanted = |name: &str| found.get(name).copied();
    let date = header_date(parts);
    let mut missing = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if wanted(name).is_none() {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if date.is_none() {
        missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
    }
    let (Some(credential), Some(signature), Some(signed), Some(date)) =
        (wanted("Credential"), wanted("Signature"), wanted("SignedHeaders"), date)
    else {
        return Err(SignatureError::Incomplete(format!("{missing}Authorization={ALGORITHM}")));
    };
    let token = one_header(parts, "x-amz-security-token")?;
    build(credential, signature, signed, date?, token, None)
}

fn from_query(pairs: &[(String, String)]) -> Result<Presented, SignatureError> {
    let one = |wanted: &str| -> Result<Option<&str>, SignatureError> {
        let mut found = pairs.iter().filter(|(name, _)| name == wanted);
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            (_, Some(_)) => {
                Err(SignatureError::Incomplete(format!("AWS query-string parameter {wanted} is there twice.")))
            }
        }
    };
    let must = |name: &str| {
        one(name)?.ok_or_else(|| {
            SignatureError::Incomplete(format!(
                "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
            ))
        })
    };
    if must("X-Amz-Algorithm")? != ALGORITHM {
        return Err(incomplete("X-Amz-Algorithm only supports AWS4-HMAC-SHA256."));
    }
    let date = Timestamp::parse_basic(must("X-Amz-Date")?).ok_or_else(|| bad_date("X-Amz-Date"))?;
    let expires = match one("X-Amz-Expires")? {
        None => SKEW_SECONDS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds))
            .ok_or_else(|| incomplete("X-Amz-Expires must be between 1 and 604800 seconds."))?,
    };
    let token = one("X-Amz-Security-Token")?.map(str::to_owned);
    let signed = must("X-Amz-SignedHeaders")?;
    build(must("X-Amz-Credential")?, must("X-Amz-Signature")?, signed, date, token, Some(expires))
}

fn build(
    credential: &str,
    signature: &str,
    signed: &str,
    date: Timestamp,
    token: Option<String>,
    expires: Option<i64>,
) -> Result<Presented, SignatureError> {
    if credential.len() > TEXT_MAX || signed.len() > TEXT_MAX {
        return Err(incomplete("The credential or the list of signed headers is too long."));
    }
    // The access key comes first and has no slash, so the split is from the right.
    let mut elements = credential.rsplitn(5, '/');
    let (Some(term), Some(service), Some(region), Some(day), Some(access_key_id)) =
        (elements.next(), elements.next(), elements.next(), elements.next(), elements.next())
    else {
        return Err(incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        ));
    };
    if term != TERMINATOR {
        return Err(SignatureError::Scope(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
        )));
    }
    let signed_headers: Vec<String> = signed.split(';').map(str::to_owned).collect();
    if !signed_headers.is_sorted_by(|left, right| left < right) {
        return Err(incomplete("SignedHeaders must be sorted and free of repetitions."));
    }
    // A signature of another form cannot match; it is judged as any other wrong one.
    let signature = hex::decode(signature).unwrap_or_default();
    let scope = Scope { day: day.to_owned(), region: region.to_owned(), service: service.to_owned() };
    Ok(Presented { access_key_id: access_key_id.to_owned(), scope, signed_headers, signature, date, token, expires })
}

fn bad_date(name: &str) -> SignatureError {
    SignatureError::Incomplete(format!("Date must be in ISO-8601 'basic format'. See the {name} of the request."))
}

/// The date of the header form: `X-Amz-Date`, else `Date`.
fn header_date(parts: &RequestParts<'_>) -> Option<Result<Timestamp, SignatureError>> {
    let text = |name: &str| {
        let (_, value) = parts.headers.iter().find(|(found, _)| *found == name)?;
        Some(std::str::from_utf8(value).unwrap_or_default().trim())
    };
    if let Some(date) = text("x-amz-date") {
        return Some(Timestamp::parse_basic(date).ok_or_else(|| bad_date("X-Amz-Date header")));
    }
    let date = text("date")?;
    let http = || {
        let format = &time::format_description::well_known::Rfc2822;
        let moment = time::OffsetDateTime::parse(date, format).ok()?;
        Some(Timestamp::from_unix(moment.unix_timestamp(), 0))
    };
    Some(Timestamp::parse_basic(date).or_else(http).ok_or_else(|| bad_date("Date header")))
}

fn one_header(parts: &RequestParts<'_>, name: &str) -> Result<Option<String>, SignatureError> {
    let mut found = parts.headers.iter().filter(|(header, _)| *header == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => {
            let text = std::str::from_utf8(value).map_err(|_| SignatureError::UnknownKey)?;
            Ok(Some(text.trim().to_owned()))
        }
        (Some(_), Some(_)) => Err(SignatureError::Incomplete(format!("The header {name} is there twice."))),
    }
}

fn check_session(presented: &Presented, credential: &Credential, now: Timestamp) -> Result<(), SignatureError> {
    match (&presented.token, &credential.session) {
        (None, None) => Ok(()),
        (Some(token), Some(session)) => {
            verify_slices_are_equal(token.as_bytes(), session.token.as_bytes())
                .map_err(|_| SignatureError::UnknownKey)?;
            if now >= session.expires { Err(SignatureError::TokenExpired) } else { Ok(()) }
        }
        (Some(_), None) | (None, Some(_)) => Err(SignatureError::UnknownKey),
    }
}

fn check_scope(presented: &Presented, service: &str, regions: &[&str]) -> Result<(), SignatureError> {
    let scope = &presented.scope;
    let wrong = |text: String| Err(SignatureError::Scope(text));
    if !regions.contains(&scope.region.as_str()) {
        return wrong(format!("Credential should be scoped to a valid region, not '{}'. ", printable(&scope.region)));
    }
    if scope.service != service {
        return wrong(format!("Credential should be scoped to correct service: '{service}'. "));
    }
    let date = presented.date.basic();
    let day = date.get(..8).unwrap_or_default();
    if scope.day != day {
        return wrong(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from '{date}'.",
            printable(&scope.day)
        ));
    }
    Ok(())
}

/// A peer's word, short and harmless enough for a message.
fn printable(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '-').take(64).collect()
}

fn check_dates(presented: &Presented, now: Timestamp) -> Result<(), SignatureError> {
    let (date, moment) = (presented.date, now.basic());
    let latest = now.plus_seconds(SKEW_SECONDS);
    if date > latest {
        let (date, latest) = (date.basic(), latest.basic());
        let text = format!("Signature not yet current: {date} is still later than {latest} ({moment} + 5 min.)");
        return Err(SignatureError::Scope(text));
    }
    let (end, earliest) = match presented.expires {
        Some(expires) => (date.plus_seconds(expires), now),
        None => (date, now.plus_seconds(-SKEW_SECONDS)),
    };
    if end < earliest {
        let (end, earliest) = (end.basic(), earliest.basic());
        let how = if presented.expires.is_some() { String::new() } else { format!(" ({moment} - 5 min.)") };
        let text = format!("Signature expired: {end} is now earlier than {earliest}{how}");
        return Err(SignatureError::Scope(text));
    }
    Ok(())
}

/// What the request means must be under the signature: the host and each `x-amz-*` header.
fn check_headers(presented: &Presented, parts: &RequestParts<'_>) -> Result<(), SignatureError> {
    let signed = |name: &str| presented.signed_headers.iter().any(|header| header == name);
    let hosts = parts.headers.iter().filter(|(name, _)| *name == "host").count();
    if !signed("host") || hosts != 1 {
        return Err(SignatureError::Scope("'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned()));
    }
    let unsigned = parts.headers.iter().find(|(name, _)| name.starts_with("x-amz-") && !signed(name));
    match unsigned {
        None => Ok(()),
        Some((name, _)) => {
            let name = printable(name);
            Err(SignatureError::Scope(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")))
        }
    }
}

/// The hash of the body; a claimed hash must be true.
fn payload_hash(parts: &RequestParts<'_>) -> Result<String, SignatureError> {
    let hash = sha256_hex(parts.body);
    match one_header(parts, "x-amz-content-sha256")? {
        Some(claimed) if claimed != hash => {
            Err(SignatureError::Scope("The value of x-amz-content-sha256 is not the SHA-256 of the body.".to_owned()))
        }
        _ => Ok(hash),
    }
}

fn canonical_text(
    presented: &Presented,
    parts: &RequestParts<'_>,
    pairs: &[(String, String)],
    payload: &str,
) -> Result<String, SignatureError> {
    let mut headers = Vec::with_capacity(presented.signed_headers.len());
    for name in &presented.signed_headers {
        // A header that is signed as empty and one that is absent are not told apart by all signers.
        headers.push((name.clone(), canonical::header(parts.headers, name).unwrap_or_default()));
    }
    if headers.iter().any(|(_, value)| std::str::from_utf8(value).is_err()) {
        return Err(SignatureError::Mismatch);
    }
    let counted = pairs.iter().filter(|(name, _)| presented.expires.is_none() || name != "X-Amz-Signature");
    let (path, query) = (canonical::path(parts.path), canonical::query(counted));
    Ok(canonical::request(parts.method, &path, &query, &headers, payload))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Credential, RequestParts, Secrets, SignatureError, Verified, Verifier};
    use crate::Timestamp;
    use crate::sigv4::{Session, Signer};

    /// One long-term key, and one that is only in its token.
    struct Two;

    fn secret() -> Zeroizing<String> {
        Zeroizing::new("secret".to_owned())
    }

    impl Secrets for Two {
        fn credential(&self, id: &str) -> Option<Credential> {
            (id == "AKIAX").then(|| Credential { secret: secret(), session: None })
        }

        fn temporary(&self, id: &str, token: &str) -> Option<Credential> {
            let session = Session { token: Zeroizing::new(token.to_owned()), expires: Timestamp::from_unix(2000, 0) };
            (id == "ASIAX" && token == "sealed").then(|| Credential { secret: secret(), session: Some(session) })
        }
    }

    fn judged(id: &str, token: Option<&str>, seconds: i64, regions: &[&str]) -> Result<Verified, SignatureError> {
        let (region, service) = ("us-east-1".to_owned(), "iam".to_owned());
        let token = token.map(str::to_owned);
        let signer = Signer { access_key_id: id.to_owned(), secret: secret(), token, region, service };
        let now = Timestamp::from_unix(seconds, 0);
        let added = signer.sign("POST", "/", "", &[("host", "h")], b"", now);
        let added = added.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<(&str, &[u8])> = std::iter::once(("host", b"h".as_slice())).chain(added).collect();
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers, body: b"" };
        Verifier::default().verify_in(&parts, "iam", regions, now, &Two)
    }

    /// IAM User Guide, "Regions and endpoints": a global service is signed for `us-east-1` wherever it is; others are not.
    #[test]
    fn a_global_service_takes_two_regions() {
        let verified = judged("AKIAX", None, 1000, &["eu-west-1", "us-east-1"]).unwrap();
        assert_eq!((verified.region.as_str(), verified.token), ("us-east-1", None));
        assert!(matches!(judged("AKIAX", None, 1000, &["eu-west-1"]), Err(SignatureError::Scope(_))));
    }

    /// IAM User Guide, "Using temporary credentials": key and token belong together, and end together.
    #[test]
    fn a_temporary_key_is_found_by_its_token() {
        let regions = ["us-east-1"];
        let verified = judged("ASIAX", Some("sealed"), 1000, &regions).unwrap();
        assert_eq!(verified.token.as_deref(), Some("sealed"));
        assert!(!format!("{verified:?}").contains("sealed"));
        assert_eq!(judged("ASIAX", Some("sealed"), 2000, &regions), Err(SignatureError::TokenExpired));
        for (id, token) in [("ASIAX", None), ("ASIAX", Some("other")), ("AKIAX", Some("sealed"))] {
            assert_eq!(judged(id, token, 1000, &regions), Err(SignatureError::UnknownKey));
        }
    }
}
