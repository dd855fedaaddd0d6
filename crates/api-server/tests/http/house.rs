//! A whole API server on a loopback port, with everything in memory but the audit log and the root key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_server::{Limits, Parts, Server, Zone};
use audit::AuditLog;
use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use env::Env;
use identity::{AccessKey, Identities};
use kms::root::{FileProvider, RootProvider};
use kms::{KeyRing, Kms};
use policy::{Authorize, ByIdentity, NoPolicies};
use serde_json::Value;
use storage::SealedRecords;
use storage::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ACCOUNT: &str = "000000000001";
pub(crate) const REGION: &str = "us-east-1";

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) key: AccessKey,
    pub(crate) server: Server,
    pub(crate) audit: PathBuf,
    log: AuditLog,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A request before it is signed.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: String,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), Arc::new(ByIdentity::new(Arc::new(NoPolicies)))).await
    }

    pub(crate) async fn with(limits: Limits, authorize: Arc<dyn Authorize>) -> Self {
        Self::made(limits, Some(authorize)).await
    }

    /// A house in which callers may do what their own policies say.
    pub(crate) async fn of_identities() -> Self {
        Self::made(Limits::default(), None).await
    }

    async fn made(limits: Limits, authorize: Option<Arc<dyn Authorize>>) -> Self {
        let env = Env::real();
        let directory = tempfile::tempdir().unwrap();
        let files = FileProvider::new(directory.path().join("root.key"), directory.path().join("epoch.secret"));
        files.create(&env).unwrap();
        let provider: Arc<dyn RootProvider> = Arc::new(files);
        let (shard, _segments) = Memory::new().open();
        KeyRing::create(&shard, &provider, &env).await.unwrap();
        let ring = KeyRing::open(shard.clone(), provider, env.clone()).await.unwrap();
        let records = Arc::new(SealedRecords::open(shard, &ring.records_key(), env.clone()).await.unwrap());
        let key = Identities::create(&records, ACCOUNT, &env).await.unwrap();
        let session_key = ring.control_subkey("identity/sessions");
        let identities = Arc::new(Identities::open(records.clone(), session_key, env.clone()).await.unwrap());
        let authorize = authorize.unwrap_or_else(|| Arc::new(ByIdentity::new(identities.clone())));
        let kms = Kms::open(records.clone(), ring, env.clone()).await.unwrap();
        kms.judge_by(identities.clone());
        let control = crate::joined::control(records, kms.clone(), env.clone()).await;
        let audit = directory.path().join("audit.log");
        let log = AuditLog::open(&audit, env.clone()).unwrap();
        let zones = vec![
            Zone { name: "us-east-1a".to_owned(), id: "use1-az1".to_owned() },
            Zone { name: "us-east-1b".to_owned(), id: "use1-az2".to_owned() },
        ];
        let server = Server::new(Parts {
            services: vec![api_server::kms(kms), api_server::efs(control)],
            identities,
            authorize,
            audit: log.clone(),
            region: REGION.to_owned(),
            zones,
            env,
            limits,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        Self { address, key, server, audit, log, _directory: directory }
    }

    /// The audit log's lines so far.
    pub(crate) async fn records(&self) -> Vec<Value> {
        self.log.flush().await.unwrap();
        let text = std::fs::read_to_string(&self.audit).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn signer(&self, service: &str) -> Signer {
        Signer {
            access_key_id: self.key.id.clone(),
            secret: self.key.secret.clone(),
            token: None,
            region: REGION.to_owned(),
            service: service.to_owned(),
        }
    }

    pub(crate) async fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer");
        Reply::parse(&answer)
    }

    pub(crate) fn signed(&self, call: &Call<'_>) -> Vec<u8> {
        self.signed_by(&self.signer(call.service), call)
    }

    /// The bytes of a call that somebody else signs.
    pub(crate) fn signed_by(&self, signer: &Signer, call: &Call<'_>) -> Vec<u8> {
        let host = self.address.to_string();
        let mut headers = vec![("host", host.as_str())];
        headers.extend(call.headers.iter().copied());
        let now = Env::real().wall();
        let added = signer.sign(
            call.method,
            call.path,
            call.query,
            &headers,
            call.body.as_bytes(),
            Timestamp::from_unix(now.seconds, 0),
        );
        let question = if call.query.is_empty() { "" } else { "?" };
        let mut text = format!("{} {}{question}{} HTTP/1.1\r\n", call.method, call.path, call.query);
        let added = added.iter().map(|(name, value)| (*name, value.as_str()));
        headers.into_iter().chain(added).for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n{}", call.body.len(), call.body));
        text.into_bytes()
    }

    pub(crate) async fn call(&self, call: &Call<'_>) -> Reply {
        self.send(&self.signed(call)).await
    }

    pub(crate) async fn kms(&self, action: &str, input: Value) -> Reply {
        self.kms_text(action, input.to_string()).await
    }

    pub(crate) async fn kms_text(&self, action: &str, body: String) -> Reply {
        let target = format!("TrentService.{action}");
        let headers = vec![("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        self.call(&Call { service: "kms", method: "POST", path: "/", query: "", headers, body }).await
    }

    /// A REST call of EFS.
    pub(crate) async fn efs(&self, method: &str, path: &str, query: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/2015-02-01/{path}");
        self.call(&Call { service: "elasticfilesystem", method, path: &path, query, headers: Vec::new(), body }).await
    }

    pub(crate) async fn form(&self, service: &str, body: &str) -> Reply {
        let headers = vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        self.call(&Call { service, method: "POST", path: "/", query: "", headers, body: body.to_owned() }).await
    }
}
