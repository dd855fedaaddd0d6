//! The command line of a mount helper: `mount.efs SPEC DIR [-sfnv] [-o OPTIONS]`, as mount(8) calls it
//! (aws/efs-utils, man/mount.efs.8).

use crate::{MountError, MountOptions};

/// What `-h` prints.
pub const USAGE: &str = "Usage: mount.efs [--version] [-h|--help] <fsname> <mountpoint> [-o <options>] [-f]";

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `-h`, `--help`.
    Help,
    /// `--version`.
    Version,
    /// A mount.
    Mount(MountArguments),
}

/// One mount, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountArguments {
    /// The file system or its name, with an optional path.
    pub device: String,
    /// Where to mount.
    pub mount_point: String,
    /// The options.
    pub options: MountOptions,
    /// `-f`: everything but the mount.
    pub fake: bool,
    /// Flags that go on to mount.nfs4.
    pub passed_on: Vec<String>,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// [`MountError::Usage`] without a device and a mount point, or with an unknown flag.
pub fn parse(arguments: &[String]) -> Result<Command, MountError> {
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if given("-h") || given("--help") {
        return Ok(Command::Help);
    }
    if given("--version") {
        return Ok(Command::Version);
    }
    let mut mount = MountArguments::default();
    let mut positions = Vec::new();
    let mut options = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-o" => options.push(rest.next().ok_or(MountError::Usage)?.as_str()),
            // mount(8) names the type and, rarely, a mount namespace; the namespace is already entered then.
            "-t" | "-N" => drop(rest.next().ok_or(MountError::Usage)?),
            "-f" => mount.fake = true,
            "-r" => options.push("ro"),
            "-w" | "-rw" => options.push("rw"),
            "-n" | "-s" | "-v" => mount.passed_on.push(argument.clone()),
            flag if flag.starts_with('-') => return Err(MountError::Usage),
            _ => positions.push(argument.clone()),
        }
    }
    let [device, mount_point] = positions.try_into().map_err(|_| MountError::Usage)?;
    (mount.device, mount.mount_point) = (device, mount_point);
    mount.options = MountOptions::parse(&options.join(","));
    Ok(Command::Mount(mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn mount(text: &str) -> MountArguments {
        match parse(&words(text)).unwrap() {
            Command::Mount(mount) => mount,
            other => panic!("{other:?}"),
        }
    }

    /// mount(8), external helpers: `/sbin/mount.suffix spec dir [-sfnv] [-N namespace] [-o options] [-t type.subtype]`.
    #[test]
    fn the_call_of_mount_is_understood() {
        let mount = mount("fs-1:/ /mnt -sv -o rw,tls -t efs".replace("-sv", "-s -v").as_str());
        assert_eq!((mount.device.as_str(), mount.mount_point.as_str()), ("fs-1:/", "/mnt"));
        assert_eq!(mount.passed_on, ["-s", "-v"]);
        assert!(mount.options.has("tls") && mount.options.has("rw") && !mount.fake);
    }

    /// aws/efs-utils, command line: `-f` resolves and stops.
    #[test]
    fn fake_and_options_in_any_order() {
        assert!(mount("-f fs-1 /mnt").fake);
        assert!(mount("-o tls fs-1 /mnt -o tlsport=1").options.has("tlsport"));
        assert!(mount("fs-1 /mnt -r").options.has("ro"));
    }

    /// aws/efs-utils, command line: version and help come first, whatever else is there; too few words are a usage
    /// error.
    #[test]
    fn help_version_and_usage() {
        assert_eq!(parse(&words("--version x")).unwrap(), Command::Version);
        assert_eq!(parse(&words("x -h")).unwrap(), Command::Help);
        for wrong in ["", "fs-1", "fs-1 /mnt extra", "fs-1 /mnt -o", "fs-1 /mnt --bogus"] {
            assert!(matches!(parse(&words(wrong)), Err(MountError::Usage)), "{wrong}");
        }
    }
}
