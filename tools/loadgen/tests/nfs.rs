//! `loadgen nfs` against a whole server in this process, over file systems in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests of sockets work in real time")]

#[path = "../../../crates/nfs-server/tests/server/harness/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the server's own tests use more of it")]
mod server;

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use server::{NAME, Rig, quick};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Every kind with a small amount of it, and the operations that this makes with 8 clients.
const KINDS: &[(&str, &str, u64)] = &[
    ("create", "--count 40", 40),
    ("create", "--count 40 --shared --depth 4", 40),
    ("small", "--count 40", 40),
    ("small", "--count 40 --keep --thin", 40),
    ("mkdir", "--count 40", 40),
    ("remove", "--count 40", 40),
    ("getattr", "--count 80 --files 5", 80),
    ("lookup", "--count 80 --files 5", 80),
    ("readdir", "--count 80 --files 50 --shared", 80),
    ("write", "--mib 32", 32),
    ("write", "--mib 8 --count 24 --depth 1", 24),
    ("write4k", "--mib 8 --count 80 --stretch 3", 80),
    ("write4k", "--mib 8 --count 80 --commit --depth 4", 80),
    ("read", "--mib 16 --warm", 16),
    ("read4k", "--mib 8 --count 800", 800),
    ("large", "--mib 48", 48),
];

fn loadgen(address: SocketAddr, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("nfs").args(line.split(' ')).args(["--server", &address.to_string()]).kill_on_drop(true);
    command
}

fn line(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn check(kind: &str, operations: u64, line: &Value) {
    assert_eq!((line["kind"].as_str(), line["operations"].as_u64()), (Some(kind), Some(operations)), "{line}");
    let [p50, p99, p999] = ["p50_us", "p99_us", "p999_us"].map(|name| line[name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= p999, "{line}");
    let compares = matches!(kind, "small" | "write" | "write4k" | "read" | "read4k" | "large");
    assert_eq!(line["verified_bytes"].as_u64().unwrap() > 0, compares, "{line}");
}

/// Issue 3, "Load generator": each kind of work, several clients; what is left of it is nothing, or its directory could not
/// be removed at the end.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_work_is_done_and_checked_and_cleared_up() {
    let rig = Rig::start().await;
    for (kind, more, operations) in KINDS {
        let output = loadgen(rig.address, &format!("{kind} --clients 8 {more}")).output().await.unwrap();
        check(kind, *operations, &line(&output));
    }
}

/// What one run leaves, another finds again; what was not left is missed.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_is_visited() {
    let rig = Rig::start().await;
    let run = |kind: &str| loadgen(rig.address, &format!("{kind} --clients 4 --keep --directory left"));
    check("create", 80, &line(&run("create --count 80").output().await.unwrap()));
    check("lookup", 200, &line(&run("lookup --visit --files 20 --count 200").output().await.unwrap()));
    check("readdir", 8, &line(&run("readdir --visit --files 20 --count 8").output().await.unwrap()));
    let said = complaint(&run("readdir --visit --files 21 --count 8").output().await.unwrap());
    assert!(said.contains("-00000020 was not listed"), "{said}");
    assert!(complaint(&run("small --visit").output().await.unwrap()).contains("--visit"));
}

/// The same under TLS, with the server's name in the handshake.
#[tokio::test(flavor = "multi_thread")]
async fn tls_carries_the_same_work() {
    let rig = Rig::start().await;
    let place = tempfile::tempdir().unwrap();
    let bundle = place.path().join("ca.pem");
    let base64 = base64::engine::general_purpose::STANDARD.encode(&rig.root);
    std::fs::write(&bundle, format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")).unwrap();
    for (kind, more, operations) in KINDS.iter().filter(|(kind, ..)| matches!(*kind, "create" | "write" | "read")) {
        let mut command = loadgen(rig.address, &format!("{kind} --clients 2 --threads 2 {more}"));
        let output = command.arg("--ca").arg(&bundle).args(["--name", NAME]).output().await.unwrap();
        let line = line(&output);
        check(kind, *operations, &line);
        assert_eq!(line["transport"], "tls");
    }
    let peers = rig.exports.peers.lock();
    assert!(peers.iter().all(|peer| peer.secure && peer.server_name.as_deref() == Some(NAME)));
}

/// Work that is ended by the time ends in time, and its rate is over that time.
#[tokio::test(flavor = "multi_thread")]
async fn a_timed_run_lasts_as_long_as_asked() {
    let rig = Rig::start().await;
    let output = loadgen(rig.address, "create --clients 64 --seconds 1").output().await.unwrap();
    let line = line(&output);
    let seconds = line["seconds"].as_f64().unwrap();
    assert!((1.0..10.0).contains(&seconds), "{line}");
    assert!(line["operations"].as_u64().unwrap() >= 64, "{line}");
}

/// Copies both directions; of what the server says one byte is turned over.
async fn turn_over(listener: TcpListener, server: SocketAddr, at: usize) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        tokio::spawn(async move {
            let (mut passed, mut buffer) = (0, vec![0; 16 * 1024]);
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if (passed..passed + count).contains(&at) {
                    buffer[at - passed] ^= 1;
                }
                passed += count;
                to_client.write_all(&buffer[..count]).await.unwrap();
            }
        });
    }
}

/// A wrong byte read is a failure that names file and offset.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_is_found_and_named() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    // Replies before the first READ are short, so this byte is in the middle of its data.
    tokio::spawn(turn_over(listener, rig.address, 600_000));
    for kind in ["read", "write"] {
        let output = loadgen(between, &format!("{kind} --mib 1 --depth 1")).output().await.unwrap();
        let said = complaint(&output);
        let offset = said.split_once("file-0: wrong byte at offset ").unwrap().1.split_once(':').unwrap().0;
        assert!((500_000..600_000).contains(&offset.parse::<u64>().unwrap()), "{said}");
    }
    let output = loadgen(between, "read --mib 1 --depth 1 --verify-every 0").output().await.unwrap();
    assert_eq!(line(&output)["verified_bytes"], 0);
}

/// RFC 8881, section 8.4.2: a server that restarted refuses new opens for a while, and that is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_grace_period_is_waited_out() {
    let rig = Rig::start().await;
    // A client that the server remembers, and that never comes back.
    let mut lost = loadgen(rig.address, "write4k --mib 1 --seconds 60").spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    lost.kill().await.unwrap();
    let rig = rig.crash().await;
    let output = loadgen(rig.address, "create --count 5").output().await.unwrap();
    let line = line(&output);
    assert!(line["retries"].as_u64().unwrap() > 0, "{line}");
    assert!(line["max_us"].as_f64().unwrap() < f64::from(3 * quick().lease_seconds) * 1e6, "{line}");
}

/// What cannot be done is said in a sentence that names it.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_sentences() {
    let rig = Rig::start().await;
    let output = loadgen(rig.address, "create --path /missing/place").output().await.unwrap();
    assert!(complaint(&output).contains("/missing/place: LOOKUP: NFS4ERR_NOENT"));
    let output = loadgen("127.0.0.1:1".parse().unwrap(), "create").output().await.unwrap();
    assert!(complaint(&output).contains("127.0.0.1:1: Connection refused"));
    let output = loadgen(rig.address, "remove").output().await.unwrap();
    assert!(complaint(&output).contains("--count"));
}
