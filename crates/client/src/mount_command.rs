//! mount.nfs4, run and run again (aws/efs-utils, `retry_nfs_mount_command`).

use std::{
    io::Read,
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use env::Env;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{LogFile, MountError, config::RetrySettings};

/// What mount.nfs4 says is kept up to this much.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// How often the tunnel is looked at while mount.nfs4 runs.
const LOOK: Duration = Duration::from_millis(250);
/// A killed mount.nfs4 is waited for this long: in the kernel it may need a moment to notice.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// mount(8): a mount failure.
const REFUSED: u8 = 32;

/// One call of mount.nfs4.
#[derive(Debug, Clone)]
pub(crate) struct NfsMount<'a> {
    pub(crate) program: &'a Path,
    /// `host:path`.
    pub(crate) source: String,
    pub(crate) mount_point: &'a str,
    pub(crate) options: String,
    pub(crate) flags: &'a [String],
    /// The name in messages.
    pub(crate) dns_name: &'a str,
    pub(crate) access_point: bool,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attempt {
    Done,
    Failed { code: u8, stdout: String, stderr: String },
    TimedOut,
}

/// What the mount must know of its tunnel, if it has one.
pub(crate) trait Tunnel {
    /// Fails when the tunnel has died, or the server is none that it may use: further attempts are idle then.
    fn check(&mut self) -> Result<(), MountError>;
    /// The tunnel's last trouble with the server, to explain a failure.
    fn trouble(&mut self) -> Option<String>;
}

/// A mount without a tunnel.
pub(crate) struct NoTunnel;

impl Tunnel for NoTunnel {
    fn check(&mut self) -> Result<(), MountError> {
        Ok(())
    }
    fn trouble(&mut self) -> Option<String> {
        None
    }
}

/// Mounts, with retries where a retry may help. `is_mounted` tells whether an attempt that was cut off had succeeded.
pub(crate) fn mount(
    command: &NfsMount<'_>,
    retries: RetrySettings,
    tunnel: &mut dyn Tunnel,
    is_mounted: &dyn Fn() -> bool,
    log: &LogFile,
    env: &Env,
) -> Result<(), MountError> {
    for attempt in 1..=retries.attempts {
        let last = attempt == retries.attempts;
        let limit = (!last).then_some(retries.limit);
        log.info(&command.announce(limit));
        let outcome = command.run(limit, tunnel, env).map_err(|error| command.with_the_usual_words(error))?;
        let (why, pause) = match &outcome {
            Attempt::Done => return Ok(()),
            Attempt::TimedOut if is_mounted() => return Ok(()),
            Attempt::TimedOut => (format!("timeout after {} sec", retries.limit.as_secs()), Duration::ZERO),
            Attempt::Failed { stderr, .. } if !last && command.may_help(stderr) => {
                (stderr.trim().to_owned(), pause_after(attempt, env))
            }
            Attempt::Failed { code, stderr, .. } => return Err(command.failure(*code, stderr, tunnel)),
        };
        let (name, at, of) = (command.dns_name, command.mount_point, retries.attempts);
        let seconds = pause.as_secs();
        let said = match &outcome {
            Attempt::Failed { code, stdout, stderr } => {
                format!("failed, return code={code}, stdout=\"{stdout}\", stderr=\"{stderr}\"")
            }
            _ => format!("failed due to {why}"),
        };
        log.error(&format!(
            "Mounting {name} to {at} {said}, mount attempt {attempt}/{of}, wait {seconds} sec before next attempt."
        ));
        eprintln!("Mount attempt {attempt}/{of} failed due to {why}, wait {seconds} sec before next attempt.");
        std::thread::sleep(pause);
    }
    // Attempts are at least one, and the last has no limit.
    Err(command.failure(1, "mount.nfs4 was not run", tunnel))
}

/// 1.5 to the power of the attempts before, and up to a second more.
fn pause_after(attempt: u32, env: &Env) -> Duration {
    let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(16);
    let jitter = f64::from(u16::from_le_bytes(env.random::<2>())) / f64::from(u16::MAX);
    Duration::from_secs_f64(1.5_f64.powi(steps) + jitter)
}

impl NfsMount<'_> {
    fn words(&self) -> Vec<&str> {
        let mut words = vec![self.source.as_str(), self.mount_point];
        words.extend(self.flags.iter().map(String::as_str));
        words.extend(["-o", &self.options]);
        words
    }

    fn announce(&self, limit: Option<Duration>) -> String {
        let line = format!("Executing: \"{} {}\"", self.program.display(), self.words().join(" "));
        match limit {
            Some(limit) => format!("{line} with {} sec time limit.", limit.as_secs()),
            None => line,
        }
    }

    /// The kernel lost its connection, or an access point that was just made is not known everywhere yet.
    fn may_help(&self, stderr: &str) -> bool {
        stderr.contains("reset by peer") || (self.access_point && stderr.contains("access denied by server"))
    }

    /// The log says of a tunnel's refusal what it says of mount.nfs4's: scripts look for that line.
    fn with_the_usual_words(&self, error: MountError) -> MountError {
        let MountError::Refused(why) = error else { return error };
        let log = format!(
            "Failed to mount {} at {}: returncode={REFUSED}, stderr=\"{why}\"",
            self.dns_name, self.mount_point
        );
        MountError::Nfs { stderr: format!("mount.efs: {why}"), code: REFUSED, log }
    }

    fn failure(&self, code: u8, stderr: &str, tunnel: &mut dyn Tunnel) -> MountError {
        let stderr = stderr.trim();
        let mut shown = stderr.to_owned();
        let mut log = format!(
            "Failed to mount {} at {}: returncode={code}, stderr=\"{stderr}\"",
            self.dns_name, self.mount_point
        );
        if let Some(trouble) = tunnel.trouble() {
            shown.push_str(&format!("\nThe tunnel's last trouble: {trouble}"));
            log.push_str(&format!(", tunnel: {trouble}"));
        }
        MountError::Nfs { stderr: shown, code, log }
    }

    fn run(&self, limit: Option<Duration>, tunnel: &mut dyn Tunnel, env: &Env) -> Result<Attempt, MountError> {
        let failed = |error| MountError::io(self.program.display().to_string())(error);
        let mut command = Command::new(self.program);
        // `-v` asks it to tell the user what was agreed on.
        let stdout = if self.flags.iter().any(|flag| flag == "-v") { Stdio::inherit() } else { Stdio::piped() };
        let _ = command.args(self.words()).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let ended = match wait(&mut child, limit, tunnel, env) {
            Ok(ended) => ended,
            Err(error) => {
                drop(child.kill());
                return Err(error);
            }
        };
        let Some(status) = ended else {
            drop(child.kill());
            let _killed = wait(&mut child, Some(LAST_WAIT), &mut NoTunnel, env);
            return Ok(Attempt::TimedOut);
        };
        if status.success() {
            return Ok(Attempt::Done);
        }
        // A mount.nfs4 that a signal ended has no code of its own.
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Ok(Attempt::Failed { code, stdout: text_of(stdout), stderr: text_of(stderr) })
    }
}

type Collected = std::thread::JoinHandle<Vec<u8>>;

fn collect(pipe: Option<impl Read + Send + 'static>) -> Option<Collected> {
    let pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut text = Vec::new();
        drop(pipe.take(TEXT_BYTES_MAX).read_to_end(&mut text));
        text
    }))
}

fn text_of(collected: Option<Collected>) -> String {
    let text = collected.and_then(|thread| thread.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Waits for the child; `None` when the limit is over. The tunnel is looked at meanwhile.
fn wait(
    child: &mut Child,
    limit: Option<Duration>,
    tunnel: &mut dyn Tunnel,
    env: &Env,
) -> Result<Option<std::process::ExitStatus>, MountError> {
    let failed = |error| MountError::io("waiting for mount.nfs4")(error);
    let start = env.now();
    let pidfd = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pidfd.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        tunnel.check()?;
        let left = limit.map(|limit| limit.saturating_sub(env.now().since(start)));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        let nap = left.unwrap_or(LOOK).min(LOOK);
        match &pidfd {
            Some(pidfd) => {
                let mut events = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
                let _ready = poll(&mut events, Timespec::try_from(nap).ok().as_ref());
            }
            // Linux before 5.3.
            None => std::thread::sleep(nap.min(Duration::from_millis(20))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log;
    use std::os::unix::fs::PermissionsExt as _;

    struct Mounting {
        root: tempfile::TempDir,
    }

    impl Mounting {
        /// A mount.nfs4 whose body is `script`; `$n` counts its runs from 1.
        fn with(script: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            let program = root.path().join("mount.nfs4");
            let text = format!(
                "#!/bin/sh\nd={0}; echo \"$@\" >> $d/calls; n=$(wc -l < $d/calls)\n{script}\n",
                root.path().display()
            );
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            Self { root }
        }

        fn run(
            &self,
            attempts: u32,
            limit: Duration,
            access_point: bool,
            tunnel: &mut dyn Tunnel,
        ) -> Result<(), MountError> {
            let program = self.root.path().join("mount.nfs4");
            let command = NfsMount {
                program: &program,
                source: "127.0.0.1:/".into(),
                mount_point: "/mnt",
                options: "hard,port=1".into(),
                flags: &[],
                dns_name: "fs-1.efs.r.s",
                access_point,
            };
            let (env, log) = (Env::real(), log(self.root.path()));
            mount(&command, RetrySettings { attempts, limit }, tunnel, &|| false, &log, &env)
        }

        fn calls(&self) -> usize {
            std::fs::read_to_string(self.root.path().join("calls")).unwrap_or_default().lines().count()
        }

        fn log(&self) -> String {
            std::fs::read_to_string(self.root.path().join("mount.log")).unwrap()
        }
    }

    const LONG: Duration = Duration::from_secs(15);

    /// aws/efs-utils, mount.nfs4: the command, its words in their order.
    #[test]
    fn a_mount_runs_the_documented_command() {
        let mounting = Mounting::with("exit 0");
        mounting.run(3, LONG, false, &mut NoTunnel).unwrap();
        let calls = std::fs::read_to_string(mounting.root.path().join("calls")).unwrap();
        assert_eq!(calls, "127.0.0.1:/ /mnt -o hard,port=1\n");
        assert!(mounting.log().contains("with 15 sec time limit."));
    }

    /// aws/efs-utils, `retry_nfs_mount_command`: retried on "reset by peer"; the code of a failure is mount.nfs4's.
    #[test]
    fn a_reset_is_retried() {
        let mounting = Mounting::with("[ $n = 2 ] && exit 0; echo 'mount.nfs4: Connection reset by peer' >&2; exit 32");
        mounting.run(3, LONG, false, &mut NoTunnel).unwrap();
        assert_eq!(mounting.calls(), 2);
        assert!(mounting.log().contains("mount attempt 1/3, wait "), "{}", mounting.log());
    }

    /// aws/efs-utils, `retry_nfs_mount_command`: "access denied" is retried for access points only; anything else is
    /// final at once.
    #[test]
    fn other_failures_are_final() {
        let script = "echo 'mount.nfs4: access denied by server while mounting 127.0.0.1:/' >&2; exit 32";
        let mounting = Mounting::with(script);
        let error = mounting.run(3, LONG, false, &mut NoTunnel).unwrap_err();
        assert_eq!((error.exit_code(), mounting.calls()), (32, 1));
        assert_eq!(error.to_string(), "mount.nfs4: access denied by server while mounting 127.0.0.1:/");
        assert!(error.log_text().starts_with("Failed to mount fs-1.efs.r.s at /mnt: returncode=32, stderr=\""));
        let mounting = Mounting::with(script);
        let _ = mounting.run(2, LONG, true, &mut NoTunnel).unwrap_err();
        assert_eq!(mounting.calls(), 2);
    }

    /// aws/efs-utils, `retry_nfs_mount_command_timeout_sec`: all attempts but the last have a limit.
    #[test]
    fn a_slow_attempt_is_cut_off_and_repeated() {
        let mounting = Mounting::with("[ $n = 2 ] && exit 0; exec sleep 30");
        mounting.run(2, Duration::from_millis(200), false, &mut NoTunnel).unwrap();
        assert_eq!(mounting.calls(), 2);
        assert!(mounting.log().contains("failed due to timeout after 0 sec"), "{}", mounting.log());
    }

    struct Troubled;

    impl Tunnel for Troubled {
        fn check(&mut self) -> Result<(), MountError> {
            Ok(())
        }
        fn trouble(&mut self) -> Option<String> {
            Some("no route".into())
        }
    }

    /// aws/efs-utils#32, aws/efs-utils#271: a failure has a reason.
    #[test]
    fn the_tunnels_trouble_is_told() {
        let mounting = Mounting::with("echo 'mount.nfs4: Connection timed out' >&2; exit 32");
        let error = mounting.run(3, LONG, false, &mut Troubled).unwrap_err();
        assert!(error.to_string().ends_with("\nThe tunnel's last trouble: no route"), "{error}");
    }

    struct Dead;

    impl Tunnel for Dead {
        fn check(&mut self) -> Result<(), MountError> {
            Err(MountError::Tunnel { file_system: "fs-1".into(), why: "died".into() })
        }
        fn trouble(&mut self) -> Option<String> {
            None
        }
    }

    /// aws/efs-utils, messages: a tunnel that dies during the mount ends it.
    #[test]
    fn a_dead_tunnel_ends_the_mount() {
        let mounting = Mounting::with("exec sleep 30");
        let error = mounting.run(3, LONG, false, &mut Dead).unwrap_err();
        assert!(error.to_string().starts_with("Failed to initialize tunnel for fs-1"), "{error}");
    }
}
