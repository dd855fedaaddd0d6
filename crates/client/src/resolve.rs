//! Names to addresses, by the system's resolver.
#![expect(
    unsafe_code,
    reason = "only getaddrinfo tells a name's canonical name, and the standard library does not ask"
)]

use std::{
    ffi::{CStr, CString},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _},
    ptr,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use env::{Env, Instant};

use crate::MountError;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_ATTEMPTS: u32 = 3;
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A resolver that answers nothing must not hold up a mount that has another way.
const RESOLVE_LIMIT: Duration = Duration::from_secs(4);
/// Where the EFS API is named, it is asked beside a resolver that is slower than this.
const HEAD_START: Duration = Duration::from_millis(300);

/// The resolver's questions of one mount. They share one limit, so that a silent resolver costs it once.
pub(crate) struct Resolver {
    env: Env,
    end: Instant,
}

impl Resolver {
    pub(crate) fn new(env: &Env) -> Self {
        Self { env: env.clone(), end: env.now() + RESOLVE_LIMIT }
    }

    /// The canonical name behind `name`, which is `name` itself when it is no alias; `None` if it does not resolve in
    /// time.
    pub(crate) fn canonical_name(&self, name: &str) -> Option<String> {
        let name = name.to_owned();
        Question::ask(move || canonical_name(&name)).within(self.left()).flatten()
    }

    /// Whether the name has an address, as far as the resolver says so in time.
    pub(crate) fn has_address(&self, name: &str) -> bool {
        address_question(name).within(self.left()).unwrap_or(false)
    }

    /// `None` when the name has an address, else what `other` says. `other` is asked beside a resolver that takes
    /// longer than a moment, and whichever answers first decides; when `other` fails the name still has its time.
    pub(crate) fn address_or<T, E>(&self, name: &str, other: impl FnOnce() -> Result<T, E>) -> Result<Option<T>, E> {
        self.first(&address_question(name), other)
    }

    fn first<T, E>(&self, question: &Question<bool>, other: impl FnOnce() -> Result<T, E>) -> Result<Option<T>, E> {
        let early = question.within(HEAD_START.min(self.left()));
        if early == Some(true) {
            return Ok(None);
        }
        let found = other();
        let still_open = early.is_none();
        let patience = if found.is_ok() { Duration::ZERO } else { self.left() };
        if still_open && question.within(patience) == Some(true) { Ok(None) } else { found.map(Some) }
    }

    fn left(&self) -> Duration {
        self.end.since(self.env.now())
    }
}

/// What a thread of its own finds out: nobody can interrupt the system's resolver, but one need not wait for it.
struct Question<T>(Receiver<T>);

impl<T: Send + 'static> Question<T> {
    fn ask(find: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        drop(std::thread::spawn(move || sender.send(find())));
        Self(receiver)
    }

    /// The answer, once, if it comes within this time.
    fn within(&self, limit: Duration) -> Option<T> {
        self.0.recv_timeout(limit).ok()
    }
}

fn address_question(name: &str) -> Question<bool> {
    let name = name.to_owned();
    Question::ask(move || resolves(&name))
}

/// Asked once more as an absolute name, past the resolver's search list.
fn resolves(name: &str) -> bool {
    let found = |name: &str| (name, 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
    found(name) || (!name.ends_with('.') && found(&format!("{name}.")))
}

fn canonical_name(name: &str) -> Option<String> {
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
        let resolver = Resolver::new(&Env::real());
        assert!(resolver.has_address("localhost"));
        assert!(resolver.canonical_name("localhost").is_some());
        assert!(resolver.canonical_name("with\0zero").is_none());
        assert_eq!(resolver.address_or("localhost", || Err::<(), _>("asked")), Ok(None));
    }

    /// docs/mount-helper.md, address: a resolver that says nothing does not hold up the answer of the API.
    #[test]
    fn a_silent_resolver_is_not_waited_for() {
        let (_silent, receiver) = channel();
        let (env, _world) = Env::simulated(1);
        let resolver = Resolver::new(&env);
        assert_eq!(resolver.first(&Question(receiver), || Ok::<_, ()>("10.0.0.9")), Ok(Some("10.0.0.9")));
    }

    /// docs/mount-helper.md, address: the name is taken when it comes by the time that the API has answered, or has
    /// failed.
    #[test]
    fn a_slow_resolver_still_counts() {
        for api in [Ok("10.0.0.9"), Err("no")] {
            let (sender, receiver) = channel();
            let (env, _world) = Env::simulated(1);
            let meanwhile = || sender.send(true).map_err(|_| "gone").and(api);
            assert_eq!(Resolver::new(&env).first(&Question(receiver), meanwhile), Ok(None));
        }
    }

    /// aws/efs-utils, region and name: a name that has no address leaves it to the API, at once; both may fail.
    #[test]
    fn a_name_without_address_leaves_it_to_the_api() {
        for api in [Ok("10.0.0.9"), Err("no")] {
            let (sender, receiver) = channel();
            sender.send(false).unwrap();
            let (env, _world) = Env::simulated(1);
            assert_eq!(Resolver::new(&env).first(&Question(receiver), || api), api.map(Some));
        }
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
