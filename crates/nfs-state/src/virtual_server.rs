//! A virtual server: its client records and sessions, and what becomes of them with time. RFC 8881, sections 2.4, 2.10, 8.3.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use env::Instant;
use nfs_wire::nfs4::{CreateSession4Resok, OPAQUE_BYTES_MAX, SessionId4};
use nfs_wire::{NfsStat4, Opaque};

use crate::client::{Client, ClientKey, VirtualServerId};
use crate::error::StateError;
use crate::limits::Limits;
use crate::session::{ConnectionId, Session};

/// What a virtual server is.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The same on every node and after every restart.
    pub id: VirtualServerId,
    /// Different after each restart: sessions and client ids of another instance are recognised as such.
    pub instance: u32,
    /// `so_major_id`: different for each virtual server, or clients would merge their mounts.
    pub major_id: Opaque<OPAQUE_BYTES_MAX>,
    /// `eir_server_scope`.
    pub scope: Opaque<OPAQUE_BYTES_MAX>,
    /// Whether replies survive a restart, so that CREATE_SESSION4_FLAG_PERSIST may be promised.
    pub persistent: bool,
    /// How long a client lives without a word.
    pub lease: Duration,
    /// What its clients may make it keep.
    pub limits: Limits,
}

/// Clients whose records were removed. The caller hands each to `FileState::forget_client` of every file system that the virtual
/// server reaches.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Dropped {
    /// The clients.
    pub clients: Vec<ClientKey>,
    /// Sessions that are no more, whose stored replies may be forgotten.
    pub sessions: Vec<SessionId4>,
}

/// One client, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Its client id.
    pub clientid: u64,
    /// `co_ownerid`.
    pub owner: Vec<u8>,
    /// `nii_name`, if the client gave one.
    pub implementation: Vec<u8>,
    /// Whether it made a session.
    pub confirmed: bool,
    /// When it was last heard of.
    pub renewed: Instant,
    /// Whether its lease has run out.
    pub expired: bool,
    /// Its sessions.
    pub sessions: usize,
    /// The connections bound to them.
    pub connections: Vec<ConnectionId>,
    /// Its stateids on all file systems.
    pub states: usize,
}

/// The records of one client owner: at most one of each kind. RFC 8881, section 18.35.4.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct OwnerRecords {
    pub(crate) confirmed: Option<u64>,
    pub(crate) unconfirmed: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct ClientRecord {
    pub(crate) client: Arc<Client>,
    pub(crate) confirmed: bool,
    pub(crate) implementation: Box<[u8]>,
    /// The one slot for CREATE_SESSION: the last sequence id, and its reply if it succeeded.
    pub(crate) sequence: u32,
    pub(crate) created: Option<CreateSession4Resok>,
    pub(crate) sessions: Vec<SessionId4>,
}

/// What a client sees as "the server".
#[derive(Debug)]
pub struct VirtualServer {
    pub(crate) config: ServerConfig,
    pub(crate) owners: HashMap<Box<[u8]>, OwnerRecords>,
    pub(crate) clients: HashMap<u64, ClientRecord>,
    pub(crate) sessions: HashMap<SessionId4, Session>,
    pub(crate) next_client: u32,
    pub(crate) next_session: u32,
    pub(crate) reserved_bytes: u64,
}

impl VirtualServer {
    /// A virtual server without clients.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            owners: HashMap::new(),
            clients: HashMap::new(),
            sessions: HashMap::new(),
            next_client: 1,
            next_session: 1,
            reserved_bytes: 0,
        }
    }

    /// What it is.
    pub const fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// DESTROY_CLIENTID. RFC 8881, section 18.50.
    pub fn destroy_clientid(&mut self, clientid: u64, dropped: &mut Dropped) -> Result<(), StateError> {
        let record = self.clients.get(&clientid).ok_or(StateError::StaleClientId)?;
        if !record.sessions.is_empty() || record.client.states() != 0 {
            return Err(StateError::ClientBusy);
        }
        self.remove_client(clientid, dropped);
        Ok(())
    }

    /// RECLAIM_COMPLETE. RFC 8881, section 18.51. The caller tells the file systems concerned.
    pub fn reclaim_complete(&mut self, client: &Client, one_fs: bool) -> Result<(), StateError> {
        // One file system's part is done when the whole is; a client that says it for each may say so often.
        if one_fs || client.complete() { Ok(()) } else { Err(StateError::AlreadyComplete) }
    }

    /// The client lost its state to another because its lease had run out: its sessions go, too, so that it learns of it.
    pub fn expire_client(&mut self, key: ClientKey, dropped: &mut Dropped) {
        if key.server == self.config.id {
            self.remove_client(key.clientid, dropped);
        }
    }

    /// Removes what time has overtaken. To be called every quarter of a lease or so.
    pub fn sweep(&mut self, now: Instant, dropped: &mut Dropped) {
        let lease = self.config.lease;
        let courtesy = self.config.limits.courtesy;
        let overdue: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, record)| {
                let silent = now.since(record.client.renewed());
                match (record.confirmed, record.client.states()) {
                    // RFC 8881 §18.35.4: not confirmed within a lease.
                    (false, _) => silent > lease,
                    // Nothing to keep for it; twice the lease lets it come back from a short cut without recovery.
                    (true, 0) => silent > lease.saturating_mul(2),
                    (true, _) => silent > lease.saturating_add(courtesy),
                }
            })
            .map(|(clientid, _)| *clientid)
            .collect();
        for clientid in overdue {
            self.remove_client(clientid, dropped);
        }
    }

    /// A connection is closed: no session is bound to it any more.
    pub fn connection_closed(&mut self, connection: ConnectionId) {
        for session in self.sessions.values_mut() {
            session.unbind(connection);
        }
    }

    /// Whether there is any client record.
    pub fn has_clients(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether the lease of any client runs.
    pub fn has_live_clients(&self, now: Instant) -> bool {
        self.clients.values().any(|record| !record.client.expired(now, self.config.lease))
    }

    /// Every client, for `status`.
    pub fn status(&self, now: Instant) -> Vec<ClientStatus> {
        self.clients.iter().map(|(clientid, record)| self.status_of(*clientid, record, now)).collect()
    }

    fn status_of(&self, clientid: u64, record: &ClientRecord, now: Instant) -> ClientStatus {
        let sessions = record.sessions.iter().filter_map(|id| self.sessions.get(id));
        ClientStatus {
            clientid,
            owner: record.client.owner().to_vec(),
            implementation: record.implementation.to_vec(),
            confirmed: record.confirmed,
            renewed: record.client.renewed(),
            expired: record.client.expired(now, self.config.lease),
            sessions: record.sessions.len(),
            connections: sessions.flat_map(|session| session.connections().iter().copied()).collect(),
            states: record.client.states(),
        }
    }

    /// Removes a record with its sessions; the file systems learn of it from `dropped`.
    pub(crate) fn remove_client(&mut self, clientid: u64, dropped: &mut Dropped) {
        let Some(record) = self.clients.remove(&clientid) else { return };
        record.client.leave();
        for session in record.sessions {
            self.forget_session(&session);
            dropped.sessions.push(session);
        }
        if let Some(records) = self.owners.get_mut(record.client.owner()) {
            if records.confirmed == Some(clientid) {
                records.confirmed = None;
            }
            if records.unconfirmed == Some(clientid) {
                records.unconfirmed = None;
            }
            if records.confirmed.is_none() && records.unconfirmed.is_none() {
                self.owners.remove(record.client.owner());
            }
        }
        dropped.clients.push(record.client.key());
    }

    pub(crate) fn forget_session(&mut self, id: &SessionId4) {
        if let Some(session) = self.sessions.remove(id) {
            self.reserved_bytes = self.reserved_bytes.saturating_sub(session.reserved_bytes());
        }
    }

    /// Makes room for one more record, if need be by dropping the one that is missed least.
    pub(crate) fn make_room(&mut self, now: Instant, dropped: &mut Dropped) -> Result<(), NfsStat4> {
        if self.clients.len() < self.config.limits.clients_max {
            return Ok(());
        }
        let lease = self.config.lease;
        let missed_least = self
            .clients
            .iter()
            .filter(|(_, record)| !record.confirmed || record.client.expired(now, lease))
            .min_by_key(|(_, record)| (record.confirmed, record.client.states() != 0, record.client.renewed()))
            .map(|(clientid, _)| *clientid);
        match missed_least {
            Some(clientid) => {
                self.remove_client(clientid, dropped);
                Ok(())
            }
            None => Err(NfsStat4::Delay),
        }
    }
}
