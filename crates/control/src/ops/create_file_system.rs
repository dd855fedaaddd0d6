//! CreateFileSystem: a file system with its keys; it answers while the file system is still `creating`. EFS API,
//! CreateFileSystem.

use aws_wire::CallContext;

use crate::record::{FileSystem, Lifecycle, Throughput};
use crate::{Control, ControlError, describe, model, tags};

/// EFS user guide, "Quotas": the most that can be provisioned.
const PROVISIONED_MIBPS_MAX: u32 = 3414;

/// CreateFileSystem.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::CreateFileSystemRequest,
) -> Result<model::FileSystemDescription, ControlError> {
    let encrypted = input.encrypted == Some(true);
    if input.kms_key_id.is_some() && !encrypted {
        return bad("KmsKeyId can be given only when Encrypted is true.");
    }
    if input.kms_key_id.as_deref() == Some("") {
        return bad("KmsKeyId must not be empty.");
    }
    if input.backup == Some(true) {
        return bad("Automatic backups are not available; create the file system with Backup set to false.");
    }
    let zone = input.availability_zone_name.as_deref().map(|name| control.parts().subnets.zone(name)).transpose()?;
    let throughput = throughput(input.throughput_mode, input.provisioned_throughput_in_mibps)?;
    let max_io = input.performance_mode == Some(model::PerformanceMode::MaxIo);
    if max_io && zone.is_some() {
        return bad("The performance mode maxIO is not available for One Zone file systems.");
    }
    if max_io && throughput == Throughput::Elastic {
        return bad("The performance mode maxIO is not available with elastic throughput.");
    }
    let id = control.env().hex_id("fs-");
    let draft = FileSystem {
        account: cx.account.clone(),
        region: cx.region.clone(),
        creation_token: input.creation_token,
        created: control.now(),
        state: Lifecycle::Preparing,
        max_io,
        throughput,
        zone: zone.cloned(),
        encrypted,
        data_grant: None,
        metadata_grant: None,
        handle_key: control.new_handle_key(&id),
        tags: tags::add(Vec::new(), input.tags.unwrap_or_default())?,
        id,
    };
    let made = control.create(cx.clone(), draft, input.kms_key_id).await?;
    Ok(describe::file_system(control, &made).await)
}

fn throughput(mode: Option<model::ThroughputMode>, rate: Option<f64>) -> Result<Throughput, ControlError> {
    match (mode, rate) {
        (Some(model::ThroughputMode::Provisioned), Some(rate)) if rate > f64::from(PROVISIONED_MIBPS_MAX) => {
            Err(ControlError::ThroughputLimitExceeded(PROVISIONED_MIBPS_MAX))
        }
        (Some(model::ThroughputMode::Provisioned), Some(rate)) => Ok(Throughput::Provisioned(rate)),
        (Some(model::ThroughputMode::Provisioned), None) => {
            bad("ProvisionedThroughputInMibps must be given when ThroughputMode is provisioned.")
        }
        (_, Some(_)) => bad("ProvisionedThroughputInMibps can be given only when ThroughputMode is provisioned."),
        (Some(model::ThroughputMode::Elastic), None) => Ok(Throughput::Elastic),
        (None | Some(model::ThroughputMode::Bursting), None) => Ok(Throughput::Bursting),
    }
}

fn bad<T>(why: &str) -> Result<T, ControlError> {
    Err(ControlError::BadRequest(why.to_owned()))
}
