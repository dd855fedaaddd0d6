//! Names to addresses, by the system's resolver.
#![expect(
    unsafe_code,
    reason = "only getaddrinfo tells a name's canonical name, and the standard library does not ask"
)]

use std::{
    ffi::{CStr, CString},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _},
    ptr,
    time::Duration,
};

use crate::MountError;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_ATTEMPTS: u32 = 3;
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A resolver that answers nothing must not hold up a mount that has another way.
const RESOLVE_LIMIT: Duration = Duration::from_secs(4);

/// Whether the name has an address, as far as the resolver says so in time.
pub(crate) fn has_address(name: &str) -> bool {
    let (sender, receiver) = std::sync::mpsc::channel();
    let name = name.to_owned();
    drop(std::thread::spawn(move || sender.send(resolves(&name))));
    receiver.recv_timeout(RESOLVE_LIMIT).unwrap_or(false)
}

/// Asked once more as an absolute name, past the resolver's search list.
fn resolves(name: &str) -> bool {
    let found = |name: &str| (name, 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
    found(name) || (!name.ends_with('.') && found(&format!("{name}.")))
}

/// The canonical name behind `name`, which is `name` itself when it is no alias; `None` if it does not resolve.
pub(crate) fn canonical_name(name: &str) -> Option<String> {
    let host = CString::new(name).ok()?;
    // SAFETY: all zeros is a valid addrinfo for hints.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = libc::AI_CANONNAME;
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: host is a C string, hints and list outlive the call, and the list is freed below.
    let outcome = unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    if outcome != 0 || list.is_null() {
        return None;
    }
    // SAFETY: a successful call gives a list of at least one entry; the canonical name is null or a C string that lives
    // as long as the list.
    let canonical = unsafe {
        let text = (*list).ai_canonname;
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    // SAFETY: the list came from getaddrinfo and is used no more.
    unsafe { libc::freeaddrinfo(list) };
    Some(canonical.filter(|text| !text.is_empty()).unwrap_or_else(|| name.to_owned()))
}

/// Tries the mount target's TCP port, so that an address that leads nowhere is an error with words.
pub(crate) fn probe(address: &str, port: u16, by_option: bool) -> Result<(), MountError> {
    let unreachable = |why: String| MountError::Unreachable { address: address.to_owned(), why };
    let hint =
        if by_option { " Please check if the mount target ip address passed via mount option is correct." } else { "" };
    let other = |why: String| {
        unreachable(format!("Unknown error when connecting to mount target IP address {address}, {why}.{hint}"))
    };
    let ip: IpAddr = address.parse().map_err(|_| other("not an IP address".to_owned()))?;
    for attempt in 1..=CONNECT_ATTEMPTS {
        match TcpStream::connect_timeout(&SocketAddr::from((ip, port)), CONNECT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::TimedOut => return Err(other(error.to_string())),
            Err(_) if attempt < CONNECT_ATTEMPTS => std::thread::sleep(CONNECT_PAUSE),
            Err(_) => {}
        }
    }
    Err(unreachable(format!(
        "Connection to the mount target IP address {address} timeout. Please retry in 5 minutes if the mount target is \
         newly created. Otherwise check your VPC and security group configuration to ensure your file system is \
         reachable via TCP port {port} from your instance."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, DNS name: names in the hosts file resolve; what does not is said so.
    #[test]
    fn names_resolve_by_the_system() {
        assert!(has_address("localhost"));
        assert!(canonical_name("localhost").is_some());
        assert!(canonical_name("with\0zero").is_none());
    }

    /// aws/efs-utils, options: `mounttargetip` is tested first, and an error names it.
    #[test]
    fn an_address_that_leads_nowhere_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(probe("127.0.0.1", port, true).is_ok());
        drop(listener);
        let error = probe("127.0.0.1", port, true).unwrap_err().to_string();
        assert!(error.starts_with("Cannot connect to file system mount target ip address 127.0.0.1. "), "{error}");
        assert!(error.ends_with("passed via mount option is correct."), "{error}");
        assert!(probe("example", port, false).is_err());
    }
}
