//! Where things are, and how programs of this machine are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the binaries are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For tests.
    Dev,
    /// For the demo and the bench.
    Release,
}

/// The workspace and its build directory.
#[derive(Clone, Debug)]
pub(crate) struct House {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl House {
    pub(crate) fn new() -> Self {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.ancestors().nth(2).unwrap_or(own).to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self { root, target }
    }

    /// Builds the programs that a run needs; the guest's own programs are always of the same profile.
    pub(crate) fn build(&self, profile: Profile) -> Result<(), String> {
        let arguments = match profile {
            // Cargo chooses the features of a dependency by all that is built with it. With the workspace and one target that
            // has dev-dependencies these are the tests' own, so that nothing is compiled a second time.
            Profile::Dev => "build --quiet --workspace --bins --example measure_kms",
            Profile::Release => "build --quiet --release -p coffer -p mount-efs -p linux-client -p loadgen",
        };
        shown(Command::new(cargo()).args(arguments.split(' ')).current_dir(&self.root))
    }

    /// A program that was built.
    pub(crate) fn program(&self, profile: Profile, name: &str) -> PathBuf {
        let place = match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        };
        self.target.join(place).join(name)
    }

    /// An empty directory on this machine's disk for one run.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.target.join("rig").join(format!("{name}-{}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

/// The cargo that runs this.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs a program with its output shown.
pub(crate) fn shown(command: &mut Command) -> Result<(), String> {
    let name = name(command);
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}

/// Runs a program and gives its standard output; its errors are part of the failure.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = name(command);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{name}: {}: {words}", output.status))
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().take(4).map(|argument| format!(" {}", argument.to_string_lossy()));
    program + &arguments.collect::<String>()
}
