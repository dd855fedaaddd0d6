//! Subnets: the configuration behind mount targets' addresses, and how an address is chosen. EFS user guide, "Managing
//! mount targets"; VPC user guide, "Subnet CIDR blocks".

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::ControlError;
use crate::record::Zone;

/// A subnet of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-` and 8 to 40 hexadecimal digits.
    pub id: String,
    /// The VPC it belongs to.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: Zone,
    network: u32,
    prefix: u32,
}

/// A subnet that cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subnet {id}: {what}")]
pub struct SubnetError {
    id: String,
    what: &'static str,
}

/// VPC user guide: the first four addresses and the last of a subnet are not given out. Blocks smaller than a VPC's
/// smallest (a host's own few addresses) keep only the network and the broadcast address back, if even those.
const RESERVED_FROM_PREFIX: u32 = 28;

impl Subnet {
    /// A subnet; `cidr` as in `127.77.0.0/16`.
    ///
    /// # Errors
    /// [`SubnetError`] if the id or the block is malformed.
    pub fn new(id: &str, vpc: &str, zone: Zone, cidr: &str) -> Result<Self, SubnetError> {
        let wrong = |what| SubnetError { id: id.to_owned(), what };
        let digits = id.strip_prefix("subnet-").ok_or_else(|| wrong("its id must begin with subnet-"))?;
        let lower_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if !(8..=40).contains(&digits.len()) || !digits.bytes().all(lower_hex) {
            return Err(wrong("its id must end in 8 to 40 hexadecimal digits"));
        }
        let (address, prefix) = cidr.split_once('/').ok_or_else(|| wrong("cidr must be ADDRESS/BITS"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong("cidr must begin with an IPv4 address"))?;
        let prefix: u32 = prefix.parse().map_err(|_| wrong("cidr must end in a number of bits"))?;
        if !(8..=32).contains(&prefix) {
            return Err(wrong("cidr must have 8 to 32 bits"));
        }
        let network = u32::from(address);
        if network & host_mask(prefix) != 0 {
            return Err(wrong("the address in cidr has bits set beyond the network's"));
        }
        Ok(Self { id: id.to_owned(), vpc: vpc.to_owned(), zone, network, prefix })
    }

    /// Whether an address lies in the subnet and can be a host's.
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address) ^ self.network;
        let mask = host_mask(self.prefix);
        offset & !mask == 0 && (self.prefix >= 31 || (offset != 0 && offset != mask))
    }

    /// The offsets that are given out unasked.
    fn offsets(&self) -> (u32, u32) {
        let last = host_mask(self.prefix);
        match self.prefix {
            31 | 32 => (0, last),
            prefix if prefix > RESERVED_FROM_PREFIX => (1, last - 1),
            _ => (4, last - 1),
        }
    }

    /// The next free address after `last`, going round: an address that was just given back is the last to be given out
    /// again, since clients may still hold file handles from it.
    pub(crate) fn next_free(&self, last: Option<Ipv4Addr>, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let (lowest, highest) = self.offsets();
        let after = last.map(|last| u32::from(last).wrapping_sub(self.network)).filter(|offset| *offset < highest);
        let start = after.map_or(lowest, |offset| (offset + 1).max(lowest));
        let mut offsets = (start..=highest).chain(lowest..start);
        let address = |offset| Ipv4Addr::from(self.network + offset);
        offsets.find(|offset| !taken.contains(&address(*offset))).map(address)
    }

    /// The default security group of the subnet's VPC; the only one there is.
    #[must_use]
    pub fn default_security_group(&self) -> String {
        default_security_group(&self.vpc)
    }
}

/// The default security group of a VPC has the VPC's digits.
pub(crate) fn default_security_group(vpc: &str) -> String {
    format!("sg-{}", vpc.strip_prefix("vpc-").unwrap_or("00000000"))
}

fn host_mask(prefix: u32) -> u32 {
    u32::MAX.checked_shr(prefix).unwrap_or(0)
}

/// The subnets of an installation.
#[derive(Clone, Debug, Default)]
pub struct Subnets(Vec<Subnet>);

impl Subnets {
    /// These subnets.
    ///
    /// # Errors
    /// [`SubnetError`] if two have one id, overlap, or give one zone two ids.
    pub fn new(subnets: Vec<Subnet>) -> Result<Self, SubnetError> {
        for (position, subnet) in subnets.iter().enumerate() {
            for other in subnets.iter().skip(position + 1) {
                let wrong = |what| Err(SubnetError { id: other.id.clone(), what });
                if other.id == subnet.id {
                    return wrong("its id is another subnet's");
                }
                let wider = host_mask(subnet.prefix.min(other.prefix));
                if subnet.network & !wider == other.network & !wider {
                    return wrong("its block overlaps another subnet's");
                }
                if (other.zone.name == subnet.zone.name) != (other.zone.id == subnet.zone.id) {
                    return wrong("its zone has another zone's name or id");
                }
            }
        }
        Ok(Self(subnets))
    }

    pub(crate) fn find(&self, id: &str) -> Result<&Subnet, ControlError> {
        let found = self.0.iter().find(|subnet| subnet.id == id);
        found.ok_or_else(|| ControlError::SubnetNotFound(id.to_owned()))
    }

    pub(crate) fn zone(&self, name: &str) -> Result<&Zone, ControlError> {
        let mut zones = self.0.iter().map(|subnet| &subnet.zone);
        zones.find(|zone| zone.name == name).ok_or_else(|| ControlError::UnsupportedAvailabilityZone(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(letter: char) -> Zone {
        Zone { name: format!("us-east-1{letter}"), id: format!("use1-{letter}") }
    }

    fn subnet(cidr: &str) -> Subnet {
        Subnet::new("subnet-00000000", "vpc-0000000a", zone('a'), cidr).unwrap()
    }

    /// VPC user guide, subnet CIDR blocks: the first four addresses and the last are kept back in blocks of /28 and
    /// larger, and may still be asked for by name where they are hosts.
    #[test]
    fn addresses_come_in_order_and_skip_what_is_reserved() {
        let large = subnet("127.77.0.0/16");
        let none = BTreeSet::new();
        assert_eq!(large.next_free(None, &none), Some(Ipv4Addr::new(127, 77, 0, 4)));
        assert_eq!(large.next_free(Some(Ipv4Addr::new(127, 77, 0, 9)), &none), Some(Ipv4Addr::new(127, 77, 0, 10)));
        let highest = Ipv4Addr::new(127, 77, 255, 254);
        assert_eq!(large.next_free(Some(highest), &none), Some(Ipv4Addr::new(127, 77, 0, 4)));
        assert!(large.holds(Ipv4Addr::new(127, 77, 0, 1)) && !large.holds(Ipv4Addr::new(127, 77, 0, 0)));
        assert!(!large.holds(Ipv4Addr::new(127, 77, 255, 255)) && !large.holds(Ipv4Addr::new(127, 78, 0, 1)));
    }

    /// EFS API, NoFreeAddressesInSubnet: small blocks give out every host address, and then none.
    #[test]
    fn small_blocks_are_used_up_and_then_full() {
        for (cidr, count) in [("10.0.0.8/32", 1), ("10.0.0.8/31", 2), ("10.0.0.8/30", 2), ("10.0.0.16/28", 11)] {
            let subnet = subnet(cidr);
            let mut taken = BTreeSet::new();
            let mut last = None;
            while let Some(address) = subnet.next_free(last, &taken) {
                assert!(subnet.holds(address) && taken.insert(address), "{cidr} {address}");
                last = Some(address);
            }
            assert_eq!(taken.len(), count, "{cidr}");
        }
    }

    /// Bad input, configuration: what cannot work is refused with the subnet's id.
    #[test]
    fn impossible_subnets_are_refused() {
        for (id, cidr) in [
            ("net-1", "10.0.0.0/8"),
            ("subnet-00000000", "10.0.0.1/24"),
            ("subnet-00000000", "10.0.0.0"),
            ("subnet-1", "10.0.0.0/8"),
        ] {
            assert!(Subnet::new(id, "vpc-1", zone('a'), cidr).is_err(), "{id} {cidr}");
        }
        let one = subnet("10.0.0.0/16");
        let mut two = Subnet::new("subnet-00000001", "vpc-0000000a", zone('b'), "10.0.4.0/24").unwrap();
        assert!(Subnets::new(vec![one.clone(), two.clone()]).is_err());
        two = Subnet::new("subnet-00000001", "vpc-0000000a", zone('b'), "10.1.0.0/24").unwrap();
        assert!(Subnets::new(vec![one, two]).is_ok());
    }
}
