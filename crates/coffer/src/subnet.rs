//! Subnets in the configuration file: what one says, and the one there is when none is named.

use serde::Deserialize;

/// One subnet: mount targets get addresses of its range.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc: String,
    pub(crate) zone: String,
    /// Such as `use1-az1`; the zone's name when absent.
    pub(crate) zone_id: Option<String>,
    pub(crate) cidr: String,
}

impl Subnet {
    /// What the API's own patterns would refuse must not be configured; the rest is judged where subnets are made.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let Self { id, vpc, zone, zone_id, .. } = self;
        let digits = vpc.strip_prefix("vpc-").unwrap_or_default();
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !(8..=40).contains(&digits.len()) || !digits.bytes().all(hex) {
            return Err(format!("subnet {id}: vpc = {vpc:?}: vpc- and 8 to 40 hexadecimal digits"));
        }
        let label = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=64).contains(&text.len()) && text.bytes().all(plain)
        };
        let texts = [("zone", Some(zone)), ("zone_id", zone_id.as_ref())];
        let mut named = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
        match named.find(|(_, text)| !label(text)) {
            Some((name, text)) => {
                Err(format!("subnet {id}: {name} = {text:?}: lower-case letters, digits and hyphens, at most 64"))
            }
            None => Ok(()),
        }
    }
}

/// The one subnet of a configuration that names none.
pub(crate) fn default_subnet(region: &str) -> Subnet {
    Subnet {
        id: "subnet-00000000".to_owned(),
        vpc: "vpc-00000000".to_owned(),
        zone: format!("{region}a"),
        zone_id: Some(first_zone_id(region)),
        cidr: "127.77.0.0/16".to_owned(),
    }
}

/// The id of a region's first zone, as AWS forms them: `use1-az1` of `us-east-1`, `apse2-az1` of `ap-southeast-2`.
pub(crate) fn first_zone_id(region: &str) -> String {
    let mut parts = region.split('-');
    let mut id = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" | "northwest" | "southeast" | "southwest" => {
                id.extend([part.chars().next(), part.chars().nth(5)].into_iter().flatten());
            }
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => id.push_str(number),
            word => id.extend(word.chars().next()),
        }
    }
    format!("{id}-az1")
}

#[cfg(test)]
mod tests {
    use super::first_zone_id;

    /// EC2, DescribeAvailabilityZones: the mount helper looks for zone ids of AWS's form.
    #[test]
    fn zone_ids_are_of_their_region() {
        for (region, id) in [
            ("us-east-1", "use1-az1"),
            ("ap-southeast-2", "apse2-az1"),
            ("ca-central-1", "cac1-az1"),
            ("us-gov-west-1", "usgw1-az1"),
        ] {
            assert_eq!(first_zone_id(region), id);
        }
    }
}
