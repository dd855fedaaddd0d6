//! Measures the tunnel: time to serve, CPU per GiB carried. Run it on a quiet machine:
//! `cargo run --release -p client --example measure_tunnel -- target/release/mount-efs [MiB] [CONNECTIONS]`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measuring program may panic and reads the clock"
)]

#[path = "../tests/server/mod.rs"]
mod server;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::Instant,
};

use server::{Authority, Manner, Server};

const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.test";
const TICKS: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let program = arguments.get(1).expect("the path of mount-efs");
    let mebibytes: usize = arguments.get(2).map_or(512, |text| text.parse().unwrap());
    let connections: usize = arguments.get(3).map_or(1, |text| text.parse().unwrap());
    let authority = Authority::new();
    for (what, manner) in [("sent", Manner::Sink), ("received", Manner::Source), ("both ways", Manner::Echo)] {
        let server = Server::start(&authority, NAME, manner);
        let directory = tempfile::tempdir().unwrap();
        let (mut tunnel, port, ready) = start(program, directory.path(), &authority, &server);
        let before = cpu(&tunnel);
        let start = Instant::now();
        let carried = carry(port, mebibytes << 20, connections, manner);
        let seconds = start.elapsed().as_secs_f64();
        let after = cpu(&tunnel);
        let gibibytes = carried as f64 / f64::from(1 << 30);
        println!(
            "{what}: {:.0} MiB/s, CPU-s/GiB {:.2} (user {:.2}, system {:.2}); ready after {ready:.1} ms, {:.0} ms CPU; VmHWM {}",
            gibibytes * 1024.0 / seconds,
            (after.0 + after.1 - before.0 - before.1) / gibibytes,
            (after.0 - before.0) / gibibytes,
            (after.1 - before.1) / gibibytes,
            (before.0 + before.1) * 1000.0,
            high_water(&tunnel),
        );
        tunnel.kill().unwrap();
        let _ = tunnel.wait().unwrap();
    }
}

fn start(program: &str, directory: &std::path::Path, authority: &Authority, server: &Server) -> (Child, u16, f64) {
    let bundle = directory.join("ca.pem");
    std::fs::write(&bundle, authority.bundle()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accept = listener.local_addr().unwrap();
    let settings = format!(
        "[efs]\naccept = {accept}\nconnect = {}\nsni = {NAME}\ncheckHost = {NAME}\nverify = 2\nCAfile = {}\n\
         fs_id = fs-0123456789abcdef0\ncommon_name = m\nsource = s\nefs_utils_version = 0\nclient_key = ecdsa-p256\n\
         renewal_seconds = 3600\noutput = {}\ndebug = INFO\noutput_max_bytes = 1000000\noutput_file_count = 1\n",
        server.address,
        bundle.display(),
        directory.join("log").display()
    );
    let path = directory.join("settings");
    std::fs::write(&path, settings).unwrap();
    let begin = Instant::now();
    let mut command = Command::new(program);
    let _ = command.arg("efs-tunnel").arg(&path).stdin(OwnedFd::from(listener)).stdout(Stdio::piped());
    let mut tunnel = command.spawn().unwrap();
    let mut line = String::new();
    let _ = BufReader::new(tunnel.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (tunnel, accept.port(), begin.elapsed().as_secs_f64() * 1000.0)
}

fn carry(port: u16, bytes: usize, connections: usize, manner: Manner) -> usize {
    let each = bytes / connections;
    std::thread::scope(|scope| {
        let one = || {
            let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let send = |count: usize| {
                let chunk = vec![7; 1 << 20];
                let mut socket = &socket;
                for start in (0..count).step_by(chunk.len()) {
                    socket.write_all(&chunk[..chunk.len().min(count - start)]).unwrap();
                }
            };
            match manner {
                Manner::Source => {
                    (&socket).write_all(&(each as u64).to_be_bytes()).unwrap();
                    drain(&socket)
                }
                Manner::Sink => {
                    send(each);
                    socket.shutdown(Shutdown::Write).unwrap();
                    let _ = drain(&socket);
                    each
                }
                _ => std::thread::scope(|inner| {
                    let sender = inner.spawn(|| {
                        send(each);
                        socket.shutdown(Shutdown::Write).unwrap();
                    });
                    let got = drain(&socket);
                    sender.join().unwrap();
                    got + each
                }),
            }
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn drain(mut socket: &TcpStream) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer).unwrap() {
            0 => return total,
            count => total += count,
        }
    }
}

fn cpu(process: &Child) -> (f64, f64) {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() / TICKS, fields[12].parse::<f64>().unwrap() / TICKS)
}

fn high_water(process: &Child) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned()
}
