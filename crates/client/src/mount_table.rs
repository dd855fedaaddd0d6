//! The kernel's table of mounts (`/proc/self/mountinfo`, proc(5)). Reading it never touches a mounted file system, so
//! a server that hangs cannot hang the reader.

use std::path::Path;

/// One NFS mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsMount {
    /// `MAJOR:MINOR`, the name of its backing device information.
    pub device: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// The server's address, as the kernel uses it.
    pub server: Option<String>,
    /// The port: 2049 unless the options say another.
    pub port: u16,
}

/// All NFS mounts of the table at `path`.
///
/// # Errors
/// The table cannot be read.
pub fn read(path: &Path) -> std::io::Result<Vec<NfsMount>> {
    Ok(parse(&String::from_utf8_lossy(&std::fs::read(path)?)))
}

/// Whether one of `mounts` goes through the tunnel on `port`. Hidden mounts count: another mount on top of ours does
/// not end it.
#[must_use]
pub fn uses_tunnel(mounts: &[NfsMount], port: u16) -> bool {
    mounts.iter().any(|mount| mount.port == port && mount.server.as_deref() == Some("127.0.0.1"))
}

fn parse(table: &str) -> Vec<NfsMount> {
    table.lines().filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /mount options tags - type source super-options`.
fn parse_line(line: &str) -> Option<NfsMount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(2);
    let device = front.next()?.to_owned();
    let mount_point = unescape(front.nth(1)?);
    let mut back = back.split(' ');
    if !matches!(back.next()?, "nfs" | "nfs4") {
        return None;
    }
    let source = back.next()?;
    let options = back.next().unwrap_or_default();
    let value = |key: &str| options.split(',').find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
    let server = value("addr").or_else(|| source.split(':').next()).map(str::to_owned);
    let port = value("port").and_then(|port| port.parse().ok()).unwrap_or(2049);
    Some(NfsMount { device, mount_point, server, port })
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mount_line as line;

    /// proc(5), mountinfo: device, mount point, type and options of NFS mounts; others are left out.
    #[test]
    fn nfs_mounts_are_read_from_the_table() {
        let table = format!(
            "22 21 0:20 / /proc rw - proc proc rw\n{}41 21 0:53 / /d nfs rw - nfs4 10.0.0.9:/x rw,addr=10.0.0.9\n",
            line("/mnt/with\\040blank", 20613)
        );
        let mounts = parse(&table);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].mount_point, "/mnt/with blank");
        assert_eq!((mounts[0].device.as_str(), mounts[0].port), ("0:52", 20613));
        assert_eq!((mounts[1].server.as_deref(), mounts[1].port), (Some("10.0.0.9"), 2049));
    }

    /// aws/efs-utils#218: a mount is known by its port, not by its path.
    #[test]
    fn a_tunnel_is_known_by_its_port() {
        let mounts = parse(&line("/other/path", 20613));
        assert!(uses_tunnel(&mounts, 20613));
        assert!(!uses_tunnel(&mounts, 20614));
        assert!(!uses_tunnel(&parse("1 2 0:1 / /d rw - nfs4 10.0.0.9:/ rw,port=20613,addr=10.0.0.9\n"), 20613));
    }
}
