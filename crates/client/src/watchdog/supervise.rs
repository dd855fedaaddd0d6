//! The loop: look at everything each second, and at once when a tunnel dies.

use std::{collections::BTreeMap, net::TcpListener, process::Stdio, time::Duration};

use env::{Env, Instant};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use super::{
    decide::{Look, Step, decide},
    process::Process,
};
use crate::{
    Config, LogFile, MountError, Paths,
    config::WatchdogSettings,
    mount_table::{self, NfsMount},
    state_file::{self, Found, State},
    tcp_table, tunnel_process,
};

/// A tunnel that ends within this time of its start is started again with a pause.
const SHORT_LIFE: Duration = Duration::from_secs(5);
/// However often a tunnel is killed, its mount goes on within five seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a tunnel may take to end in order.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What is held of one tunnel between two looks.
#[derive(Debug)]
struct Held {
    process: Option<Process>,
    /// Its listening socket: the port stays taken and the kernel's connections wait while it is started again.
    listener: Option<TcpListener>,
    started: Option<Instant>,
    pause: Duration,
    told_to_end: Option<Instant>,
    /// When the kernel was last seen to use it. A watchdog that has just started takes it for used.
    last_used: Instant,
    seen: bool,
}

impl Held {
    fn new(now: Instant) -> Self {
        Self {
            process: None,
            listener: None,
            started: None,
            pause: Duration::ZERO,
            told_to_end: None,
            last_used: now,
            seen: true,
        }
    }
}

/// The watchdog at work.
pub(super) struct Supervisor {
    paths: Paths,
    log: LogFile,
    env: Env,
    held: BTreeMap<String, Held>,
    complaints: Vec<String>,
}

impl Supervisor {
    pub(super) fn new(paths: Paths, log: LogFile, env: Env) -> Self {
        Self { paths, log, env, held: BTreeMap::new(), complaints: Vec::new() }
    }

    /// Never returns but by an unreadable configuration at the very start.
    pub(super) fn run(mut self) -> Result<(), MountError> {
        let mut settings = Config::read(&self.paths)?.watchdog()?;
        let mut next = self.env.now();
        loop {
            let regular = self.env.now() >= next;
            if regular {
                // The file may have changed; one that does not read leaves things as they are.
                settings = Config::read(&self.paths).and_then(|config| config.watchdog()).unwrap_or(settings);
                next = self.env.now() + settings.poll_interval;
            }
            self.look(regular, &settings);
            self.wait(next);
        }
    }

    /// Until the next regular look, or until a tunnel dies.
    fn wait(&self, until: Instant) {
        let processes = self.held.values().filter_map(|held| held.process.as_ref());
        let living = processes.filter(|process| process.is_alive());
        let mut events: Vec<PollFd<'_>> =
            living.map(|process| PollFd::from_borrowed_fd(process.pidfd(), PollFlags::IN)).collect();
        let left = until.since(self.env.now());
        let _dead = poll(&mut events, Timespec::try_from(left).ok().as_ref());
    }

    fn look(&mut self, regular: bool, settings: &WatchdogSettings) {
        let (found, complaints) = state_file::find(&self.paths.state_directory());
        for complaint in &complaints {
            if !self.complaints.contains(complaint) {
                self.log.error(&format!("unreadable state file {complaint}"));
            }
        }
        self.complaints = complaints;
        self.held.values_mut().for_each(|held| held.seen = false);
        if !found.is_empty() {
            match mount_table::read(&self.paths.mount_table()) {
                Ok(mounts) => found.into_iter().for_each(|found| self.attend(found, &mounts, regular, settings)),
                Err(error) => {
                    self.log.error(&format!("mount table: {error}"));
                    return;
                }
            }
        }
        self.held.retain(|_, held| held.seen);
    }

    fn attend(&mut self, mut found: Found, mounts: &[NfsMount], regular: bool, settings: &WatchdogSettings) {
        let Some(port) = found.files.port() else { return };
        let moment = self.env.now();
        let mut held = self.held.remove(found.files.name()).unwrap_or_else(|| Held::new(moment));
        held.seen = true;
        self.find_process(&mut held, &found.state, port);
        let alive = held.process.as_ref().is_some_and(Process::is_alive);
        let mounted = mount_table::uses_tunnel(mounts, port);
        if mounted || held.process.as_ref().is_some_and(|process| is_in_use(process.pid(), port)) {
            held.last_used = moment;
        }
        let wall = self.env.wall();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit a double without loss")]
        let now = wall.milliseconds() as f64 / 1000.0;
        let look = Look { now, regular, mounted, alive, unused: moment.since(held.last_used).as_secs_f64() };
        let before = found.state.unmount_time;
        match decide(&mut found.state, found.progress, look, settings) {
            Step::Leave => {}
            Step::Note => {
                if before.is_none() && found.state.unmount_time.is_some() {
                    self.log.info(&format!("{} is no longer mounted", found.state.mountpoint));
                }
                self.write(&found);
            }
            Step::Restart => self.restart(&mut held, &mut found),
            Step::Settle => {
                if let Err(error) = found.files.settle() {
                    self.log.error(&format!("{}: {error}", found.files.settled().display()));
                }
            }
            Step::Reap => {
                if self.reap(&mut held, &found) {
                    return;
                }
            }
        }
        let _ = self.held.insert(found.files.name().to_owned(), held);
    }

    /// Takes hold of the tunnel's process and of its listening socket, once per process.
    fn find_process(&self, held: &mut Held, state: &State, port: u16) {
        let known = held.process.as_ref().is_some_and(|process| process.pid() == state.pid || state.pid <= 0);
        if known {
            return;
        }
        let Some(process) = Process::find(state.pid, &state.cmd) else { return };
        self.log.debug(&format!("watching tunnel pid {} for {}", state.pid, state.mountpoint));
        if let Some(listener) = process.listener(port) {
            held.listener = Some(listener);
        }
        held.process = Some(process);
    }

    fn write(&self, found: &Found) {
        // What is still on its way is its mount.efs's to write.
        let place = found.files.settled();
        if let Err(error) = found.files.write(&place, &found.state) {
            self.log.error(&format!("{}: {error}", place.display()));
        }
    }

    fn restart(&self, held: &mut Held, found: &mut Found) {
        if let Some(process) = &mut held.process {
            process.collect();
        }
        let now = self.env.now();
        let lived = held.started.map(|started| now.since(started));
        if lived.is_some_and(|lived| lived < held.pause) {
            return;
        }
        held.pause = match lived {
            Some(lived) if lived < SHORT_LIFE => (held.pause * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE),
            _ => Duration::ZERO,
        };
        held.started = Some(now);
        // A watchdog that ended between a start and its note leaves a tunnel that nobody wrote down.
        let adopted = Process::search(&found.state.cmd);
        let mount_point = found.state.mountpoint.clone();
        let process = match adopted {
            Some(process) => Some(process),
            None => {
                self.log.warning(&format!("TLS tunnel for {mount_point} is not running, starting it again"));
                let listener = held.listener.as_ref().and_then(|listener| listener.try_clone().ok());
                match tunnel_process::spawn(&found.state.cmd, listener, Stdio::null(), &self.paths) {
                    Ok(child) => Process::started(child),
                    Err(error) => {
                        self.log.error(&format!("could not start the tunnel for {mount_point}: {error}"));
                        None
                    }
                }
            }
        };
        if let Some(process) = process {
            found.state.pid = process.pid();
            self.log.info(&format!("Started TLS tunnel for {mount_point}, pid: {}", process.pid()));
            held.process = Some(process);
            self.write(found);
        }
    }

    /// Ends the tunnel; true when it is gone and so are its files.
    fn reap(&self, held: &mut Held, found: &Found) -> bool {
        held.listener = None;
        let now = self.env.now();
        if held.process.is_none() {
            // A mount.efs that was killed between a start and its note leaves such a tunnel, too.
            held.process = Process::search(&found.state.cmd);
        }
        if let Some(process) = held.process.as_mut().filter(|process| process.is_alive()) {
            match held.told_to_end {
                None => {
                    self.log.info(&format!(
                        "Terminating TLS tunnel of {}, pid: {}",
                        found.state.mountpoint,
                        process.pid()
                    ));
                    process.signal(Signal::TERM);
                    held.told_to_end = Some(now);
                }
                Some(told) if now.since(told) >= LAST_WAIT => process.signal(Signal::KILL),
                Some(_) => {}
            }
            return false;
        }
        if let Some(process) = &mut held.process {
            process.collect();
        }
        found.files.remove();
        self.log.info(&format!("Unmounted: {}", found.files.name()));
        true
    }
}

/// Seen from the tunnel's own network namespace.
fn is_in_use(pid: i32, port: u16) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    tcp_table::is_in_use(&table, port)
}
