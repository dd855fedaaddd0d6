//! The tunnel: a process per mount that takes the kernel's NFS connections on 127.0.0.1 and carries them over TLS
//! (Architecture section 7).

mod backoff;
mod buffer;
mod connection;
mod dial;
mod peer;
mod pump;
mod service;
mod settings;

pub use service::{Report, TunnelError, run, serve};
pub use settings::TunnelSettings;
