//! A mount from its arguments to its end, in the order of aws/efs-utils.

use std::{fs, net::Ipv4Addr, path::Path};

use env::Env;

use crate::{
    Config, LogFile, MountError, MountOptions, Paths, VERSION,
    arguments::MountArguments,
    certificate::{Claims, KeyKind, machine_name},
    device::{self, Device, MountTargetName},
    dns_name::{self, NameParts},
    init_system::InitSystem,
    mount_command::{self, NfsMount, NoTunnel},
    mount_table, mount_targets, net_namespace, port, read_ahead, region, resolve,
    state_file::{self, State, StateFiles},
    tunnel::TunnelSettings,
    tunnel_process::{self, TunnelProcess},
};

/// What is mounted from where, once every question is answered.
struct Plan<'a> {
    arguments: &'a MountArguments,
    options: &'a MountOptions,
    paths: &'a Paths,
    config: &'a Config,
    log: &'a LogFile,
    env: &'a Env,
    file_system: String,
    path: String,
    region: String,
    dns_name: String,
    /// The mount target's address, where the name does not tell it.
    address: Option<String>,
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
    if let Some(namespace) = options.value("netns") {
        net_namespace::enter(Path::new(namespace)).map_err(MountError::io(namespace))?;
    }
    let device = Device::parse(&arguments.device);
    let region = region::find(options, config, log, env)?;
    let (file_system, zone) = match_device(&device, options, config, &region)?;
    let init = InitSystem::find(paths);
    init.check_network(&file_system)?;
    let dns_name = build_name(config, &file_system, zone.as_deref(), &region)?;
    let address = find_address(&dns_name, &file_system, zone.as_deref(), &region, options, config, log, env)?;
    let plan =
        Plan { arguments, options, paths, config, log, env, file_system, path: device.path, region, dns_name, address };
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
        plan.mount_through_tunnel(init)?
    } else {
        plan.mount_directly()?
    }
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

fn build_name(config: &Config, file_system: &str, zone: Option<&str>, region: &str) -> Result<String, MountError> {
    let suffix = config.dns_name_suffix(region);
    dns_name::build(config.dns_name_format(), NameParts { file_system, zone, region, suffix })
}

/// The file system of the device, and the zone of its name or of the options.
fn match_device(
    device: &Device,
    options: &MountOptions,
    config: &Config,
    region: &str,
) -> Result<(String, Option<String>), MountError> {
    let zone = options.value("az").map(str::to_owned);
    if device::is_file_system_id(&device.host) {
        return Ok((device.host.clone(), zone));
    }
    // A name that is a mount target's by its form and by the configuration needs no resolver to say so.
    let fits = |name: &str| match MountTargetName::parse(name) {
        Some(parsed) => {
            if let (Some(given), Some(expected)) = (&parsed.zone, &zone)
                && given != expected
            {
                return Err(MountError::ZoneMismatch {
                    hostname: name.to_owned(),
                    device: device.host.clone(),
                    expected: expected.clone(),
                    given: given.clone(),
                });
            }
            let zone = parsed.zone.clone().or_else(|| zone.clone());
            let expected = build_name(config, &parsed.file_system, zone.as_deref(), region)?;
            Ok((name == expected).then_some((parsed.file_system, zone)))
        }
        None => Ok(None),
    };
    if let Some(found) = fits(&device.host)? {
        return Ok(found);
    }
    let canonical =
        resolve::canonical_name(&device.host).ok_or_else(|| MountError::DeviceUnresolved(device.host.clone()))?;
    fits(canonical.trim_end_matches('.'))?.ok_or_else(|| MountError::NotAMountTarget(device.host.clone()))
}

/// An address, where the name alone does not lead to the mount target.
#[expect(clippy::too_many_arguments, reason = "the plan that would hold them is made from what this finds")]
fn find_address(
    dns_name: &str,
    file_system: &str,
    zone: Option<&str>,
    region: &str,
    options: &MountOptions,
    config: &Config,
    log: &LogFile,
    env: &Env,
) -> Result<Option<String>, MountError> {
    let port = config.mount_target_port()?;
    if let Some(address) = options.value("mounttargetip") {
        log.info(&format!("Use the mount target ip address {address} provided in the mount options to mount."));
        resolve::probe(address, port, true)?;
        return Ok(Some(address.to_owned()));
    }
    if resolve::has_address(dns_name) {
        return Ok(None);
    }
    log.info(&format!("Failed to resolve {dns_name}, attempting to lookup mount target ip address using the EFS API."));
    let unresolved = |fallback: String| MountError::Unresolved { name: dns_name.to_owned(), fallback };
    if !config.falls_back_to_address()? {
        return Err(unresolved(format!(
            "Fallback to mount target ip address feature is not enabled in config file {}.",
            config.path()
        )));
    }
    let address = mount_targets::address(file_system, zone, region, config, env).map_err(unresolved)?.to_string();
    resolve::probe(&address, port, false)?;
    log.info(&format!("Found fall back mount target ip address {address} for file system {file_system}"));
    Ok(Some(address))
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
            dns_name: &self.dns_name,
            access_point: self.options.has("accesspoint"),
        }
    }

    fn mounted(&self) -> Result<(), MountError> {
        let mount_point = &self.arguments.mount_point;
        self.log.info(&format!("Successfully mounted {} at {mount_point}", self.dns_name));
        if self.config.optimizes_read_ahead()? {
            read_ahead::widen(self.paths, mount_point, self.options.read_size(), self.log);
        }
        Ok(())
    }

    /// Without TLS the kernel talks to the mount target itself.
    fn mount_directly(&self) -> Result<(), MountError> {
        let program = self.paths.mount_nfs4();
        let server = self.address.as_deref().unwrap_or(&self.dns_name);
        let port = self.config.mount_target_port()?;
        let port = (port != 2049 && !self.options.has("port")).then_some(port);
        let command = self.nfs_mount(&program, server, port);
        let retries = self.config.retries()?;
        mount_command::mount(&command, retries, &mut NoTunnel, &|| self.is_mounted_already(), self.log, self.env)?;
        self.mounted()
    }

    fn mount_through_tunnel(&self, init: InitSystem) -> Result<(), MountError> {
        let state_directory = self.paths.state_directory();
        let what = state_directory.display().to_string();
        let mode = self.config.state_directory_mode();
        state_file::make_directory(&state_directory, mode).map_err(MountError::io(what.clone()))?;
        let reservation = port::reserve(self.options.tls_port(), self.config, &state_directory, self.env)?;
        let port = reservation.port;
        let name = state_file::name(&self.file_system, &self.arguments.mount_point, port);
        let files = StateFiles::new(&state_directory, name);
        let outcome = self.try_through_tunnel(&files, reservation, init);
        if outcome.is_err() {
            files.remove();
        }
        outcome
    }

    fn try_through_tunnel(
        &self,
        files: &StateFiles,
        reservation: port::Reservation,
        init: InitSystem,
    ) -> Result<(), MountError> {
        let port = reservation.port;
        let settings = self.tunnel_settings(files, port)?;
        let own = files.own_directory();
        let made = state_file::make_directory(&own, self.config.state_directory_mode());
        made.map_err(MountError::io(own.display().to_string()))?;
        let path = files.tunnel_settings();
        fs::write(&path, settings.to_text()).map_err(MountError::io(path.display().to_string()))?;
        let words = tunnel_process::command(&path).map_err(MountError::io("/proc/self/exe"))?;
        let mut state = self.state(files, &settings, &words);
        let place = files.temporary();
        let write = |state: &State| files.write(&place, state).map_err(MountError::io(place.display().to_string()));
        write(&state)?;
        self.log.info(&format!("Starting efs-tunnel: \"{}\"", words.join(" ")));
        let mut tunnel = TunnelProcess::start(&words, reservation.listener, &self.file_system, self.paths)?;
        self.log.info(&format!("Started efs-tunnel, pid: {}", tunnel.id()));
        state.pid = tunnel.id();
        let mounted = write(&state).and_then(|()| self.mount_over(&mut tunnel, port));
        if let Err(error) = mounted {
            tunnel.stop();
            return Err(error);
        }
        state.mount_helper_pid = None;
        write(&state)?;
        files.settle().map_err(MountError::io(files.settled().display().to_string()))?;
        if self.config.watchdog()?.enabled {
            init.start_watchdog(self.paths, self.log);
        }
        self.mounted()
    }

    fn mount_over(&self, tunnel: &mut TunnelProcess, port: u16) -> Result<(), MountError> {
        let program = self.paths.mount_nfs4();
        let command = self.nfs_mount(&program, "127.0.0.1", Some(port));
        let table = self.paths.mount_table();
        let is_mounted = || mount_table::read(&table).is_ok_and(|mounts| mount_table::uses_tunnel(&mounts, port));
        mount_command::mount(&command, self.config.retries()?, tunnel, &is_mounted, self.log, self.env)
    }

    fn tunnel_settings(&self, files: &StateFiles, port: u16) -> Result<TunnelSettings, MountError> {
        let suffix = self.config.dns_name_suffix(&self.region);
        let key = KeyKind::choose(self.config.client_key(), suffix).ok_or_else(|| {
            MountError::ConfigValue(format!("{}: client_key is ecdsa-p256 or rsa-3072", self.config.path()))
        })?;
        let mut log = self.config.logging()?;
        let mut log_file = self.paths.log_directory().join("mount.log");
        if self.config.tunnel_debug()? {
            log.level = crate::log_file::Level::Debug;
            let own = self.paths.log_directory().join(format!("{}.efs-tunnel.log", files.name()));
            log_file = self.config.tunnel_log_file(&self.file_system).unwrap_or(own);
        }
        Ok(TunnelSettings {
            accept: (Ipv4Addr::LOCALHOST, port).into(),
            host: self.address.clone().unwrap_or_else(|| self.dns_name.clone()),
            host_port: self.config.mount_target_port()?,
            server_name: dns_name::certificate_name(&self.dns_name, &self.file_system).to_owned(),
            check_host: self.config.check_host_name()?,
            ca_file: self.ca_file()?,
            claims: Claims {
                common_name: machine_name(),
                file_system: self.file_system.clone(),
                access_point: self.options.value("accesspoint").map(str::to_owned),
                source: self.config.client_source(),
                version: VERSION.to_owned(),
            },
            key,
            renewal: self.config.certificate_renewal()?,
            certificate_copy: Some(files.own_directory().join("certificate.der")),
            log_file,
            log,
            net_namespace: self.options.value("netns").map(Into::into),
        })
    }

    /// The bundle that the server's chain must lead to; `None` when `verify=0` says that it need not.
    fn ca_file(&self) -> Result<Option<std::path::PathBuf>, MountError> {
        if !self.options.verifies() {
            return Ok(None);
        }
        let named = self.options.value("cafile").map(Into::into);
        let path: std::path::PathBuf = named.unwrap_or_else(|| self.config.ca_file(&self.region));
        // The tunnel runs elsewhere.
        let path = std::path::absolute(&path).unwrap_or(path);
        if path.is_file() { Ok(Some(path)) } else { Err(MountError::NoCaFile(path.display().to_string())) }
    }

    fn state(&self, files: &StateFiles, settings: &TunnelSettings, words: &[String]) -> State {
        let wall = self.env.wall();
        let text = |path: &Path| path.display().to_string();
        State {
            pid: -1,
            cmd: words.to_vec(),
            files: vec![text(&files.tunnel_settings())],
            // Milliseconds of this century fit a double without loss.
            #[expect(clippy::cast_precision_loss, reason = "a time stamp in the JSON of efs-utils")]
            mount_time: wall.milliseconds() as f64 / 1000.0,
            mountpoint: self.arguments.mount_point.clone(),
            service_type: "elasticfilesystem".to_owned(),
            mount_state_dir: format!("{}+", files.name()),
            common_name: settings.claims.common_name.clone(),
            region: self.region.clone(),
            fs_id: self.file_system.clone(),
            certificate: settings.certificate_copy.as_deref().map(text).unwrap_or_default(),
            access_point: settings.claims.access_point.clone(),
            mount_helper_pid: i32::try_from(std::process::id()).ok(),
            unmount_count: None,
            unmount_time: None,
            other: serde_json::Map::new(),
        }
    }
}
