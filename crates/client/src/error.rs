//! Why a mount ends: efs-utils' texts, word for word, because scripts look for them. One place, one exit code each.

/// What the user is told on stderr. [`MountError::log_text`] may say more to the log.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The arguments are not those of a mount helper.
    #[error("{}", crate::arguments::USAGE)]
    Usage,
    /// The caller is not root.
    #[error("only root can run this command")]
    NotRoot,
    /// The configuration file does not read.
    #[error("{path}: {why}")]
    Config {
        /// The file.
        path: String,
        /// The line and what is wrong.
        why: String,
    },
    /// A value of the configuration is out of its range.
    #[error("{0}")]
    ConfigValue(String),
    /// Options that no version of the client takes.
    #[error("Unsupported mount options detected: {}", quoted(.0))]
    UnsupportedOptions(Vec<&'static str>),
    /// An option of efs-utils that this version does not have yet.
    #[error("The \"{0}\" option is not supported by this version of mount.efs")]
    NotYet(&'static str),
    /// A setting of efs-utils that this version does not have yet, and whose absence would weaken what is checked.
    #[error("The setting \"{0}\" is not supported by this version of mount.efs; set it to false in {1}")]
    SettingNotYet(&'static str, String),
    /// Two options exclude each other.
    #[error("The \"{0}\" and \"{1}\" options are mutually exclusive")]
    Exclusive(&'static str, &'static str),
    /// An option needs `tls`.
    #[error("The \"tls\" option is required when mounting via \"{0}\"")]
    NeedsTls(&'static str),
    /// An option needs `iam`.
    #[error("The \"iam\" option is required when mounting with {0}")]
    NeedsIam(&'static str),
    /// `tlsport` is no number.
    #[error("tlsport option [{0}] is not an integer")]
    TlsPort(String),
    /// `verify` is no number.
    #[error("verify option [{0}] is not an integer")]
    Verify(String),
    /// The access point's id has the wrong form.
    #[error("Access Point ID {0} is malformed")]
    AccessPoint(String),
    /// The credentials' URI has the wrong form.
    #[error("awscredsuri {0} is malformed")]
    CredentialsUri(String),
    /// `region` has the wrong form.
    #[error("Invalid \"region\" mount option specified: '{0}'")]
    InvalidRegion(String),
    /// Nobody knows the region.
    #[error(
        "Error retrieving region. Please set the \"region\" parameter in the efs-utils configuration file or specify it as a mount option."
    )]
    NoRegion,
    /// `dns_name_format` is unusable.
    #[error("{0}")]
    DnsNameFormat(&'static str),
    /// A device's name does not resolve.
    #[error(
        "Failed to resolve \"{0}\" - check that the specified DNS name is a CNAME record resolving to a valid EFS DNS name"
    )]
    DeviceUnresolved(String),
    /// A device's name is no mount target's.
    #[error(
        "The specified CNAME \"{0}\" did not resolve to a valid DNS name for an EFS mount target. Please refer to the EFS documentation for mounting with DNS names for examples: https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-dns-name.html"
    )]
    NotAMountTarget(String),
    /// The zone in the name is not the zone of the options.
    #[error(
        "The hostname \"{hostname}\" resolved by the specified domain name \"{device}\" does not match the az provided in the mount options, expected = {expected}, given = {given}"
    )]
    ZoneMismatch {
        /// The canonical name.
        hostname: String,
        /// The name as given.
        device: String,
        /// The option.
        expected: String,
        /// The name's zone.
        given: String,
    },
    /// The file system's name does not resolve, and neither did the fallback help.
    #[error(
        "Failed to resolve \"{name}\" - check that your file system ID is correct, and ensure that the VPC has an EFS mount target for this file system ID.\nSee https://docs.aws.amazon.com/console/efs/mount-dns-name for more detail.\nAttempting to lookup mount target ip address using the EFS API. {fallback}"
    )]
    Unresolved {
        /// The file system's DNS name.
        name: String,
        /// Why the API gave no address.
        fallback: String,
    },
    /// The mount target does not answer.
    #[error("Cannot connect to file system mount target ip address {address}. \n{why}")]
    Unreachable {
        /// The address.
        address: String,
        /// What happened.
        why: String,
    },
    /// The network is not up yet: exit 0, so that the machine's start goes on.
    #[error("Failed to mount {0} because the network was not yet available, add \"_netdev\" to your mount options")]
    NetworkNotUp(String),
    /// The port range is empty.
    #[error(
        "Configuration option \"port_range_upper_bound\" defined as {upper} must be strictly greater than \"port_range_lower_bound\" defined as {lower}."
    )]
    PortRange {
        /// `port_range_lower_bound`.
        lower: u16,
        /// `port_range_upper_bound`.
        upper: u16,
    },
    /// `tlsport` is taken.
    #[error("Specified port [{0}] is unavailable. Try selecting a different port.")]
    PortTaken(u16),
    /// The whole range is taken.
    #[error(
        "Failed to locate an available port in the range [{lower}, {upper}], try specifying a different port range in {config}"
    )]
    PortsExhausted {
        /// `port_range_lower_bound`.
        lower: u16,
        /// `port_range_upper_bound`.
        upper: u16,
        /// The configuration file.
        config: String,
    },
    /// The CA bundle is missing.
    #[error("Failed to find certificate authority file for verification")]
    NoCaFile(String),
    /// The tunnel did not come up, or died during the mount.
    #[error("Failed to initialize tunnel for {file_system}, please check mount.log for the failure reason.")]
    Tunnel {
        /// The file system.
        file_system: String,
        /// What the tunnel said last.
        why: String,
    },
    /// The server is not the one we want, or does not want us: the kernel would try for ever, so mount.nfs4 is ended. The
    /// user gets [`MountError::Nfs`] in its place.
    #[error("mount.efs: {0}")]
    Refused(String),
    /// mount.nfs4 refused; its text and its exit code are the user's.
    #[error("{stderr}")]
    Nfs {
        /// What mount.nfs4 said, and the tunnel's reason where it has one.
        stderr: String,
        /// Its exit code.
        code: u8,
        /// The log's line.
        log: String,
    },
    /// A file of the client's own could not be written or read.
    #[error("{what}: {error}")]
    Io {
        /// The file or the step.
        what: String,
        /// The system's error.
        error: std::io::Error,
    },
}

impl MountError {
    /// The exit code (aws/efs-utils, exit codes): mount.nfs4's own, 0 while the network is not up, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Nfs { code, .. } => *code,
            Self::NetworkNotUp(_) => 0,
            _ => 1,
        }
    }

    /// What the log says: more than the user is told, where there is more.
    #[must_use]
    pub fn log_text(&self) -> String {
        match self {
            Self::Nfs { log, .. } => log.clone(),
            Self::NoCaFile(path) => format!("Failed to find CAfile \"{path}\""),
            Self::Tunnel { why, .. } => format!("Failed to start tunnel: {why}"),
            Self::DeviceUnresolved(name) => format!("Failed to resolve \"{name}\""),
            other => other.to_string(),
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

fn quoted(options: &[&str]) -> String {
    options.iter().map(|option| format!("\"{option}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, exit codes; a network that is not up must not stop the machine's start.
    #[test]
    fn exit_codes_are_those_of_efs_utils() {
        assert_eq!(MountError::NetworkNotUp("fs-1".into()).exit_code(), 0);
        assert_eq!(MountError::NotRoot.exit_code(), 1);
        assert_eq!(MountError::Nfs { stderr: String::new(), code: 32, log: String::new() }.exit_code(), 32);
    }

    /// aws/efs-utils, messages: the texts that users search for.
    #[test]
    fn texts_are_those_of_efs_utils() {
        let text = |error: MountError| error.to_string();
        assert_eq!(
            text(MountError::UnsupportedOptions(vec!["capath", "azid"])),
            "Unsupported mount options detected: \"capath\", \"azid\""
        );
        assert_eq!(
            text(MountError::Exclusive("port", "tls")),
            "The \"port\" and \"tls\" options are mutually exclusive"
        );
        assert_eq!(
            text(MountError::PortTaken(20_100)),
            "Specified port [20100] is unavailable. Try selecting a different port."
        );
        assert_eq!(
            text(MountError::NetworkNotUp("fs-1".into())),
            "Failed to mount fs-1 because the network was not yet available, add \"_netdev\" to your mount options"
        );
        assert_eq!(
            text(MountError::Tunnel { file_system: "fs-1".into(), why: String::new() }),
            "Failed to initialize tunnel for fs-1, please check mount.log for the failure reason."
        );
    }
}
