//! Credentials for the EFS API: the environment, then the profile files (AWS SDK reference).

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::Ini;

/// An access key.
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) token: Option<String>,
}

/// The user's AWS settings: the environment as a function, so that tests need none of their own.
pub(crate) struct Profiles<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    credentials: Ini,
    config: Ini,
}

impl<'a> Profiles<'a> {
    /// Reads the two files, where they are and readable.
    pub(crate) fn read(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        // At the system's start there is no HOME, and mounts are root's.
        let home = variable("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        let file = |name: &str, usual: &str| {
            let path = variable(name).map_or_else(|| home.join(usual), PathBuf::from);
            let text = std::fs::read_to_string(path).map(Zeroizing::new).unwrap_or_default();
            Ini::parse(&text).unwrap_or_default()
        };
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = file("AWS_CONFIG_FILE", ".aws/config");
        Self { variable, credentials, config }
    }

    fn profile(&self) -> String {
        let named = (self.variable)("AWS_PROFILE").or_else(|| (self.variable)("AWS_DEFAULT_PROFILE"));
        named.unwrap_or_else(|| "default".to_owned())
    }

    /// A value of the profile in `~/.aws/config`.
    fn configured(&self, key: &str) -> Option<&str> {
        let profile = self.profile();
        let section = if profile == "default" { profile.clone() } else { format!("profile {profile}") };
        self.config.has_section(&section).then(|| self.config.get(&section, key)).flatten()
    }

    /// Where the EFS API is, as far as the user says.
    pub(crate) fn endpoint_url(&self) -> Option<String> {
        let variable = |name| (self.variable)(name).filter(|value| !value.is_empty());
        variable("AWS_ENDPOINT_URL_EFS")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| self.configured("endpoint_url").map(str::to_owned))
    }

    /// The first complete access key.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let variable = |name| (self.variable)(name).filter(|value| !value.is_empty());
        if let (Some(access_key_id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            let token = variable("AWS_SESSION_TOKEN");
            return Some(Credentials { access_key_id, secret: secret.into(), token });
        }
        let profile = self.profile();
        let shared = |key: &str| self.credentials.get(&profile, key);
        let complete = |value: &dyn Fn(&str) -> Option<String>| {
            Some(Credentials {
                access_key_id: value("aws_access_key_id")?,
                secret: value("aws_secret_access_key")?.into(),
                token: value("aws_session_token"),
            })
        };
        complete(&|key| shared(key).map(str::to_owned))
            .or_else(|| complete(&|key| self.configured(key).map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles<'a>(variable: &'a dyn Fn(&str) -> Option<String>) -> Profiles<'a> {
        Profiles::read(variable)
    }

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("credentials"),
            "[default]\naws_access_key_id = AKD\naws_secret_access_key = sd\n\
             [other]\naws_access_key_id = AKO\naws_secret_access_key = so\naws_session_token = to\n",
        )
        .unwrap();
        std::fs::write(
            directory.path().join("config"),
            "[default]\nendpoint_url = http://127.0.0.1:4566\n[profile third]\naws_access_key_id = AKT\n\
             aws_secret_access_key = st\n",
        )
        .unwrap();
        directory
    }

    /// AWS SDK reference, credential chain: environment, then shared credentials, then config.
    #[test]
    fn keys_come_from_the_environment_then_the_files() {
        let directory = directory();
        let with = |extra: &'static [(&'static str, &'static str)]| {
            let root = directory.path().to_owned();
            move |name: &str| match name {
                "AWS_SHARED_CREDENTIALS_FILE" => Some(root.join("credentials").display().to_string()),
                "AWS_CONFIG_FILE" => Some(root.join("config").display().to_string()),
                _ => extra.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
            }
        };
        let id = |extra| {
            let variable = with(extra);
            let found = profiles(&variable).credentials();
            found.map(|credentials| (credentials.access_key_id, credentials.token))
        };
        assert_eq!(id(&[]), Some(("AKD".into(), None)));
        assert_eq!(id(&[("AWS_PROFILE", "other")]), Some(("AKO".into(), Some("to".into()))));
        assert_eq!(id(&[("AWS_PROFILE", "third")]), Some(("AKT".into(), None)));
        assert_eq!(id(&[("AWS_PROFILE", "absent")]), None);
        assert_eq!(id(&[("AWS_ACCESS_KEY_ID", "AKE"), ("AWS_SECRET_ACCESS_KEY", "se")]), Some(("AKE".into(), None)));
        let variable = with(&[]);
        assert_eq!(profiles(&variable).endpoint_url().as_deref(), Some("http://127.0.0.1:4566"));
        let variable = with(&[("AWS_ENDPOINT_URL_EFS", "http://efs"), ("AWS_ENDPOINT_URL", "http://all")]);
        assert_eq!(profiles(&variable).endpoint_url().as_deref(), Some("http://efs"));
    }
}
