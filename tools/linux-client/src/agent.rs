//! The agent inside a client: runs each script that arrives, in a process group of its own, and sends back what it says.

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::control::{KEEP, PORT, Stream, receive, send};
use crate::process::end_group;

/// Serves until the keeping connection ends, then powers the client off.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    for connection in listener.incoming() {
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = answer(connection) {
                eprintln!("agent: {error}");
            }
        });
    }
    Ok(())
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (_, script) = receive(&mut connection)?;
    if script == KEEP {
        let _ = connection.read(&mut [0; 1]);
        // Nothing is unmounted: a server may be gone by now, and waiting for it would leave the client behind.
        return std::fs::write("/proc/sysrq-trigger", "o");
    }
    run(&connection, &script)
}

fn run(connection: &TcpStream, script: &[u8]) -> io::Result<()> {
    let mut child = Command::new("/bin/bash")
        .arg("-c")
        .arg(String::from_utf8_lossy(script).into_owned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let group = child.id();
    let sender = Arc::new(Mutex::new(connection.try_clone()?));
    let pumps = [
        child.stdout.take().map(|from| pump(from, Stream::Output, Arc::clone(&sender))),
        child.stderr.take().map(|from| pump(from, Stream::Error, Arc::clone(&sender))),
    ];
    let mut watched = connection.try_clone()?;
    thread::spawn(move || {
        // The other side sends nothing more: an end here means that it has stopped waiting.
        let _ = watched.read(&mut [0; 1]);
        end_group(group);
    });
    let status = child.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    // A daemon that the script left behind may hold the pipes, so what it wrote before its end is all that is waited for.
    for pump in pumps.into_iter().flatten() {
        for _ in 0..20 {
            if pump.is_finished() {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    let mut sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
    send(&mut *sender, Stream::Exit, &code.to_be_bytes())?;
    sender.shutdown(Shutdown::Write)
}

fn pump(mut from: impl Read + Send + 'static, stream: Stream, to: Arc<Mutex<TcpStream>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count) = from.read(&mut buffer) {
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            if send(&mut *to, stream, piece).is_err() {
                break;
            }
        }
    })
}
