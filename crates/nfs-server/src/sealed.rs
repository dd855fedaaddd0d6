//! What NFS clients hear while the server has no keys at all: wait. Whoever speaks RPC in the clear gets NFS4ERR_DELAY for each
//! compound (RFC 8881 section 15.1.1.3: the client tries again); a TLS connection is held for a while and closed, since the
//! certificate's key is sealed with everything else, and the client comes back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use env::Env;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{self, Compound4Args};
use nfs_wire::rpc::{self, Accepted, CallTrouble, MismatchInfo, Outcome};
use nfs_wire::xdr::Decoder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection::{self, Call, Service};
use crate::limits::Limits;
use crate::record::Records;
use crate::reply::{Reply, ReplyHeader};
use crate::rpc::refused;
use crate::transport::Transport;

/// Connections at once; a sealed server keeps nobody's state.
const CONNECTIONS_MAX: usize = 1024;
/// How long a TLS connection is held, so that its client does not come back at once.
const HELD: Duration = Duration::from_secs(15);
/// Bytes of one connection's requests.
const REQUESTS_BYTES_MAX: usize = 2 << 20;

/// Answers on the listener until it is dropped. Connections to a local address that is not `ours` are closed unanswered.
pub async fn serve_sealed(listener: TcpListener, ours: impl Fn(IpAddr) -> bool, env: Env) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stop = watch::Sender::new(false);
    // They end with this function: after that clients meet the server itself.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match stream {
            Ok((stream, _)) if stream.local_addr().is_ok_and(|local| ours(local.ip())) => {
                let (env, stop) = (env.clone(), stop.subscribe());
                connections.spawn(async move {
                    connection(stream, &env, stop).await;
                    drop(place);
                });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "accept while sealed");
                env.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, env: &Env, stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let limits = Limits { running_bytes_max: REQUESTS_BYTES_MAX, ..Limits::default() };
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = stream.peek(&mut first) => peeked,
        () = env.sleep(limits.handshake_max) => return,
    };
    match (peeked, first) {
        (Ok(1), [0x16]) => env.sleep(HELD).await,
        (Ok(1), [0x80 | 0x00]) => {
            let records = Records::new(limits.record_bytes_max);
            if let Err(reason) =
                connection::serve(Transport::new(stream, None), records, Waiting, &limits, env, stop).await
            {
                tracing::debug!(%reason, "a connection ended while sealed");
            }
        }
        _ => {}
    }
}

/// The protocol of a server that is not there yet.
struct Waiting;

impl Service for Waiting {
    fn call(&mut self, request: Bytes) -> Call {
        let mut decoder = Decoder::new(request);
        let call = match rpc::Call::decode(&mut decoder) {
            Ok(call) => call,
            Err(CallTrouble::Close(_)) => return Call::Close,
            Err(CallTrouble::IsReply) => return Call::Done(None),
            Err(CallTrouble::Refuse(xid, why)) => return done(Reply::bare(xid, &Outcome::Rejected(why))),
        };
        let header = ReplyHeader { xid: call.xid };
        let accepted = |outcome| done(Reply::bare(call.xid, &Outcome::Accepted(outcome)));
        match (call.program, call.version, call.procedure) {
            (nfs4::PROGRAM, nfs4::VERSION, nfs4::PROCEDURE_NULL) => done(header.empty()),
            (nfs4::PROGRAM, nfs4::VERSION, nfs4::PROCEDURE_COMPOUND) => match Compound4Args::decode_rest(decoder) {
                Ok(args) => done(refused(header, &args, NfsStat4::Delay)),
                Err(_) => accepted(Accepted::GarbageArgs),
            },
            (nfs4::PROGRAM, nfs4::VERSION, _) => accepted(Accepted::ProcUnavail),
            (nfs4::PROGRAM, ..) => {
                accepted(Accepted::ProgMismatch(MismatchInfo { low: nfs4::VERSION, high: nfs4::VERSION }))
            }
            _ => accepted(Accepted::ProgUnavail),
        }
    }
}

fn done(reply: Reply) -> Call {
    Call::Done(Some(reply.into_parts()))
}

#[cfg(test)]
mod tests {
    use nfs_wire::ArgOp;
    use nfs_wire::bounded::Opaque;
    use nfs_wire::nfs4::Compound4Res;
    use nfs_wire::rpc::{Credential, RecordMark};
    use nfs_wire::xdr::{Encoder, decode_all};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn served(ours: bool) -> (TcpStream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve_sealed(listener, move |_| ours, Env::real()));
        (TcpStream::connect(address).await.unwrap(), task)
    }

    async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
        let mark = RecordMark::whole(u32::try_from(request.len()).unwrap()).to_wire();
        stream.write_all(&[&mark, request].concat()).await.unwrap();
        let mut mark = [0; 4];
        stream.read_exact(&mut mark).await.unwrap();
        let mut reply = vec![0; RecordMark::from_wire(mark).bytes as usize];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    }

    fn call(program: u32, procedure: u32) -> Encoder {
        let mut encoder = Encoder::with_capacity(256);
        let credential = Credential::None;
        rpc::Call { xid: 7, program, version: nfs4::VERSION, procedure, credential }.encode(&mut encoder);
        encoder
    }

    /// RFC 8881 section 15.1.1.3: whatever is asked first gets NFS4ERR_DELAY, and the client asks again.
    #[tokio::test]
    async fn every_compound_is_delayed() {
        let (mut stream, task) = served(true).await;
        for _ in 0..2 {
            let mut encoder = call(nfs4::PROGRAM, nfs4::PROCEDURE_COMPOUND);
            Compound4Args::new(Opaque::default(), vec![ArgOp::Putrootfh(()), ArgOp::Getfh(())]).encode(&mut encoder);
            let reply = exchange(&mut stream, &encoder.into_bytes()).await;
            let result: Compound4Res = decode_all(Bytes::from(reply).slice(24..)).unwrap();
            assert_eq!(result.status, NfsStat4::Delay);
            assert_eq!(result.resarray.iter().map(nfs_wire::ResOp::status).collect::<Vec<_>>(), [NfsStat4::Delay]);
        }
        task.abort();
        let _ = task.await;
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0, "the end of the sealed time ends its connections");
    }

    /// RFC 5531 section 9: NULL answers, another program is not there, and neither waits.
    #[tokio::test]
    async fn null_and_unknown_programs_are_answered() {
        let (mut stream, _task) = served(true).await;
        let null = exchange(&mut stream, &call(nfs4::PROGRAM, nfs4::PROCEDURE_NULL).into_bytes()).await;
        assert_eq!(null[20..], [0, 0, 0, 0]);
        let unknown = exchange(&mut stream, &call(400_123, 0).into_bytes()).await;
        assert_eq!(unknown[20..], [0, 0, 0, 1]);
    }

    /// Architecture section 2.1: an address that belongs to no mount target says nothing.
    #[tokio::test]
    async fn a_foreign_address_is_closed() {
        let (mut stream, _task) = served(false).await;
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
}
