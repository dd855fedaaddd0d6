//! Who is at the other end of a local connection. Only root's sockets, the kernel's among them, may use the tunnel:
//! behind it the server takes every user id that it is told.

use std::net::SocketAddr;

use crate::tcp_table;

/// The tables of this process's network namespace.
const TABLES: &[&str] = &["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Whether the socket `peer`, connected to `local`, belongs to root or to this process's own user. Where the tables
/// cannot be read nobody can tell, and efs-utils never asked; a tunnel that was told to listen to another machine has
/// only that machine's word.
pub(super) fn may_use(peer: SocketAddr, local: SocketAddr) -> bool {
    if !local.ip().is_loopback() {
        return true;
    }
    let tables: Vec<_> = TABLES.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let own = rustix::process::geteuid().as_raw();
    let allowed = |uid| uid == 0 || uid == own;
    tables.is_empty() || tables.iter().any(|table| tcp_table::owner(table, peer, local).is_some_and(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 7: our own connections, as the kernel's, are let in.
    #[test]
    fn an_own_connection_is_let_in() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, peer) = listener.accept().unwrap();
        assert_eq!(peer, socket.local_addr().unwrap());
        assert!(may_use(peer, listener.local_addr().unwrap()));
        assert!(!may_use("127.0.0.1:1".parse().unwrap(), listener.local_addr().unwrap()));
    }
}
