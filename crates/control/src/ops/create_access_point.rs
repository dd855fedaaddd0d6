//! CreateAccessPoint: an entrance to a file system with a root directory and an identity of its own. EFS API,
//! CreateAccessPoint.

use aws_wire::CallContext;

use crate::record::{AccessPoint, CreationInfo, PosixUser};
use crate::state::Edit;
use crate::{Control, ControlError, describe, model, tags};

/// EFS user guide, "Quotas": access points of one file system.
const ACCESS_POINTS_MAX: usize = 10_000;
/// The root directory of an access point that names none.
const WHOLE: &str = "/";

/// CreateAccessPoint.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::CreateAccessPointRequest,
) -> Result<model::AccessPointDescription, ControlError> {
    let root = input.root_directory.unwrap_or_default();
    let path = root.path.unwrap_or_else(|| WHOLE.to_owned());
    check_path(&path)?;
    let posix_user = input.posix_user.map(posix_user).transpose()?;
    let creation_info = root.creation_info.map(creation_info).transpose()?;
    let tags = tags::add(Vec::new(), input.tags.unwrap_or_default())?;
    let turn = control.turn().await;
    let same = control.read(|state| {
        let mut all = state.access_points.values();
        let same = all.find(|point| {
            point.client_token == input.client_token && point.account == cx.account && point.region == cx.region
        });
        same.map(|same| same.id.clone())
    });
    if let Some(id) = same {
        return Err(ControlError::AccessPointAlreadyExists { token: input.client_token, id });
    }
    let file_system = control.find_available(cx, &input.file_system_id)?;
    if control.read(|state| state.access_points_of(&file_system.id).count()) >= ACCESS_POINTS_MAX {
        return Err(ControlError::AccessPointLimitExceeded(ACCESS_POINTS_MAX));
    }
    let point = AccessPoint {
        id: control.env().hex_id("fsap-"),
        file_system: file_system.id.clone(),
        account: cx.account.clone(),
        region: cx.region.clone(),
        client_token: input.client_token,
        posix_user,
        path,
        creation_info,
        tags,
    };
    turn.write(vec![Edit::PutAccessPoint(point.clone())]).await?;
    Ok(describe::access_point(&point))
}

/// EFS API, RootDirectory: at most four levels, none of them beginning with a dot, each a name that a directory can
/// have. The model's pattern says the same; here it is a rule of its own since a mount walks this path.
fn check_path(path: &str) -> Result<(), ControlError> {
    let levels = path.strip_prefix('/').unwrap_or_default();
    let names: Vec<&str> = if levels.is_empty() { Vec::new() } else { levels.split('/').collect() };
    let sound = path.starts_with('/')
        && names.len() <= 4
        && names.iter().all(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(['\0', '\n']));
    if sound { Ok(()) } else { Err(ControlError::BadRequest(format!("'{path}' cannot be a root directory."))) }
}

fn id(value: i64) -> Result<u32, ControlError> {
    u32::try_from(value).map_err(|_| ControlError::BadRequest(format!("{value} is not a user or group id.")))
}

fn posix_user(given: model::PosixUser) -> Result<PosixUser, ControlError> {
    let secondary_gids = given.secondary_gids.unwrap_or_default().into_iter().map(id).collect::<Result<_, _>>()?;
    Ok(PosixUser { uid: id(given.uid)?, gid: id(given.gid)?, secondary_gids })
}

fn creation_info(given: model::CreationInfo) -> Result<CreationInfo, ControlError> {
    let mode = u16::from_str_radix(&given.permissions, 8)
        .map_err(|_| ControlError::BadRequest("Permissions must be three or four octal digits.".to_owned()))?;
    Ok(CreationInfo {
        owner_uid: id(given.owner_uid)?,
        owner_gid: id(given.owner_gid)?,
        mode,
        permissions: given.permissions,
    })
}
