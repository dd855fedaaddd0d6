//! The house put together: every service of a running server, joined.

use std::sync::Arc;
use std::time::Duration;

use api_server::{Limits as ApiLimits, Parts as ApiParts, Server as ApiServer, Zone as ApiZone};
use audit::AuditLog;
use control::{Control, Parts as ControlParts, Subnet, Subnets, Zone};
use identity::Identities;
use kms::Kms;
use nfs_server::{Limits as NfsLimits, Server as NfsServer, ServerParts};

use crate::CofferError;
use crate::certificates::{self, CurrentCertificate};
use crate::config::Config;
use crate::data_keys::ServiceKeys;
use crate::dependents::Dependents;
use crate::exports::ControlledExports;
use crate::external_kms::Providers;
use crate::floor::Floors;
use crate::installation::{self, Installation};
use crate::kms_acts::KmsActs;
use crate::network::Listeners;
use crate::owner::Owner;
use crate::provision::Provisioner;
use crate::system_keys::SystemKeys;

/// What keys have to do with outside of KMS.
pub(crate) struct KeyNeighbours {
    pub(crate) dependents: Arc<Dependents>,
    pub(crate) providers: Arc<Providers>,
}

/// Everything that runs.
pub(crate) struct House {
    pub(crate) installation: Installation,
    pub(crate) kms: Kms,
    pub(crate) keys: KeyNeighbours,
    pub(crate) control: Control,
    pub(crate) owner: Owner,
    pub(crate) floors: Arc<Floors>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) audit: AuditLog,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) nfs: Arc<NfsServer>,
    pub(crate) api: ApiServer,
    pub(crate) certificate: Arc<CurrentCertificate>,
    pub(crate) authority: Arc<certificates::Authority>,
}

impl House {
    /// Opens the installation and joins the services; nothing is listening yet.
    pub(crate) async fn open(config: &Config) -> Result<Self, CofferError> {
        let (installation, ring) = Installation::open(config).await?;
        let env = installation.env.clone();
        let audit = AuditLog::open(&installation::audit_log(config), env.clone()).map_err(CofferError::stopped)?;
        let handle_wrapping = ring.control_subkey("control/handle keys");
        let session_key = ring.control_subkey("identity/sessions");
        let server_identity = crypto::Prf::new(ring.control_subkey("nfs-server/identity"));
        let records = Arc::clone(&installation.records);
        // A record that does not open is in the control shard, whichever service finds it.
        let damaged =
            |error: &dyn std::fmt::Display| CofferError::within(&installation::control_directory(config), error);
        let kms = Kms::open(Arc::clone(&records), ring, env.clone()).await.map_err(|error| damaged(&error))?;
        let providers = Arc::new(Providers::open(&config.kms_providers, &env)?);
        let keys = KeyNeighbours { dependents: Arc::new(Dependents::new(kms.clone())), providers };
        let acts = KmsActs::new(audit.clone(), env.clone(), &config.region, &config.account);
        kms.observe(Arc::new(acts.with_dependents(Arc::clone(&keys.dependents))));
        let identities = Identities::open(Arc::clone(&records), session_key, env.clone()).await;
        let identities = Arc::new(identities.map_err(|error| damaged(&error))?);

        let hanging: Arc<dyn policy::IdentityPolicies> = identities.clone();
        kms.judge_by(Arc::clone(&hanging));
        let authorize: Arc<dyn policy::Authorize> = Arc::new(policy::ByIdentity::new(hanging));
        let service_keys = ServiceKeys::new(kms.clone(), audit.clone(), env.clone());
        let service_keys = service_keys.with_providers(Arc::clone(&keys.providers));
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
        keys.dependents.join(control.clone());

        let authority = Arc::new(installation.authority().await?);
        let first = authority.issue(&config.region, &config.dns_suffix, certificates::now(&env))?;
        let certificate = Arc::new(CurrentCertificate::new(first));
        let exports = exports(&control, &owner, &audit, env.clone(), config);
        let nfs = nfs(config, exports, &certificate, server_identity)?;
        listeners.join(Arc::clone(&nfs));
        let services = vec![api_server::kms(kms.clone()), api_server::efs(control.clone())];
        let api = api(config, services, Arc::clone(&identities), authorize, audit.clone(), env)?;
        api.annotate(keys.dependents.clone());
        Ok(Self {
            installation,
            kms,
            keys,
            control,
            owner,
            floors,
            identities,
            audit,
            listeners,
            nfs,
            api,
            certificate,
            authority,
        })
    }
}

/// The API server over its services.
fn api(
    config: &Config,
    services: Vec<api_server::ServiceActions>,
    identities: Arc<Identities>,
    authorize: Arc<dyn policy::Authorize>,
    audit: AuditLog,
    env: env::Env,
) -> Result<ApiServer, CofferError> {
    Ok(ApiServer::new(ApiParts {
        services,
        identities,
        authorize,
        audit,
        region: config.region.clone(),
        zones: api_zones(config),
        env,
        limits: ApiLimits { rates: config.rates().map_err(CofferError::stopped)?, ..ApiLimits::default() },
    }))
}

fn exports(control: &Control, owner: &Owner, audit: &AuditLog, env: env::Env, config: &Config) -> ControlledExports {
    ControlledExports {
        control: control.clone(),
        owner: owner.clone(),
        env,
        region: config.region.clone(),
        account: config.account.clone(),
        name_suffix: format!(".efs.{}.{}", config.region, config.dns_suffix),
        authorize: Arc::new(policy::DefaultFileSystemPolicy),
        audit: audit.clone(),
    }
}

/// The NFS server over what is exported.
fn nfs(
    config: &Config,
    exports: ControlledExports,
    certificate: &Arc<CurrentCertificate>,
    identity: crypto::Prf,
) -> Result<Arc<NfsServer>, CofferError> {
    let env = exports.env.clone();
    let exports = Arc::new(exports);
    let nfs = NfsServer::new(ServerParts {
        exports: exports.clone(),
        authorize: exports,
        certificates: certificate.clone(),
        identity,
        env,
        limits: nfs_limits(config),
    });
    Ok(Arc::new(nfs.map_err(CofferError::stopped)?))
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
