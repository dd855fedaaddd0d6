//! What a tunnel must know, in a file beside its state file, so that a restart needs nothing else.
//!
//! The file has the name, the notation and the keys of the one efs-utils writes for its tunnels, plus what the client
//! certificate says.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Ini, MountError,
    certificate::{Claims, KeyKind},
    config::LogSettings,
    log_file::Level,
    tls::Check,
};

const SECTION: &str = "efs";

/// The settings of one tunnel.
#[derive(Debug, Clone)]
pub struct TunnelSettings {
    /// Where it listens: a port of 127.0.0.1.
    pub accept: SocketAddr,
    /// The server: a name, looked up at each connection, or an address.
    pub host: String,
    /// The server's port.
    pub host_port: u16,
    /// The name that the server's certificate must carry; also what is asked for by SNI.
    pub server_name: String,
    /// Whether that name is checked.
    pub check_host: bool,
    /// The CA bundle; `None` for no verification.
    pub ca_file: Option<PathBuf>,
    /// What the client certificate says.
    pub claims: Claims,
    /// Which key it has.
    pub key: KeyKind,
    /// How old it may get.
    pub renewal: Duration,
    /// Where a copy of the certificate is left.
    pub certificate_copy: Option<PathBuf>,
    /// The log.
    pub log_file: PathBuf,
    /// How the log is kept.
    pub log: LogSettings,
    /// The network namespace to enter.
    pub net_namespace: Option<PathBuf>,
}

impl TunnelSettings {
    /// What is checked of the server.
    #[must_use]
    pub fn check(&self) -> Check<'_> {
        match &self.ca_file {
            None => Check::Nothing,
            Some(bundle) if self.check_host => Check::ChainAndName(bundle),
            Some(bundle) => Check::Chain(bundle),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut ini = Ini::default();
        let mut set = |key: &str, value: String| ini.set(SECTION, key, value);
        let path = |path: &Path| path.display().to_string();
        set("client", "yes".to_owned());
        set("accept", self.accept.to_string());
        set("connect", format!("{}:{}", self.host, self.host_port));
        set("sni", self.server_name.clone());
        if self.check_host {
            set("checkHost", self.server_name.clone());
        }
        match &self.ca_file {
            Some(bundle) => {
                set("verify", "2".to_owned());
                set("CAfile", path(bundle));
            }
            None => set("verify", "0".to_owned()),
        }
        set("fs_id", self.claims.file_system.clone());
        if let Some(access_point) = &self.claims.access_point {
            set("access_point", access_point.clone());
        }
        set("common_name", self.claims.common_name.clone());
        set("source", self.claims.source.clone());
        set("efs_utils_version", self.claims.version.clone());
        set("client_key", self.key.name().to_owned());
        set("renewal_seconds", self.renewal.as_secs().to_string());
        if let Some(copy) = &self.certificate_copy {
            set("cert", path(copy));
        }
        set("output", path(&self.log_file));
        set("debug", self.log.level.name().to_owned());
        set("output_max_bytes", self.log.bytes_max.to_string());
        set("output_file_count", self.log.files.to_string());
        if let Some(namespace) = &self.net_namespace {
            set("netns", path(namespace));
        }
        ini.to_text()
    }

    /// Reads the file that [`TunnelSettings::to_text`] wrote.
    ///
    /// # Errors
    /// A file that is missing or does not read, with its name.
    pub fn read(path: &Path) -> Result<Self, MountError> {
        let text = std::fs::read_to_string(path).map_err(MountError::io(path.display().to_string()))?;
        Self::parse(&text).map_err(|why| MountError::Config { path: path.display().to_string(), why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let ini = Ini::parse(text).map_err(|error| error.to_string())?;
        let value = |key: &str| ini.get(SECTION, key).map(str::to_owned);
        let needed = |key: &str| value(key).ok_or_else(|| format!("{key} is missing"));
        let number = |key: &str| needed(key)?.parse::<u64>().map_err(|error| format!("{key}: {error}"));
        let accept = needed("accept")?.parse().map_err(|error| format!("accept: {error}"))?;
        let connect = needed("connect")?;
        let (host, host_port) = connect.rsplit_once(':').ok_or("connect: no port")?;
        Ok(Self {
            accept,
            host: host.to_owned(),
            host_port: host_port.parse().map_err(|error| format!("connect: {error}"))?,
            server_name: needed("sni")?,
            check_host: value("checkhost").is_some(),
            ca_file: if needed("verify")? == "0" { None } else { Some(needed("cafile")?.into()) },
            claims: Claims {
                common_name: needed("common_name")?,
                file_system: needed("fs_id")?,
                access_point: value("access_point"),
                source: needed("source")?,
                version: needed("efs_utils_version")?,
            },
            key: KeyKind::choose(Some(&needed("client_key")?), "").ok_or("client_key: unknown kind")?,
            renewal: Duration::from_secs(number("renewal_seconds")?),
            certificate_copy: value("cert").map(PathBuf::from),
            log_file: needed("output")?.into(),
            log: LogSettings {
                level: Level::parse(&needed("debug")?),
                bytes_max: number("output_max_bytes")?,
                files: u32::try_from(number("output_file_count")?).unwrap_or(u32::MAX),
            },
            net_namespace: value("netns").map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    /// aws/efs-utils, tunnel settings: the keys of the tunnel's configuration; what is written is what is read.
    #[test]
    fn settings_survive_the_file() {
        let mut settings = settings();
        let text = settings.to_text();
        for line in ["accept = 127.0.0.1:20613", "connect = fs-1.efs.us-east-1.coffer.internal:2049", "verify = 2"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("checkhost = fs-1.efs.us-east-1.coffer.internal"), "{text}");
        assert_eq!(TunnelSettings::parse(&text).unwrap().to_text(), text);
        (settings.ca_file, settings.check_host, settings.host) = (None, false, "fd00::1".into());
        settings.net_namespace = Some("/run/netns/blue".into());
        let read = TunnelSettings::parse(&settings.to_text()).unwrap();
        assert_eq!(read.check(), Check::Nothing);
        assert_eq!((read.host.as_str(), read.host_port), ("fd00::1", 2049));
        assert_eq!(read.to_text(), settings.to_text());
    }

    /// Architecture section 7: a damaged file is named by what is missing.
    #[test]
    fn a_damaged_file_is_named() {
        assert_eq!(TunnelSettings::parse("[efs]\n").unwrap_err(), "accept is missing");
        assert_eq!(
            TunnelSettings::parse("[efs]\naccept=127.0.0.1\n").unwrap_err(),
            "accept: invalid socket address syntax"
        );
    }
}
