//! A mount with `tls`: the tunnel, its files, and mount.nfs4 through it (aws/efs-utils, files, tunnel settings).

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use super::Plan;
use crate::{
    MountError, VERSION,
    certificate::{Claims, KeyKind, creation_stamp, machine_name},
    dns_name, mount_command, mount_table, port,
    state_file::{self, State, StateFiles},
    tunnel::TunnelSettings,
    tunnel_process::{self, TunnelProcess},
};

impl Plan<'_> {
    pub(super) fn mount_through_tunnel(&self) -> Result<(), MountError> {
        let state_directory = self.paths.state_directory();
        let what = state_directory.display().to_string();
        let mode = self.config.state_directory_mode();
        state_file::make_directory(&state_directory, mode).map_err(MountError::io(what.clone()))?;
        let reservation = port::reserve(self.options.tls_port(), self.config, &state_directory, self.env)?;
        let port = reservation.port;
        let name = state_file::name(&self.target.file_system, &self.arguments.mount_point, port);
        let files = StateFiles::new(&state_directory, name);
        let outcome = self.try_through_tunnel(&files, reservation);
        if outcome.is_err() {
            files.remove();
        }
        outcome
    }

    /// Fails only while there is no mount: whoever gets an error may remove the files.
    fn try_through_tunnel(&self, files: &StateFiles, reservation: port::Reservation) -> Result<(), MountError> {
        let port = reservation.port;
        let settings = self.tunnel_settings(files, port)?;
        let own = files.own_directory();
        let made = state_file::make_directory(&own, self.config.state_directory_mode());
        made.map_err(MountError::io(own.display().to_string()))?;
        // As long as this process lives the watchdog leaves the mount to it.
        let _hold = files.hold().map_err(MountError::io(own.display().to_string()))?;
        let path = files.tunnel_settings();
        fs::write(&path, settings.to_text()).map_err(MountError::io(path.display().to_string()))?;
        let words = tunnel_process::command(&path).map_err(MountError::io("/proc/self/exe"))?;
        let mut state = self.state(files, &settings, &words);
        let place = files.temporary();
        let write = |state: &State| files.write(&place, state).map_err(MountError::io(place.display().to_string()));
        write(&state)?;
        // Before the tunnel: should this process be killed, somebody clears away what it leaves.
        self.start_watchdog();
        self.log.info(&format!("Starting efs-tunnel: \"{}\"", words.join(" ")));
        let mut tunnel = TunnelProcess::start(&words, reservation.listener, &self.target.file_system, self.paths)?;
        self.log.info(&format!("Started efs-tunnel, pid: {}", tunnel.id()));
        state.pid = tunnel.id();
        let mounted = write(&state).and_then(|()| self.mount_over(&mut tunnel, port));
        if let Err(error) = mounted {
            tunnel.stop();
            return Err(error);
        }
        if let Err(error) = files.settle() {
            // The watchdog does it as soon as this process has ended.
            self.log.warning(&format!("{}: {error}; the watchdog will try again", files.settled().display()));
        }
        Ok(())
    }

    fn start_watchdog(&self) {
        if !self.choices.wants_watchdog {
            return;
        }
        let start = || self.init.start_watchdog(self.paths, self.log);
        // It serves every mount of the machine, so it must not live in this one's network namespace.
        match &self.outside {
            None => start(),
            Some(outside) => {
                if let Err(error) = outside.run(start) {
                    self.log.warning(&format!("Could not start the watchdog: {error}"));
                }
            }
        }
    }

    fn mount_over(&self, tunnel: &mut TunnelProcess, port: u16) -> Result<(), MountError> {
        let program = self.paths.mount_nfs4();
        let command = self.nfs_mount(&program, "127.0.0.1", Some(port));
        let table = self.paths.mount_table();
        let is_mounted = || mount_table::read(&table).is_ok_and(|mounts| mount_table::uses_tunnel(&mounts, port));
        mount_command::mount(&command, self.choices.retries, tunnel, &is_mounted, self.log, self.env)
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
            log_file = self.config.tunnel_log_file(&self.target.file_system).unwrap_or(own);
        }
        let target = &self.target;
        Ok(TunnelSettings {
            accept: (Ipv4Addr::LOCALHOST, port).into(),
            host: target.address.clone().unwrap_or_else(|| target.dns_name.clone()),
            host_port: target.port,
            server_name: dns_name::certificate_name(&target.dns_name, &target.file_system).to_owned(),
            check_host: self.config.check_host_name()?,
            ca_file: self.ca_file()?,
            claims: Claims {
                common_name: machine_name(),
                file_system: target.file_system.clone(),
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
    fn ca_file(&self) -> Result<Option<PathBuf>, MountError> {
        if !self.options.verifies() {
            return Ok(None);
        }
        let named = self.options.value("cafile").map(Into::into);
        let path: PathBuf = named.unwrap_or_else(|| self.config.ca_file(&self.region));
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
            fs_id: self.target.file_system.clone(),
            certificate: settings.certificate_copy.as_deref().map(text).unwrap_or_default(),
            certificate_creation_time: creation_stamp(wall),
            private_key: String::new(),
            access_point: settings.claims.access_point.clone(),
            unmount_count: None,
            unmount_time: None,
            other: serde_json::Map::new(),
        }
    }
}
