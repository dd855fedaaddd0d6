//! Which region, in the order of aws/efs-utils: option, environment, configuration, instance metadata, legacy format.

use std::time::Duration;

use env::Env;

use crate::{
    Config, LogFile, MountError, MountOptions,
    http::{Answer, Ask, Endpoint, ask},
};

/// The link-local address of the metadata service, unless the environment names another.
const METADATA: &str = "http://169.254.169.254";
const TOKEN_LIMIT: Duration = Duration::from_millis(500);
const TOKEN_ATTEMPTS: u32 = 3;
const DOCUMENT_LIMIT: Duration = Duration::from_secs(1);

/// The region of this mount.
///
/// # Errors
/// A malformed option, or nobody knows.
pub(crate) fn find(options: &MountOptions, config: &Config, log: &LogFile, env: &Env) -> Result<String, MountError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if options.has("region") {
        let region = options.value("region").unwrap_or_default();
        return if is_region(region) {
            Ok(region.to_owned())
        } else {
            Err(MountError::InvalidRegion(region.to_owned()))
        };
    }
    if let Some(region) = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
        return Ok(region);
    }
    if let Some(region) = config.region() {
        return Ok(region.to_owned());
    }
    match from_metadata(config.metadata_token_disabled()?, env) {
        Ok(region) => return Ok(region),
        Err(why) => log.warning(&format!(
            "Region not found in config file and metadata service call failed ({why}), falling back to legacy \
             \"dns_name_format\" check"
        )),
    }
    from_legacy_format(config.dns_name_format()).ok_or(MountError::NoRegion)
}

/// `[a-z0-9]`, then up to 30 of `[a-z0-9-]` and a last `[a-z0-9]`.
fn is_region(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= 32
        && ends.iter().all(|end| end.is_some_and(inner))
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
}

/// `{fs_id}.efs.us-east-1.amazonaws.com`: once the region stood in the format itself.
fn from_legacy_format(format: &str) -> Option<String> {
    let rest = format.split("{fs_id}.efs.").nth(1)?;
    let region = rest.split('.').next()?;
    (is_region(region) && rest.contains('.')).then(|| region.to_owned())
}

fn from_metadata(without_token: bool, env: &Env) -> Result<String, String> {
    if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err("AWS_EC2_METADATA_DISABLED is set".to_owned());
    }
    let url = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|_| METADATA.to_owned());
    let endpoint = Endpoint::parse(&url)?;
    let call = |method, target: &str, header: (&str, &str), limit| {
        let headers = vec![("host".to_owned(), endpoint.host_header()), (header.0.to_owned(), header.1.to_owned())];
        let target = format!("{}{target}", endpoint.prefix);
        ask(&Ask { method, endpoint: endpoint.clone(), target, headers, limit }, env)
    };
    let mut token = String::new();
    if !without_token {
        let put = || call("PUT", "/latest/api/token", ("x-aws-ec2-metadata-token-ttl-seconds", "21600"), TOKEN_LIMIT);
        let mut attempts = (0..TOKEN_ATTEMPTS).map(|_| put());
        let answer = attempts.find(Result::is_ok).unwrap_or_else(|| Err("no token".to_owned()))?;
        token = String::from_utf8_lossy(&answer.body).trim().to_owned();
    }
    let document = call(
        "GET",
        "/latest/dynamic/instance-identity/document",
        ("x-aws-ec2-metadata-token", &token),
        DOCUMENT_LIMIT,
    )?;
    region_of(&document)
}

fn region_of(answer: &Answer) -> Result<String, String> {
    if answer.status != 200 {
        return Err(format!("the metadata service answered {}", answer.status));
    }
    let document: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let region = document.get("region").and_then(serde_json::Value::as_str).unwrap_or_default();
    if is_region(region) { Ok(region.to_owned()) } else { Err("region not present in the document".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, region: it matches `[a-z0-9][a-z0-9-]*`, 32 characters at most.
    #[test]
    fn regions_have_a_form() {
        assert!(is_region("us-east-1") && is_region("x") && is_region(&"a".repeat(32)));
        for wrong in ["", "-a", "a-", "US-EAST-1", "a.b", &"a".repeat(33)] {
            assert!(!is_region(wrong), "{wrong}");
        }
    }

    /// aws/efs-utils, region: the last resort is a region in the format itself.
    #[test]
    fn a_legacy_format_tells_the_region() {
        assert_eq!(from_legacy_format("{fs_id}.efs.us-east-1.amazonaws.com"), Some("us-east-1".into()));
        assert_eq!(from_legacy_format("{az}.{fs_id}.efs.{region}.{dns_name_suffix}"), None);
        assert_eq!(from_legacy_format("{fs_id}.nfs.example"), None);
    }

    /// aws/efs-utils, region: that of the instance identity document.
    #[test]
    fn the_document_tells_the_region() {
        let answer = |status, body: &'static str| Answer { status, error_type: None, body: body.into() };
        assert_eq!(region_of(&answer(200, "{\"region\": \"eu-west-3\"}")), Ok("eu-west-3".into()));
        assert!(region_of(&answer(200, "{}")).is_err() && region_of(&answer(401, "")).is_err());
    }
}
