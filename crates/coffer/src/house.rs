//! The house put together: every service of a running server, joined.

use std::sync::Arc;
use std::time::Duration;

use api_server::{Limits as ApiLimits, Parts as ApiParts, Server as ApiServer, Zone as ApiZone};
use audit::AuditLog;
use control::{Control, Parts as ControlParts, Subnet, Subnets, Zone};
use identity::Identities;
use kms::Kms;
use kms::root::RootProvider;
use nfs_server::{Limits as NfsLimits, Server as NfsServer, ServerParts};

use crate::CofferError;
use crate::certificates::{self, CurrentCertificate};
use crate::config::Config;
use crate::data_keys::ServiceKeys;
use crate::exports::ControlledExports;
use crate::floor::Floors;
use crate::installation::{self, Installation};
use crate::kms_acts::KmsActs;
use crate::network::Listeners;
use crate::owner::Owner;
use crate::provision::Provisioner;
use crate::system_keys::SystemKeys;

/// Everything that runs.
pub(crate) struct House {
    pub(crate) installation: Installation,
    pub(crate) kms: Kms,
    pub(crate) control: Control,
    pub(crate) owner: Owner,
    pub(crate) floors: Arc<Floors>,
    pub(crate) audit: AuditLog,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) nfs: Arc<NfsServer>,
    pub(crate) api: ApiServer,
    pub(crate) certificate: Arc<CurrentCertificate>,
    pub(crate) authority: Arc<certificates::Authority>,
}

impl House {
    /// Opens the installation and joins the services; nothing is listening yet. For a command: whoever runs it is asked for a
    /// passphrase or PIN that is needed.
    pub(crate) async fn open(config: &Config) -> Result<Self, CofferError> {
        Self::open_with(config, Arc::new(installation::open_provider(config)?)).await
    }

    /// The same with a provider whose root key is to be had.
    pub(crate) async fn open_with(config: &Config, provider: Arc<dyn RootProvider>) -> Result<Self, CofferError> {
        let (installation, ring) = Installation::open_with(config, provider).await?;
        let env = installation.env.clone();
        let audit = AuditLog::open(&installation::audit_log(config), env.clone()).map_err(CofferError::stopped)?;
        let handle_wrapping = ring.control_subkey("control/handle keys");
        let server_identity = crypto::Prf::new(ring.control_subkey("nfs-server/identity"));
        let records = Arc::clone(&installation.records);
        // A record that does not open is in the control shard, whichever service finds it.
        let damaged =
            |error: &dyn std::fmt::Display| CofferError::within(&installation::control_directory(config), error);
        let kms = Kms::open(Arc::clone(&records), ring, env.clone()).await.map_err(|error| damaged(&error))?;
        kms.observe(Arc::new(KmsActs::new(audit.clone(), env.clone(), &config.region, &config.account)));
        let identities = Arc::new(Identities::open(&records).await.map_err(|error| damaged(&error))?);

        let authorize: Arc<dyn policy::Authorize> = Arc::new(policy::RootMayAll);
        let service_keys = ServiceKeys::new(kms.clone(), Arc::clone(&authorize), audit.clone(), env.clone());
        let system_keys = Arc::new(SystemKeys::new(service_keys.clone(), installation.control_shard.fenced()));
        let floors = Arc::new(Floors::new(Arc::clone(&records)));
        let engine = installation.engine.clone();
        let owner = Owner::new(engine, env.clone(), config.clone(), system_keys.clone(), Arc::clone(&floors));
        let listeners = Arc::new(Listeners::new(config.nfs.port));
        let control = Control::open(ControlParts {
            records,
            handle_wrapping,
            keys: Arc::new(service_keys),
            provision: Arc::new(Provisioner::new(owner.clone())),
            network: listeners.clone(),
            subnets: subnets(config)?,
            env: env.clone(),
        })
        .await
        .map_err(|error| damaged(&error))?;
        system_keys.join(control.clone());

        let authority = Arc::new(installation.authority().await?);
        let first = authority.issue(&config.region, &config.dns_suffix, certificates::now(&env))?;
        let certificate = Arc::new(CurrentCertificate::new(first));
        let exports = Arc::new(ControlledExports {
            control: control.clone(),
            owner: owner.clone(),
            env: env.clone(),
            region: config.region.clone(),
            account: config.account.clone(),
            name_suffix: format!(".efs.{}.{}", config.region, config.dns_suffix),
            authorize: Arc::new(policy::DefaultFileSystemPolicy),
            audit: audit.clone(),
        });
        let nfs = NfsServer::new(ServerParts {
            exports: exports.clone(),
            authorize: exports,
            certificates: certificate.clone(),
            identity: server_identity,
            env: env.clone(),
            limits: nfs_limits(config),
        });
        let nfs = Arc::new(nfs.map_err(CofferError::stopped)?);
        listeners.join(Arc::clone(&nfs));
        let api = ApiServer::new(ApiParts {
            services: vec![api_server::kms(kms.clone()), api_server::efs(control.clone())],
            identities,
            authorize,
            audit: audit.clone(),
            region: config.region.clone(),
            zones: api_zones(config),
            env,
            limits: ApiLimits::default(),
        });
        Ok(Self { installation, kms, control, owner, floors, audit, listeners, nfs, api, certificate, authority })
    }
}

fn nfs_limits(config: &Config) -> NfsLimits {
    NfsLimits {
        lease_seconds: config.nfs.lease_seconds,
        idle_close: Duration::from_secs(u64::from(config.nfs.idle_close_seconds)),
        ..NfsLimits::default()
    }
}

fn zone_id(subnet: &crate::subnet::Subnet) -> String {
    subnet.zone_id.clone().unwrap_or_else(|| subnet.zone.clone())
}

fn subnets(config: &Config) -> Result<Subnets, CofferError> {
    let made = config.subnets.iter().map(|subnet| {
        let zone = Zone { name: subnet.zone.clone(), id: zone_id(subnet) };
        Subnet::new(&subnet.id, &subnet.vpc, zone, &subnet.cidr)
    });
    let made: Result<Vec<_>, _> = made.collect();
    Subnets::new(made.map_err(CofferError::stopped)?).map_err(CofferError::stopped)
}

fn api_zones(config: &Config) -> Vec<ApiZone> {
    let mut zones: Vec<ApiZone> = Vec::new();
    for subnet in &config.subnets {
        if !zones.iter().any(|zone| zone.name == subnet.zone) {
            zones.push(ApiZone { name: subnet.zone.clone(), id: zone_id(subnet) });
        }
    }
    zones
}
