//! What can stop a command of `coffer`, with cause and cure.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The error of a whole command, printed for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CofferError {
    /// The configuration file cannot be used.
    #[error("{}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Cause and cure.
        why: String,
    },
    /// A file or directory cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause and cure.
        why: String,
    },
    /// Something else stopped the command.
    #[error("{0}")]
    Stopped(String),
}

impl CofferError {
    /// An error of the operating system about `path`.
    pub(crate) fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        let cure = match error.kind() {
            ErrorKind::PermissionDenied => "; run this as root, or as the user that the server runs as",
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free space and try again",
            _ => "",
        };
        Self::File { path: path.into(), why: format!("{error}{cure}") }
    }

    /// An error of what lies in the file or directory `path`; the cause brings its cure.
    pub(crate) fn within(path: &Path, why: impl std::fmt::Display) -> Self {
        let (path, why) = (path.to_owned(), why.to_string());
        // Some causes name the file within it themselves.
        if why.starts_with(&*path.to_string_lossy()) { Self::Stopped(why) } else { Self::File { path, why } }
    }

    /// Any other cause, told as a sentence.
    pub(crate) fn stopped(why: impl std::fmt::Display) -> Self {
        Self::Stopped(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kms::KeyRingError;
    use storage::StorageError;

    use super::CofferError;

    /// docs/operations.md: the messages it explains are the messages there are.
    #[test]
    fn the_manual_quotes_what_is_said() {
        let manual = include_str!("../../../docs/operations.md");
        let denied = std::io::Error::from_raw_os_error(libc::EACCES);
        let quoted = [
            StorageError::Locked { path: "LOCK".to_owned() }.to_string(),
            StorageError::Version { path: "FORMAT".to_owned(), found: 2, expected: 1 }.to_string(),
            KeyRingError::WrongRootKey { file: "root.key".to_owned(), given: "A".to_owned(), expected: "B".to_owned() }
                .to_string(),
            CofferError::io("", &denied).to_string().trim_start_matches(": ").to_owned(),
        ];
        for text in quoted {
            assert!(manual.contains(&format!("`{text}`")), "{text}");
        }
        // Of those with changing parts, what the manual quotes is in the sources.
        let sources = [
            ("the journal ends at batch ", include_str!("../../storage/src/embedded/opening.rs")),
            ("restore the shard's directory from a backup", include_str!("../../storage/src/embedded/opening.rs")),
            (
                "a control record does not open; restore the data directory from a backup",
                include_str!("../../storage/src/records.rs"),
            ),
            ("an older copy was put back", include_str!("floor.rs")),
            ("another program listens there", include_str!("network.rs")),
            ("older than the data directory", include_str!("../../kms/src/keyring.rs")),
            ("this is no data directory of Coffer; make one with ", include_str!("installation.rs")),
            ("was made for region ", include_str!("installation.rs")),
        ];
        for (text, source) in sources {
            assert!(manual.contains(text) && source.contains(text), "{text}");
        }
    }

    /// docs/operations.md: what the system refuses comes with its cure.
    #[test]
    fn a_refusal_of_the_system_has_a_cure() {
        let told = |number| CofferError::io("/x", &std::io::Error::from_raw_os_error(number)).to_string();
        assert!(told(libc::EACCES).contains("run this as root"));
        assert!(told(libc::ENOSPC).contains("free space"));
    }

    /// A file is named once.
    #[test]
    fn a_path_is_not_repeated() {
        let within = |why: &str| CofferError::within(Path::new("/d/control"), why).to_string();
        assert_eq!(within("damaged"), "/d/control: damaged");
        assert_eq!(within("/d/control/x: damaged"), "/d/control/x: damaged");
    }
}
