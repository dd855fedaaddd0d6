//! The tunnel's local port: chosen at random in the range, and held from then on.
//!
//! The listening socket of the reservation is the one that serves: there is no moment at which another mount, or
//! anybody else, could take the port (efs-utils closes and reopens it, and parallel mounts fail there).

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use env::Env;

use crate::{MountError, config::Config};

/// A port of 127.0.0.1 and the socket that already listens on it.
#[derive(Debug)]
pub struct Reservation {
    /// The listening socket.
    pub listener: TcpListener,
    /// Its port.
    pub port: u16,
}

/// Listens on `tlsport`, or on a random port of the configured range that no state file claims.
///
/// # Errors
/// The port or the whole range is taken.
pub fn reserve(
    wanted: Option<u16>,
    config: &Config,
    state_directory: &Path,
    env: &Env,
) -> Result<Reservation, MountError> {
    let claimed = claimed_ports(state_directory);
    if let Some(port) = wanted {
        return listen(port, &claimed).ok_or(MountError::PortTaken(port));
    }
    let range = config.port_range()?;
    let mut ports: Vec<u16> = range.clone().collect();
    shuffle(&mut ports, env);
    let found = ports.into_iter().find_map(|port| listen(port, &claimed));
    found.ok_or_else(|| MountError::PortsExhausted { lower: range.start, upper: range.end, config: config.path() })
}

/// A claimed port whose tunnel is dead right now still belongs to its mount: the watchdog is about to restart it.
fn listen(port: u16, claimed: &BTreeSet<u16>) -> Option<Reservation> {
    if claimed.contains(&port) {
        return None;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(Reservation { listener, port })
}

fn claimed_ports(state_directory: &Path) -> BTreeSet<u16> {
    let entries = std::fs::read_dir(state_directory).into_iter().flatten().flatten();
    let port = |entry: std::fs::DirEntry| entry.file_name().to_str()?.rsplit('.').next()?.parse().ok();
    entries.filter_map(port).collect()
}

/// Fisher and Yates, so that parallel mounts start at different ends.
fn shuffle(ports: &mut [u16], env: &Env) {
    for last in (1..ports.len()).rev() {
        let draw = u64::from_le_bytes(env.random::<8>());
        let other = usize::try_from(draw % (last as u64 + 1)).unwrap_or(0);
        ports.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Paths;

    fn config(directory: &Path, text: &str) -> Config {
        let paths = Paths::below(directory);
        std::fs::create_dir_all(paths.config_file().parent().unwrap()).unwrap();
        std::fs::write(paths.config_file(), text).unwrap();
        Config::read(&paths).unwrap()
    }

    fn free_range(width: u16) -> std::ops::Range<u16> {
        // Far from the system's ephemeral ports, moved by the process id so that parallel test processes differ.
        let offset = u16::try_from(std::process::id() % 8000).unwrap();
        let start = 21_100 + offset;
        start..start + width
    }

    /// aws/efs-utils, local port: random order over the range; a state file's port is left alone.
    #[test]
    fn ports_come_from_the_range_and_claimed_ones_are_left() {
        let directory = tempfile::tempdir().unwrap();
        let range = free_range(3);
        let text = format!("[mount]\nport_range_lower_bound={}\nport_range_upper_bound={}\n", range.start, range.end);
        let config = config(directory.path(), &text);
        std::fs::write(directory.path().join(format!("fs-1.mnt.{}", range.start + 1)), "").unwrap();
        let env = Env::real();
        let first = reserve(None, &config, directory.path(), &env).unwrap();
        let second = reserve(None, &config, directory.path(), &env).unwrap();
        let got: BTreeSet<_> = [first.port, second.port].into();
        assert_eq!(got, [range.start, range.start + 2].into());
        let error = reserve(None, &config, directory.path(), &env).unwrap_err().to_string();
        assert!(error.starts_with("Failed to locate an available port in the range ["), "{error}");
    }

    /// aws/efs-utils#125, aws/efs-utils#112: parallel mounts never get the same port.
    #[test]
    fn parallel_reservations_never_share_a_port() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "");
        let all: Vec<Reservation> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let env = Env::real();
                        let one = || reserve(None, &config, directory.path(), &env).unwrap();
                        (0..16).map(|_| one()).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let ports: BTreeSet<_> = all.iter().map(|reservation| reservation.port).collect();
        assert_eq!(ports.len(), all.len());
    }

    /// aws/efs-utils, messages: the text for a fixed port that is taken.
    #[test]
    fn a_taken_port_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "");
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let error = reserve(Some(port), &config, directory.path(), &Env::real()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Specified port [{port}] is unavailable. Try selecting a different port.")
        );
    }
}
