//! The verifier against a signer that is not ours: the crate `aws-sigv4`, which every AWS SDK for Rust signs with. AWS
//! General Reference, "Create a signed AWS API request".
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_wire::Timestamp;
use aws_wire::sigv4::{Credential, RequestParts, Secrets, Session, SignatureError, Verified, Verifier, percent_encode};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2031-04-09T08:15:27Z.
const SIGNED_AT: i64 = 1_933_488_927;
const SERVICES: [&str; 4] = ["kms", "elasticfilesystem", "sts", "iam"];

/// A request as it is sent.
#[derive(Clone, Debug)]
struct Request {
    service: &'static str,
    token: Option<String>,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Known<'a>(&'a Option<String>);

impl Secrets for Known<'_> {
    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        let session = self.0.as_ref().map(|token| Session {
            token: token.clone().into(),
            expires: Timestamp::from_unix(SIGNED_AT + 10_000_000, 0),
        });
        (access_key_id == ID).then(|| Credential { secret: SECRET.to_owned().into(), session })
    }
}

impl Request {
    /// Signed by the crate: by headers, or by the URL for so many seconds.
    fn signed(mut self, expires: Option<u64>) -> Self {
        let identity = Credentials::new(ID, SECRET, self.token.clone(), None, "test").into();
        let mut settings = SigningSettings::default();
        if let Some(seconds) = expires {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_AT.unsigned_abs());
        let params = v4::SigningParams::builder().identity(&identity).region("us-east-1").name(self.service);
        let params: SigningParams<'_> = params.time(time).settings(settings).build().unwrap().into();
        let question = if self.query.is_empty() { "" } else { "?" };
        let uri = format!("http://kms.example{}{question}{}", self.path, self.query);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(&self.method, uri, headers, SignableBody::Bytes(&self.body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let (headers, pairs) = instructions.into_parts();
        let headers = headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned()));
        self.headers.extend(headers);
        for (name, value) in pairs {
            let and = if self.query.is_empty() { "" } else { "&" };
            self.query.push_str(&format!("{and}{name}={}", percent_encode(&value)));
        }
        self
    }

    fn judge(&self, seconds_later: i64) -> Result<Verified, SignatureError> {
        let headers: Vec<(String, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes())).collect();
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let parts = RequestParts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
        };
        let now = Timestamp::from_unix(SIGNED_AT + seconds_later, 0);
        Verifier::default().verify(&parts, self.service, "us-east-1", now, &Known(&self.token))
    }

    /// The same, one thing of it being another.
    fn changed(&self, what: usize) -> Self {
        let mut request = self.clone();
        match what {
            0 => request.method = if request.method == "GET" { "PUT" } else { "GET" }.to_owned(),
            1 => request.path.push_str("/x"),
            2 => request.query.push_str("&added=1"),
            3 => request.body.push(b'x'),
            4 => request.headers.iter_mut().filter(|(name, _)| name == "host").for_each(|(_, host)| host.push('x')),
            _ => request.headers.push(("x-amz-added".to_owned(), "1".to_owned())),
        }
        request
    }
}

/// Any request: odd paths, encoded names, headers with blanks, more than one of a name, any body.
fn requests() -> impl Strategy<Value = Request> {
    let segment = prop_oneof![
        "[a-zA-Z0-9._~-]{1,8}",
        ".{1,6}".prop_map(|text: String| percent_encode(&text)),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just(String::new()),
    ];
    let path = proptest::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")));
    let pair = (".{1,6}", ".{0,10}");
    let query = proptest::collection::vec(pair, 0..5).prop_map(|pairs| {
        let encoded = pairs.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
        encoded.collect::<Vec<_>>().join("&")
    });
    let name = prop_oneof!["x-amz-[a-z]{1,6}", "x-[a-z]{1,6}", Just("content-type".to_owned())];
    let headers = proptest::collection::vec((name, "[!-~]{0,8}( {1,3}[!-~]{1,8}){0,3}"), 0..4);
    let method = prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE")];
    let token = proptest::option::of("[A-Za-z0-9+/=]{1,60}");
    let body = proptest::collection::vec(any::<u8>(), 0..100);
    (0..SERVICES.len(), token, method, path, query, headers, body).prop_map(
        |(service, token, method, path, query, mut headers, body)| {
            // Security tokens, dates and hashes come from the signer only.
            headers.retain(|(name, _)| name != "x-amz-date" && name != "x-amz-security-token");
            headers.push(("host".to_owned(), "kms.example".to_owned()));
            Request {
                service: SERVICES.get(service).copied().unwrap_or("kms"),
                token,
                method: method.to_owned(),
                path,
                query,
                headers,
                body,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// SigV4, header form: what the crate signs verifies, within five minutes either way; what was changed does not.
    #[test]
    fn signed_headers_verify(request in requests(), skew in -300_i64..=300, what in 0_usize..6) {
        let request = request.signed(None);
        let verified = request.judge(skew);
        prop_assert!(verified.is_ok(), "{verified:?}");
        prop_assert_eq!(verified.unwrap().access_key_id, ID);
        prop_assert!(request.changed(what).judge(skew).is_err(), "accepted though changed ({what})");
        for late in [301, -301] {
            let judged = request.judge(late);
            prop_assert!(matches!(&judged, Err(SignatureError::Scope(text)) if text.starts_with("Signature ")), "{judged:?}");
        }
    }

    /// SigV4, query parameters: a URL verifies for as long as it says, 1 to 604,800 seconds, and not a second longer.
    #[test]
    fn presigned_urls_verify(request in requests(), expires in 1_u64..=604_800, what in 0_usize..6) {
        let request = request.signed(Some(expires));
        let last = i64::try_from(expires).unwrap();
        for moment in [0, -300, last] {
            let verified = request.judge(moment);
            prop_assert!(verified.is_ok(), "{moment} s: {verified:?}");
        }
        prop_assert!(request.changed(what).judge(0).is_err(), "accepted though changed ({what})");
        let late = request.judge(last + 1);
        prop_assert!(matches!(&late, Err(SignatureError::Scope(text)) if text.starts_with("Signature expired")), "{late:?}");
        let early = request.judge(-301);
        let not_yet = |text: &str| text.starts_with("Signature not yet current");
        prop_assert!(matches!(&early, Err(SignatureError::Scope(text)) if not_yet(text)), "{early:?}");
    }
}
