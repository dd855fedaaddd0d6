//! A running client, seen from this machine.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::control::{KEEP, PORT, Stream, receive, send};
use crate::network::Tap;
use crate::process::end_group;
use crate::{Machine, RigError};

const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// A running Linux client. It goes away with the value, whatever it is doing.
#[derive(Debug)]
pub struct Client {
    name: String,
    address: SocketAddr,
    machine: Machine,
    kernel: Child,
    keeping: Option<TcpStream>,
    boot: Duration,
    _place: tempfile::TempDir,
    _tap: Arc<Tap>,
}

/// How a script ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A script that is running inside a client.
#[derive(Debug)]
pub struct Running {
    reader: JoinHandle<Result<Finished, RigError>>,
    connection: TcpStream,
}

impl Client {
    pub(crate) fn boot(tap: Arc<Tap>, name: &str, machine: &Machine) -> Result<Self, RigError> {
        let place = tempfile::Builder::new()
            .prefix("coffer-client-")
            .tempdir()
            .map_err(|error| RigError::host("a temporary directory", error))?;
        let init = machine.prepare(&tap, place.path())?;
        let console = place.path().join("console");
        let output = File::create(&console).map_err(|error| RigError::host("the console file", error))?;
        let errors = output.try_clone().map_err(|error| RigError::host("the console file", error))?;
        let kernel = Command::new("/usr/bin/linux.uml")
            .arg(format!("mem={}M", machine.memory_mib))
            .args(["rootfstype=hostfs", "root=/dev/root", "rootflags=/", "rw", "con=null", "con0=null,fd:1", "quiet"])
            .arg(format!("init={}", init.display()))
            .arg(format!("umid={}", tap.device()))
            .arg(format!("vec0:transport=tap,ifname={},depth=128,gro=1,mtu=9000", tap.device()))
            .env("TMPDIR", place.path())
            .env("HOME", place.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| RigError::host("linux.uml", error))?;
        let mut client = Self {
            name: name.to_owned(),
            address: (tap.guest(), PORT).into(),
            machine: machine.clone(),
            kernel,
            keeping: None,
            boot: Duration::ZERO,
            _place: place,
            _tap: tap,
        };
        client.wait_for_agent(&console)?;
        Ok(client)
    }

    fn wait_for_agent(&mut self, console: &std::path::Path) -> Result<(), RigError> {
        let start = Instant::now();
        let why = loop {
            if let Ok(mut connection) = TcpStream::connect_timeout(&self.address, Duration::from_millis(200))
                && send(&mut connection, Stream::Output, KEEP).is_ok()
            {
                self.keeping = Some(connection);
                self.boot = start.elapsed();
                return Ok(());
            }
            if let Ok(Some(status)) = self.kernel.try_wait() {
                break format!("its kernel ended ({status})");
            }
            if start.elapsed() > BOOT_LIMIT {
                break format!("no answer in {} s", BOOT_LIMIT.as_secs());
            }
            thread::sleep(Duration::from_millis(30));
        };
        let console = std::fs::read(console).unwrap_or_default();
        let text = String::from_utf8_lossy(&console);
        let tail: Vec<_> = text.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        Err(RigError::Boot { name: self.name.clone(), why: format!("{why}\n{}", tail.join("\n")) })
    }

    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the client took to come up.
    #[must_use]
    pub fn boot_time(&self) -> Duration {
        self.boot
    }

    /// Runs a bash script inside and waits for its end, whatever its status.
    pub fn run(&self, script: &str) -> Result<Finished, RigError> {
        self.spawn(script)?.wait()
    }

    /// Runs a bash script inside and gives its standard output; a status other than 0 is an error.
    pub fn check(&self, script: &str) -> Result<String, RigError> {
        let finished = self.run(script)?;
        self.expect(script, finished)
    }

    /// Takes a status other than 0 for an error.
    pub fn expect(&self, script: &str, finished: Finished) -> Result<String, RigError> {
        if finished.status == 0 {
            return Ok(finished.stdout);
        }
        let both = format!("{}{}", finished.stdout, finished.stderr);
        let lines: Vec<String> = both.lines().map(|line| line.chars().take(300).collect()).collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        Err(RigError::Script { name: self.name.clone(), status: finished.status, script: first_line(script), tail })
    }

    /// Starts a bash script inside and goes on.
    pub fn spawn(&self, script: &str) -> Result<Running, RigError> {
        let lost = |why: String| RigError::Lost { name: self.name.clone(), why, script: first_line(script) };
        let mut connection = TcpStream::connect_timeout(&self.address, Duration::from_secs(20))
            .map_err(|error| lost(format!("cannot reach the agent ({error})")))?;
        connection.set_nodelay(true).map_err(|error| lost(error.to_string()))?;
        send(&mut connection, Stream::Output, script.as_bytes()).map_err(|error| lost(error.to_string()))?;
        let reading = connection.try_clone().map_err(|error| lost(error.to_string()))?;
        let (name, script) = (self.name.clone(), first_line(script));
        let (print, limit) = (self.machine.print, self.machine.time_limit);
        let reader = thread::spawn(move || {
            collect(reading, &name, print, limit).map_err(|why| RigError::Lost { name, why, script })
        });
        Ok(Running { reader, connection })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.keeping.take());
        for _ in 0..30 {
            if !matches!(self.kernel.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        // The kernel keeps a process of this machine for each address space; they are all in its group.
        end_group(self.kernel.id());
        let _ = self.kernel.wait();
    }
}

impl Running {
    /// Waits for the script's end.
    pub fn wait(self) -> Result<Finished, RigError> {
        self.reader.join().unwrap_or_else(|_| Err(RigError::host("a reader thread", "it panicked")))
    }

    /// Whether the script has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Ends the script and all it started.
    pub fn stop(self) {
        let _ = self.connection.shutdown(std::net::Shutdown::Both);
        let _ = self.reader.join();
    }
}

/// The line that tells what a script is for.
fn first_line(script: &str) -> String {
    script
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with("export "))
        .unwrap_or_default()
        .chars()
        .take(160)
        .collect()
}

fn collect(mut from: TcpStream, name: &str, print: bool, limit: Duration) -> Result<Finished, String> {
    let end = Instant::now() + limit;
    let (mut stdout, mut stderr) = (Lines::new(name, print), Lines::new(name, print));
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("not done after {} s", limit.as_secs()));
        }
        from.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let (stream, bytes) = receive(&mut from).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                format!("not done after {} s", limit.as_secs())
            }
            _ => format!("the connection to the client ended ({error})"),
        })?;
        match stream {
            Stream::Output => stdout.take(&bytes),
            Stream::Error => stderr.take(&bytes),
            Stream::Exit => {
                let status = bytes.try_into().map_or(-1, i32::from_be_bytes);
                return Ok(Finished { status, stdout: stdout.finish(), stderr: stderr.finish() });
            }
        }
    }
}

/// Output on its way: kept whole, printed by lines.
struct Lines<'a> {
    name: &'a str,
    print: bool,
    all: Vec<u8>,
    printed: usize,
}

impl<'a> Lines<'a> {
    fn new(name: &'a str, print: bool) -> Self {
        Self { name, print, all: Vec::new(), printed: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.all.extend_from_slice(bytes);
        if !self.print {
            return;
        }
        let fresh = self.all.get(self.printed..).unwrap_or_default();
        let whole = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.show(whole);
    }

    fn show(&mut self, count: usize) {
        let fresh = self.all.get(self.printed..self.printed + count).unwrap_or_default();
        let mut out = std::io::stderr().lock();
        for line in String::from_utf8_lossy(fresh).lines() {
            let _ = writeln!(out, "[{}] {line}", self.name);
        }
        self.printed += count;
    }

    fn finish(mut self) -> String {
        if self.print {
            self.show(self.all.len() - self.printed);
        }
        String::from_utf8_lossy(&self.all).into_owned()
    }
}
