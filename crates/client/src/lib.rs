//! The client: what `mount.efs`, `efs-tunnel` and `amazon-efs-mount-watchdog` do (Architecture section 7).
//!
//! It knows nothing of the server beyond its protocol, and works against Amazon's.

pub mod arguments;
pub mod certificate;
pub mod config;
mod credentials;
pub mod device;
pub mod dns_name;
mod error;
mod http;
mod ini;
pub mod init_system;
pub mod log_file;
pub mod mount;
mod mount_command;
pub mod mount_table;
mod mount_targets;
pub mod net_namespace;
mod options;
mod paths;
pub mod port;
mod read_ahead;
mod region;
mod resolve;
pub mod state_file;
mod tcp_table;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod tunnel;
mod tunnel_process;
pub mod watchdog;

pub use config::Config;
pub use error::MountError;
pub use ini::{Ini, Malformed};
pub use log_file::LogFile;
pub use options::MountOptions;
pub use paths::{Paths, ROOT_VARIABLE};

/// The version that the client certificate and `--version` say.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
