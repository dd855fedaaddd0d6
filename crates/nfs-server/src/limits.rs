//! Every bound of the server that a peer could push against, in one place.

use std::time::Duration;

/// The bounds of one server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address that have no session yet; the oldest gives way to a new one.
    pub waiting_per_source_max: usize,
    /// Connections in all that have no session yet.
    pub waiting_max: usize,
    /// From the connection to its first request, handshake included.
    pub handshake_max: Duration,
    /// A request that began must be whole within this time.
    pub record_max: Duration,
    /// A peer must take some of its replies within this time.
    pub reply_taken_max: Duration,
    /// A connection without a request for this long is closed.
    pub idle_max: Duration,
    /// The largest RPC record.
    pub record_bytes_max: usize,
    /// Requests of one connection that run at once.
    pub running_max: usize,
    /// Bytes of requests that run, and of the data they read, for one connection.
    pub running_bytes_max: usize,
    /// Bytes of replies that wait for the peer before its requests are no longer read.
    pub pending_bytes_max: usize,
    /// Bytes of requests and replies of all connections together, before nobody's next request is read. Connections without a
    /// session may take a quarter of it.
    pub memory_bytes_max: usize,
    /// The largest READ and WRITE.
    pub io_bytes_max: u32,
    /// The lease of clients, in seconds.
    pub lease_seconds: u32,
    /// Stored replies of sessions from before a restart are kept at least this long, and at least a lease: Linux clients may
    /// take their time to come back and ask for theirs.
    pub replies_kept_min: Duration,
    /// A file system that nobody has used for so long is closed.
    pub idle_close: Duration,
    /// How long an answer of the policies holds for a connection in use.
    pub authorize_every: Duration,
    /// Slots of one session.
    pub slots_max: u32,
    /// Operations of one compound.
    pub operations_max: u32,
    /// Entries of the pseudo-root.
    pub pseudo_entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 25_000,
            waiting_per_source_max: 256,
            waiting_max: 2_048,
            handshake_max: Duration::from_secs(15),
            record_max: Duration::from_secs(60),
            reply_taken_max: Duration::from_secs(60),
            idle_max: Duration::from_secs(900),
            record_bytes_max: (1 << 20) + (64 << 10),
            running_max: 128,
            running_bytes_max: 16 << 20,
            pending_bytes_max: 4 << 20,
            memory_bytes_max: 64 << 20,
            io_bytes_max: 1 << 20,
            lease_seconds: 60,
            replies_kept_min: Duration::from_secs(90),
            idle_close: Duration::from_secs(300),
            authorize_every: Duration::from_secs(60),
            slots_max: 64,
            operations_max: 64,
            pseudo_entries_max: 4_096,
        }
    }
}

impl Limits {
    /// The lease of clients.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds))
    }

    /// How long replies from before a restart are kept after the file system is opened.
    pub(crate) fn replies_kept(&self) -> Duration {
        self.replies_kept_min.max(self.lease())
    }

    /// The bounds of client state.
    pub(crate) fn state(&self) -> nfs_state::Limits {
        nfs_state::Limits {
            slots_max: self.slots_max,
            operations_max: self.operations_max,
            message_bytes_max: self.io_bytes_max.saturating_add(MESSAGE_HEADER_BYTES),
            ..nfs_state::Limits::default()
        }
    }
}

/// What a request or reply takes beyond its data. The official client's relay takes records up to 1 MiB and 4 KiB.
const MESSAGE_HEADER_BYTES: u32 = 4096;
