//! DeleteFileSystem: the file system, its access points and its keys, for ever; it answers while it is still `deleting`.
//! EFS API, DeleteFileSystem.

use aws_wire::CallContext;

use crate::record::{FileSystem, Lifecycle};
use crate::state::Edit;
use crate::{Control, ControlError, model};

/// DeleteFileSystem.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DeleteFileSystemRequest,
) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_file_system(cx, &input.file_system_id)?;
    if control.read(|state| state.mount_targets_of(&found.id).next().is_some()) {
        return Err(ControlError::FileSystemInUse(format!(
            "File system '{}' has mount targets; delete them first.",
            found.id
        )));
    }
    if found.state != Lifecycle::Deleting {
        let deleting = FileSystem { state: Lifecycle::Deleting, ..(*found).clone() };
        let id = found.id.clone();
        turn.write_then(vec![Edit::PutFileSystem(deleting)], move |control| control.drive_file_system(&id)).await?;
    }
    Ok(())
}
