//! `amazon-efs-mount-watchdog`: one process that keeps every tunnel of this machine alive for as long as its mount is
//! there, and clears it away afterwards (aws/efs-utils, watchdog; Architecture section 7).
//!
//! It never touches a mount: it reads the kernel's table, holds a pidfd on each tunnel, and so learns of a death at
//! once. It holds each tunnel's listening socket too: while a dead tunnel is started again the kernel's connections
//! wait in its queue instead of being refused. Everything it must remember is in the state files, so it may itself be
//! stopped and started.

mod decide;
mod process;
mod supervise;

use std::fs::{File, TryLockError};

use env::Env;

use crate::{Config, LogFile, MountError, Paths, state_file};

/// Runs until the process is stopped. Returns at once when it is not wanted, or another one is at work.
///
/// # Errors
/// The state directory cannot be used.
pub fn run(paths: &Paths, env: &Env) -> Result<(), MountError> {
    let config = Config::read(paths)?;
    let log = LogFile::new(paths.log_directory().join("mount-watchdog.log"), config.logging()?, env.clone());
    if !config.watchdog()?.enabled {
        log.info("amazon-efs-mount-watchdog is not enabled");
        return Ok(());
    }
    // What `ps` and `top` show; the system cuts it to 15 bytes.
    let _name = rustix::thread::set_name(c"amazon-efs-mount-watchdog");
    // Started beside a mount, it outlives the shell of that mount. It fails for a leader only, which is as good.
    let _already_leader = rustix::process::setsid();
    let directory = paths.state_directory();
    let named = directory.display().to_string();
    state_file::make_directory(&directory, config.state_directory_mode()).map_err(MountError::io(named.clone()))?;
    let lock = File::create(directory.join("watchdog.lock")).map_err(MountError::io(named.clone()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            log.debug("another amazon-efs-mount-watchdog is at work");
            return Ok(());
        }
        Err(TryLockError::Error(error)) => return Err(MountError::io(named)(error)),
    }
    log.info("amazon-efs-mount-watchdog is running");
    supervise::Supervisor::new(paths.clone(), log, env.clone()).run()
}
