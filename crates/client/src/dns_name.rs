//! The DNS name of a file system's mount target, from `dns_name_format` (aws/efs-utils, DNS name).

use crate::MountError;

/// What fills the format.
#[derive(Debug, Clone, Copy)]
pub struct NameParts<'a> {
    /// The file system's id.
    pub file_system: &'a str,
    /// The zone, where one is asked for.
    pub zone: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// The suffix of the region.
    pub suffix: &'a str,
}

/// Fills `format`; `{az}.` goes when no zone is known.
///
/// # Errors
/// A format without `{fs_id}` or with braces that mean nothing.
pub fn build(format: &str, parts: NameParts<'_>) -> Result<String, MountError> {
    if !format.contains("{fs_id}") {
        return Err(MountError::DnsNameFormat("DNS name format must include {fs_id}"));
    }
    let name = match parts.zone {
        Some(zone) => format.replace("{az}", zone),
        None => format.replace("{az}.", ""),
    };
    let name = name
        .replace("{fs_id}", parts.file_system)
        .replace("{region}", parts.region)
        .replace("{dns_name_suffix}", parts.suffix);
    if name.contains(['{', '}']) {
        return Err(MountError::DnsNameFormat("DNS name format has an incorrect number of replacement fields"));
    }
    Ok(name)
}

/// The name that the server's certificate must carry: the name from the file system's id on, without the zone.
#[must_use]
pub fn certificate_name<'a>(name: &'a str, file_system: &str) -> &'a str {
    name.find(file_system).and_then(|start| name.get(start..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: NameParts<'_> =
        NameParts { file_system: "fs-12", zone: None, region: "us-east-1", suffix: "coffer.internal" };
    const FORMAT: &str = "{az}.{fs_id}.efs.{region}.{dns_name_suffix}";

    /// aws/efs-utils, DNS name: the default format, with and without a zone.
    #[test]
    fn the_zone_is_in_front_when_known() {
        assert_eq!(build(FORMAT, PARTS).unwrap(), "fs-12.efs.us-east-1.coffer.internal");
        let zoned = NameParts { zone: Some("us-east-1b"), ..PARTS };
        assert_eq!(build(FORMAT, zoned).unwrap(), "us-east-1b.fs-12.efs.us-east-1.coffer.internal");
        assert_eq!(build("{fs_id}.nfs.example", PARTS).unwrap(), "fs-12.nfs.example");
    }

    /// aws/efs-utils, DNS name: the format is checked.
    #[test]
    fn broken_formats_are_refused() {
        assert_eq!(build("efs.example", PARTS).unwrap_err().to_string(), "DNS name format must include {fs_id}");
        for broken in ["{fs_id}.{nonsense}.x", "{fs_id}.efs.{region", "{fs_id}.x}"] {
            assert_eq!(
                build(broken, PARTS).unwrap_err().to_string(),
                "DNS name format has an incorrect number of replacement fields",
                "{broken}"
            );
        }
    }

    /// aws/efs-utils, `stunnel_check_cert_hostname`: the check starts at the `fs-` label.
    #[test]
    fn the_certificate_is_checked_without_the_zone() {
        assert_eq!(certificate_name("us-east-1b.fs-12.efs.r.s", "fs-12"), "fs-12.efs.r.s");
        assert_eq!(certificate_name("fs-12.efs.r.s", "fs-12"), "fs-12.efs.r.s");
    }
}
