//! Signed requests: header form, URL form, neither. AWS General Reference, "Create a signed AWS API request".
//!
//! The bytes are a request's text: method, path and query; headers; an empty line; the body.

use aws_wire::Timestamp;
use aws_wire::sigv4::{Credential, RequestParts, Secrets, Signer, Verifier};

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2031-04-09T08:15:27Z.
const NOW: i64 = 1_933_488_927;

struct Example;

impl Secrets for Example {
    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        (access_key_id == ID).then(|| Credential { secret: SECRET.to_owned().into(), session: None })
    }
}

/// A request taken apart.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(String, &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let at = bytes.windows(2).position(|two| two == b"\n\n")?;
        let (head, body) = (bytes.get(..at)?, bytes.get(at + 2..)?);
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (method, target) = first.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        for line in lines.take(100) {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(line.get(..colon)?).ok()?;
            headers.push((name.to_ascii_lowercase(), line.get(colon + 1..)?));
        }
        Some(Self { method, path, query, headers, body })
    }

    fn is_accepted(&self, body: &[u8]) -> bool {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let (method, path, query) = (self.method, self.path, self.query);
        let parts = RequestParts { method, path, query, headers: &headers, body };
        let now = Timestamp::from_unix(NOW, 0);
        Verifier::default().verify(&parts, "kms", "us-east-1", now, &Example).is_ok()
    }
}

/// Requests that verify.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let signer = Signer {
        access_key_id: ID.to_owned(),
        secret: SECRET.to_owned().into(),
        token: None,
        region: "us-east-1".to_owned(),
        service: "kms".to_owned(),
    };
    let now = Timestamp::from_unix(NOW, 0);
    let headers = [("host", "h"), ("x-amz-target", "TrentService.ListKeys")];
    let mut text = "POST /?b=2&a=1%20x\n".to_owned();
    let added = signer.sign("POST", "/", "b=2&a=1%20x", &headers, b"{}", now);
    let all = headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str())));
    let lines: Vec<String> = all.map(|(name, value)| format!("{name}:{value}")).collect();
    text.push_str(&format!("{}\n\n{{}}", lines.join("\n")));
    let query = signer.presign("GET", "h", "/", "Action=GetCallerIdentity", 60, now);
    vec![text.into_bytes(), format!("GET /?{query}\nhost:h\n\n").into_bytes()]
}

/// Verifies a request. One that is accepted is accepted once more, and never with another body.
pub fn run(bytes: &[u8]) {
    let Some(request) = Request::read(bytes) else { return };
    if request.is_accepted(request.body) {
        assert!(request.is_accepted(request.body), "a signature is accepted once only");
        let other = [request.body, b"x"].concat();
        assert!(!request.is_accepted(&other), "a signature is accepted for another body");
    }
}
