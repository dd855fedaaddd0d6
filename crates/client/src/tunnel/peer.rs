//! Who is at the other end of a local connection. Only root's sockets, the kernel's among them, may use the tunnel:
//! behind it the server takes every user id that it is told.

use std::net::SocketAddr;

/// The kernel's tables of TCP sockets (proc(5)).
const TABLES: &[&str] = &["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Whether the socket `peer`, connected to `local`, belongs to root or to this process's own user. Where the tables
/// cannot be read nobody can tell, and efs-utils never asked.
pub(super) fn may_use(peer: SocketAddr, local: SocketAddr) -> bool {
    let tables: Vec<_> = TABLES.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let own = rustix::process::geteuid().as_raw();
    tables.is_empty() || tables.iter().any(|table| owner(table, peer, local).is_some_and(|uid| uid == 0 || uid == own))
}

fn owner(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let (peer, local) = (written(peer)?, written(local)?);
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        if words.next()? != peer || words.next()? != local {
            return None;
        }
        // st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
        let uid = words.nth(4)?.parse().ok()?;
        // A socket that its owner has closed has no inode, and its owner is shown as 0 whoever it was.
        (words.nth(1)? != "0").then_some(uid)
    })
}

/// An IPv4 address as the table writes it: the address's bytes as one number of the machine, in hex.
fn written(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let number = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{number:08X}:{:04X}", address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc(5), net/tcp: the row of the peer's socket has its owner.
    #[test]
    fn the_owner_is_found_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:5085 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
            1: 0100007F:9C40 0100007F:5085 01 00000000:00000000 00:00000000 00000000  1000        0 2 1\n\
            2: 0100007F:9C41 0100007F:5085 04 00000000:00000000 00:00000000 00000000     0        0 3 1\n\
            3: 0100007F:9C42 0100007F:5085 05 00000000:00000000 00:00000000 00000000     0        0 0 1\n";
        let local: SocketAddr = "127.0.0.1:20613".parse().unwrap();
        let of = |port| owner(table, SocketAddr::from(([127, 0, 0, 1], port)), local);
        if cfg!(target_endian = "little") {
            assert_eq!((of(40000), of(40001), of(40002)), (Some(1000), Some(0), None));
        }
    }

    /// DESIGN section 7: our own connections, as the kernel's, are let in.
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
