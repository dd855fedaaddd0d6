//! The NFSv4.1 server: connections with TLS or clear on one port, RPC, the compound loop, the attribute table and one
//! file per operation. RFC 8881, Architecture section 2. It knows nothing of the control plane and of keys: what it needs from
//! them it declares in [`exports`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking"))]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests make bytes of numbers"))]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests of sockets work in real time"))]

mod admission;
mod attributes;
mod buffers;
pub mod certificate;
mod client_auth;
mod clients;
mod compound;
mod compound_loop;
mod connection;
pub mod exports;
mod gate;
mod handle;
mod holdings;
mod limits;
mod memory;
mod ops;
mod pseudo_root;
mod reactors;
mod record;
mod registry;
mod reply;
mod rpc;
mod sealed;
mod served;
mod server;
mod shared;
mod status;
#[cfg(test)]
mod testing;
mod tls;
mod transport;
mod view;
mod waiting;

pub use clients::{ClientStatus, FileSystemStatus, ServerStatus};
pub use limits::Limits;
pub use nfs_state::GraceStatus;
pub use sealed::serve_sealed;
pub use server::{Server, ServerParts};
