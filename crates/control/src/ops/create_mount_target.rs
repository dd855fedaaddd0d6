//! CreateMountTarget: an address of a subnet at which clients reach a file system. EFS API, CreateMountTarget.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_wire::CallContext;

use crate::record::{FileSystem, Lifecycle, MountTarget};
use crate::state::Edit;
use crate::subnets::Subnet;
use crate::{Control, ControlError, describe, model};

/// EFS user guide, "Quotas": security groups of one mount target.
const SECURITY_GROUPS_MAX: usize = 5;

/// CreateMountTarget.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::CreateMountTargetRequest,
) -> Result<model::MountTargetDescription, ControlError> {
    let asked = asked_address(&input)?;
    let turn = control.turn().await;
    let file_system = control.find_available(cx, &input.file_system_id)?;
    let subnet = control.parts().subnets.find(&input.subnet_id)?;
    check_place(control, &file_system, subnet)?;
    let security_groups = security_groups(subnet, input.security_groups)?;
    let address = choose_address(control, subnet, asked)?;
    let target = MountTarget {
        id: control.env().hex_id("fsmt-"),
        file_system: file_system.id.clone(),
        account: cx.account.clone(),
        region: cx.region.clone(),
        state: Lifecycle::Creating,
        subnet: subnet.id.clone(),
        vpc: subnet.vpc.clone(),
        zone: subnet.zone.clone(),
        address,
        interface: control.env().hex_id("eni-"),
        security_groups,
    };
    let edits = vec![Edit::PutMountTarget(target.clone()), Edit::PutLastAddress(subnet.id.clone(), address)];
    let id = target.id.clone();
    turn.write_then(edits, move |control| control.drive_mount_target(&id)).await?;
    Ok(describe::mount_target(&target))
}

/// The IPv4 address that the request names, if any; there is no IPv6 here.
fn asked_address(input: &model::CreateMountTargetRequest) -> Result<Option<Ipv4Addr>, ControlError> {
    let bad = |why: &str| Err(ControlError::BadRequest(why.to_owned()));
    if input.ipv6_address.is_some() || input.ip_address_type.is_some_and(|kind| kind != model::IpAddressType::Ipv4Only)
    {
        return bad("IPv6 addresses are not supported; use IpAddressType IPV4_ONLY.");
    }
    match input.ip_address.as_deref().map(str::parse) {
        None => Ok(None),
        Some(Ok(address)) => Ok(Some(address)),
        Some(Err(_)) => bad("The IP address is not valid."),
    }
}

/// One VPC for all, one mount target in each zone, and a One Zone file system's only in its own.
fn check_place(control: &Control, file_system: &FileSystem, subnet: &Subnet) -> Result<(), ControlError> {
    if let Some(zone) = &file_system.zone
        && *zone != subnet.zone
    {
        return Err(ControlError::AvailabilityZonesMismatch {
            subnet: subnet.zone.name.clone(),
            file_system: zone.name.clone(),
        });
    }
    control.read(|state| {
        for other in state.mount_targets_of(&file_system.id) {
            if other.vpc != subnet.vpc {
                return Err(ControlError::MountTargetConflict(
                    "requested subnet for new mount target is not in the same VPC as existing mount targets",
                ));
            }
            if other.zone == subnet.zone {
                return Err(ControlError::MountTargetConflict("mount target already exists in this AZ"));
            }
        }
        Ok(())
    })
}

/// The VPC's default group is the only one there is.
pub(crate) fn check_security_groups(default: &str, groups: &[String]) -> Result<(), ControlError> {
    if groups.len() > SECURITY_GROUPS_MAX {
        return Err(ControlError::SecurityGroupLimitExceeded);
    }
    match groups.iter().find(|group| *group != default) {
        Some(foreign) => Err(ControlError::SecurityGroupNotFound(foreign.clone())),
        None => Ok(()),
    }
}

fn security_groups(subnet: &Subnet, asked: Option<Vec<String>>) -> Result<Vec<String>, ControlError> {
    let default = subnet.default_security_group();
    match asked {
        Some(groups) if !groups.is_empty() => {
            check_security_groups(&default, &groups)?;
            Ok(vec![default])
        }
        _ => Ok(vec![default]),
    }
}

fn choose_address(control: &Control, subnet: &Subnet, asked: Option<Ipv4Addr>) -> Result<Ipv4Addr, ControlError> {
    let (taken, last) = control.read(|state| {
        let taken: BTreeSet<Ipv4Addr> = state.mount_targets.values().map(|target| target.address).collect();
        (taken, state.last_addresses.get(&subnet.id).copied())
    });
    match asked {
        Some(address) if !subnet.holds(address) => {
            Err(ControlError::BadRequest(format!("Address {address} does not fall within the subnet's address range")))
        }
        Some(address) if taken.contains(&address) => Err(ControlError::IpAddressInUse(address.to_string())),
        Some(address) => Ok(address),
        None => subnet.next_free(last, &taken).ok_or_else(|| ControlError::NoFreeAddresses(subnet.id.clone())),
    }
}
