//! Mount options: which are the client's own, which exclude each other, which go on to mount.nfs4 (aws/efs-utils,
//! man/mount.efs.8).

use crate::MountError;

/// The client's own options; mount.nfs4 never sees them.
const OWN: &[&str] = &[
    "accesspoint",
    "awscredsuri",
    "awsprofile",
    "az",
    "cafile",
    "crossaccount",
    "iam",
    "jwtpath",
    "mounttargetip",
    "netns",
    "noocsp",
    "nodirects3read",
    "nos3readcache",
    "notls",
    "ocsp",
    "region",
    "rolearn",
    "stunnel",
    "tls",
    "tlsport",
    "verify",
];

/// Options of fstab that speak to mount(8), systemd or the reader, not to NFS.
const FSTAB_ONLY: &[&str] =
    &["_netdev", "auto", "comment", "group", "noauto", "nofail", "nouser", "owner", "user", "users"];

/// What this version refuses because ignoring it would weaken or change what the user asked for.
const NOT_YET: &[&str] = &["iam", "awsprofile", "awscredsuri", "rolearn", "jwtpath", "ocsp", "crossaccount"];

/// What is added unless the user says otherwise (EFS user guide, "Mount settings used by EFS mount helper").
const RSIZE_DEFAULT: &str = "1048576";

/// The options in the order given; a repeated one keeps its first place and its last value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    entries: Vec<(String, Option<String>)>,
}

impl MountOptions {
    /// Splits `a,b=c`; commas inside double quotes belong to the value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut options = Self::default();
        let mut quoted = false;
        let split = text.split(|character| {
            quoted ^= character == '"';
            character == ',' && !quoted
        });
        for option in split.filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some((key, value)) => options.set(key, Some(value)),
                None => options.set(option, None),
            }
        }
        options
    }

    fn set(&mut self, key: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.entries.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// Whether the option was given, with or without a value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == key)
    }

    /// The option's value.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == key)?.1.as_deref()
    }

    /// `tlsport`, once [`MountOptions::check`] has passed.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.value("tlsport")?.parse().ok()
    }

    /// Whether the server's certificate chain is verified: `verify` above 0, which is the default.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.value("verify").is_none_or(|level| level.parse() != Ok(0_u32))
    }

    /// The conflicts, in efs-utils' order, then what this version does not have.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), MountError> {
        let unsupported: Vec<_> = ["capath", "azid"].into_iter().filter(|option| self.has(option)).collect();
        if !unsupported.is_empty() {
            return Err(MountError::UnsupportedOptions(unsupported));
        }
        self.check_tls()?;
        self.check_identity()?;
        if self.has("crossaccount") && self.has("mounttargetip") {
            return Err(MountError::ConfigValue(
                "mounttargetip option is incompatible with crossaccount option.".to_owned(),
            ));
        }
        match NOT_YET.iter().find(|option| self.has(option)) {
            Some(option) => Err(MountError::NotYet(option)),
            None => Ok(()),
        }
    }

    fn check_tls(&self) -> Result<(), MountError> {
        if let Some(level) = self.value("verify").filter(|level| level.parse::<u32>().is_err()) {
            return Err(MountError::Verify(level.to_owned()));
        }
        if !self.has("tls") {
            return Ok(());
        }
        if self.has("port") {
            return Err(MountError::Exclusive("port", "tls"));
        }
        if self.has("tlsport") && self.tls_port().is_none() {
            return Err(MountError::TlsPort(self.value("tlsport").unwrap_or_default().to_owned()));
        }
        if self.has("ocsp") && self.has("noocsp") {
            return Err(MountError::Exclusive("ocsp", "noocsp"));
        }
        if self.has("notls") {
            return Err(MountError::Exclusive("tls", "notls"));
        }
        Ok(())
    }

    fn check_identity(&self) -> Result<(), MountError> {
        if self.has("accesspoint") {
            if !self.has("tls") {
                return Err(MountError::NeedsTls("accesspoint"));
            }
            let id = self.value("accesspoint").unwrap_or_default();
            if !is_access_point(id) {
                return Err(MountError::AccessPoint(id.to_owned()));
            }
        }
        if self.has("iam") && !self.has("tls") {
            return Err(MountError::NeedsTls("iam"));
        }
        if self.has("awsprofile") && !self.has("iam") {
            return Err(MountError::NeedsIam("named profile option, \"awsprofile\""));
        }
        if self.has("awscredsuri") {
            if !self.has("iam") {
                return Err(MountError::NeedsIam("\"awscredsuri\""));
            }
            if self.has("awsprofile") {
                return Err(MountError::Exclusive("awscredsuri", "awsprofile"));
            }
            let uri = self.value("awscredsuri").unwrap_or_default();
            if !uri.starts_with('/') {
                return Err(MountError::CredentialsUri(uri.to_owned()));
            }
        }
        Ok(())
    }

    /// The read size that the mount will have, for the read-ahead.
    #[must_use]
    pub fn read_size(&self) -> u64 {
        let size = self.value("rsize").unwrap_or(RSIZE_DEFAULT);
        size.parse().unwrap_or(1_048_576)
    }

    /// What mount.nfs4 gets: the user's NFS options, the recommended ones where the user is silent, and the tunnel's
    /// port where there is a tunnel.
    #[must_use]
    pub fn for_nfs(&self, port: Option<u16>) -> String {
        let mut all = self.clone();
        let silent = |options: &[&str]| !options.iter().any(|option| self.has(option));
        if silent(&["nfsvers", "vers"]) {
            all.set("nfsvers", Some("4.1"));
        }
        for (option, value) in [("rsize", RSIZE_DEFAULT), ("wsize", RSIZE_DEFAULT)] {
            if silent(&[option]) {
                all.set(option, Some(value));
            }
        }
        if silent(&["soft", "softerr", "hard"]) {
            all.set("hard", None);
        }
        for (option, value) in [("timeo", "600"), ("retrans", "2")] {
            if silent(&[option]) {
                all.set(option, Some(value));
            }
        }
        if silent(&["noresvport", "resvport"]) {
            all.set("noresvport", None);
        }
        if let Some(port) = port {
            all.set("port", Some(&port.to_string()));
        }
        let passed = all.entries.iter().filter(|(key, _)| !is_kept_back(key));
        let text: Vec<_> = passed
            .map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            })
            .collect();
        text.join(",")
    }
}

impl std::fmt::Display for MountOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (key, value)) in self.entries.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match value {
                Some(value) => write!(formatter, "{comma}{key}={value}")?,
                None => write!(formatter, "{comma}{key}")?,
            }
        }
        Ok(())
    }
}

fn is_kept_back(key: &str) -> bool {
    OWN.contains(&key) || FSTAB_ONLY.contains(&key) || key.starts_with("x-") || key.starts_with("X-")
}

/// `fsap-` and 17 hex digits.
fn is_access_point(id: &str) -> bool {
    let digits = id.strip_prefix("fsap-").unwrap_or_default();
    digits.len() == 17 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        MountOptions::parse(text).check().map_err(|error| error.to_string())
    }

    /// aws/efs-utils, options: each conflict and its text.
    #[test]
    fn conflicts_have_the_texts_of_efs_utils() {
        let cases = [
            ("capath=/x", "Unsupported mount options detected: \"capath\""),
            ("tls,port=2049", "The \"port\" and \"tls\" options are mutually exclusive"),
            ("tls,tlsport=abc", "tlsport option [abc] is not an integer"),
            ("tls,ocsp,noocsp", "The \"ocsp\" and \"noocsp\" options are mutually exclusive"),
            ("tls,notls", "The \"tls\" and \"notls\" options are mutually exclusive"),
            ("accesspoint=fsap-0123456789abcdef0", "The \"tls\" option is required when mounting via \"accesspoint\""),
            ("tls,accesspoint=fsap-12", "Access Point ID fsap-12 is malformed"),
            ("tls,accesspoint=fsap-0123456789ABCDEF0", "Access Point ID fsap-0123456789ABCDEF0 is malformed"),
            ("iam", "The \"tls\" option is required when mounting via \"iam\""),
            (
                "tls,awsprofile=p",
                "The \"iam\" option is required when mounting with named profile option, \"awsprofile\"",
            ),
            ("tls,awscredsuri=/x", "The \"iam\" option is required when mounting with \"awscredsuri\""),
            (
                "tls,iam,awscredsuri=/x,awsprofile=p",
                "The \"awscredsuri\" and \"awsprofile\" options are mutually exclusive",
            ),
            ("tls,iam,awscredsuri=x", "awscredsuri x is malformed"),
            ("crossaccount,mounttargetip=10.0.0.1", "mounttargetip option is incompatible with crossaccount option."),
            ("tls,iam", "The \"iam\" option is not supported by this version of mount.efs"),
            ("tls,ocsp", "The \"ocsp\" option is not supported by this version of mount.efs"),
        ];
        for (options, text) in cases {
            assert_eq!(checked(options), Err(text.to_owned()), "{options}");
        }
    }

    /// aws/efs-utils, options: what is allowed together.
    #[test]
    fn sound_options_pass() {
        for options in
            ["", "tls", "rw,tls,tlsport=20100,noocsp", "notls", "port=2050", "tls,accesspoint=fsap-0123456789abcdef0"]
        {
            assert_eq!(checked(options), Ok(()), "{options}");
        }
        assert!(MountOptions::parse("tls").verifies());
        assert!(MountOptions::parse("tls,verify=2").verifies());
        assert!(!MountOptions::parse("tls,verify=0").verifies());
    }

    /// EFS user guide, "Mount settings used by EFS mount helper": what mount.nfs4 gets, in the order of aws/efs-utils.
    #[test]
    fn the_recommended_nfs_options_are_added() {
        assert_eq!(
            MountOptions::parse("tls").for_nfs(Some(20613)),
            "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,port=20613"
        );
    }

    /// aws/efs-utils, options: those of the user win over defaults; a port of the user's own stands without TLS.
    #[test]
    fn user_options_win() {
        let options = MountOptions::parse("rw,vers=4.2,soft,rsize=4096,port=2050,resvport");
        assert_eq!(
            options.for_nfs(None),
            "rw,vers=4.2,soft,rsize=4096,port=2050,resvport,wsize=1048576,timeo=600,retrans=2"
        );
        assert_eq!(options.read_size(), 4096);
    }

    /// mount(8), fstab(5): options for the system's start are nobody's business below.
    #[test]
    fn fstab_options_stay_here() {
        let options = MountOptions::parse("_netdev,nofail,x-systemd.automount,rw,tls,noatime,nconnect=2");
        let passed = options.for_nfs(Some(20100));
        assert!(passed.starts_with("rw,noatime,nconnect=2,nfsvers=4.1,"), "{passed}");
    }

    /// mount(8): a quoted value may hold commas, and a value may hold an equals sign.
    #[test]
    fn values_may_hold_commas_and_equals_signs() {
        let options = MountOptions::parse("context=\"a:b,c\",fsc=x=y,,tls");
        assert_eq!(options.value("context"), Some("\"a:b,c\""));
        assert_eq!(options.value("fsc"), Some("x=y"));
        assert_eq!(options.to_string(), "context=\"a:b,c\",fsc=x=y,tls");
    }
}
