//! The taps between this machine and its clients. Each client has a number of its own, so that runs side by side never
//! meet: `cofferN` is the tap, 10.77.N.1 this machine, 10.77.N.2 the client, and 10.77.N.32/27 (on the first tap)
//! stands ready for mount targets.

use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::prerequisites::{Needs, require, system};
use crate::{Client, Machine, RigError};

const FIRST_NUMBER: u8 = 20;
const LAST_NUMBER: u8 = 250;
const TARGETS_FIRST: u8 = 32;
const TARGETS: u8 = 32;

/// The wire between this machine and a fixed number of clients.
#[derive(Debug)]
pub struct Network {
    taps: Vec<Arc<Tap>>,
}

impl Network {
    /// Makes the taps for so many clients; needs root.
    pub fn new(clients: usize) -> Result<Self, RigError> {
        require(Needs::Clients)?;
        let mut taps: Vec<Arc<Tap>> = Vec::new();
        for number in FIRST_NUMBER..LAST_NUMBER {
            if taps.len() == clients {
                break;
            }
            if let Some(tap) = Tap::take(number, taps.is_empty())? {
                taps.push(Arc::new(tap));
            }
        }
        if taps.len() < clients {
            return Err(RigError::Unready("every client number is in use (see /run/coffer-rig.*.lock)".to_owned()));
        }
        Ok(Self { taps })
    }

    /// This machine's own address on the first tap; every client reaches it.
    #[must_use]
    pub fn host(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The subnet that stands ready for mount targets, as a CIDR.
    #[must_use]
    pub fn subnet(&self) -> String {
        format!("{}/27", self.address(TARGETS_FIRST))
    }

    /// The nth address of that subnet (0 to 31).
    #[must_use]
    pub fn target(&self, nth: u8) -> Ipv4Addr {
        self.address(TARGETS_FIRST + nth % TARGETS)
    }

    /// Starts the nth client (from 0) and waits until scripts can run in it.
    pub fn boot(&self, nth: usize, name: &str, machine: &Machine) -> Result<Client, RigError> {
        let tap = self.taps.get(nth).ok_or_else(|| RigError::Unready(format!("this network has no client {nth}")))?;
        Client::boot(Arc::clone(tap), name, machine)
    }

    /// Leaves the taps, and their addresses with them, for as long as a process lives that works on them.
    pub fn leave(self, process: u32) -> Result<(), RigError> {
        for tap in &self.taps {
            let path = left(tap.number);
            std::fs::write(&path, process.to_string()).map_err(|error| RigError::host(&path, error))?;
        }
        std::mem::forget(self.taps);
        Ok(())
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.taps.first().map_or(0, |tap| tap.number), last)
    }
}

/// The file that says who works on a tap whose maker has gone.
fn left(number: u8) -> String {
    format!("/run/coffer-rig.{number}.process")
}

/// One tap device, and the lock on its number.
#[derive(Debug)]
pub(crate) struct Tap {
    number: u8,
    _lock: File,
}

impl Tap {
    /// Takes a number and makes its tap, or nothing when somebody else has it.
    fn take(number: u8, targets: bool) -> Result<Option<Self>, RigError> {
        let path = format!("/run/coffer-rig.{number}.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| RigError::host(&path, error))?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let user = std::fs::read_to_string(left(number)).ok().and_then(|process| process.trim().parse().ok());
        if user.is_some_and(crate::process::is_alive) {
            return Ok(None);
        }
        let _ = std::fs::remove_file(left(number));
        let name = format!("coffer{number}");
        if std::path::Path::new("/sys/class/net").join(&name).exists() {
            // A run that was killed left it; nobody can hold it now, since the lock is ours.
            let _ = system("ip", &["link", "delete", &name]);
        }
        if system("ip", &["tuntap", "add", "dev", &name, "mode", "tap"]).is_err() {
            return Ok(None);
        }
        let tap = Self { number, _lock: lock };
        let own = format!("10.77.{number}.1/24");
        system("ip", &["address", "add", &own, "dev", &name])?;
        if targets {
            for last in TARGETS_FIRST..TARGETS_FIRST + TARGETS {
                system("ip", &["address", "add", &format!("10.77.{number}.{last}/32"), "dev", &name])?;
            }
        }
        system("ip", &["link", "set", &name, "mtu", "9000", "up"])?;
        Ok(Some(tap))
    }

    pub(crate) fn device(&self) -> String {
        format!("coffer{}", self.number)
    }

    pub(crate) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 1)
    }

    pub(crate) fn guest(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 2)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = system("ip", &["link", "delete", &self.device()]);
    }
}
