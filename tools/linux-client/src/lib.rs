//! Runs real Linux NFS clients in user-mode Linux: a Linux kernel as a process, this machine's programs as its own, and
//! a tap device as its network.
//!
//! A [`Network`] holds one tap per client and, on the first tap, a subnet of spare addresses for mount targets that
//! every client reaches. [`Network::boot`] starts a [`Client`]; scripts run inside it one by one or side by side, their
//! output arriving live, and all of it goes away with the values.
#![allow(clippy::disallowed_methods, reason = "a tool works in real time; nothing here is simulated")]

mod agent;
mod control;
mod guest;
mod machine;
mod network;
mod prerequisites;
mod process;

pub use agent::serve as serve_in_guest;
pub use guest::{Client, Finished, Running};
pub use machine::Machine;
pub use network::Network;
pub use prerequisites::{Needs, missing_packages, require};
pub use process::{end_group, is_alive};

/// Why a client could not be run, or what went wrong inside it.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The machine lacks a right or a package; the text is one line and names the cure.
    #[error("{0}")]
    Unready(String),
    /// A system command or call on this machine failed.
    #[error("{what}: {why}")]
    Host {
        /// What was tried.
        what: String,
        /// What came back.
        why: String,
    },
    /// The client did not come up; the text ends with its console.
    #[error("the Linux client {name} did not start: {why}")]
    Boot {
        /// The client's name.
        name: String,
        /// The last of its console.
        why: String,
    },
    /// A script inside a client ended with another status than 0.
    #[error("in client {name}, exit status {status} from: {script}\n{tail}")]
    Script {
        /// The client's name.
        name: String,
        /// The script's exit status.
        status: i32,
        /// The first line of the script.
        script: String,
        /// The last lines that it wrote.
        tail: String,
    },
    /// A script inside a client did not end in its time, or the client went away.
    #[error("in client {name}: {why}: {script}")]
    Lost {
        /// The client's name.
        name: String,
        /// What happened.
        why: String,
        /// The first line of the script.
        script: String,
    },
}

impl RigError {
    pub(crate) fn host(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Host { what: what.into(), why: why.to_string() }
    }
}
