//! `/etc/amazon/efs/efs-utils.conf`: the same sections, keys and defaults as dist/efs-utils.conf of aws/efs-utils, and
//! a few keys of our own (docs/mount-helper.md).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Ini, MountError, Paths, log_file::Level};

const MOUNT: &str = "mount";
const WATCHDOG: &str = "mount-watchdog";
/// The certificate's client-info extension takes at most this much of `source`.
const SOURCE_CHARACTERS_MAX: usize = 100;

/// The configuration, with defaults for everything that the file does not say.
#[derive(Debug, Clone)]
pub struct Config {
    ini: Ini,
    path: PathBuf,
    default_ca_file: PathBuf,
}

/// How `mount.log` and `mount-watchdog.log` are kept.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// What is written.
    pub level: Level,
    /// When a file is put aside.
    pub bytes_max: u64,
    /// How many are kept aside.
    pub files: u32,
}

/// How mount.nfs4 is retried.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Attempts in all; 1 when retries are off.
    pub attempts: u32,
    /// The limit of every attempt but the last.
    pub limit: Duration,
}

/// The watchdog's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// Whether it runs at all.
    pub enabled: bool,
    /// How often it looks without being called.
    pub poll_interval: Duration,
    /// How many looks in a row must miss a mount.
    pub unmount_count: u32,
    /// How long a mount may take to show, and a tunnel lives on after its unmount.
    pub grace: Duration,
}

impl Config {
    /// Reads the file; a missing file is all defaults.
    ///
    /// # Errors
    /// A file that exists and does not read.
    pub fn read(paths: &Paths) -> Result<Self, MountError> {
        let path = paths.config_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(MountError::io(path.display().to_string())(error)),
        };
        Self::parse(&text, &path, paths.default_ca_file())
    }

    fn parse(text: &str, path: &Path, default_ca_file: PathBuf) -> Result<Self, MountError> {
        let ini = Ini::parse(text)
            .map_err(|error| MountError::Config { path: path.display().to_string(), why: error.to_string() })?;
        Ok(Self { ini, path: path.to_owned(), default_ca_file })
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn number<T: std::str::FromStr>(&self, section: &str, key: &str, default: T) -> Result<T, MountError> {
        let Some(text) = self.ini.get(section, key) else { return Ok(default) };
        let bad = |_| MountError::ConfigValue(format!("{}: {key} = {text}: not a number in range", self.path()));
        text.parse().map_err(bad)
    }

    /// Python's configparser takes these words, in any case.
    fn flag(&self, section: &str, key: &str, default: bool) -> Result<bool, MountError> {
        let Some(text) = self.ini.get(section, key) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Ok(true),
            "0" | "no" | "false" | "off" => Ok(false),
            _ => Err(MountError::ConfigValue(format!("{}: {key} = {text}: not a boolean", self.path()))),
        }
    }

    /// A key of the region's own section, else of `[mount]`.
    fn regional(&self, region: &str, key: &str) -> Option<&str> {
        let section = format!("{MOUNT}.{region}");
        let own = self.ini.has_section(&section).then(|| self.ini.get(&section, key)).flatten();
        own.or_else(|| self.ini.get(MOUNT, key))
    }

    /// `dns_name_format`.
    #[must_use]
    pub fn dns_name_format(&self) -> &str {
        self.ini.get(MOUNT, "dns_name_format").unwrap_or("{az}.{fs_id}.efs.{region}.{dns_name_suffix}")
    }

    /// `dns_name_suffix` of the region.
    #[must_use]
    pub fn dns_name_suffix(&self, region: &str) -> &str {
        self.regional(region, "dns_name_suffix").unwrap_or("amazonaws.com")
    }

    /// `stunnel_cafile` of the region.
    #[must_use]
    pub fn ca_file(&self, region: &str) -> PathBuf {
        self.regional(region, "stunnel_cafile").map_or_else(|| self.default_ca_file.clone(), PathBuf::from)
    }

    /// `region`.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.ini.get(MOUNT, "region").filter(|region| !region.is_empty())
    }

    /// `endpoint_url`: where the EFS API is (ours).
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.ini.get(MOUNT, "endpoint_url").filter(|url| !url.is_empty())
    }

    /// `mount_target_port`: the port of the mount targets (ours; efs-utils has 2049 built in).
    pub(crate) fn mount_target_port(&self) -> Result<u16, MountError> {
        self.number(MOUNT, "mount_target_port", 2049)
    }

    /// `client_key`: which kind of key the client certificate has (ours); `None` for the built-in choice.
    #[must_use]
    pub fn client_key(&self) -> Option<&str> {
        self.ini.get(MOUNT, "client_key")
    }

    /// `stunnel_check_cert_hostname`.
    pub(crate) fn check_host_name(&self) -> Result<bool, MountError> {
        self.flag(MOUNT, "stunnel_check_cert_hostname", true)
    }

    /// `stunnel_debug_enabled`.
    pub(crate) fn tunnel_debug(&self) -> Result<bool, MountError> {
        self.flag(MOUNT, "stunnel_debug_enabled", false)
    }

    /// `stunnel_logs_file`, with `{fs_id}` filled in.
    #[must_use]
    pub fn tunnel_log_file(&self, file_system: &str) -> Option<PathBuf> {
        Some(self.ini.get(MOUNT, "stunnel_logs_file")?.replace("{fs_id}", file_system).into())
    }

    /// What efs-utils can do and this client cannot, asked for in the file.
    ///
    /// # Errors
    /// The first such setting: ignoring it would weaken what the user relies on.
    pub fn check_supported(&self) -> Result<(), MountError> {
        for key in ["stunnel_check_cert_validity", "fips_mode_enabled"] {
            if self.flag(MOUNT, key, false)? {
                return Err(MountError::SettingNotYet(key, self.path()));
            }
        }
        Ok(())
    }

    /// `port_range_lower_bound` and `port_range_upper_bound` (exclusive).
    pub(crate) fn port_range(&self) -> Result<std::ops::Range<u16>, MountError> {
        let lower = self.number(MOUNT, "port_range_lower_bound", 20_049)?;
        let upper = self.number(MOUNT, "port_range_upper_bound", 21_049)?;
        if lower >= upper {
            return Err(MountError::PortRange { lower, upper });
        }
        Ok(lower..upper)
    }

    /// `optimize_readahead`.
    pub(crate) fn optimizes_read_ahead(&self) -> Result<bool, MountError> {
        self.flag(MOUNT, "optimize_readahead", true)
    }

    /// `fall_back_to_mount_target_ip_address_enabled`.
    pub(crate) fn falls_back_to_address(&self) -> Result<bool, MountError> {
        self.flag(MOUNT, "fall_back_to_mount_target_ip_address_enabled", true)
    }

    /// `disable_fetch_ec2_metadata_token`.
    pub(crate) fn metadata_token_disabled(&self) -> Result<bool, MountError> {
        self.flag(MOUNT, "disable_fetch_ec2_metadata_token", false)
    }

    /// `retry_nfs_mount_command` and what belongs to it.
    pub(crate) fn retries(&self) -> Result<RetrySettings, MountError> {
        let attempts = self.number(MOUNT, "retry_nfs_mount_command_count", 3_u32)?.max(1);
        let seconds = self.number(MOUNT, "retry_nfs_mount_command_timeout_sec", 15)?;
        let enabled = self.flag(MOUNT, "retry_nfs_mount_command", true)?;
        Ok(RetrySettings { attempts: if enabled { attempts } else { 1 }, limit: Duration::from_secs(seconds) })
    }

    /// `[client-info] source`, which goes into the client certificate.
    #[must_use]
    pub fn client_source(&self) -> String {
        let source = self.ini.get("client-info", "source").unwrap_or("unknown");
        source.chars().take(SOURCE_CHARACTERS_MAX).collect()
    }

    /// `tls_cert_renewal_interval_min`, at least a minute.
    pub(crate) fn certificate_renewal(&self) -> Result<Duration, MountError> {
        let minutes: u64 = self.number(WATCHDOG, "tls_cert_renewal_interval_min", 60)?;
        // The certificate is valid for three hours: a longer interval would let it lapse.
        Ok(Duration::from_secs(minutes.clamp(1, 150) * 60))
    }

    /// `[mount-watchdog]`.
    pub(crate) fn watchdog(&self) -> Result<WatchdogSettings, MountError> {
        Ok(WatchdogSettings {
            enabled: self.flag(WATCHDOG, "enabled", true)?,
            poll_interval: Duration::from_secs(self.number::<u64>(WATCHDOG, "poll_interval_sec", 1)?.max(1)),
            unmount_count: self.number(WATCHDOG, "unmount_count_for_consistency", 5)?,
            grace: Duration::from_secs(self.number(WATCHDOG, "unmount_grace_period_sec", 30)?),
        })
    }

    /// `logging_*` of `[DEFAULT]`.
    pub(crate) fn logging(&self) -> Result<LogSettings, MountError> {
        Ok(LogSettings {
            level: Level::parse(self.ini.get("DEFAULT", "logging_level").unwrap_or("INFO")),
            bytes_max: self.number("DEFAULT", "logging_max_bytes", 1_048_576)?,
            files: self.number("DEFAULT", "logging_file_count", 10)?,
        })
    }

    /// `state_file_dir_mode`, octal; a value that is none is 750, as in efs-utils.
    #[must_use]
    pub fn state_directory_mode(&self) -> u32 {
        let text = self.ini.get("DEFAULT", "state_file_dir_mode").unwrap_or("750");
        u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).unwrap_or(0o750)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("efs-utils.conf"), "/etc/amazon/efs/efs-utils.crt".into()).unwrap()
    }

    /// aws/efs-utils, dist/efs-utils.conf: every default.
    #[test]
    fn defaults_are_those_of_efs_utils() {
        let config = config("");
        assert_eq!(config.dns_name_format(), "{az}.{fs_id}.efs.{region}.{dns_name_suffix}");
        assert_eq!(config.dns_name_suffix("us-east-1"), "amazonaws.com");
        assert_eq!(config.ca_file("us-east-1"), Path::new("/etc/amazon/efs/efs-utils.crt"));
        assert_eq!(config.port_range().unwrap(), 20_049..21_049);
        assert_eq!(config.mount_target_port().unwrap(), 2049);
        assert_eq!(config.state_directory_mode(), 0o750);
        assert!(config.check_host_name().unwrap() && config.optimizes_read_ahead().unwrap());
        assert!(config.falls_back_to_address().unwrap() && !config.tunnel_debug().unwrap());
        let retries = config.retries().unwrap();
        assert_eq!((retries.attempts, retries.limit), (3, Duration::from_secs(15)));
        let watchdog = WatchdogSettings {
            enabled: true,
            poll_interval: Duration::from_secs(1),
            unmount_count: 5,
            grace: Duration::from_secs(30),
        };
        assert_eq!(config.watchdog().unwrap(), watchdog);
        assert_eq!(config.certificate_renewal().unwrap(), Duration::from_secs(3600));
        let logging = config.logging().unwrap();
        assert_eq!((logging.bytes_max, logging.files), (1_048_576, 10));
        config.check_supported().unwrap();
    }

    /// aws/efs-utils, dist/efs-utils.conf: `[mount.REGION]` overrides suffix and CA bundle.
    #[test]
    fn region_sections_override() {
        let config = config(
            "[mount]\ndns_name_suffix=a\nstunnel_cafile=/a\n[mount.cn-north-1]\ndns_name_suffix=amazonaws.com.cn\n",
        );
        assert_eq!(config.dns_name_suffix("cn-north-1"), "amazonaws.com.cn");
        assert_eq!(config.ca_file("cn-north-1"), Path::new("/a"));
        assert_eq!(config.dns_name_suffix("us-east-1"), "a");
    }

    /// aws/efs-utils, local port: the upper bound must be strictly greater.
    #[test]
    fn an_empty_port_range_is_refused() {
        let error = config("[mount]\nport_range_lower_bound=30\nport_range_upper_bound=30\n").port_range().unwrap_err();
        assert_eq!(
            error.to_string(),
            "Configuration option \"port_range_upper_bound\" defined as 30 must be strictly greater than \"port_range_lower_bound\" defined as 30."
        );
    }

    /// Architecture section 1, "Not supported": what is not supported is refused, not ignored.
    #[test]
    fn checks_that_are_missing_are_refused() {
        let error = config("[mount]\nstunnel_check_cert_validity = true\n").check_supported().unwrap_err();
        assert!(error.to_string().contains("stunnel_check_cert_validity"), "{error}");
        assert!(config("[mount]\noptimize_readahead = maybe\n").optimizes_read_ahead().is_err());
        assert!(config("[mount]\nport_range_lower_bound = many\n").port_range().is_err());
    }
}
