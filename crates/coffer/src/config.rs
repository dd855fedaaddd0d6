//! The configuration file of the server and of its administration: TOML, every key with a default but the paths.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use api_server::Rates;
use serde::Deserialize;

use crate::CofferError;
use crate::external_kms::ProviderSettings;
use crate::subnet::{Subnet, default_subnet, first_zone_id};

/// Where the configuration is looked for when `--config` does not say.
pub(crate) const DEFAULT_PATH: &str = "/etc/coffer/coffer.toml";

/// A validated configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The data directory: ciphertext only.
    pub(crate) data: PathBuf,
    /// The root key, outside the data directory.
    pub(crate) root_key: PathBuf,
    /// The epoch secret, outside the data directory. Without it as it is now, no key unwraps.
    pub(crate) epoch_secret: PathBuf,
    /// The region that requests are signed for and that ARNs carry.
    #[serde(default = "default_region")]
    pub(crate) region: String,
    /// The twelve digits of the account.
    #[serde(default = "default_account")]
    pub(crate) account: String,
    /// Mount-target names are `fs-….efs.REGION.DNS_SUFFIX`.
    #[serde(default = "default_dns_suffix")]
    pub(crate) dns_suffix: String,
    /// The administration socket, mode 0600; beside the data unless given.
    pub(crate) admin_socket: Option<PathBuf>,
    #[serde(default)]
    pub(crate) api: Api,
    #[serde(default)]
    pub(crate) nfs: Nfs,
    #[serde(default)]
    pub(crate) keys: Keys,
    #[serde(default)]
    pub(crate) limits: RequestLimits,
    #[serde(default)]
    pub(crate) root: Root,
    #[serde(default)]
    pub(crate) budgets: Budgets,
    #[serde(default)]
    pub(crate) log: Log,
    /// The subnets that mount targets take their addresses from.
    #[serde(default, rename = "subnet")]
    pub(crate) subnets: Vec<Subnet>,
    /// Key services elsewhere.
    #[serde(default, rename = "kms_provider")]
    pub(crate) kms_providers: Vec<ProviderSettings>,
}

/// The HTTP listener of the EFS, KMS and STS APIs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    pub(crate) listen: SocketAddr,
}

/// The NFS side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nfs {
    /// The port of every mount target. EFS clients know only 2049.
    pub(crate) port: u16,
    /// The lease of a client's state, 1 to 3,600 s (RFC 8881 §8.3).
    pub(crate) lease_seconds: u32,
    /// A file system that nobody has used for so long is closed, 1 s to a day.
    pub(crate) idle_close_seconds: u32,
}

/// How long unwrapped keys live.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// The absolute lifetime of a key lease, 1 to 300 s.
    pub(crate) lease_seconds: u32,
}

/// How many API calls an account may make in a region.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestLimits {
    /// A class that rested may be called in one go as often as in so many seconds.
    pub(crate) burst_seconds: Option<u32>,
    /// Calls a second by class, where not the default.
    pub(crate) requests_per_second: BTreeMap<String, f64>,
}

/// What opens the root key without anybody being asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Root {
    /// Identity files of age.
    pub(crate) identities: Vec<PathBuf>,
    /// A file with the PIN of the PKCS#11 token.
    pub(crate) pin_file: Option<PathBuf>,
}

/// What the whole process may use, shared by all file systems.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Budgets {
    /// Cached engine blocks, MiB.
    pub(crate) engine_cache_mib: usize,
    /// Engine memory tables and journals, MiB.
    pub(crate) engine_write_mib: usize,
    /// Buffered unstable writes, MiB.
    pub(crate) write_back_mib: usize,
    /// Cached file contents, MiB.
    pub(crate) content_cache_mib: usize,
    /// Cached inodes and directory entries, MiB.
    pub(crate) inode_cache_mib: usize,
}

/// The process's own log, on standard error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// A level or a filter such as `info,nfs_server=debug`.
    pub(crate) level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4566) }
    }
}

impl Default for Nfs {
    fn default() -> Self {
        Self { port: 2049, lease_seconds: 60, idle_close_seconds: 300 }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { lease_seconds: 60 }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            engine_cache_mib: 64,
            engine_write_mib: 64,
            write_back_mib: 64,
            content_cache_mib: 64,
            inode_cache_mib: 64,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_account() -> String {
    "000000000001".to_owned()
}

fn default_dns_suffix() -> String {
    "coffer.internal".to_owned()
}

impl Config {
    /// Reads and validates `path`. The error names the file, the key and the cure.
    pub(crate) fn read(path: &Path) -> Result<Self, CofferError> {
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => CofferError::Config {
                path: path.to_owned(),
                why: format!(
                    "not found; name it with --config, or make it with: coffer init --config {}",
                    path.display()
                ),
            },
            _ => CofferError::io(path, &error),
        })?;
        Self::parse(path, &text)
    }

    /// Validates `text`, which is or will be the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, CofferError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|error| CofferError::Config { path: path.to_owned(), why: error.to_string() })?;
        if config.subnets.is_empty() {
            config.subnets.push(default_subnet(&config.region));
        }
        config.validate().map_err(|why| CofferError::Config { path: path.to_owned(), why })?;
        Ok(config)
    }

    /// The administration socket's path.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.admin_socket.clone().unwrap_or_else(|| self.data.join("admin.sock"))
    }

    /// The name of the systemd credential that the root key is, if it is one: `root_key = "credential:NAME"`.
    pub(crate) fn root_credential(&self) -> Option<&str> {
        self.root_key.to_str()?.strip_prefix("credential:")
    }

    fn validate(&self) -> Result<(), String> {
        if let Some(name) = self.root_credential() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
                return Err(format!(
                    "root_key = \"credential:{name}\": a credential's name has letters, digits, - _ and ."
                ));
            }
        }
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("account = {:?}: an account is twelve digits", self.account));
        }
        let label = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if !label(&self.region) || self.region.len() > 32 {
            return Err(format!("region = {:?}: lower-case letters, digits and hyphens, at most 32", self.region));
        }
        if !self.dns_suffix.split('.').all(label) {
            return Err(format!("dns_suffix = {:?} is not a DNS name", self.dns_suffix));
        }
        if !(1..=3600).contains(&self.nfs.lease_seconds) {
            return Err(format!("nfs.lease_seconds = {}: 1 to 3600", self.nfs.lease_seconds));
        }
        if !(1..=86_400).contains(&self.nfs.idle_close_seconds) {
            return Err(format!("nfs.idle_close_seconds = {}: 1 to 86400", self.nfs.idle_close_seconds));
        }
        if !(1..=300).contains(&self.keys.lease_seconds) {
            return Err(format!("keys.lease_seconds = {}: 1 to 300", self.keys.lease_seconds));
        }
        if self.nfs.port == 0 {
            return Err("nfs.port = 0: clients could not find it".to_owned());
        }
        self.rates()?;
        self.validate_budgets()?;
        self.subnets.iter().try_for_each(Subnet::validate)?;
        self.kms_providers.iter().try_for_each(ProviderSettings::validate)?;
        let mut names: Vec<&str> = self.kms_providers.iter().map(|provider| provider.name.as_str()).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(format!("two kms_provider have the name {twice:?}; a file system remembers its own by it"));
        }
        let inside = |path: &Path| path.starts_with(&self.data);
        if inside(&self.root_key) || inside(&self.epoch_secret) {
            return Err("root_key and epoch_secret must lie outside the data directory: \
                        whoever copies the one must not get the other"
                .to_owned());
        }
        Ok(())
    }

    /// The rates of API calls.
    pub(crate) fn rates(&self) -> Result<Rates, String> {
        let set = self.limits.requests_per_second.iter().map(|(class, rate)| (class.as_str(), *rate));
        Rates::new(self.limits.burst_seconds, set).map_err(|why| format!("limits.{why}"))
    }

    fn validate_budgets(&self) -> Result<(), String> {
        let budgets = &self.budgets;
        let all = [
            ("engine_cache_mib", budgets.engine_cache_mib),
            ("engine_write_mib", budgets.engine_write_mib),
            ("write_back_mib", budgets.write_back_mib),
            ("content_cache_mib", budgets.content_cache_mib),
            ("inode_cache_mib", budgets.inode_cache_mib),
        ];
        match all.into_iter().find(|(_, mib)| !(1..=BUDGET_MIB_MAX).contains(mib)) {
            Some((name, mib)) => Err(format!("budgets.{name} = {mib}: 1 to {BUDGET_MIB_MAX}")),
            None => Ok(()),
        }
    }
}

/// A budget beyond a tebibyte is a slip of the pen.
const BUDGET_MIB_MAX: usize = 1024 * 1024;

/// The text of a new configuration file.
pub(crate) fn template(paths: &NewPaths<'_>) -> String {
    let mut text = String::from("# Coffer's configuration. Keys that are absent have their defaults.\n");
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let rows = [
        ("data", paths.data.display().to_string()),
        ("root_key", paths.root_key.display().to_string()),
        ("epoch_secret", paths.epoch_secret.display().to_string()),
        ("region", paths.region.to_owned()),
        ("account", paths.account.to_owned()),
        ("dns_suffix", paths.dns_suffix.to_owned()),
    ];
    for (key, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {}", quoted(&value));
    }
    let _ = writeln!(text, "\n[api]\nlisten = {}", quoted(&paths.api_listen.to_string()));
    let _ = writeln!(text, "\n[nfs]\nport = 2049\nlease_seconds = 60\n\n[keys]\nlease_seconds = 60");
    let zone = format!("{}a", paths.region);
    let zone_id = first_zone_id(paths.region);
    let _ = writeln!(
        text,
        "\n# Mount targets get addresses of their subnet. This one is good on one machine; define a range of a real\n\
         # interface's addresses to be reachable from others.\n[[subnet]]\nid = \"subnet-00000000\"\n\
         vpc = \"vpc-00000000\"\nzone = {}\nzone_id = {}\ncidr = \"127.77.0.0/16\"",
        quoted(&zone),
        quoted(&zone_id)
    );
    text
}

/// What `coffer init` writes into a new configuration file.
pub(crate) struct NewPaths<'a> {
    pub(crate) data: &'a Path,
    pub(crate) root_key: &'a Path,
    pub(crate) epoch_secret: &'a Path,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    pub(crate) dns_suffix: &'a str,
    pub(crate) api_listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("coffer.toml"), text).map_err(|error| error.to_string())
    }

    fn fresh() -> String {
        template(&NewPaths {
            data: Path::new("/var/lib/coffer"),
            root_key: Path::new("/etc/coffer/keys/root.key"),
            epoch_secret: Path::new("/etc/coffer/keys/epoch.secret"),
            region: "eu-west-9",
            account: "210987654321",
            dns_suffix: "coffer.internal",
            api_listen: "127.0.0.1:4566".parse().unwrap(),
        })
    }

    /// docs/operations.md: the file that init writes is one that serve reads.
    #[test]
    fn the_template_is_valid() {
        let config = parse(&fresh()).unwrap();
        assert_eq!(config.subnets.len(), 1);
        assert_eq!(config.subnets[0].zone, "eu-west-9a");
        assert_eq!(config.subnets[0].zone_id.as_deref(), Some("euw9-az1"));
        assert_eq!(config.nfs.port, 2049);
    }

    /// docs/operations.md: without a subnet there is one in the region's first zone, by the names AWS would give it.
    #[test]
    fn the_default_subnet_is_of_the_region() {
        let text = fresh();
        let without = parse(text.split("[[subnet]]").next().unwrap()).unwrap();
        assert_eq!(without.subnets, parse(&text).unwrap().subnets);
    }

    /// docs/operations.md: a value that could not work is refused with its key and its range.
    #[test]
    fn values_that_cannot_work_are_refused() {
        let budget = format!("{}\n[budgets]\nwrite_back_mib = 0\n", fresh());
        assert!(parse(&budget).unwrap_err().contains("budgets.write_back_mib = 0: 1 to"));
        let idle = fresh().replace("port = 2049", "port = 2049\nidle_close_seconds = 0");
        assert!(parse(&idle).unwrap_err().contains("nfs.idle_close_seconds = 0: 1 to"));
        assert!(parse(&fresh().replace("vpc-00000000", "vpc-1")).unwrap_err().contains("vpc- and 8 to 40"));
        assert!(parse(&fresh().replace("eu-west-9a", "Zone A")).unwrap_err().contains("zone = \"Zone A\""));
    }

    /// docs/operations.md, "Rate limits": a rate is set by the name of its class; what cannot be is refused with its key.
    #[test]
    fn rates_are_set_by_class() {
        let limits = |text: &str| parse(&fresh().replace("[keys]", &format!("[limits]\n{text}\n[keys]")));
        let config =
            limits("burst_seconds = 2\nrequests_per_second = { \"kms.CreateKey\" = 5, \"kms.rsa\" = 0.5 }").unwrap();
        let wanted = Rates::new(Some(2), [("kms.CreateKey", 5.0), ("kms.rsa", 0.5)]).unwrap();
        assert_eq!(config.rates().unwrap(), wanted);
        assert_eq!(parse(&fresh()).unwrap().rates().unwrap(), Rates::default());
        assert!(limits("requests_per_second = { \"kms.X\" = 5 }").unwrap_err().contains("limits.requests_per_second"));
        assert!(limits("burst_seconds = 0").unwrap_err().contains("limits.burst_seconds = 0"));
    }

    /// docs/operations.md: what the system says of the file is told, and `init` is advised only where there is none.
    #[test]
    fn an_unreadable_file_is_not_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let missing = Config::read(&directory.path().join("coffer.toml")).unwrap_err().to_string();
        assert!(missing.contains("coffer init --config"), "{missing}");
        let unreadable = Config::read(directory.path()).unwrap_err().to_string();
        assert!(!unreadable.contains("init"), "{unreadable}");
    }

    /// docs/threat-model.md: the root key and the data it opens are never in one directory.
    #[test]
    fn a_root_key_inside_the_data_directory_is_refused() {
        let text = fresh().replace("/etc/coffer/keys/root.key", "/var/lib/coffer/root.key");
        assert!(parse(&text).unwrap_err().contains("outside the data directory"));
    }

    /// docs/operations.md: a misspelt key is an error, not a default.
    #[test]
    fn an_unknown_key_is_refused() {
        assert!(parse(&fresh().replace("lease_seconds", "lease_secs")).is_err());
    }

    /// docs/threat-model.md: a key lease never lives beyond five minutes.
    #[test]
    fn a_key_lease_beyond_five_minutes_is_refused() {
        let text = fresh().replace("[keys]\nlease_seconds = 60", "[keys]\nlease_seconds = 301");
        assert!(parse(&text).unwrap_err().contains("1 to 300"));
    }
}
