//! The tunnel over loopback: bytes intact, ends in order, cuts seen, servers checked.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic"))]

mod server;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use server::{Authority, Manner, Server};

struct Tunnel {
    address: SocketAddr,
    _directory: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
    log: std::path::PathBuf,
}

const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.internal";

/// A tunnel inside this process, as a mount would set it up.
fn tunnel(server: SocketAddr, bundle: &str, change: impl FnOnce(&mut client::tunnel::TunnelSettings)) -> Tunnel {
    use client::{
        certificate::{Claims, KeyKind},
        config::LogSettings,
        log_file::Level,
        tunnel::{Report, TunnelSettings, serve},
    };
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, bundle).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = directory.path().join("mount.log");
    let mut settings = TunnelSettings {
        accept: address,
        host: server.ip().to_string(),
        host_port: server.port(),
        server_name: NAME.into(),
        check_host: true,
        ca_file: Some(ca),
        claims: Claims {
            common_name: "machine".into(),
            file_system: "fs-0123456789abcdef0".into(),
            access_point: None,
            source: "test".into(),
            version: "0".into(),
        },
        key: KeyKind::Ecdsa,
        renewal: Duration::from_secs(3600),
        certificate_copy: None,
        log_file: log.clone(),
        log: LogSettings { level: Level::Debug, bytes_max: 1 << 20, files: 1 },
        net_namespace: None,
    };
    change(&mut settings);
    let env = env::Env::real();
    let report = Report::new(client::LogFile::new(&log, settings.log, env.clone()), "tunnel", false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    drop(runtime.spawn(async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        serve(listener, &settings, report, env).await.unwrap();
    }));
    Tunnel { address, _directory: directory, _runtime: runtime, log }
}

impl Tunnel {
    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        socket
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

/// Sends `data`, ends its side, and reads until the other side ends.
fn exchange(socket: &TcpStream, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut socket = socket;
            socket.write_all(data).and_then(|()| socket.shutdown(Shutdown::Write))
        });
        let mut socket = socket;
        let read = socket.read_to_end(&mut back).map(drop);
        writer.join().unwrap().and(read)
    })?;
    Ok(back)
}

/// Architecture section 7: every byte arrives, both ways at once; an end of one direction is passed on after the bytes.
#[test]
fn bytes_pass_intact_and_half_closes_are_kept() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    let data = pattern(100 << 20);
    let back = exchange(&tunnel.connect(), &data).unwrap();
    assert_eq!(back.len(), data.len());
    assert!(back == data);
}

/// nfs(5), nconnect: several connections at once through one tunnel.
#[test]
fn several_connections_pass_at_once() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    std::thread::scope(|scope| {
        for number in 0..16 {
            let tunnel = &tunnel;
            let _ = scope.spawn(move || {
                let data = pattern(200_000 + number);
                assert_eq!(exchange(&tunnel.connect(), &data).unwrap(), data);
            });
        }
    });
    assert_eq!(server.seen().len(), 16);
}

/// Architecture section 2, point 2: TLS 1.2 servers are served too.
#[test]
fn tls_1_2_works() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::EchoTls12);
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    let data = pattern(1 << 20);
    assert_eq!(exchange(&tunnel.connect(), &data).unwrap(), data);
}

/// aws/efs-utils, client certificate: the server sees the certificate with the file system's id, and the fs name by SNI.
#[test]
fn the_server_sees_the_client_certificate_and_the_name() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let tunnel = tunnel(server.address, &authority.bundle(), |settings| {
        settings.claims.access_point = Some("fsap-0123456789abcdef0".into());
    });
    let _ = exchange(&tunnel.connect(), b"x").unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].name.as_deref(), Some(NAME));
    let certificate = seen[0].certificate.as_ref().unwrap();
    let contains = |needle: &[u8]| certificate.windows(needle.len()).any(|window| window == needle);
    assert!(contains(b"fs-0123456789abcdef0") && contains(b"fsap-0123456789abcdef0"));
}

/// Architecture section 7: when the server breaks after data has flowed, the local connection breaks too, visibly, and the
/// next one works.
#[test]
fn a_cut_server_connection_is_a_reset_not_an_end() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::CutAfter(300_000));
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    let data = pattern(4 << 20);
    for _ in 0..3 {
        let error = exchange(&tunnel.connect(), &data).unwrap_err();
        let kind = error.kind();
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        assert!(matches!(kind, ConnectionReset | BrokenPipe | NotConnected), "{error}: {}", tunnel.log());
    }
    let small = pattern(1000);
    assert_eq!(exchange(&tunnel.connect(), &small).unwrap(), small);
}

/// RFC 8446 section 6.1: an end of the transport without close_notify may hide missing bytes: never an orderly end.
#[test]
fn a_truncated_stream_is_not_passed_off_as_whole() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::TruncateAfter(1000));
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    let socket = tunnel.connect();
    (&socket).write_all(&pattern(1000)).unwrap();
    let mut back = Vec::new();
    let outcome = (&socket).read_to_end(&mut back);
    assert!(outcome.is_err(), "{} bytes, then {outcome:?}", back.len());
}

/// Architecture section 7: while the server is away the kernel's request waits, and is served when the server is back.
#[test]
fn a_request_waits_for_a_server_that_is_away() {
    let authority = Authority::new();
    // A loopback address of its own, so that no other test's server takes the port meanwhile.
    let holder = std::net::TcpListener::bind("127.77.255.9:0").unwrap();
    let address = holder.local_addr().unwrap();
    drop(holder);
    let tunnel = tunnel(address, &authority.bundle(), |_| {});
    let data = pattern(5000);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut socket = tunnel.connect();
            socket.write_all(&data).unwrap();
            let mut back = vec![0; data.len()];
            socket.read_exact(&mut back).unwrap();
            back
        });
        std::thread::sleep(Duration::from_millis(700));
        let _server = Server::start_at(address, &authority, NAME, Manner::Echo);
        assert_eq!(client.join().unwrap(), data);
    });
    assert!(tunnel.log().contains("WARNING - tunnel: ") && tunnel.log().contains("connected to the server"));
}

/// Architecture section 7: a kernel that closed its connection meanwhile has given up; its request is not delivered late.
#[test]
fn a_request_that_was_given_up_is_dropped() {
    let authority = Authority::new();
    let holder = std::net::TcpListener::bind("127.77.255.10:0").unwrap();
    let address = holder.local_addr().unwrap();
    drop(holder);
    let tunnel = tunnel(address, &authority.bundle(), |_| {});
    assert!(exchange(&tunnel.connect(), b"given up").is_err());
    assert!(tunnel.log().contains("gave up"), "{}", tunnel.log());
}

/// aws/efs-utils, mounting: the certificate must carry the file system's name; the check can be turned off.
#[test]
fn a_server_with_another_name_is_refused() {
    let authority = Authority::new();
    let server = Server::start(&authority, "fs-ffffffffffffffff0.efs.us-east-1.coffer.internal", Manner::Echo);
    let checked = tunnel(server.address, &authority.bundle(), |_| {});
    assert!(exchange(&checked.connect(), b"secret").is_err());
    assert!(checked.log().contains("ERROR - tunnel: ") && checked.log().contains("certificate"), "{}", checked.log());
    assert_eq!(server.seen().len(), 0);
    let unchecked = tunnel(server.address, &authority.bundle(), |settings| settings.check_host = false);
    assert_eq!(exchange(&unchecked.connect(), b"open").unwrap(), b"open");
}

/// aws/efs-utils, options and exit codes: the chain must lead to the bundle; `verify=0` checks nothing.
#[test]
fn a_server_of_another_authority_is_refused() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let stranger = Authority::new();
    let checked = tunnel(server.address, &stranger.bundle(), |_| {});
    assert!(exchange(&checked.connect(), b"secret").is_err());
    let no_name = tunnel(server.address, &stranger.bundle(), |settings| settings.check_host = false);
    assert!(exchange(&no_name.connect(), b"secret").is_err());
    assert_eq!(server.seen().len(), 0);
    let unchecked = tunnel(server.address, &stranger.bundle(), |settings| settings.ca_file = None);
    assert_eq!(exchange(&unchecked.connect(), b"open").unwrap(), b"open");
}

/// aws/efs-utils#32, aws/efs-utils#271: a server that speaks something else is refused with that reason, not waited for.
#[test]
fn a_server_without_tls_is_refused() {
    let authority = Authority::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tunnel = tunnel(listener.local_addr().unwrap(), &authority.bundle(), |_| {});
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"220 mail.example ready\r\n").unwrap();
        let _until_it_ends = socket.read_to_end(&mut Vec::new());
    });
    assert!(exchange(&tunnel.connect(), b"secret").is_err());
    assert!(
        tunnel.log().contains("ERROR - tunnel: ") && tunnel.log().contains("does not speak TLS"),
        "{}",
        tunnel.log()
    );
    server.join().unwrap();
}

/// aws/efs-utils, efs-proxy: whoever only knocks costs the server no connection.
#[test]
fn a_knock_is_not_passed_on() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    for _ in 0..5 {
        drop(tunnel.connect());
    }
    assert_eq!(exchange(&tunnel.connect(), b"x").unwrap(), b"x");
    assert_eq!(server.seen().len(), 1);
}

/// Architecture section 1, "Bounds": a reader that does not read stops the writer; memory stays bounded.
#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAME, Manner::Echo);
    let tunnel = tunnel(server.address, &authority.bundle(), |_| {});
    let socket = tunnel.connect();
    socket.set_nonblocking(true).unwrap();
    let chunk = pattern(1 << 16);
    let mut sent = 0_usize;
    let mut idle = 0;
    while idle < 20 {
        match (&socket).write(&chunk) {
            Ok(count) => (sent, idle) = (sent + count, 0),
            Err(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(25));
            }
        }
        assert!(sent < 256 << 20, "nobody reads, and still {sent} bytes were taken");
    }
}
