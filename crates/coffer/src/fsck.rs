//! `coffer fsck`: checks file systems while the server is stopped.

use std::process::ExitCode;

use crate::{CofferError, FsckArgs};

/// Runs the command.
pub(crate) fn run(args: &FsckArgs) -> Result<ExitCode, CofferError> {
    let _ = (&args.config, &args.file_system, args.json);
    Err(CofferError::stopped("fsck is not built into this version yet"))
}
