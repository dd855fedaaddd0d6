//! A tunnel's process as `mount.efs` starts it: the listening socket goes in on standard input, words come back.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use crate::{MountError, Paths, ROOT_VARIABLE, mount_command::Tunnel};

/// How long a tunnel may take until it serves. It reads two files and makes a key.
const START_LIMIT: Duration = Duration::from_secs(20);
/// What a tunnel says is taken up to this much.
const WORDS_BYTES_MAX: u64 = 1 << 20;

/// The words that start a tunnel, for the state file: whoever restarts it runs the same.
///
/// # Errors
/// The program's own path is unknown.
pub(crate) fn command(settings: &Path) -> std::io::Result<Vec<String>> {
    let program = std::env::current_exe()?.display().to_string();
    Ok(vec![program, "efs-tunnel".to_owned(), settings.display().to_string()])
}

/// Starts `words` with `listener` as its standard input.
///
/// # Errors
/// The system's.
pub(crate) fn spawn(
    words: &[String],
    listener: Option<TcpListener>,
    out: Stdio,
    paths: &Paths,
) -> std::io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    let stdin = listener.map_or_else(Stdio::null, |listener| OwnedFd::from(listener).into());
    let _ = command.args(arguments).stdin(stdin).stdout(out).stderr(Stdio::null()).current_dir("/");
    // Nothing of the mount's surroundings, credentials among them, reaches a process that stays for months.
    let _ = command.env_clear();
    if let Some(root) = paths.moved_root() {
        let _ = command.env(ROOT_VARIABLE, root);
    }
    command.spawn()
}

/// A tunnel that this process started.
pub(crate) struct TunnelProcess {
    child: Child,
    words: Receiver<String>,
    file_system: String,
    refusal: Option<String>,
    trouble: Option<String>,
}

impl TunnelProcess {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It did not come up; the error says why.
    pub(crate) fn start(
        words: &[String],
        listener: TcpListener,
        file_system: &str,
        paths: &Paths,
    ) -> Result<Self, MountError> {
        let failed = |why: String| MountError::Tunnel { file_system: file_system.to_owned(), why };
        let child = spawn(words, Some(listener), Stdio::piped(), paths).map_err(|error| failed(error.to_string()))?;
        let (sender, receiver) = channel();
        let mut tunnel =
            Self { child, words: receiver, file_system: file_system.to_owned(), refusal: None, trouble: None };
        if let Some(out) = tunnel.child.stdout.take() {
            drop(std::thread::spawn(move || {
                let lines = BufReader::new(out.take(WORDS_BYTES_MAX)).lines();
                lines.map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
            }));
        }
        let why = match tunnel.words.recv_timeout(START_LIMIT) {
            Ok(line) if line == "ready" => return Ok(tunnel),
            Ok(line) => line.strip_prefix("failed ").unwrap_or(&line).to_owned(),
            Err(RecvTimeoutError::Timeout) => format!("not ready within {} s", START_LIMIT.as_secs()),
            Err(RecvTimeoutError::Disconnected) => "it ended at once".to_owned(),
        };
        tunnel.stop();
        Err(failed(why))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(-1)
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn listen(&mut self) {
        while let Ok(line) = self.words.try_recv() {
            match line.split_once(' ') {
                Some(("refused", why)) => {
                    self.refusal = Some(why.to_owned());
                    self.trouble = Some(why.to_owned());
                }
                Some((_, why)) => self.trouble = Some(why.to_owned()),
                None => {}
            }
        }
    }
}

impl Tunnel for TunnelProcess {
    fn check(&mut self) -> Result<(), MountError> {
        self.listen();
        if let Some(why) = &self.refusal {
            return Err(MountError::Refused(why.clone()));
        }
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.listen();
                let why = self.trouble.clone().unwrap_or_default();
                Err(MountError::Tunnel { file_system: self.file_system.clone(), why: format!("{status}: {why}") })
            }
            Err(error) => Err(MountError::Tunnel { file_system: self.file_system.clone(), why: error.to_string() }),
        }
    }

    fn trouble(&mut self) -> Option<String> {
        self.listen();
        self.trouble.clone()
    }
}
