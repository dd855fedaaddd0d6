//! `loadgen kms`: calls of the KMS API over HTTP with keep-alive, each signed, so many clients at once.
//!
//! A client signs its request anew whenever the second of its date has passed: a signature may be used again within its
//! five minutes, the server verifies each one all the same, and what is measured is the server and not the signing.

mod connection;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum, value_parser};
use serde_json::{Map, Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::histogram::{Histogram, rounded};
use crate::nfs::processor::Used;
use connection::Connection;

const REGION: &str = "us-east-1";

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Encrypt, with a payload of `--bytes`.
    Encrypt,
    /// Decrypt, of what Encrypt made of such a payload.
    Decrypt,
    /// GenerateDataKey, of `--bytes` (1,024 at most).
    GenerateDataKey,
    /// DescribeKey: a call that uses no key.
    DescribeKey,
}

/// A run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The kind of call.
    #[arg(value_enum)]
    action: Action,
    /// The API: ADDRESS:PORT.
    #[arg(long)]
    server: SocketAddr,
    /// The credentials, as `coffer init` wrote them.
    #[arg(long)]
    profile: PathBuf,
    /// Clients, each with a connection of its own.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=512))]
    clients: u32,
    /// How long.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The payload.
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u16).range(1..=4096))]
    bytes: u16,
    /// The server's process, to tell what CPU it used.
    #[arg(long)]
    pid: Option<u32>,
}

/// What a client calls, again and again.
struct Call {
    signer: Signer,
    host: String,
    target: String,
    body: String,
}

/// What a client saw.
struct Seen {
    latency: Histogram,
    ended: Instant,
}

/// Runs until the time is over; gives its line.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(work(options))
}

async fn work(options: &Options) -> Result<String, String> {
    let signer = signer(options)?;
    let host = options.server.to_string();
    let call = |action: &str, input: Value| Call {
        signer: signer.clone(),
        host: host.clone(),
        target: format!("TrentService.{action}"),
        body: input.to_string(),
    };
    let key = once(options, &call("CreateKey", json!({ "Description": "loadgen" }))).await?;
    let key = text(&key, &["KeyMetadata", "KeyId"])?;
    let payload = STANDARD.encode((0..options.bytes).map(|at| at.to_le_bytes()[0]).collect::<Vec<u8>>());
    let encrypt =
        call("Encrypt", json!({ "KeyId": key, "Plaintext": payload, "EncryptionContext": { "purpose": "bench" } }));
    let measured = match options.action {
        Action::Encrypt => encrypt,
        Action::Decrypt => {
            let blob = text(&once(options, &encrypt).await?, &["CiphertextBlob"])?;
            let input = json!({ "CiphertextBlob": blob, "EncryptionContext": { "purpose": "bench" } });
            let decrypt = call("Decrypt", input);
            if text(&once(options, &decrypt).await?, &["Plaintext"])? != payload {
                return Err("Decrypt gave another plaintext than was encrypted".to_owned());
            }
            decrypt
        }
        Action::GenerateDataKey => call("GenerateDataKey", json!({ "KeyId": key, "NumberOfBytes": options.bytes })),
        Action::DescribeKey => call("DescribeKey", json!({ "KeyId": key })),
    };
    measure(options, Arc::new(measured)).await
}

async fn measure(options: &Options, call: Arc<Call>) -> Result<String, String> {
    let everybody = usize::try_from(options.clients).unwrap_or(usize::MAX).saturating_add(1);
    let ready = Arc::new(Barrier::new(everybody));
    let mut clients = JoinSet::new();
    for _ in 0..options.clients {
        let (server, seconds, call, ready) = (options.server, options.seconds, Arc::clone(&call), Arc::clone(&ready));
        clients.spawn(async move { client(server, seconds, &call, &ready).await });
    }
    ready.wait().await;
    let (began, before) = (Instant::now(), Used::now(options.pid)?);
    let (mut latency, mut ended) = (Histogram::new(), began);
    while let Some(seen) = clients.join_next().await {
        let seen = seen.map_err(|error| format!("a client ended: {error}"))??;
        latency.merge(&seen.latency);
        ended = ended.max(seen.ended);
    }
    let used = Used::now(options.pid)?.since(before);
    let (seconds, calls) = (ended.duration_since(began).as_secs_f64(), latency.total());
    let mut line = Map::new();
    let name = options.action.to_possible_value();
    line.insert("action".to_owned(), name.as_ref().map_or("", |name| name.get_name()).into());
    line.insert("clients".to_owned(), options.clients.into());
    line.insert("payload_bytes".to_owned(), options.bytes.into());
    line.insert("calls".to_owned(), calls.into());
    line.insert("seconds".to_owned(), rounded(seconds));
    line.insert("rate".to_owned(), rounded(calls as f64 / seconds));
    line.insert("loadgen_cpu_seconds".to_owned(), rounded(used.own));
    if let Some(server) = used.server {
        line.insert("server_cpu_seconds".to_owned(), rounded(server));
        line.insert("server_cpu_us_per_call".to_owned(), rounded(server * 1e6 / calls as f64));
    }
    latency.report("", &mut line);
    Ok(Value::Object(line).to_string())
}

/// One client: its first call is not measured, since it opens the connection.
async fn client(server: SocketAddr, seconds: u64, call: &Call, ready: &Barrier) -> Result<Seen, String> {
    let mut connection = Connection::open(server).await?;
    let (mut date, mut request) = signed(call);
    connection.exchange(&request).await?;
    ready.wait().await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut latency = Histogram::new();
    loop {
        let now = now();
        if now.basic() != date {
            (date, request) = signed(call);
        }
        let start = Instant::now();
        connection.exchange(&request).await?;
        let ended = Instant::now();
        latency.record(ended - start);
        if ended >= end {
            return Ok(Seen { latency, ended });
        }
    }
}

/// The request's bytes, and the date that they are signed for.
fn signed(call: &Call) -> (String, Vec<u8>) {
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", call.host.as_str()),
        ("x-amz-target", call.target.as_str()),
    ];
    let now = now();
    let added = call.signer.sign("POST", "/", "", &headers, call.body.as_bytes(), now);
    let mut text = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n", call.body.len());
    let all = headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str())));
    all.for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text.push_str("\r\n");
    text.push_str(&call.body);
    (now.basic(), text.into_bytes())
}

/// A call on a connection of its own; its answer.
async fn once(options: &Options, call: &Call) -> Result<Value, String> {
    let answer = Connection::open(options.server).await?.exchange(&signed(call).1).await?;
    serde_json::from_slice(&answer).map_err(|error| format!("{}: {error}", call.target))
}

fn text(value: &Value, path: &[&str]) -> Result<String, String> {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("no {} in {value}", path.join(".")))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(0), 0)
}

fn signer(options: &Options) -> Result<Signer, String> {
    let path = options.profile.display();
    let profile = std::fs::read_to_string(&options.profile).map_err(|error| format!("{path}: {error}"))?;
    let value = |name: &str| {
        let pairs = profile.lines().filter_map(|line| line.split_once('='));
        let mut found = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.next().ok_or_else(|| format!("{path}: no {name}"))
    };
    Ok(Signer {
        access_key_id: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?.into(),
        token: None,
        region: REGION.to_owned(),
        service: "kms".to_owned(),
    })
}
