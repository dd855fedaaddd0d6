//! The kernel's table of TCP sockets (`/proc/net/tcp`, proc(5)): who owns a connection, and which are alive.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

const ESTABLISHED: &str = "01";

/// The owner of the socket `peer`, connected to `local`.
#[must_use]
pub(crate) fn owner(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let (SocketAddr::V4(peer), SocketAddr::V4(local)) = (peer, local) else { return None };
    let (peer, local) = (written(peer), written(local));
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

/// Whether somebody is connected to `port` of 127.0.0.1.
#[must_use]
pub(crate) fn is_in_use(table: &str, port: u16) -> bool {
    let local = written(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&local) && words.nth(1) == Some(ESTABLISHED)
    })
}

/// An IPv4 address as the table writes it: the address's bytes as one number of the machine, in hex.
fn written(address: SocketAddrV4) -> String {
    let number = u32::from_ne_bytes(address.ip().octets());
    format!("{number:08X}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:5085 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
        1: 0100007F:9C40 0100007F:5085 01 00000000:00000000 00:00000000 00000000  1000        0 2 1\n\
        2: 0100007F:9C41 0100007F:5085 04 00000000:00000000 00:00000000 00000000     0        0 3 1\n\
        3: 0100007F:9C42 0100007F:5085 05 00000000:00000000 00:00000000 00000000     0        0 0 1\n\
        4: 0100007F:5085 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4 1\n\
        5: 0100007F:5086 0100007F:9C49 08 00000000:00000000 00:00000000 00000000     0        0 5 1\n";

    /// proc(5), net/tcp: the row of the peer's socket has its owner; a closed socket has none.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_owner_is_found_in_the_table() {
        let local: SocketAddr = "127.0.0.1:20613".parse().unwrap();
        let of = |port| owner(TABLE, SocketAddr::from(([127, 0, 0, 1], port)), local);
        assert_eq!((of(40000), of(40001), of(40002), of(40003)), (Some(1000), Some(0), None, None));
    }

    /// proc(5), net/tcp: only established connections keep a tunnel in use; a listening socket does not.
    #[test]
    #[cfg(target_endian = "little")]
    fn only_established_connections_are_in_use() {
        assert!(is_in_use(TABLE, 20613));
        assert!(!is_in_use(TABLE, 20614) && !is_in_use(TABLE, 20615));
    }
}
