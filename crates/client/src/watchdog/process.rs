//! A tunnel's process, by pidfd: no other process can take its place unnoticed.

use std::{
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
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
    /// The process `pid`, if it lives and its command line has `mark` in it.
    pub(super) fn find(pid: i32, mark: &str) -> Option<Self> {
        // -1 stands for a tunnel without a process.
        let number = if pid > 0 { Pid::from_raw(pid) } else { None };
        let pidfd = pidfd_open(number?, PidfdFlags::empty()).ok()?;
        let process = Self { pid, pidfd, child: None };
        // The command line is read while the pidfd holds the process: a number that was used again does not fool us.
        (has_mark(pid, mark) && process.is_alive()).then_some(process)
    }

    /// Any process whose command line has `mark` in it: a tunnel that was started and never noted.
    pub(super) fn search(mark: &str) -> Option<Self> {
        let entries = std::fs::read_dir("/proc").ok()?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| has_mark(*pid, mark)).find_map(|pid| Self::find(pid, mark))
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

fn has_mark(pid: i32, mark: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !mark.is_empty() && line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// aws/efs-utils#69, aws/efs-utils#61: a process is known by its command line, under a pidfd, not by a number
    /// alone.
    #[test]
    fn a_process_is_known_by_its_command_line() {
        let mark = "61.0625";
        let child = Command::new("sleep").arg(mark).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut process = Process::started(child).unwrap();
        // Right after the start the kernel may not show the command line yet.
        assert!(soon(|| Process::find(pid, mark).is_some()));
        assert!(Process::find(pid, "61").is_none() && Process::find(-1, mark).is_none());
        assert!(process.is_alive());
        process.signal(Signal::KILL);
        assert!(soon(|| !process.is_alive()));
        process.collect();
        assert!(Process::find(pid, mark).is_none());
    }

    fn soon(holds: impl Fn() -> bool) -> bool {
        (0..500).any(|_| holds() || (std::thread::sleep(std::time::Duration::from_millis(10)), false).1)
    }
}
