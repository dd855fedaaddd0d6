//! A small client of the server's signed API, for the demo and the tests of the data path. (The API itself is tested
//! with the AWS CLI and boto3.)

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use serde_json::{Value, json};

const CALL_LIMIT: Duration = Duration::from_secs(60);
const READY_LIMIT: Duration = Duration::from_secs(60);

/// The one subnet of a server that clients of the rig mount from: spare addresses of their network.
pub(crate) const SUBNET: &str = "subnet-c0ffe200";

/// Calls with root's credentials.
pub(crate) struct Api {
    address: SocketAddr,
    access_key_id: String,
    secret: String,
    region: &'static str,
    /// How far the server's clock is ahead of this machine's.
    ahead: Duration,
}

/// A file system that can be mounted.
#[derive(Clone, Debug)]
pub(crate) struct FileSystem {
    pub(crate) id: String,
    /// The address of its mount target.
    pub(crate) address: String,
}

impl Api {
    /// Takes the credentials of the default profile.
    pub(crate) fn from_profile(profile: &Path, address: SocketAddr) -> Result<Self, String> {
        let text = fs::read_to_string(profile).map_err(|error| format!("{}: {error}", profile.display()))?;
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let mut found = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
            found.next().ok_or_else(|| format!("{}: no {name}", profile.display()))
        };
        let (access_key_id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
        Ok(Self { address, access_key_id, secret, region: "us-east-1", ahead: Duration::ZERO })
    }

    /// The same for a server of another region.
    pub(crate) fn in_region(self, region: &'static str) -> Self {
        Self { region, ..self }
    }

    /// The same for a server whose clock is ahead of this machine's.
    pub(crate) fn ahead(self, ahead: Duration) -> Self {
        Self { ahead, ..self }
    }

    /// Whether the server says that it serves.
    pub(crate) fn is_healthy(address: SocketAddr) -> bool {
        exchange(address, &format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"), b"")
            .is_ok_and(|(status, _)| status == 200)
    }

    /// A KMS action.
    pub(crate) fn kms(&self, action: &str, input: &Value) -> Result<Value, String> {
        let target = format!("TrentService.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.call("kms", "POST", "/", &headers, Some(input)).map_err(|why| format!("{action}: {why}"))
    }

    /// An EFS action, by method and path.
    pub(crate) fn efs(&self, method: &str, path: &str, input: Option<&Value>) -> Result<Value, String> {
        let path = format!("/2015-02-01/{path}");
        let headers = [("content-type", "application/json")];
        self.call("elasticfilesystem", method, &path, &headers, input).map_err(|why| format!("{method} {path}: {why}"))
    }

    /// A customer-managed key; gives its id.
    pub(crate) fn create_key(&self, description: &str) -> Result<String, String> {
        let made = self.kms("CreateKey", &json!({ "Description": description }))?;
        text(&made, &["KeyMetadata", "KeyId"])
    }

    /// An encrypted file system with a mount target, both available.
    pub(crate) fn create_file_system(&self, token: &str, key: Option<&str>) -> Result<FileSystem, String> {
        let mut input =
            json!({ "CreationToken": token, "Encrypted": true, "Tags": [{ "Key": "Name", "Value": token }] });
        if let (Some(key), Some(input)) = (key, input.as_object_mut()) {
            input.insert("KmsKeyId".to_owned(), key.into());
        }
        let id = text(&self.efs("POST", "file-systems", Some(&input))?, &["FileSystemId"])?;
        self.wait("the file system", &format!("file-systems?FileSystemId={id}"), "FileSystems")?;
        self.efs("POST", "mount-targets", Some(&json!({ "FileSystemId": id, "SubnetId": SUBNET })))?;
        let target = self.wait("the mount target", &format!("mount-targets?FileSystemId={id}"), "MountTargets")?;
        Ok(FileSystem { id, address: text(&target, &["IpAddress"])? })
    }

    /// An access point that is available.
    pub(crate) fn create_access_point(&self, input: &Value) -> Result<String, String> {
        let id = text(&self.efs("POST", "access-points", Some(input))?, &["AccessPointId"])?;
        self.wait("the access point", &format!("access-points?AccessPointId={id}"), "AccessPoints")?;
        Ok(id)
    }

    /// Asks until the first of a list is `available`.
    fn wait(&self, what: &str, path: &str, list: &str) -> Result<Value, String> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            let answer = self.efs("GET", path, None)?;
            let first = answer.get(list).and_then(|list| list.get(0)).cloned().unwrap_or_default();
            match first.get("LifeCycleState").and_then(Value::as_str) {
                Some("available") => return Ok(first),
                Some("error" | "deleted") => return Err(format!("{what} is not usable: {first}")),
                _ if start.elapsed() > READY_LIMIT => {
                    return Err(format!("{what} does not become available: {answer}"));
                }
                _ => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
            }
        }
    }

    fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        input: Option<&Value>,
    ) -> Result<Value, String> {
        let body = input.map_or_else(String::new, Value::to_string);
        let host = self.address.to_string();
        let mut headers = headers.to_vec();
        headers.push(("host", &host));
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let signer = Signer {
            access_key_id: self.access_key_id.clone(),
            secret: self.secret.clone().into(),
            token: None,
            region: self.region.to_owned(),
            service: service.to_owned(),
        };
        let added = signer.sign(method, bare, query, &headers, body.as_bytes(), now(self.ahead));
        let mut head = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        for (name, value) in headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(added) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let (status, answer) = exchange(self.address, &head, body.as_bytes())?;
        let value: Value = serde_json::from_str(&answer).unwrap_or_default();
        if (200..300).contains(&status) { Ok(value) } else { Err(format!("HTTP {status}: {answer}")) }
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Api({})", self.address)
    }
}

fn now(ahead: Duration) -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + ahead;
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos())
}

/// The string at a path of members.
pub(crate) fn text(value: &Value, path: &[&str]) -> Result<String, String> {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("no {} in {value}", path.join(".")))
}

/// One request on a connection of its own.
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Result<(u16, String), String> {
    let failed = |error: std::io::Error| format!("http://{address}: {error}");
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(failed)?;
    connection.set_read_timeout(Some(CALL_LIMIT)).map_err(failed)?;
    connection.write_all(head.as_bytes()).map_err(failed)?;
    connection.write_all(body).map_err(failed)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("http://{address}: no HTTP answer"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| format!("http://{address}: no status"))?, body.to_owned()))
}
