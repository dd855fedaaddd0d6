//! What this machine must have before a client can run, and how to get it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::RigError;

/// What a caller is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Run clients.
    Clients,
    /// Run clients and, beside Coffer, nfs-ganesha.
    ClientsAndGanesha,
}

/// A program or file that must be there (ARCH is this machine's), and the Debian package that brings it.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/linux.uml", "user-mode-linux"),
    ("modprobe", "kmod"),
    ("ip", "iproute2"),
    ("mount.nfs4", "nfs-common"),
    ("git", "git"),
    ("sqlite3", "sqlite3"),
];

const GANESHA: &[(&str, &str)] =
    &[("ganesha.nfsd", "nfs-ganesha"), ("/usr/lib/ARCH-linux-gnu/ganesha/libfsalvfs.so", "nfs-ganesha-vfs")];

/// The packages that are missing, by their Debian names.
#[must_use]
pub fn missing_packages(needs: Needs) -> Vec<&'static str> {
    let ganesha = if needs == Needs::ClientsAndGanesha { GANESHA } else { &[] };
    let mut missing: Vec<_> =
        PACKAGES.iter().chain(ganesha).filter(|(what, _)| !present(what)).map(|(_, package)| *package).collect();
    missing.dedup();
    missing
}

/// Says in one line why clients cannot run here, when they cannot.
pub fn require(needs: Needs) -> Result<(), RigError> {
    let missing = missing_packages(needs);
    if !missing.is_empty() {
        let line = missing.join(" ");
        return Err(RigError::Unready(format!(
            "packages are missing; as root: apt-get install --no-install-recommends {line}"
        )));
    }
    if std::fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
        return Err(RigError::Unready(
            "root is needed to make the tap device of a Linux client (run it again as root)".to_owned(),
        ));
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err(RigError::Unready("/dev/net/tun is missing: this machine cannot make tap devices".to_owned()));
    }
    Ok(())
}

fn present(what: &str) -> bool {
    if what.starts_with('/') {
        return Path::new(&what.replace("ARCH", std::env::consts::ARCH)).exists();
    }
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"]
        .iter()
        .any(|place| Path::new(place).join(what).exists())
}

/// Runs a system program and takes a failure with its own words.
pub(crate) fn system(program: &str, arguments: &[&str]) -> Result<(), RigError> {
    let what = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| RigError::host(what(), error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(RigError::host(what(), String::from_utf8_lossy(&output.stderr).trim()))
    }
}
