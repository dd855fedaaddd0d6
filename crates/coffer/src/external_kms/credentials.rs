//! The access key for a provider: from a profile file for its owner alone, or from the server's environment.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aws_wire::sigv4::Signer;
use zeroize::{Zeroize as _, Zeroizing};

use crate::api_client::profile_value;

/// A profile file larger than this is none.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Signs with the access key of a provider; wiped when it goes.
pub(super) struct Credentials(Signer);

impl Credentials {
    /// Reads them anew, so that a file that was renewed is taken without a restart.
    pub(super) async fn read(file: Option<&Path>, profile: &str, region: &str) -> Result<Self, String> {
        match file {
            Some(path) => Self::of_file(path, profile, region).await,
            None => Self::of_environment(&|name| std::env::var(name).ok(), region),
        }
    }

    async fn of_file(path: &Path, profile: &str, region: &str) -> Result<Self, String> {
        let told = |why: String| format!("{}: {why}", path.display());
        let about = tokio::fs::metadata(path).await.map_err(|error| told(error.to_string()))?;
        if about.mode() & 0o077 != 0 {
            let mode = about.mode() & 0o777;
            return Err(told(format!("others than its owner may use it (mode {mode:04o}); chmod 600 it")));
        }
        if about.len() > FILE_BYTES_MAX {
            return Err(told(format!("larger than {FILE_BYTES_MAX} bytes, so it is no profile file")));
        }
        let bytes = Zeroizing::new(tokio::fs::read(path).await.map_err(|error| told(error.to_string()))?);
        let text = std::str::from_utf8(&bytes).map_err(|_| told("not a text".to_owned()))?;
        let value = |name: &str| {
            let found = profile_value(text, profile, name).filter(|value| !value.is_empty());
            found.map(str::to_owned).ok_or_else(|| told(format!("no {name} in [{profile}]")))
        };
        let (id, secret) = (value("aws_access_key_id")?, Zeroizing::new(value("aws_secret_access_key")?));
        let token = profile_value(text, profile, "aws_session_token").map(str::to_owned);
        Ok(Self::new(id, secret, token, region))
    }

    fn of_environment(variable: &dyn Fn(&str) -> Option<String>, region: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let found = variable(name).filter(|value| !value.is_empty());
            found.ok_or_else(|| format!("{name} is not in the server's environment; set it, or credentials_file"))
        };
        let (id, secret) = (value("AWS_ACCESS_KEY_ID")?, Zeroizing::new(value("AWS_SECRET_ACCESS_KEY")?));
        let token = variable("AWS_SESSION_TOKEN").filter(|value| !value.is_empty());
        Ok(Self::new(id, secret, token, region))
    }

    fn new(access_key_id: String, secret: Zeroizing<String>, token: Option<String>, region: &str) -> Self {
        Self(Signer { access_key_id, secret, token, region: region.to_owned(), service: "kms".to_owned() })
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.0
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // The secret wipes itself.
        self.0.token.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// docs/operations.md, "Keys in a KMS elsewhere": a credentials file that others may read is not used.
    #[tokio::test]
    async fn a_file_for_everybody_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile");
        fs::write(
            &path,
            "[default]\naws_access_key_id = A\naws_secret_access_key = B\n[other]\naws_access_key_id = C\n",
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let read = async |profile: &'static str| Credentials::read(Some(&path), profile, "r").await;
        let open = read("default").await.err().unwrap();
        assert!(open.contains("mode 0640") && open.contains("chmod 600"), "{open}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read("default").await.ok().unwrap().signer().access_key_id, "A");
        // Id and secret of two profiles are never paired.
        assert!(read("other").await.err().unwrap().contains("no aws_secret_access_key in [other]"));
    }

    /// AWS SDK reference, "Environment variables": the three names.
    #[test]
    fn the_environment_has_three_names() {
        let all = |name: &str| Some(format!("value of {name}"));
        let found = Credentials::of_environment(&all, "r").ok().unwrap();
        assert_eq!(found.signer().secret.as_str(), "value of AWS_SECRET_ACCESS_KEY");
        assert_eq!(found.signer().token.as_deref(), Some("value of AWS_SESSION_TOKEN"));
        let without = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "A".to_owned());
        assert!(Credentials::of_environment(&without, "r").err().unwrap().contains("AWS_SECRET_ACCESS_KEY is not"));
    }
}
