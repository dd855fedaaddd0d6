//! Peers that do not keep to the rules: each gets the exact RPC error or is dropped, and others do not notice.

use std::time::Duration;

use crate::harness::client::{Client, Connection, mkdir, putfh};
use crate::harness::server::{Disk, MOUNT_TARGET, Rig, quick};
use nfs_server::Limits;
use nfs_server::exports::Door;
use nfs_wire::nfs4::{Compound4Args, NfsFh4};
use nfs_wire::rpc::{Accepted, AuthStat, MismatchInfo, Outcome, Rejected, ReplyHeader};
use nfs_wire::xdr::Decoder;
use nfs_wire::{ArgOp, NfsStat4, Opaque, Xdr as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Others are served while a test does its worst.
async fn others_are_served(rig: &Rig) {
    let mut client = Client::identify(Connection::clear(rig.address).await, "bystander", *b"verifier").await;
    client.ok(vec![ArgOp::Putrootfh(())]).await;
}

async fn closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 4096];
    matches!(tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

/// RFC 5531 section 9: unknown programs, versions and procedures are told apart, and at once: efs-proxy of
/// aws/efs-utils asks for program 400123 first.
#[tokio::test]
async fn unknown_calls_get_their_exact_errors() {
    let rig = Rig::start().await;
    let mut connection = Connection::clear(rig.address).await;
    let started = std::time::Instant::now();
    let (outcome, _) = connection.call(400_123, 1, 2, |out| out.u64(0)).await.unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::ProgUnavail));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(rig.exports.peers.lock().is_empty(), "a probe is not a client");
    let versions = MismatchInfo { low: 4, high: 4 };
    let (outcome, _) = connection.call(100_003, 3, 0, |_| {}).await.unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::ProgMismatch(versions)));
    let (outcome, _) = connection.call(100_003, 4, 2, |_| {}).await.unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::ProcUnavail));
    let (outcome, rest) = connection.call(100_003, 4, 0, |_| {}).await.unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::Success));
    rest.finish().unwrap();
    let (outcome, _) = connection.call(100_003, 4, 1, |out| out.u32(u32::MAX)).await.unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::GarbageArgs));
}

/// RFC 5531 section 9: the version of RPC and the credential have errors of their own.
#[tokio::test]
async fn bad_headers_get_their_exact_errors() {
    let rig = Rig::start().await;
    let mut connection = Connection::clear(rig.address).await;
    let mut record = connection.encode(100_003, 4, 0, |_| {}).to_vec();
    record[11] = 3;
    connection.send(&record).await.unwrap();
    let reply = ReplyHeader::decode(&mut Decoder::new(connection.receive().await.unwrap())).unwrap();
    assert_eq!(reply.outcome, Outcome::Rejected(Rejected::RpcMismatch(MismatchInfo { low: 2, high: 2 })));
    let mut record = connection.encode(100_003, 4, 0, |_| {}).to_vec();
    record[27] = 6;
    connection.send(&record).await.unwrap();
    let reply = ReplyHeader::decode(&mut Decoder::new(connection.receive().await.unwrap())).unwrap();
    assert_eq!(reply.outcome, Outcome::Rejected(Rejected::AuthError(AuthStat::Badcred)));
}

/// Architecture section 2: minor versions 0 and 2 are answered with MINOR_VERS_MISMATCH and no result.
#[tokio::test]
async fn other_minor_versions_are_mismatched() {
    let rig = Rig::start().await;
    let mut connection = Connection::clear(rig.address).await;
    for minorversion in [0, 2, 7] {
        let tag = Opaque::copied(b"tag").unwrap();
        let args = Compound4Args { minorversion, ..Compound4Args::new(tag.clone(), vec![ArgOp::Putrootfh(())]) };
        let result = connection.compound_args(&args).await.unwrap();
        assert_eq!((result.status, result.tag), (NfsStat4::MinorVersMismatch, tag));
        assert!(result.resarray.is_empty());
    }
}

/// Architecture section 2.1: neither TLS nor RPC is closed, without a word.
#[tokio::test]
async fn strangers_at_the_door_are_closed() {
    let rig = Rig::start().await;
    for hello in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x15, 3, 1], &[0xff; 64], &[0x81, 0, 0, 0]] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(hello).await.unwrap();
        assert!(closed(&mut stream).await);
    }
    others_are_served(&rig).await;
}

/// Architecture section 1, "Bounds": lengths are bounded before memory is taken, and records of garbage end only their
/// own connection.
#[tokio::test]
async fn hostile_lengths_and_garbage_end_only_their_own_connection() {
    let rig = Rig::start().await;
    let records: [&[u8]; 5] = [
        &[0x80, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 4, 0, 0, 0, 1],
        &[0x80, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9],
        &[0x80, 0, 0, 0],
        &[0x00, 0x20, 0, 0],
    ];
    for record in records {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(record).await.unwrap();
        assert!(closed(&mut stream).await, "{record:?}");
    }
    others_are_served(&rig).await;
}

/// RFC 5531 section 11: a request in one-byte fragments is a request.
#[tokio::test]
async fn one_byte_fragments_are_put_together() {
    let rig = Rig::start().await;
    let mut connection = Connection::clear(rig.address).await;
    let record = connection.encode(100_003, 4, 0, |_| {});
    let last = record.len() - 1;
    let stream: Vec<u8> =
        record.iter().enumerate().flat_map(|(at, byte)| [if at == last { 0x80 } else { 0 }, 0, 0, 1, *byte]).collect();
    connection.stream.write_all(&stream).await.unwrap();
    ReplyHeader::decode(&mut Decoder::new(connection.receive().await.unwrap())).unwrap();
}

/// RFC 8881 section 15.1: what cannot be decoded is BADXDR at its operation; what came before it was done.
#[tokio::test]
async fn malformed_operations_are_badxdr() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "xdr").await;
    let sequence = client.sequence(0, false);
    let (outcome, mut rest) = client
        .connection
        .call(100_003, 4, 1, |out| {
            out.u32(0);
            out.u32(1);
            out.u32(3);
            sequence.encode(out);
            ArgOp::Putrootfh(()).encode(out);
            // LOOKUP with a name of 4 GiB.
            out.u32(15);
            out.u32(u32::MAX);
        })
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Accepted(Accepted::Success));
    let result = nfs_wire::nfs4::Compound4Res::decode(&mut rest).unwrap();
    assert_eq!((result.status, result.resarray.len()), (NfsStat4::Badxdr, 3));
    others_are_served(&rig).await;
}

/// Architecture section 1, "Input": whatever bits a request has, it is answered or its connection ends, and the server
/// lives.
#[tokio::test]
async fn damaged_requests_harm_nobody() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "damaged").await;
    let sequence = client.sequence(0, true);
    let good =
        vec![sequence, ArgOp::Putrootfh(()), mkdir("d"), client.open_op("f", nfs_wire::nfs4::Openflag4::Nocreate)];
    let args = Compound4Args::new(Opaque::default(), good);
    let record = client.connection.encode(100_003, 4, 1, |out| args.encode(out)).to_vec();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let mut connection = Connection::clear(rig.address).await;
        let mut damaged = record.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] ^= (state >> 20) as u8 | 1;
        }
        damaged.truncate(damaged.len() - (state >> 60) as usize);
        connection.send(&damaged).await.unwrap();
        // An answer, an end, or (for what looks like a reply) nothing at all.
        let _ = tokio::time::timeout(Duration::from_millis(20), connection.receive()).await;
    }
    others_are_served(&rig).await;
}

/// RFC 8881 section 4.2: forged handles open nothing.
#[tokio::test]
async fn forged_handles_are_bad() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "handles").await;
    let good = client.lookup("/").await;
    for at in 0..good.len() {
        let mut forged = good.to_vec();
        forged[at] ^= 0x40;
        let status = client.status(vec![putfh(&NfsFh4::new(forged).unwrap())]).await;
        assert!(matches!(status, NfsStat4::Badhandle | NfsStat4::Stale), "{status:?}");
    }
    assert_eq!(client.status(vec![putfh(&NfsFh4::default())]).await, NfsStat4::Badhandle);
}

/// Architecture section 2.1: half-open handshakes give way to newer connections and end by themselves.
#[tokio::test]
async fn half_open_handshakes_end() {
    let limits = Limits { waiting_per_source_max: 8, handshake_max: Duration::from_millis(700), ..quick() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut half = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        half.push(stream);
    }
    others_are_served(&rig).await;
    assert!(rig.server.status().waiting <= 8);
    for stream in &mut half {
        assert!(closed(stream).await);
    }
    others_are_served(&rig).await;
}

/// Architecture section 2.7: a peer that asks and never reads is not served without end, and others are served meanwhile.
#[tokio::test]
async fn a_peer_that_never_reads_harms_nobody() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "never reads").await;
    let (handle, opened) = client.open("/", "file").await;
    let data = vec![1; 1 << 20];
    client.write(&handle, opened.stateid, 0, &data, nfs_wire::nfs4::StableHow4::FileSync).await;
    let read = ArgOp::Read(nfs_wire::nfs4::Read4Args { stateid: opened.stateid, offset: 0, count: 1 << 20 });
    for round in 0..64 {
        let sequence = client.sequence(1 + round % 15, false);
        let args = Compound4Args::new(Opaque::default(), vec![sequence, putfh(&handle), read.clone()]);
        let record = client.connection.encode(100_003, 4, 1, |out| args.encode(out));
        client.connection.send(&record).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    others_are_served(&rig).await;
    // It may still change its mind.
    let reply = client.connection.receive().await.unwrap();
    assert!(reply.len() > 1 << 20);
}

/// RFC 8881 section 2.10.6.4: requests and replies keep to what the session allows.
#[tokio::test]
async fn sessions_bound_requests() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "bounds").await;
    let many = vec![ArgOp::Putrootfh(()); 200];
    assert_eq!(client.status(many).await, NfsStat4::TooManyOps);
    let mut slot = client.sequence(0, false);
    if let ArgOp::Sequence(sequence) = &mut slot {
        sequence.slotid = 4000;
        sequence.highest_slotid = 4000;
    }
    assert_eq!(client.connection.compound(vec![slot, mkdir("x")]).await.status, NfsStat4::Badslot);
}

/// Architecture section 2.2: TLS works with and without a client certificate, and its claims reach the exports.
#[tokio::test]
async fn a_client_certificate_reaches_the_exports() {
    let rig = Rig::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let id = b"\x0c\x16fs-0123456789abcdef0ab".to_vec();
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 4843, 7, 3], id)];
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let connection = Connection::tls(rig.address, &rig.root, Some((certificate, private))).await.unwrap();
    let mut client = Client::mount(connection, "certified").await;
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("d")]).await;
    let peers = rig.exports.peers.lock();
    let peer = peers.last().unwrap();
    assert!(peer.secure);
    assert_eq!(peer.server_name.as_deref(), Some(crate::harness::server::NAME));
    let claimed = peer.certificate.as_ref().and_then(|certificate| certificate.file_system.clone());
    assert_eq!(claimed.as_deref(), Some("fs-0123456789abcdef0ab"));
}

/// Architecture section 2.1: requests that anybody may send do not earn a place for ever. Connections without a session are bounded for
/// each source and the oldest gives way; a client with a session stays.
#[tokio::test]
async fn a_source_cannot_shut_the_door_with_idle_connections() {
    let limits = Limits { waiting_per_source_max: 4, ..quick() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "stays").await;
    let mut idle = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let null = client.connection.encode(100_003, 4, 0, |_| {});
        let mark = u32::try_from(null.len()).unwrap() | 0x8000_0000;
        stream.write_all(&[&mark.to_be_bytes()[..], &null].concat()).await.unwrap();
        let mut reply = [0; 28];
        stream.read_exact(&mut reply).await.unwrap();
        idle.push(stream);
    }
    for stream in idle.iter_mut().take(8) {
        assert!(closed(stream).await);
    }
    assert!(rig.server.status().waiting <= 4);
    client.ok(vec![ArgOp::Putrootfh(())]).await;
}

/// Architecture section 2.7: requests of all connections together are bounded. Strangers that begin large requests and do not end them
/// take their part at most; clients are served, and a client's own large requests are served one after the other.
#[tokio::test]
async fn unfinished_requests_of_strangers_leave_room_for_clients() {
    let limits = Limits { memory_bytes_max: 4 << 20, ..quick() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "client").await;
    let (handle, opened) = client.open("/", "file").await;
    let mut strangers = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(&(0x8000_0000_u32 | (1 << 20)).to_be_bytes()).await.unwrap();
        let _ = stream.try_write(&[0; 200_000]);
        strangers.push(stream);
    }
    let data = vec![7; 1 << 20];
    for offset in 0..8_u64 {
        client.write(&handle, opened.stateid, offset << 20, &data, nfs_wire::nfs4::StableHow4::FileSync).await;
    }
    assert_eq!(client.read(&handle, opened.stateid, 0, 1 << 20).await.0.len(), 1 << 20);
    drop(strangers);
    others_are_served(&rig).await;
}

/// Architecture section 2.7: what a client has taken stands against nobody any more; clients that are short of room together go
/// on as soon as there is some, not when a clock comes by.
#[tokio::test]
async fn clients_that_share_little_room_go_on_at_once() {
    let limits = Limits { memory_bytes_max: 2 << 20, ..quick() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut readers = tokio::task::JoinSet::new();
    for owner in ["one", "two", "three", "four"] {
        let mut client = Client::mount(Connection::clear(rig.address).await, owner).await;
        let (handle, opened) = client.open("/", owner).await;
        client.write(&handle, opened.stateid, 0, &[7; 1 << 20], nfs_wire::nfs4::StableHow4::FileSync).await;
        readers.spawn(async move {
            for _ in 0..8 {
                assert_eq!(client.read(&handle, opened.stateid, 0, 1 << 20).await.0.len(), 1 << 20);
            }
        });
    }
    let all = async { while readers.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(4), all).await.expect("they wait for the clock");
}

/// Architecture section 2.4: a client certificate whose claims cannot be read is a denial that a mount can report, not a connection
/// that ends and is made anew without end.
#[tokio::test]
async fn unreadable_claims_are_denied() {
    let rig = Rig::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let truncated = b"\x0c\x50fs-".to_vec();
    params.custom_extensions =
        vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 4843, 7, 3], truncated)];
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut connection = Connection::tls(rig.address, &rig.root, Some((certificate, private))).await.unwrap();
    for _ in 0..10 {
        assert_eq!(connection.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Access);
    }
    assert!(rig.exports.peers.lock().is_empty(), "nobody is asked about it");
}

/// Architecture section 2.3: a mount target's end ends what came through its door, whatever runs, and also who has not said
/// anything yet; others do not notice.
#[tokio::test]
async fn connections_end_with_their_mount_target() {
    let rig = Rig::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::of_mount_target("fsmt-0fedcba9876543210");
    let (server, through) = (rig.server.clone(), std::sync::Arc::clone(&door));
    let serving = tokio::spawn(async move { server.serve(listener, through).await });

    let mut client = Client::mount(Connection::clear(address).await, "cut").await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    // All three have been accepted.
    while rig.server.status().waiting < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    door.shut();
    assert!(closed(&mut silent).await && closed(&mut half).await);
    let record = client.connection.encode(100_003, 4, 0, |_| {});
    assert!(client.connection.send(&record).await.is_err() || client.connection.receive().await.is_err());
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
    while rig.server.status().connections > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    others_are_served(&rig).await;
    let doors: Vec<_> =
        rig.exports.peers.lock().iter().map(|peer| peer.door.mount_target().map(str::to_owned)).collect();
    assert_eq!(doors, [Some("fsmt-0fedcba9876543210".to_owned()), Some(MOUNT_TARGET.to_owned())]);
}
