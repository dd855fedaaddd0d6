//! A small client of the server's own signed API, for `coffer fs`.

use std::net::SocketAddr;
use std::path::Path;

use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::CofferError;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Calls the EFS API at one address with one identity.
pub(crate) struct ApiClient {
    address: SocketAddr,
    signer: Signer,
    env: env::Env,
}

impl ApiClient {
    /// A client with the `[default]` profile of the credentials file at `path`.
    pub(crate) fn new(address: SocketAddr, region: &str, path: &Path) -> Result<Self, CofferError> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| CofferError::io(path, &error))?);
        let value = |name: &str| {
            profile_value(&text, "default", name).map(str::to_owned).ok_or_else(|| CofferError::File {
                path: path.to_owned(),
                why: format!("no {name} in [default]; use the profile file that `coffer init` wrote"),
            })
        };
        let signer = Signer {
            access_key_id: value("aws_access_key_id")?,
            secret: Zeroizing::new(value("aws_secret_access_key")?),
            token: profile_value(&text, "default", "aws_session_token").map(str::to_owned),
            region: region.to_owned(),
            service: "elasticfilesystem".to_owned(),
        };
        Ok(Self { address, signer, env: env::Env::real() })
    }

    /// One call. An error of the API becomes a sentence with its code.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: &Value,
    ) -> Result<Value, CofferError> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).map_err(CofferError::stopped)? };
        let host = self.address.to_string();
        let headers = [("host", host.as_str()), ("content-type", "application/json")];
        let wall = self.env.wall();
        let now = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let added = self.signer.sign(method.as_str(), path, query, &headers, &body, now);
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in added {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(CofferError::stopped)?;
        let (status, answer) = self.send(request).await?;
        let value: Value = if answer.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer).map_err(CofferError::stopped)?
        };
        if status.is_success() {
            return Ok(value);
        }
        let member = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(CofferError::Stopped(format!("{} ({status}): {}", member("ErrorCode"), member("Message"))))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), CofferError> {
        let stream = tokio::net::TcpStream::connect(self.address)
            .await
            .map_err(|error| CofferError::Stopped(format!("{}: {error}; is the server running?", self.address)))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(CofferError::stopped)?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(CofferError::stopped)?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(CofferError::stopped)?;
        driver.abort();
        Ok((status, body.to_bytes()))
    }
}

/// A value of one section of a credentials file: id and secret of two profiles must never be paired.
pub(crate) fn profile_value<'a>(text: &'a str, profile: &str, name: &str) -> Option<&'a str> {
    let is_own = |line: &str| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(profile);
    let own = text.lines().map(str::trim).skip_while(|line| !is_own(line)).skip(1);
    own.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::profile_value;

    /// AWS CLI user guide, credentials file: a section is one identity.
    #[test]
    fn only_the_default_section_counts() {
        let text = "[other]\naws_access_key_id = A\naws_secret_access_key = B\n[default]\n# ours\naws_access_key_id=C\n\
                    [third]\naws_secret_access_key = D\n";
        let value = |text, name| profile_value(text, "default", name);
        assert_eq!(value(text, "aws_access_key_id"), Some("C"));
        assert_eq!(value(text, "aws_secret_access_key"), None);
        assert_eq!(value("aws_access_key_id = A", "aws_access_key_id"), None);
        assert_eq!(profile_value(text, "third", "aws_secret_access_key"), Some("D"));
    }
}
