//! From the device to the mount target: the file system, the zone, the DNS name and, where that does not lead there, the
//! address (aws/efs-utils, command line, region and name).

use env::Env;

use crate::{
    Config, LogFile, MountError, MountOptions,
    device::{self, Device, MountTargetName},
    dns_name::{self, NameParts},
    mount_targets,
    resolve::{self, Resolver},
};

/// What a mount target is found with.
pub(super) struct Finder<'a> {
    options: &'a MountOptions,
    config: &'a Config,
    log: &'a LogFile,
    env: &'a Env,
    region: &'a str,
    resolver: Resolver,
}

/// Where a device leads.
pub(super) struct Target {
    pub(super) file_system: String,
    pub(super) dns_name: String,
    /// The mount target's address, where the name does not tell it.
    pub(super) address: Option<String>,
    pub(super) port: u16,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        options: &'a MountOptions,
        config: &'a Config,
        region: &'a str,
        log: &'a LogFile,
        env: &'a Env,
    ) -> Self {
        Self { options, config, log, env, region, resolver: Resolver::new(env) }
    }

    /// Finds it, with as few look-ups as the device and the options allow.
    pub(super) fn find(&self, device: &Device) -> Result<Target, MountError> {
        let (file_system, zone) = self.match_device(device)?;
        let dns_name = self.name(&file_system, zone.as_deref())?;
        let port = self.config.mount_target_port()?;
        let address = self.address(&dns_name, &file_system, zone.as_deref(), port)?;
        Ok(Target { file_system, dns_name, address, port })
    }

    fn name(&self, file_system: &str, zone: Option<&str>) -> Result<String, MountError> {
        let suffix = self.config.dns_name_suffix(self.region);
        let parts = NameParts { file_system, zone, region: self.region, suffix };
        dns_name::build(self.config.dns_name_format(), parts)
    }

    /// The file system of the device, and the zone of its name or of the options.
    fn match_device(&self, device: &Device) -> Result<(String, Option<String>), MountError> {
        if device::is_file_system_id(&device.host) {
            return Ok((device.host.clone(), self.options.value("az").map(str::to_owned)));
        }
        // A name that is a mount target's by its form and by the configuration needs no resolver to say so.
        if let Some(found) = self.match_name(&device.host, device)? {
            return Ok(found);
        }
        let unresolved = || MountError::DeviceUnresolved(device.host.clone());
        let canonical = self.resolver.canonical_name(&device.host).ok_or_else(unresolved)?;
        let found = self.match_name(canonical.trim_end_matches('.'), device)?;
        found.ok_or_else(|| MountError::NotAMountTarget(device.host.clone()))
    }

    /// The parts of `name` where it is the name that the configuration gives to them.
    fn match_name(&self, name: &str, device: &Device) -> Result<Option<(String, Option<String>)>, MountError> {
        let Some(parsed) = MountTargetName::parse(name) else { return Ok(None) };
        let zone = self.options.value("az");
        if let (Some(given), Some(expected)) = (&parsed.zone, zone)
            && given != expected
        {
            return Err(MountError::ZoneMismatch {
                hostname: name.to_owned(),
                device: device.host.clone(),
                expected: expected.to_owned(),
                given: given.clone(),
            });
        }
        let zone = parsed.zone.or_else(|| zone.map(str::to_owned));
        let expected = self.name(&parsed.file_system, zone.as_deref())?;
        Ok((name == expected).then_some((parsed.file_system, zone)))
    }

    /// An address, where the name alone does not lead to the mount target.
    fn address(
        &self,
        dns_name: &str,
        file_system: &str,
        zone: Option<&str>,
        port: u16,
    ) -> Result<Option<String>, MountError> {
        if let Some(address) = self.options.value("mounttargetip") {
            self.log
                .info(&format!("Use the mount target ip address {address} provided in the mount options to mount."));
            resolve::probe(address, port, true)?;
            return Ok(Some(address.to_owned()));
        }
        let unresolved = |fallback: String| MountError::Unresolved { name: dns_name.to_owned(), fallback };
        if !self.config.falls_back_to_address()? {
            return if self.resolver.has_address(dns_name) {
                Ok(None)
            } else {
                Err(unresolved(format!(
                    "Fallback to mount target ip address feature is not enabled in config file {}.",
                    self.config.path()
                )))
            };
        }
        let ask = || {
            self.log.info(&format!(
                "Failed to resolve {dns_name}, attempting to lookup mount target ip address using the EFS API."
            ));
            mount_targets::address(file_system, zone, self.region, self.config, self.env)
        };
        // An API that was named answers for sure; Amazon's is asked only when there is no other way.
        let found = if mount_targets::is_endpoint_named(self.config) {
            self.resolver.address_or(dns_name, ask)
        } else if self.resolver.has_address(dns_name) {
            Ok(None)
        } else {
            ask().map(Some)
        };
        let Some(address) = found.map_err(unresolved)? else { return Ok(None) };
        let address = address.to_string();
        resolve::probe(&address, port, false)?;
        self.log.info(&format!("Found fall back mount target ip address {address} for file system {file_system}"));
        Ok(Some(address))
    }
}
