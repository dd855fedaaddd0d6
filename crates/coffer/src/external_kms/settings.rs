//! `[[kms_provider]]` of the configuration: which key service, which KMS keys, and who may use them.

use std::path::{Path, PathBuf};

use aws_wire::{Arn, Caller};
use filesystem::lease::TERM_MAX;
use serde::Deserialize;

use super::endpoint::Endpoint;

/// One key service elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderSettings {
    /// By this name a file system remembers it: lower-case letters, digits and hyphens, at most 32.
    pub(crate) name: String,
    /// Where its API is.
    pub(crate) endpoint: String,
    /// The region that calls are signed for, and that its keys' ARNs carry.
    pub(crate) region: String,
    /// Which KMS keys it has: accounts, or ARNs with `*` and `?`.
    pub(crate) serves: Vec<String>,
    /// Who here may put file systems under its keys: accounts, or ARNs of principals with `*` and `?`.
    pub(crate) allow: Vec<String>,
    /// A profile file, mode 0600, read again for each call; without one `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN` of the server's environment.
    pub(crate) credentials_file: Option<PathBuf>,
    /// The profile in that file.
    #[serde(default = "default_profile")]
    pub(crate) profile: String,
    /// The certificates that its own must come from; the system's bundle when absent.
    pub(crate) ca_file: Option<PathBuf>,
    /// The principal, as the provider knows it, that gets a grant for each file system; without one none is made and the
    /// credentials are used by their own right.
    pub(crate) grant_to: Option<String>,
    /// How long one call may take, 1 to 30 s.
    #[serde(default = "default_timeout_seconds")]
    pub(crate) timeout_seconds: u32,
    /// How much longer than `keys.lease_seconds` a file system serves while the provider does not answer; the two
    /// together, and the ten seconds of a seal's flush, are 300 s at most.
    #[serde(default = "default_grace_seconds")]
    pub(crate) grace_seconds: u32,
}

fn default_profile() -> String {
    "default".to_owned()
}

fn default_timeout_seconds() -> u32 {
    5
}

fn default_grace_seconds() -> u32 {
    230
}

/// Names, patterns and lists in a configuration are no longer than this.
const TEXT_MAX: usize = 2048;
const LIST_MAX: usize = 64;

impl ProviderSettings {
    /// What of this could not work, with its key.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let told = |why: String| format!("kms_provider {:?}: {why}", self.name);
        let label = |text: &str| {
            !text.is_empty()
                && text.len() <= 32
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if !label(&self.name) {
            return Err(told("name: lower-case letters, digits and hyphens, at most 32".to_owned()));
        }
        if !label(&self.region) {
            return Err(told(format!("region = {:?}: lower-case letters, digits and hyphens", self.region)));
        }
        Endpoint::parse(&self.endpoint).map_err(told)?;
        for (key, list) in [("serves", &self.serves), ("allow", &self.allow)] {
            if list.is_empty() || list.len() > LIST_MAX || list.iter().any(|text| text.len() > TEXT_MAX) {
                return Err(told(format!("{key}: 1 to {LIST_MAX} accounts or ARNs")));
            }
        }
        if let Some(bad) = self.serves.iter().find(|text| !is_account(text) && !is_key_pattern(text)) {
            return Err(told(format!("serves: {bad:?} is neither an account nor an ARN of KMS keys")));
        }
        if let Some(bad) = self.allow.iter().find(|text| !is_account(text) && !text.starts_with("arn:")) {
            return Err(told(format!("allow: {bad:?} is neither an account nor an ARN")));
        }
        if !(1..=30).contains(&self.timeout_seconds) {
            return Err(told(format!("timeout_seconds = {}: 1 to 30", self.timeout_seconds)));
        }
        if u64::from(self.grace_seconds) > TERM_MAX.as_secs() {
            return Err(told(format!("grace_seconds = {}: 0 to {}", self.grace_seconds, TERM_MAX.as_secs())));
        }
        let relative = |path: &Option<PathBuf>| path.as_deref().is_some_and(Path::is_relative);
        if relative(&self.credentials_file) || relative(&self.ca_file) {
            return Err(told("credentials_file and ca_file are absolute paths".to_owned()));
        }
        Ok(())
    }

    /// Whether the KMS key or alias of this ARN is there.
    pub(crate) fn serves(&self, arn: &Arn) -> bool {
        let text = arn.to_string();
        arn.service == "kms"
            && arn.region == self.region
            && self.serves.iter().any(|pattern| *pattern == arn.account || policy::matches(pattern, &text))
    }

    /// Whether the caller may put file systems under keys that are there.
    pub(crate) fn admits(&self, caller: &Caller) -> bool {
        let arn = caller.arn.to_string();
        // A role is meant by its own ARN: its sessions are what calls.
        let role = caller.session.as_ref().map(|session| session.issuer.to_string());
        self.allow.iter().any(|pattern| {
            *pattern == caller.account
                || policy::matches(pattern, &arn)
                || role.as_ref().is_some_and(|role| policy::matches(pattern, role))
        })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_key_pattern(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    parts.next() == Some("arn")
        && parts.nth(1) == Some("kms")
        && parts.nth(2).is_some_and(|resource| !resource.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use aws_wire::{Arn, Caller};

    use super::{ProviderSettings, default_grace_seconds, default_profile, default_timeout_seconds};

    /// A provider at this endpoint for the account 000000000002.
    pub(crate) fn settings(endpoint: &str) -> ProviderSettings {
        ProviderSettings {
            name: "elsewhere".to_owned(),
            endpoint: endpoint.to_owned(),
            region: "eu-west-9".to_owned(),
            serves: vec!["000000000002".to_owned()],
            allow: vec!["000000000001".to_owned()],
            credentials_file: None,
            profile: default_profile(),
            ca_file: None,
            grant_to: None,
            timeout_seconds: default_timeout_seconds(),
            grace_seconds: default_grace_seconds(),
        }
    }

    /// docs/operations.md, "Keys in a KMS elsewhere": a key is there when its region and its account or ARN are the
    /// provider's.
    #[test]
    fn keys_are_told_by_their_arn() {
        let mut provider = settings("https://kms.example");
        let serves = |provider: &ProviderSettings, arn: &str| provider.serves(&Arn::parse(arn).unwrap());
        assert!(serves(&provider, "arn:aws:kms:eu-west-9:000000000002:key/a"));
        assert!(serves(&provider, "arn:aws:kms:eu-west-9:000000000002:alias/a"));
        assert!(!serves(&provider, "arn:aws:kms:eu-west-8:000000000002:key/a"));
        assert!(!serves(&provider, "arn:aws:kms:eu-west-9:000000000003:key/a"));
        assert!(!serves(&provider, "arn:aws:iam:eu-west-9:000000000002:key/a"));
        provider.serves = vec!["arn:aws:kms:*:000000000002:key/a*".to_owned()];
        assert!(serves(&provider, "arn:aws:kms:eu-west-9:000000000002:key/ab"));
        assert!(!serves(&provider, "arn:aws:kms:eu-west-9:000000000002:alias/ab"));
    }

    /// docs/operations.md, "Keys in a KMS elsewhere": who is not named there may not use the provider's keys.
    #[test]
    fn only_who_is_named_may_use_it() {
        let mut provider = settings("https://kms.example");
        assert!(provider.admits(&Caller::root("000000000001", None)));
        assert!(!provider.admits(&Caller::root("000000000003", None)));
        assert!(!provider.admits(&Caller::anonymous()));
        provider.allow = vec!["arn:aws:iam::000000000001:user/a*".to_owned()];
        assert!(!provider.admits(&Caller::root("000000000001", None)));
        let mut user = Caller::root("000000000001", None);
        user.arn = Arn::new("iam", "", "000000000001", "user/ann");
        assert!(provider.admits(&user));
    }

    /// docs/operations.md, "Keys in a KMS elsewhere": what could not work is refused with its key.
    #[test]
    fn values_that_cannot_work_are_refused() {
        settings("https://kms.example").validate().unwrap();
        let refused = |change: &dyn Fn(&mut ProviderSettings)| {
            let mut provider = settings("https://kms.example");
            change(&mut provider);
            provider.validate().unwrap_err()
        };
        assert!(refused(&|provider| provider.name = "A b".to_owned()).contains("name: lower-case"));
        assert!(refused(&|provider| provider.region = String::new()).contains("region"));
        assert!(refused(&|provider| provider.endpoint = "http://kms.example".to_owned()).contains("use https"));
        assert!(refused(&|provider| provider.serves = vec!["*".to_owned()]).contains("serves: \"*\""));
        assert!(refused(&|provider| provider.serves = vec!["arn:aws:s3:::x".to_owned()]).contains("serves"));
        assert!(refused(&|provider| provider.allow = Vec::new()).contains("allow: 1 to"));
        assert!(refused(&|provider| provider.allow = vec!["*".to_owned()]).contains("allow: \"*\""));
        assert!(refused(&|provider| provider.timeout_seconds = 31).contains("1 to 30"));
        assert!(refused(&|provider| provider.grace_seconds = 291).contains("0 to 290"));
        assert!(refused(&|provider| provider.ca_file = Some("ca.pem".into())).contains("absolute"));
    }
}
