//! The NFSv4.1 server: connections with TLS or clear on one port, RPC, the compound loop, the attribute table and one
//! file per operation. RFC 8881, DESIGN section 2. It knows nothing of the control plane and of keys: what it needs from
//! them it declares in [`exports`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking"))]

mod buffers;
pub mod certificate;
mod client_auth;
mod connection;
pub mod exports;
mod limits;
mod record;
#[cfg(test)]
mod testing;
mod tls;
mod transport;
mod waiting;

pub use limits::Limits;
