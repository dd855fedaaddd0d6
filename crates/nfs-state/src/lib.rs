//! The state of NFSv4.1: virtual servers, clients, sessions, stateids, opens, byte-range locks, leases and grace. RFC 8881,
//! sections 2.4, 2.10, 8 and 9.
//!
//! Everything here is a plain function of (state, input, now): no socket, clock, file, thread or random number. The caller wraps
//! a [`VirtualServer`] and a [`FileState`] in locks of its own and carries out what their effects say.
//!
//! - A [`VirtualServer`] is what a client sees as "the server": its client ids and its sessions.
//! - A [`FileState`] is what clients hold on one file system: opens, share reservations, byte-range locks. Clients of several
//!   virtual servers conflict there.
//! - A [`Client`] joins the two: the virtual server renews its lease, the file state reads it.

mod client;
mod create_session;
mod error;
mod exchange_id;
mod file_state;
mod grace;
mod limits;
mod lock;
mod open;
mod ranges;
mod reclaim;
mod recovery;
mod sequence;
mod session;
mod share;
mod stateid;
mod virtual_server;

pub use client::{Client, ClientKey, Principal, VirtualServerId};
pub use error::StateError;
pub use file_state::{Effects, FileState, Ticket};
pub use grace::GraceStatus;
pub use limits::Limits;
pub use lock::{LockRequest, LockTest, Locker};
pub use open::OpenRequest;
pub use recovery::{Durable, is_readable as is_readable_record};
pub use session::{Admitted, ConnectionId, ReplyLimits, RequestFacts, SlotToken, Verdict};
pub use share::{Share, Want};
pub use stateid::IoAccess;
pub use virtual_server::{ClientStatus, Dropped, ServerConfig, VirtualServer};
