//! Who is here, for `coffer status`: clients by virtual server, what they hold, and where grace stands.

use std::net::SocketAddr;
use std::time::Duration;

use nfs_state::GraceStatus;

use crate::exports::{FileSystemId, Principal, Target};
use crate::registry::Virtual;
use crate::served::Served;
use crate::server::Server;

/// The server at one moment.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    /// Connections that are served.
    pub connections: usize,
    /// Connections without a session, those that have not sent a valid request yet among them.
    pub waiting: usize,
    /// The file systems that are open.
    pub file_systems: Vec<FileSystemStatus>,
    /// The clients of all virtual servers.
    pub clients: Vec<ClientStatus>,
}

/// One open file system.
#[derive(Debug, Clone)]
pub struct FileSystemStatus {
    /// Which.
    pub id: FileSystemId,
    /// Opens of all clients.
    pub opens: usize,
    /// Byte-range locks of all clients.
    pub locks: usize,
    /// Where grace stands.
    pub grace: GraceStatus,
    /// Recovery records that could not be read at the opening: as many clients lost what they held.
    pub damaged_records: usize,
}

/// One client of one virtual server.
#[derive(Debug, Clone)]
pub struct ClientStatus {
    /// The file system, or none on the pseudo-root.
    pub file_system: Option<FileSystemId>,
    /// The access point.
    pub access_point: Option<String>,
    /// Who mounts.
    pub principal: Principal,
    /// TLS or clear.
    pub secure: bool,
    /// Its client id.
    pub clientid: u64,
    /// What it calls itself, as text.
    pub owner: String,
    /// Its implementation, as text.
    pub implementation: String,
    /// Whether it has a session.
    pub confirmed: bool,
    /// Since it was last heard of.
    pub silent: Duration,
    /// Whether its lease has run out.
    pub expired: bool,
    /// Its sessions.
    pub sessions: usize,
    /// Opens and lock owners that it holds.
    pub states: usize,
    /// Where its connections come from.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// Who is here.
    pub fn status(&self) -> ServerStatus {
        let file_systems = self.house.shared.registry.open_file_systems();
        let virtual_servers = self.house.shared.registry.virtual_servers();
        let connections = self.house.connections.lock().len();
        ServerStatus {
            connections,
            waiting: self.house.waiting.len(),
            file_systems: file_systems.iter().map(|served| self.file_system(served)).collect(),
            clients: virtual_servers.iter().flat_map(|server| self.clients(server)).collect(),
        }
    }

    fn file_system(&self, served: &Served) -> FileSystemStatus {
        let (opens, locks) = served.holdings.counts();
        FileSystemStatus {
            id: served.id.clone(),
            opens,
            locks,
            grace: served.holdings.grace(&self.house.shared.env),
            damaged_records: served.holdings.damaged_records(),
        }
    }

    fn clients(&self, server: &Virtual) -> Vec<ClientStatus> {
        let now = self.house.shared.env.now();
        let clients = server.state.lock().status(now);
        let connections = self.house.connections.lock();
        clients
            .into_iter()
            .map(|client| ClientStatus {
                file_system: match &server.key.target {
                    Target::FileSystem(id) => Some(id.clone()),
                    Target::PseudoRoot => None,
                },
                access_point: server.key.access_point.clone(),
                principal: server.key.principal.clone(),
                secure: server.key.secure,
                clientid: client.clientid,
                owner: String::from_utf8_lossy(&client.owner).into_owned(),
                implementation: String::from_utf8_lossy(&client.implementation).into_owned(),
                confirmed: client.confirmed,
                silent: now.since(client.renewed),
                expired: client.expired,
                sessions: client.sessions,
                states: client.states,
                addresses: client
                    .connections
                    .iter()
                    .filter_map(|id| connections.get(id).map(|present| present.remote))
                    .collect(),
            })
            .collect()
    }
}
