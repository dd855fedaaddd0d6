//! A tunnel's process, by pidfd: no other process can take its place unnoticed.

use std::{
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    process::Child,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal},
};

/// A process that is, or was, a tunnel.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    pidfd: OwnedFd,
    /// Set when this watchdog started it: then it must also collect it.
    child: Option<Child>,
}

impl Process {
    /// The process `pid`, if it lives, belongs to this user and runs exactly `command`.
    pub(super) fn find(pid: i32, command: &[String]) -> Option<Self> {
        // -1 stands for a tunnel without a process.
        let number = if pid > 0 { Pid::from_raw(pid) } else { None };
        let pidfd = pidfd_open(number?, PidfdFlags::empty()).ok()?;
        let process = Self { pid, pidfd, child: None };
        // The command line is read while the pidfd holds the process: a number that was used again does not fool us.
        (runs(pid, command) && process.is_alive()).then_some(process)
    }

    /// Any process that runs exactly `command`: a tunnel that was started and never noted.
    pub(super) fn search(command: &[String]) -> Option<Self> {
        let entries = std::fs::read_dir("/proc").ok()?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| runs(*pid, command)).find_map(|pid| Self::find(pid, command))
    }

    /// A process that was just started.
    pub(super) fn started(child: Child) -> Option<Self> {
        let pid = i32::try_from(child.id()).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { pid, pidfd, child: Some(child) })
    }

    pub(super) const fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether it has not ended; a pidfd becomes readable at the end.
    pub(super) fn is_alive(&self) -> bool {
        let mut events = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut events, Some(&Timespec::default())) == Ok(0)
    }

    /// Takes the end of a child away, so that it does not stay as a zombie.
    pub(super) fn collect(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.try_wait());
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _already_gone = pidfd_send_signal(&self.pidfd, signal);
    }

    /// A copy of the socket that it listens on, where it got that on standard input.
    pub(super) fn listener(&self, port: u16) -> Option<TcpListener> {
        let copy = pidfd_getfd(&self.pidfd, 0, PidfdGetfdFlags::empty()).ok()?;
        if !sockopt::socket_acceptconn(&copy).unwrap_or(false) {
            return None;
        }
        let listener = TcpListener::from(copy);
        listener.local_addr().is_ok_and(|address| address.port() == port).then_some(listener)
    }
}

/// Every word counts: whoever looks at a tunnel's files has their names on the command line, too. And any user can give
/// a process any command line, so it must be this user's.
fn runs(pid: i32, command: &[String]) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let expected: Vec<u8> = command.iter().flat_map(|word| word.bytes().chain([0])).collect();
    let own = rustix::process::geteuid().as_raw();
    let is_own = || std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|about| about.uid() == own);
    !expected.is_empty() && line == expected && is_own()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// aws/efs-utils#69, aws/efs-utils#61: a process is known by its command line, under a pidfd, not by a number alone.
    #[test]
    fn a_process_is_known_by_its_command_line() {
        let command = words(&["sleep", "61.0625"]);
        let child = Command::new("sleep").arg("61.0625").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut process = Process::started(child).unwrap();
        // Right after the start the kernel may not show the command line yet.
        assert!(soon(|| Process::find(pid, &command).is_some()));
        assert!(Process::find(-1, &command).is_none() && Process::find(pid, &[]).is_none());
        assert!(process.is_alive());
        process.signal(Signal::KILL);
        assert!(soon(|| !process.is_alive()));
        process.collect();
        assert!(Process::find(pid, &command).is_none());
    }

    /// docs/mount-helper.md, finding a fault: whoever reads a tunnel's settings file is not taken for the tunnel.
    #[test]
    fn a_reader_of_the_settings_is_not_the_tunnel() {
        let settings = "61.125";
        let mut reader = Command::new("sleep").args(["0.5", settings]).spawn().unwrap();
        let pid = i32::try_from(reader.id()).unwrap();
        assert!(soon(|| Process::find(pid, &words(&["sleep", "0.5", settings])).is_some()));
        for tunnel in [words(&["/sbin/mount.efs", "efs-tunnel", settings]), words(&[settings]), words(&["sleep"])] {
            assert!(Process::find(pid, &tunnel).is_none() && Process::search(&tunnel).is_none(), "{tunnel:?}");
        }
        reader.kill().unwrap();
        drop(reader.wait());
    }

    fn soon(holds: impl Fn() -> bool) -> bool {
        (0..500).any(|_| holds() || (std::thread::sleep(std::time::Duration::from_millis(10)), false).1)
    }
}
