//! Known signatures, signatures by botocore, our signer against our verifier, and what must not verify.

use zeroize::Zeroizing;

use super::{Credential, RequestParts, Secrets, Session, SignatureError, Signer, Verifier, signing_key};
use crate::Timestamp;
use crate::shape::Protocol;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The example key of the AWS documentation, optionally with a session.
struct Known(Option<String>);

impl Secrets for Known {
    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        let session = self.0.as_ref().map(|token| Session {
            token: Zeroizing::new(token.clone()),
            expires: Timestamp::parse_basic("20991231T235959Z").unwrap(),
        });
        (access_key_id == ID).then(|| Credential { secret: Zeroizing::new(SECRET.to_owned()), session })
    }
}

fn at(date: &str) -> Timestamp {
    Timestamp::parse_basic(date).unwrap()
}

fn signer(service: &str, token: Option<&str>) -> Signer {
    Signer {
        access_key_id: ID.to_owned(),
        secret: Zeroizing::new(SECRET.to_owned()),
        token: token.map(str::to_owned),
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
    }
}

/// A signed request that can be spoilt.
#[derive(Clone)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn signed() -> Self {
        let mut request = Self {
            method: "POST".to_owned(),
            path: "/2015-02-01/file-systems".to_owned(),
            query: "b=2&a=1%20x".to_owned(),
            headers: vec![
                ("host".to_owned(), "127.0.0.1:4566".to_owned()),
                ("x-amz-target".to_owned(), "T.Op".to_owned()),
            ],
            body: b"{}".to_vec(),
        };
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let added =
            signer("kms", None).sign("POST", &request.path, &request.query, &headers, b"{}", at("20310409T081527Z"));
        request.headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        request
    }

    fn judge(&self, service: &str, now: &str, secrets: &Known) -> Result<super::Verified, SignatureError> {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let parts = RequestParts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
        };
        Verifier::default().verify(&parts, service, "us-east-1", at(now), secrets)
    }

    fn verdict(&self) -> Result<super::Verified, SignatureError> {
        self.judge("kms", "20310409T081527Z", &Known(None))
    }

    fn header(&mut self, name: &str) -> &mut String {
        self.headers.iter_mut().find(|(found, _)| found == name).map(|(_, value)| value).unwrap()
    }
}

/// AWS General Reference, "Examples of how to derive a signing key".
#[test]
fn the_documented_signing_key_comes_out() {
    let key = signing_key(SECRET, "20150830", "us-east-1", "iam");
    assert_eq!(hex::encode(*key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

/// AWS SigV4 test suite: get-vanilla, post-vanilla, get-vanilla-query-order-key-case, and the IAM ListUsers example.
#[test]
fn the_documented_signatures_verify() {
    let suite = [
        (
            "GET",
            "",
            "service",
            "host;x-amz-date",
            vec![("host", "example.amazonaws.com")],
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "POST",
            "",
            "service",
            "host;x-amz-date",
            vec![("host", "example.amazonaws.com")],
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "GET",
            "Param2=value2&Param1=value1",
            "service",
            "host;x-amz-date",
            vec![("host", "example.amazonaws.com")],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "Action=ListUsers&Version=2010-05-08",
            "iam",
            "content-type;host;x-amz-date",
            vec![("host", "iam.amazonaws.com"), ("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ];
    for (method, query, service, signed, headers, signature) in suite {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/20150830/us-east-1/{service}/aws4_request, SignedHeaders={signed}, Signature={signature}"
        );
        let mut all: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        all.push(("x-amz-date".to_owned(), "20150830T123600Z".to_owned()));
        all.push(("authorization".to_owned(), authorization));
        let request = Request {
            method: method.to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            headers: all,
            body: Vec::new(),
        };
        let verified = request.judge(service, "20150830T123600Z", &Known(None)).unwrap();
        assert_eq!((verified.access_key_id.as_str(), verified.region.as_str()), (ID, "us-east-1"));
    }
}

/// Stock clients: what botocore signs, by header and by URL, with and without a session, verifies.
#[test]
fn what_botocore_signs_verifies() {
    let vectors: Vec<serde_json::Value> = serde_json::from_str(include_str!("botocore_vectors.json")).unwrap();
    // Of `tests/api/signatures.py --record`: random methods, paths, queries, headers, bodies and lifetimes.
    let random: Vec<serde_json::Value> = serde_json::from_str(include_str!("botocore_random.json")).unwrap();
    assert!(vectors.len() >= 9 && random.len() >= 300);
    for vector in vectors.into_iter().chain(random) {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let headers = vector["headers"].as_array().unwrap();
        let request = Request {
            method: text("method"),
            path: text("path"),
            query: text("query"),
            headers: headers
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()))
                .collect(),
            body: text("body").into_bytes(),
        };
        let secrets = Known(vector["token"].as_str().map(str::to_owned));
        let verdict = request.judge(&text("service"), "20310409T081528Z", &secrets);
        assert!(verdict.is_ok(), "{verdict:?}: {vector}");
    }
}

/// SigV4: whatever of a signed request is changed, the signature no longer fits.
#[test]
fn a_changed_request_does_not_verify() {
    assert!(Request::signed().verdict().is_ok());
    let changes: [fn(&mut Request); 7] = [
        |request| request.method = "PUT".to_owned(),
        |request| request.path.push('x'),
        |request| request.query.push_str("&c=3"),
        |request| request.body.push(b' '),
        |request| *request.header("host") = "other".to_owned(),
        |request| *request.header("x-amz-target") = "T.Other".to_owned(),
        |request| {
            let last = request.header("authorization").pop().unwrap();
            request.header("authorization").push(if last == '0' { '1' } else { '0' });
        },
    ];
    for change in changes {
        let mut request = Request::signed();
        change(&mut request);
        assert_eq!(request.verdict(), Err(SignatureError::Mismatch));
    }
}

/// SigV4: `host` and every `x-amz-*` header must be under the signature.
#[test]
fn an_unsigned_amz_header_is_refused() {
    let mut request = Request::signed();
    request.headers.push(("x-amz-extra".to_owned(), "1".to_owned()));
    let Err(SignatureError::Scope(text)) = request.verdict() else { panic!("accepted") };
    assert_eq!(text, "'x-amz-extra' must be a 'SignedHeader' in the AWS Authorization.");
    let mut request = Request::signed();
    let without_host = request.header("authorization").replace("host;", "");
    *request.header("authorization") = without_host;
    assert!(matches!(request.verdict(), Err(SignatureError::Scope(_))));
}

/// AWS common errors: the clock may differ by five minutes, not more, and the sentence says which way.
#[test]
fn dates_may_differ_by_five_minutes() {
    let request = Request::signed();
    let at = |now: &str| request.judge("kms", now, &Known(None)).map_err(|error| error.to_string());
    assert!(at("20310409T082027Z").is_ok());
    assert!(at("20310409T081027Z").is_ok());
    assert_eq!(
        at("20310409T082028Z").unwrap_err(),
        "Signature expired: 20310409T081527Z is now earlier than 20310409T081528Z (20310409T082028Z - 5 min.)"
    );
    assert_eq!(
        at("20310409T081026Z").unwrap_err(),
        "Signature not yet current: 20310409T081527Z is still later than 20310409T081526Z (20310409T081026Z + 5 min.)"
    );
}

/// AWS common errors: a code for each way of not being signed, in each protocol.
#[test]
fn each_failure_has_its_code() {
    let verdict = |change: fn(&mut Request)| {
        let mut request = Request::signed();
        change(&mut request);
        let error = request.verdict().unwrap_err();
        [Protocol::Json11, Protocol::RestJson, Protocol::Query].map(|protocol| {
            let error = error.api_error(protocol);
            (error.code, error.status)
        })
    };
    let unsigned = verdict(|request| request.headers.retain(|(name, _)| name != "authorization"));
    assert_eq!(
        unsigned,
        [
            ("MissingAuthenticationTokenException", 400),
            ("MissingAuthenticationTokenException", 403),
            ("MissingAuthenticationToken", 403)
        ]
    );
    let unknown =
        verdict(|request| *request.header("authorization") = request.header("authorization").replace(ID, "AKIDOTHER"));
    assert_eq!(
        unknown,
        [("UnrecognizedClientException", 400), ("UnrecognizedClientException", 403), ("InvalidClientTokenId", 403)]
    );
    let basic = verdict(|request| *request.header("authorization") = "Basic c2VjcmV0".to_owned());
    assert_eq!(basic[0], ("IncompleteSignatureException", 400));
    let undated = verdict(|request| request.headers.retain(|(name, _)| name != "x-amz-date"));
    assert_eq!(undated[2], ("IncompleteSignature", 400));
    let region = verdict(|request| {
        *request.header("authorization") = request.header("authorization").replace("us-east-1", "eu-west-9")
    });
    assert_eq!(region[0], ("InvalidSignatureException", 400));
    let token = verdict(|request| request.headers.push(("x-amz-security-token".to_owned(), "x".to_owned())));
    assert_eq!(token[0], ("UnrecognizedClientException", 400));
    let claimed =
        verdict(|request| request.headers.push(("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())));
    assert_eq!(claimed[2], ("SignatureDoesNotMatch", 403));
}

/// SigV4, query parameters: a presigned URL verifies until it expires, and only unchanged.
#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let query = signer("sts", None).presign("GET", "h", "/", "Action=GetCallerIdentity", 60, at("20310409T081527Z"));
    let request = Request {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        query,
        headers: vec![("host".to_owned(), "h".to_owned())],
        body: Vec::new(),
    };
    let at = |request: &Request, now: &str| request.judge("sts", now, &Known(None));
    assert!(at(&request, "20310409T081627Z").is_ok());
    assert!(matches!(at(&request, "20310409T081628Z"), Err(SignatureError::Scope(_))));
    let mut longer = request.clone();
    longer.query = longer.query.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_eq!(at(&longer, "20310409T081528Z"), Err(SignatureError::Mismatch));
    for beyond in ["0", "604801", "-1", "1.5", ""] {
        let mut never = request.clone();
        never.query = never.query.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={beyond}"));
        let text = SignatureError::Incomplete("X-Amz-Expires must be between 1 and 604800 seconds.".to_owned());
        assert_eq!(at(&never, "20310409T081528Z"), Err(text), "{beyond}");
    }
    let mut twice = request.clone();
    twice.query.push_str("&X-Amz-Expires=60");
    assert!(matches!(at(&twice, "20310409T081528Z"), Err(SignatureError::Incomplete(_))));
    let mut both = request;
    both.headers.push(("authorization".to_owned(), "AWS4-HMAC-SHA256 a=b".to_owned()));
    assert!(matches!(at(&both, "20310409T081528Z"), Err(SignatureError::Incomplete(_))));
}

/// SigV4, temporary credentials: token and key belong together, and both end.
#[test]
fn a_session_needs_its_own_token() {
    let signed = |token: Option<&str>| {
        let added = signer("kms", token).sign("GET", "/", "", &[("host", "h")], b"", at("20310409T081527Z"));
        let mut headers = vec![("host".to_owned(), "h".to_owned())];
        headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Request { method: "GET".to_owned(), path: "/".to_owned(), query: String::new(), headers, body: Vec::new() }
    };
    let session = Known(Some("right".to_owned()));
    assert!(signed(Some("right")).judge("kms", "20310409T081527Z", &session).is_ok());
    for wrong in [Some("wrong"), None] {
        assert_eq!(signed(wrong).judge("kms", "20310409T081527Z", &session), Err(SignatureError::UnknownKey));
    }
    let late = signer("kms", Some("right")).sign("GET", "/", "", &[("host", "h")], b"", at("21000101T000000Z"));
    let mut request = signed(Some("right"));
    request.headers.truncate(1);
    request.headers.extend(late.into_iter().map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(request.judge("kms", "21000101T000000Z", &session), Err(SignatureError::TokenExpired));
}

/// Architecture section 6: the remembered signing key of a day goes with its secret; neither outlives the access key.
#[test]
fn a_remembered_key_does_not_outlive_its_secret() {
    struct Changed(Option<&'static str>);
    impl Secrets for Changed {
        fn credential(&self, _: &str) -> Option<Credential> {
            self.0.map(|secret| Credential { secret: Zeroizing::new(secret.to_owned()), session: None })
        }
    }
    let verifier = Verifier::default();
    let request = Request::signed();
    let headers: Vec<(&str, &[u8])> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    let (path, query, body) = (&request.path, &request.query, &request.body);
    let parts = RequestParts { method: "POST", path, query, headers: &headers, body };
    let judge = |secrets: &Changed| verifier.verify(&parts, "kms", "us-east-1", at("20310409T081527Z"), secrets);
    assert!(judge(&Changed(Some(SECRET))).is_ok());
    assert!(judge(&Changed(Some(SECRET))).is_ok(), "from memory");
    assert_eq!(judge(&Changed(Some("another"))), Err(SignatureError::Mismatch));
    assert_eq!(judge(&Changed(None)), Err(SignatureError::UnknownKey));
}

proptest::proptest! {
    /// Our signer and our verifier agree on any request.
    #[test]
    fn what_we_sign_verifies(path in "(/[a-zA-Z0-9%. ~-]{0,8}){1,4}", name in ".{1,8}", value in ".{0,20}", header in "[ -~]{0,30}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
        let query = format!("{}={}", super::percent_encode(&name), super::percent_encode(&value));
        let added = signer("kms", None).sign("PUT", &path, &query, &[("host", "h"), ("x-amz-meta", &header)], &body, at("20310409T081527Z"));
        let mut headers = vec![("host".to_owned(), "h".to_owned()), ("x-amz-meta".to_owned(), header)];
        headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let request = Request { method: "PUT".to_owned(), path, query, headers, body };
        proptest::prop_assert!(request.verdict().is_ok(), "{:?}", request.verdict());
    }

    /// House rule: no input makes a parser panic.
    #[test]
    fn hostile_requests_are_only_refused(query in ".{0,120}", authorization in ".{0,120}", date in ".{0,24}") {
        let mut request = Request::signed();
        request.query = query;
        *request.header("x-amz-date") = date;
        *request.header("authorization") = format!("AWS4-HMAC-SHA256 {authorization}");
        proptest::prop_assert!(request.verdict().is_err());
    }
}
