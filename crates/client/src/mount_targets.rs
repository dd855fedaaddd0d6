//! DescribeMountTargets: the address of a mount target when its name does not resolve (EFS API
//! Reference, DescribeMountTargets; aws/efs-utils, DNS name).
//!
//! Only the EFS API is asked; the zone is compared by the name that it answers, so no EC2 call is needed.

use std::{net::IpAddr, time::Duration};

use aws_wire::{Timestamp, sigv4::Signer};
use env::Env;
use serde::Deserialize;

use crate::{
    Config,
    credentials::Profiles,
    http::{Answer, Ask, Endpoint, ask},
};

const LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
struct Targets {
    #[serde(rename = "MountTargets", default)]
    targets: Vec<Target>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    #[serde(rename = "LifeCycleState", default)]
    state: String,
    #[serde(rename = "IpAddress")]
    ip: Option<IpAddr>,
    #[serde(rename = "Ipv6Address")]
    ipv6: Option<IpAddr>,
    #[serde(rename = "AvailabilityZoneName", default)]
    zone: String,
}

#[derive(Debug, Default, Deserialize)]
struct Trouble {
    #[serde(rename = "ErrorCode", default)]
    code: String,
    #[serde(rename = "Message", alias = "message", default)]
    message: String,
}

/// Whether configuration, environment or profile say where the EFS API is.
pub(crate) fn is_endpoint_named(config: &Config) -> bool {
    config.endpoint_url().is_some() || Profiles::read(&|name| std::env::var(name).ok()).endpoint_url().is_some()
}

/// The address of an available mount target, in `zone` if one is given; the text of an error is for the user.
pub(crate) fn address(
    file_system: &str,
    zone: Option<&str>,
    region: &str,
    config: &Config,
    env: &Env,
) -> Result<IpAddr, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let profiles = Profiles::read(&variable);
    let url = config.endpoint_url().map(str::to_owned).or_else(|| profiles.endpoint_url());
    let suffix = config.dns_name_suffix(region);
    let endpoint = Endpoint::parse(&url.unwrap_or_else(|| format!("https://elasticfilesystem.{region}.{suffix}")))?;
    let Some(credentials) = profiles.credentials() else {
        return Err(
            "Unable to locate credentials when performing operation DescribeMountTargets, please confirm your \
                    aws credentials are properly configured."
                .to_owned(),
        );
    };
    let signer = Signer {
        access_key_id: credentials.access_key_id,
        secret: credentials.secret,
        token: credentials.token,
        region: region.to_owned(),
        service: "elasticfilesystem".to_owned(),
    };
    let asked = question(file_system, &endpoint, &signer, env);
    let answer = ask(&asked, env).map_err(|why| {
        format!("Could not connect to the endpoint when performing operation DescribeMountTargets, {endpoint}: {why}")
    })?;
    choose(&answer, file_system, zone)
}

fn question(file_system: &str, endpoint: &Endpoint, signer: &Signer, env: &Env) -> Ask {
    let path = format!("{}/2015-02-01/mount-targets", endpoint.prefix);
    let query = format!("FileSystemId={file_system}");
    let host = endpoint.host_header();
    let wall = env.wall();
    let now = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
    let signed = signer.sign("GET", &path, &query, &[("host", &host)], b"", now);
    let mut headers = vec![("host".to_owned(), host)];
    headers.extend(signed.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ask { method: "GET", endpoint: endpoint.clone(), target: format!("{path}?{query}"), headers, limit: LIMIT }
}

fn choose(answer: &Answer, file_system: &str, zone: Option<&str>) -> Result<IpAddr, String> {
    if answer.status != 200 {
        return Err(explain(answer, file_system));
    }
    let unexpected = |error: serde_json::Error| format!("Unexpected error: the answer does not read: {error}");
    let all: Targets = serde_json::from_slice(&answer.body).map_err(unexpected)?;
    if all.targets.is_empty() {
        let place = zone.unwrap_or("any availability zone.");
        return Err(format!(
            "Cannot find mount target for the file system {file_system}, please create a mount target in {place}."
        ));
    }
    let available: Vec<&Target> = all.targets.iter().filter(|target| target.state == "available").collect();
    if available.is_empty() {
        return Err(format!(
            "No mount target created for the file system {file_system} is in available state yet, please retry in 5 \
             minutes."
        ));
    }
    let zones: Vec<&str> = available.iter().map(|target| target.zone.as_str()).collect();
    let fits = |target: &&&Target| zone.is_none_or(|zone| target.zone == zone);
    let chosen = available.iter().find(fits).ok_or_else(|| {
        let zone = zone.unwrap_or_default();
        format!(
            "No matching mount target in the az {zone}. Please create one mount target in {zone}, or try the mount \
             target in another AZ by passing the availability zone name option. Available mount target(s) are in az \
             {zones:?}"
        )
    })?;
    chosen.ip.or(chosen.ipv6).ok_or_else(|| "Unexpected error: the mount target has no address".to_owned())
}

fn explain(answer: &Answer, file_system: &str) -> String {
    let trouble: Trouble = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = answer.error_type.clone().unwrap_or(trouble.code);
    match code.split([':', '#']).next().unwrap_or_default() {
        "FileSystemNotFound" => format!("The file system {file_system} is not found"),
        "ServiceUnavailableException" => {
            format!("The elasticfilesystem service cannot complete the request, {}", trouble.message)
        }
        "AccessDeniedException" => trouble.message,
        _ => format!("Unexpected error: {} {code} {}", answer.status, trouble.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, error_type: Option<&str>, body: &str) -> Answer {
        Answer { status, error_type: error_type.map(str::to_owned), body: body.to_owned().into() }
    }

    fn target(state: &str, ip: &str, zone: &str) -> String {
        format!("{{\"LifeCycleState\":\"{state}\",\"IpAddress\":\"{ip}\",\"AvailabilityZoneName\":\"{zone}\"}}")
    }

    /// EFS API, DescribeMountTargets: an available target, of the zone that is asked for.
    #[test]
    fn an_available_target_of_the_zone_is_chosen() {
        let body = format!(
            "{{\"MountTargets\":[{},{},{}]}}",
            target("creating", "127.77.0.1", "a"),
            target("available", "127.77.0.2", "a"),
            target("available", "127.77.0.3", "b")
        );
        let answer = answer(200, None, &body);
        assert_eq!(choose(&answer, "fs-1", None).unwrap().to_string(), "127.77.0.2");
        assert_eq!(choose(&answer, "fs-1", Some("b")).unwrap().to_string(), "127.77.0.3");
        let error = choose(&answer, "fs-1", Some("c")).unwrap_err();
        assert!(error.starts_with("No matching mount target in the az c."), "{error}");
    }

    /// aws/efs-utils, messages: why the API gave no address.
    #[test]
    fn troubles_are_explained() {
        let of = |status, kind, body: &str| choose(&answer(status, kind, body), "fs-1", None).unwrap_err();
        assert_eq!(
            of(200, None, "{\"MountTargets\":[]}"),
            "Cannot find mount target for the file system fs-1, please create a mount target in any availability zone.."
        );
        let creating = format!("{{\"MountTargets\":[{}]}}", target("creating", "127.77.0.1", "a"));
        assert!(of(200, None, &creating).contains("is in available state yet"));
        assert_eq!(of(404, Some("FileSystemNotFound"), "{}"), "The file system fs-1 is not found");
        assert_eq!(of(403, None, "{\"ErrorCode\":\"AccessDeniedException\",\"Message\":\"no\"}"), "no");
        assert!(of(500, None, "not json").starts_with("Unexpected error: 500"));
    }

    /// SigV4: the question is signed for the EFS API over the host that is really asked.
    #[test]
    fn the_question_is_signed() {
        let (env, _simulation) = Env::simulated(1);
        let signer = Signer {
            access_key_id: "AK".into(),
            secret: "secret".to_owned().into(),
            token: Some("t".into()),
            region: "us-east-1".into(),
            service: "elasticfilesystem".into(),
        };
        let endpoint = Endpoint::parse("http://127.0.0.1:4566").unwrap();
        let asked = question("fs-1", &endpoint, &signer, &env);
        assert_eq!(asked.target, "/2015-02-01/mount-targets?FileSystemId=fs-1");
        let header = |name| asked.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(header("host"), Some("127.0.0.1:4566"));
        assert_eq!(header("x-amz-security-token"), Some("t"));
        let authorization = header("authorization").unwrap();
        assert!(authorization.contains("/us-east-1/elasticfilesystem/aws4_request"), "{authorization}");
    }
}
