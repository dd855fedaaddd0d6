//! Amazon resource names: `arn:partition:service:region:account:resource`. IAM User Guide, "ARN format".

use std::fmt;

/// A resource name, taken apart. The resource may hold further colons and slashes; nothing here knows their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arn {
    /// The partition, `aws` here.
    pub partition: String,
    /// The service's name in ARNs: `kms`, `elasticfilesystem`, `iam`, `sts`.
    pub service: String,
    /// The region; empty for global services.
    pub region: String,
    /// The account; empty for resources without one.
    pub account: String,
    /// Everything after the account: `key/1234...`, `file-system/fs-...`, `root`.
    pub resource: String,
}

/// An ARN longer than this is not parsed; IAM's own limit for ARNs is 2,048.
const LENGTH_MAX: usize = 2048;

impl Arn {
    /// Puts an ARN of the partition `aws` together.
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Self {
        Self {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.into(),
        }
    }

    /// Takes a text apart; `None` when it is not an ARN.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let (scheme, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let sound = scheme == "arn"
            && !partition.is_empty()
            && !service.is_empty()
            && !resource.is_empty()
            && [partition, service, region, account].into_iter().all(plain);
        sound.then(|| Self {
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }

    /// The resource's kind and id when it has the form `kind/id` (the id may hold slashes).
    pub fn kind_and_id(&self) -> Option<(&str, &str)> {
        self.resource.split_once('/')
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(formatter, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::Arn;

    /// IAM User Guide, "ARN format": six parts, the last may hold colons and slashes.
    #[test]
    fn an_arn_survives_parsing_and_printing() {
        for text in [
            "arn:aws:kms:us-east-1:000000000001:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:000000000001:alias/aws/elasticfilesystem",
            "arn:aws:iam::000000000001:root",
            "arn:aws-cn:sts::000000000001:assumed-role/a/b:c",
        ] {
            assert_eq!(Arn::parse(text).unwrap().to_string(), text);
        }
    }

    /// IAM User Guide, "ARN format": what lacks a part is not an ARN.
    #[test]
    fn what_is_not_an_arn_is_refused() {
        for text in
            ["", "arn", "arn:aws:kms:us-east-1:1", "arn:aws:kms:us-east-1:1:", "arn::kms:::x", "urn:aws:a:b:c:d"]
        {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn parsing_never_panics(text in ".{0,200}") {
            let _ = Arn::parse(&text);
        }
    }
}
