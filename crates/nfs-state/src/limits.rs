//! What a client may make the server keep. The values for locks and opens are EFS's documented quotas.

use std::time::Duration;

/// The bounds of a virtual server and of a file system's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Client records of one virtual server, unconfirmed ones included.
    pub clients_max: usize,
    /// Sessions of one client.
    pub sessions_per_client_max: usize,
    /// Connections remembered for one session.
    pub connections_per_session_max: usize,
    /// Slots of one session.
    pub slots_max: u32,
    /// Operations of one compound.
    pub operations_max: u32,
    /// The longest request and the longest reply, RPC header included.
    pub message_bytes_max: u32,
    /// The longest reply kept for a retry.
    pub cached_reply_bytes_max: u32,
    /// The memory that all sessions of one virtual server may reserve for kept replies.
    pub reply_cache_bytes_max: u64,
    /// Opens of one client on one file system.
    pub opens_per_client_max: usize,
    /// Byte-range locks of one client on one file system.
    pub locks_per_client_max: usize,
    /// Byte-range locks on one file.
    pub locks_per_file_max: usize,
    /// How long an expired client's state is kept when nobody wants what it holds.
    pub courtesy: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 16_384,
            sessions_per_client_max: 32,
            connections_per_session_max: 64,
            slots_max: 64,
            operations_max: 128,
            message_bytes_max: 1024 * 1024 + 16 * 1024,
            cached_reply_bytes_max: 4096,
            reply_cache_bytes_max: 256 * 1024 * 1024,
            opens_per_client_max: 65_536,
            locks_per_client_max: 65_536,
            locks_per_file_max: 512,
            courtesy: Duration::from_secs(24 * 60 * 60),
        }
    }
}
