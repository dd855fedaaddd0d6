//! The signer: for our own command line, the service's own calls, and tests.

use zeroize::Zeroizing;

use super::{ALGORITHM, TERMINATOR, canonical, mac, sha256_hex, signing_key, string_to_sign};
use crate::Timestamp;

/// Signs requests with one access key for one service in one region.
#[derive(Clone)]
pub struct Signer {
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Zeroizing<String>,
    /// The session token of temporary credentials.
    pub token: Option<String>,
    /// The region.
    pub region: String,
    /// The service's name in scopes: `kms`, `elasticfilesystem`, `sts`.
    pub service: String,
}

impl Signer {
    /// Signs by headers. `headers` are those that the request will carry (names in lower case, `host` among them); the
    /// result are those to add: `x-amz-date`, `authorization` and, for sessions, `x-amz-security-token`.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let date = now.basic();
        let mut added = vec![("x-amz-date", date.clone())];
        added.extend(self.token.iter().map(|token| ("x-amz-security-token", token.clone())));
        let all: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .chain(added.iter().map(|(name, value)| (*name, value.as_bytes())))
            .collect();
        let signed = signed_headers(&all);
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let pairs = canonical::pairs(query).unwrap_or_default();
        let canonical = canonical::request(
            method,
            &canonical::path(path),
            &canonical::query(pairs.iter()),
            &signed,
            &sha256_hex(body),
        );
        let (scope, signature) = self.signature(&date, &canonical);
        let id = &self.access_key_id;
        let authorization =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        added.push(("authorization", authorization));
        added
    }

    /// Signs by the URL, for a request without a body: the query string to send, `host` being the only signed header.
    pub fn presign(&self, method: &str, host: &str, path: &str, query: &str, seconds: u32, now: Timestamp) -> String {
        let date = now.basic();
        let scope = self.scope(&date);
        let mut pairs = canonical::pairs(query).unwrap_or_default();
        let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
        add("X-Amz-Algorithm", ALGORITHM.to_owned());
        add("X-Amz-Credential", format!("{}/{scope}", self.access_key_id));
        add("X-Amz-Date", date.clone());
        add("X-Amz-Expires", seconds.to_string());
        add("X-Amz-SignedHeaders", "host".to_owned());
        if let Some(token) = &self.token {
            add("X-Amz-Security-Token", token.clone());
        }
        let query = canonical::query(pairs.iter());
        let signed = signed_headers(&[("host", host.as_bytes())]);
        let canonical = canonical::request(method, &canonical::path(path), &query, &signed, &sha256_hex(b""));
        let (_, signature) = self.signature(&date, &canonical);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn scope(&self, date: &str) -> String {
        format!("{}/{}/{}/{TERMINATOR}", day(date), self.region, self.service)
    }

    fn signature(&self, date: &str, canonical: &str) -> (String, String) {
        let scope = self.scope(date);
        let key = signing_key(&self.secret, day(date), &self.region, &self.service);
        let signature = hex::encode(*mac(&*key, string_to_sign(date, &scope, canonical).as_bytes()));
        (scope, signature)
    }
}

fn day(date: &str) -> &str {
    date.get(..8).unwrap_or_default()
}

fn signed_headers(headers: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| (name.to_owned(), canonical::header(headers, name).unwrap_or_default())).collect()
}
