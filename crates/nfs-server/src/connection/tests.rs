//! The loop against a real socket and a small protocol.

use super::{Call, Reply, Service, serve};
use crate::limits::Limits;
use crate::record::Records;
use crate::testing::mark;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use env::Env;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// `n…`: answers itself; `w…`: the same after a wait; `b`: a MiB; `x`: ends the connection.
struct Echo(Env);

fn reply(body: Bytes) -> Reply {
    Some(vec![Bytes::copy_from_slice(&mark(body.len()).to_be_bytes()), body])
}

impl Service for Echo {
    fn call(&mut self, request: Bytes) -> Call {
        let env = self.0.clone();
        match request.first() {
            Some(b'x') | None => Call::Close,
            Some(b'w') => Call::Run(
                Box::pin(async move {
                    env.sleep(Duration::from_millis(50)).await;
                    reply(request)
                }),
                0,
            ),
            Some(b'b') => Call::Run(Box::pin(async { reply(Bytes::from(vec![7; 256 << 10])) }), 0),
            _ => Call::Done(reply(request)),
        }
    }
}

async fn start(limits: Limits) -> (TcpStream, JoinHandle<Result<(), TransportError>>, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let env = Env::real();
        let records = Records::new(limits.record_bytes_max);
        serve(Transport::new(stream, None), records, Echo(env.clone()), &limits, &env, stopped).await
    });
    (client, task, stop)
}

async fn send(client: &mut TcpStream, body: &[u8]) {
    client.write_all(&[&mark(body.len()).to_be_bytes(), body].concat()).await.unwrap();
}

async fn receive(client: &mut TcpStream) -> Vec<u8> {
    let length = client.read_u32().await.unwrap() & 0x7fff_ffff;
    let mut body = vec![0; length as usize];
    client.read_exact(&mut body).await.unwrap();
    body
}

/// Architecture section 2.7: replies go out as they finish.
#[tokio::test]
async fn a_slow_request_does_not_hold_a_quick_one() {
    let (mut client, task, _stop) = start(Limits::default()).await;
    send(&mut client, b"w1").await;
    send(&mut client, b"n2").await;
    assert_eq!(receive(&mut client).await, b"n2");
    assert_eq!(receive(&mut client).await, b"w1");
    drop(client);
    task.await.unwrap().unwrap();
}

/// Architecture section 2.7: a peer that stops reading stops being read, and what it is owed is bounded.
#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read() {
    let limits = Limits { pending_bytes_max: 2 << 20, ..Limits::default() };
    let (mut client, task, _stop) = start(limits).await;
    let mut asked = 0;
    let request = [&mark(1 << 15).to_be_bytes()[..], b"b", &vec![0; (1 << 15) - 1]].concat();
    // The sockets' buffers take a few MiB each way; after that the server must stop taking requests.
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(500), client.write_all(&request)).await {
        sent.unwrap();
        asked += 1;
        assert!(asked < 20_000, "the server took requests without end");
    }
    // Once it reads, the answers come.
    for _ in 0..32 {
        assert_eq!(receive(&mut client).await.len(), 256 << 10);
    }
    drop(client);
    let _ = task.await.unwrap();
}

/// Architecture section 2.7: requests held back for what the peer is owed go on as soon as it has taken that.
#[tokio::test]
async fn requests_held_back_go_on_when_the_socket_took_the_replies() {
    let limits = Limits { pending_bytes_max: 1, ..Limits::default() };
    let (mut client, task, _stop) = start(limits).await;
    let request = [&mark(1).to_be_bytes()[..], b"b"].concat();
    client.write_all(&request.repeat(4)).await.unwrap();
    for _ in 0..4 {
        let reply = tokio::time::timeout(Duration::from_secs(2), receive(&mut client)).await;
        assert_eq!(reply.expect("held back until the tick").len(), 256 << 10);
    }
    drop(client);
    task.await.unwrap().unwrap();
}

/// Architecture section 2.7: a peer that takes no replies at all is dropped after a while.
#[tokio::test]
async fn a_peer_that_never_reads_is_dropped() {
    let limits = Limits { reply_taken_max: Duration::from_millis(1), ..Limits::default() };
    let (mut client, task, _stop) = start(limits).await;
    for _ in 0..32 {
        send(&mut client, b"b").await;
    }
    assert!(matches!(task.await.unwrap(), Err(TransportError::Stuck)));
}

/// A stop lets what runs finish, answers it, and ends.
#[tokio::test]
async fn a_stop_answers_what_runs() {
    let (mut client, task, stop) = start(Limits::default()).await;
    send(&mut client, b"w1").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    stop.send(true).unwrap();
    assert_eq!(receive(&mut client).await, b"w1");
    task.await.unwrap().unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

/// RFC 5531 section 11: a record over the limit ends the connection.
#[tokio::test]
async fn a_record_too_long_ends_the_connection() {
    let (mut client, task, _stop) = start(Limits::default()).await;
    client.write_all(&[0xff; 4]).await.unwrap();
    assert!(matches!(task.await.unwrap(), Err(TransportError::Record(_))));
}
