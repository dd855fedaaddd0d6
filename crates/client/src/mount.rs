//! A mount from its arguments to its end, in the order of aws/efs-utils.

mod target;
mod through_tunnel;

use std::path::Path;

use env::Env;

use crate::{
    Config, LogFile, MountError, MountOptions, Paths, VERSION,
    arguments::MountArguments,
    config::RetrySettings,
    device::{self, Device, MountTargetName},
    init_system::InitSystem,
    mount_command::{self, NfsMount, NoTunnel},
    mount_table,
    net_namespace::{self, Outside},
    read_ahead, region,
};
use target::{Finder, Target};

/// What is mounted from where, once every question is answered.
struct Plan<'a> {
    arguments: &'a MountArguments,
    options: &'a MountOptions,
    paths: &'a Paths,
    config: &'a Config,
    log: &'a LogFile,
    env: &'a Env,
    choices: Choices,
    region: String,
    path: String,
    target: Target,
    init: InitSystem,
    /// Where the machine's own services belong, when this mount is in another network namespace.
    outside: Option<Outside>,
}

/// What the configuration says for after the mount. It is read before: a value that is none must not turn a mount that
/// is there into a failure.
struct Choices {
    retries: RetrySettings,
    widens_read_ahead: bool,
    wants_watchdog: bool,
}

impl Choices {
    fn read(config: &Config) -> Result<Self, MountError> {
        Ok(Self {
            retries: config.retries()?,
            widens_read_ahead: config.optimizes_read_ahead()?,
            wants_watchdog: config.watchdog()?.enabled,
        })
    }
}

/// Mounts. A line for standard output may come with success.
///
/// # Errors
/// Why not, with the text for the user, the line for the log and the exit code; the log has been written.
pub fn run(arguments: &MountArguments, paths: &Paths, env: &Env) -> Result<Option<String>, MountError> {
    if !rustix::process::geteuid().is_root() {
        return Err(MountError::NotRoot);
    }
    let config = Config::read(paths)?;
    let log = LogFile::new(paths.log_directory().join("mount.log"), config.logging()?, env.clone());
    let mut arguments = arguments.clone();
    arguments.mount_point = plain_path(&arguments.mount_point);
    let outcome = prepare_and_mount(&arguments, paths, &config, &log, env);
    if let Err(error) = &outcome {
        log.error(&error.log_text());
    }
    outcome
}

fn prepare_and_mount(
    arguments: &MountArguments,
    paths: &Paths,
    config: &Config,
    log: &LogFile,
    env: &Env,
) -> Result<Option<String>, MountError> {
    let options = &arguments.options;
    log.info(&format!("version={VERSION} options={options}"));
    options.check()?;
    config.check_supported()?;
    let choices = Choices::read(config)?;
    let device = Device::parse(&arguments.device);
    let init = InitSystem::find(paths);
    // Before anything that asks the network: without it the machine's start goes on, whatever else is missing.
    init.check_network(&name_of(&device))?;
    let enter = |namespace: &str| net_namespace::enter(Path::new(namespace)).map_err(MountError::io(namespace));
    let outside = options.value("netns").map(enter).transpose()?;
    let region = region::find(options, config, log, env)?;
    let target = Finder::new(options, config, &region, log, env).find(&device)?;
    let path = device.path;
    let plan = Plan { arguments, options, paths, config, log, env, choices, region, path, target, init, outside };
    if arguments.fake {
        log.info("Fake mount mode enabled (-f), skipping actual mount");
        return Ok(None);
    }
    if plan.is_mounted_already() {
        let mount_point = &arguments.mount_point;
        log.warning(&format!("{mount_point} is already mounted, mount aborted"));
        return Ok(Some(format!("{mount_point} is already mounted, please run 'mount' command to verify")));
    }
    if options.has("tls") {
        plan.mount_through_tunnel()?;
    } else {
        plan.mount_directly()?;
    }
    plan.finish();
    Ok(None)
}

/// Absolute and without a slash at its end, as the kernel's table has it. Links are left: mount(8) has followed them, and
/// looking could hang on a server that is away.
fn plain_path(mount_point: &str) -> String {
    let absolute = std::path::absolute(mount_point).unwrap_or_else(|_| mount_point.into());
    let text = absolute.to_string_lossy();
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

/// The file system as far as the device itself tells it, for a message.
fn name_of(device: &Device) -> String {
    if device::is_file_system_id(&device.host) {
        return device.host.clone();
    }
    MountTargetName::parse(&device.host).map_or_else(|| device.host.clone(), |name| name.file_system)
}

impl Plan<'_> {
    fn is_mounted_already(&self) -> bool {
        let mounts = mount_table::read(&self.paths.mount_table()).unwrap_or_default();
        mounts.iter().any(|mount| mount.mount_point == self.arguments.mount_point)
    }

    fn nfs_mount<'a>(&'a self, program: &'a Path, server: &str, port: Option<u16>) -> NfsMount<'a> {
        let server = if server.contains(':') { format!("[{server}]") } else { server.to_owned() };
        NfsMount {
            program,
            source: format!("{server}:{}", self.path),
            mount_point: &self.arguments.mount_point,
            options: self.options.for_nfs(port),
            flags: &self.arguments.passed_on,
            dns_name: &self.target.dns_name,
            access_point: self.options.has("accesspoint"),
        }
    }

    /// Without TLS the kernel talks to the mount target itself.
    fn mount_directly(&self) -> Result<(), MountError> {
        let program = self.paths.mount_nfs4();
        let server = self.target.address.as_deref().unwrap_or(&self.target.dns_name);
        let port = self.target.port;
        let port = (port != 2049 && !self.options.has("port")).then_some(port);
        let command = self.nfs_mount(&program, server, port);
        let is_mounted = || self.is_mounted_already();
        mount_command::mount(&command, self.choices.retries, &mut NoTunnel, &is_mounted, self.log, self.env)
    }

    /// The mount is there: nothing that follows can fail it.
    fn finish(&self) {
        let mount_point = &self.arguments.mount_point;
        self.log.info(&format!("Successfully mounted {} at {mount_point}", self.target.dns_name));
        if self.choices.widens_read_ahead {
            read_ahead::widen(self.paths, mount_point, self.options.read_size(), self.log);
        }
    }
}
