//! Several mounts in one client, and tunnels that die.

use serde_json::json;

use super::Scale;
use super::work::AT;
use crate::stage::{Mount, Stage};

/// One client mounts two file systems and two access points at once: each shows its own root and its own rights.
pub(crate) fn side_by_side(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let api = stage.coffer()?.api()?;
    let (red, blue) = (api.create_file_system("red", None)?.id, api.create_file_system("blue", None)?.id);
    let point = |name: &str, uid: u32| {
        api.create_access_point(&json!({
            "ClientToken": name, "FileSystemId": red,
            "PosixUser": { "Uid": uid, "Gid": uid },
            "RootDirectory": {
                "Path": format!("/homes/{name}"),
                "CreationInfo": { "OwnerUid": uid, "OwnerGid": uid, "Permissions": "0750" },
            },
        }))
    };
    let (ann, ben) = (point("ann", 1001)?, point("ben", 1002)?);
    stage.mount(0, "/mnt/red", &Mount { file_system: &red, ..Mount::default() })?;
    stage.mount(0, "/mnt/blue", &Mount { file_system: &blue, ..Mount::default() })?;
    stage.mount(0, "/mnt/ann", &Mount { file_system: &red, access_point: Some(&ann), ..Mount::default() })?;
    stage.mount(0, "/mnt/ben", &Mount { file_system: &red, access_point: Some(&ben), ..Mount::default() })?;
    stage.mount(0, "/mnt/clear", &Mount { file_system: &blue, clear: true, ..Mount::default() })?;
    let said = stage.check(0, &stage.script("side_by_side.sh", &[]))?;
    Ok(said.lines().last().unwrap_or_default().to_owned())
}

/// The tunnel is killed while files are written: the watchdog restarts it, and the mount goes on within 5 s.
pub(crate) fn killed_tunnel(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    super::work::mounted(stage)?;
    let said = stage.check(0, &stage.script("killed_tunnel.sh", &[AT]))?;
    Ok(said.lines().last().unwrap_or_default().to_owned())
}

/// A line in fstab, with all that the helper leaves behind.
pub(crate) fn fstab(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let id = stage.coffer()?.api()?.create_file_system("fstab", None)?.id;
    stage.tell_names(0)?;
    super::work::one(stage, "fstab.sh", &[&id])
}
