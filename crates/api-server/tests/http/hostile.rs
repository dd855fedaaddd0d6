//! Peers that are slow, large, many or gone.

use std::sync::Arc;
use std::time::Duration;

use api_server::Limits;
use policy::{ByIdentity, NoPolicies};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, Reply};

fn impatient() -> Limits {
    Limits {
        connections_per_address: 8,
        head_time: Duration::from_millis(300),
        body_time: Duration::from_millis(300),
        idle_time: Duration::from_millis(300),
        ..Limits::default()
    }
}

async fn house() -> House {
    House::with(impatient(), Arc::new(ByIdentity::new(Arc::new(NoPolicies)))).await
}

/// Waits for the peer to close; what came until then.
async fn rest(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("closed in time");
    Reply::parse(&bytes)
}

/// docs/api.md, "Bounds": a body over 1 MiB is refused, announced or not, before it is held in memory.
#[tokio::test]
async fn large_bodies_are_refused() {
    let house = house().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: TrentService.Encrypt\r\n";
    let announced = house.send(format!("{head}content-length: 1073741824\r\n\r\n").as_bytes()).await;
    assert_eq!(announced.status, 413, "{announced:?}");
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..40 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let reply = rest(&mut stream).await;
    assert!(reply.status == 413 || reply.status == 0, "{reply:?}");
}

/// House rule: parsed JSON takes many times the memory of its text; a body of very many parts is refused, and recorded.
#[tokio::test]
async fn bodies_of_many_parts_are_not_parsed() {
    let house = house().await;
    let reply = house.kms_text("Encrypt", format!("[{}[]]", "[],".repeat(300_000))).await;
    assert_eq!((reply.status, &reply.json()["__type"]), (400, &json!("ValidationException")), "{reply:?}");
    let records = house.records().await;
    assert!(records.iter().any(|line| line["record"]["errorCode"] == "ValidationException"));
}

/// KMS, order of judgement: the signature comes first, so nobody unsigned makes the server parse a body.
#[tokio::test]
async fn unsigned_bodies_are_not_parsed() {
    let house = house().await;
    let body = format!("[{}", "[],".repeat(300_000));
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: TrentService.Encrypt\r\nconnection: close\r\n";
    let reply = house.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert_eq!(reply.json()["__type"], "MissingAuthenticationTokenException");
}

/// docs/api.md, "Bounds": a peer that sends its head or body a byte at a time is cut off.
#[tokio::test]
async fn slow_peers_are_cut_off() {
    let house = house().await;
    let mut slow_head = TcpStream::connect(house.address).await.unwrap();
    slow_head.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap();
    let mut slow_body = TcpStream::connect(house.address).await.unwrap();
    slow_body.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12").await.unwrap();
    let mut silent = TcpStream::connect(house.address).await.unwrap();
    rest(&mut slow_head).await;
    assert_eq!(rest(&mut slow_body).await.status, 408);
    rest(&mut silent).await;
    assert_eq!(house.kms("ListKeys", json!({})).await.status, 200, "others are unharmed");
}

/// docs/api.md, "Bounds": what is not HTTP is closed; huge heads are refused.
#[tokio::test]
async fn garbage_is_closed() {
    let house = house().await;
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n"] {
        let reply = house.send(garbage).await;
        assert!(reply.status == 400 || reply.status == 0, "{reply:?}");
    }
    let head = format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    _ = stream.write_all(head.as_bytes()).await;
    let reply = rest(&mut stream).await;
    assert!(reply.status == 431 || reply.status == 0, "{reply:?}");
    assert_eq!(house.kms("ListKeys", json!({})).await.status, 200);
}

/// docs/api.md, "Bounds": one address cannot take all connections; places come back.
#[tokio::test]
async fn connections_are_bounded_and_come_back() {
    let house = house().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(house.address).await.unwrap());
    }
    tokio::time::timeout(Duration::from_secs(5), async {
        let mut ninth = TcpStream::connect(house.address).await.unwrap();
        assert_eq!(rest(&mut ninth).await.status, 0);
    })
    .await
    .unwrap();
    held.clear();
    for _ in 0..100 {
        if house.send(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.status == 200 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no place came back");
}

/// SIGTERM: the stop is graceful; idle connections close, new ones are refused, the log is whole.
#[tokio::test]
async fn the_stop_is_graceful() {
    let house = House::new().await;
    let mut idle = TcpStream::connect(house.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    house.kms("CreateKey", json!({})).await;
    house.server.stop(Duration::from_secs(5)).await;
    rest(&mut idle).await;
    assert!(TcpStream::connect(house.address).await.is_err());
    assert!(audit::verify(&house.audit).unwrap().incomplete.is_empty());
}
