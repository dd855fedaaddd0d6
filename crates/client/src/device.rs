//! The first argument of a mount: `fs-ID`, `fs-ID:/path`, or a mount target's DNS name (aws/efs-utils,
//! man/mount.efs.8).

/// What is mounted, before any name is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The file system's id or a DNS name.
    pub host: String,
    /// The directory on the server.
    pub path: String,
}

impl Device {
    /// Splits at the first colon; without a path, the root.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (host, path) = text.split_once(':').unwrap_or((text, ""));
        let path = if path.is_empty() { "/" } else { path };
        Self { host: host.to_owned(), path: path.to_owned() }
    }
}

/// `fs-` and at least one lower-case hex digit.
#[must_use]
pub fn is_file_system_id(text: &str) -> bool {
    let digits = text.strip_prefix("fs-").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A mount target's name taken apart: `[AZ.]fs-ID.efs.REGION.SUFFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountTargetName {
    /// The zone in front, if any.
    pub zone: Option<String>,
    /// The file system.
    pub file_system: String,
}

impl MountTargetName {
    /// Reads a name; `None` if it is not of that form. Whether region and suffix are right shows only in comparison
    /// with the name that the configuration gives.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let labels: Vec<&str> = name.split('.').collect();
        let (zone, rest) = match labels.as_slice() {
            [first, rest @ ..] if is_file_system_id(first) => (None, (*first, rest)),
            [zone, second, rest @ ..] if is_file_system_id(second) && is_zone(zone) => {
                (Some((*zone).to_owned()), (*second, rest))
            }
            _ => return None,
        };
        let (file_system, rest) = rest;
        // A service label, a region and a suffix of at least one label.
        (rest.len() >= 3 && rest.iter().all(|label| is_label(label)))
            .then(|| Self { zone, file_system: file_system.to_owned() })
    }
}

fn is_zone(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'))
}

fn is_label(label: &str) -> bool {
    is_zone(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, command line: the host ends at the first colon; no path is the root.
    #[test]
    fn devices_split_at_the_first_colon() {
        let parsed = |text| {
            let device = Device::parse(text);
            (device.host, device.path)
        };
        assert_eq!(parsed("fs-1"), ("fs-1".into(), "/".into()));
        assert_eq!(parsed("fs-1:"), ("fs-1".into(), "/".into()));
        assert_eq!(parsed("fs-1:/a:b"), ("fs-1".into(), "/a:b".into()));
    }

    /// aws/efs-utils, command line: the id's form is `^fs-[0-9a-f]+$`.
    #[test]
    fn ids_are_lower_case_hex() {
        assert!(is_file_system_id("fs-0123456789abcdef0") && is_file_system_id("fs-12345678"));
        assert!(!is_file_system_id("fs-") && !is_file_system_id("fs-12G") && !is_file_system_id("FS-12"));
    }

    /// aws/efs-utils, DNS name: `[az.]fs-<hex>.<labels>.<region>.<suffix>`.
    #[test]
    fn mount_target_names_are_taken_apart() {
        let name = |text| MountTargetName::parse(text);
        assert_eq!(
            name("fs-12.efs.us-east-1.amazonaws.com"),
            Some(MountTargetName { zone: None, file_system: "fs-12".into() })
        );
        assert_eq!(
            name("us-east-1a.fs-12.efs.us-east-1.coffer.internal"),
            Some(MountTargetName { zone: Some("us-east-1a".into()), file_system: "fs-12".into() })
        );
        for wrong in ["fs-12.efs", "example.com", "10.0.0.1", "a.b.fs-12.efs.r.s", "fs-12..efs.r.s", ""] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
