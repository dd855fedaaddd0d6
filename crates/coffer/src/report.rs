//! What the running server tells its administrators.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{Event, Outcome};
use aws_wire::{CallContext, Caller, Timestamp};
use filesystem::{LeaseState, Which};
use nfs_server::GraceStatus;
use storage::BoxFuture;

use crate::admin::{Administer, Answer, Host, Request};
use crate::config::Config;
use crate::external_kms::{KeyWord, Provider};
use crate::house::House;
use crate::key_dependents::KeyDependents;
use crate::owner::Opened;
use crate::status::{ClientStatus, FileSystemStatus, KeyStatus, MountTargetStatus, Status};

/// Answers the administration socket.
pub(crate) struct Reporter {
    house: Arc<House>,
    config: Config,
    started: env::Instant,
}

impl Reporter {
    pub(crate) fn new(house: Arc<House>, config: Config) -> Self {
        let started = house.installation.env.now();
        Self { house, config, started }
    }

    async fn status(&self) -> Status {
        let mut file_systems = Vec::new();
        let nfs = self.house.nfs.status();
        for found in self.house.control.file_systems() {
            let mut row = self.file_system(&found).await;
            if let Some(served) = nfs.file_systems.iter().find(|served| served.id.as_str() == found.id) {
                row.notes = notes(served);
            }
            file_systems.push(row);
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_seconds: self.house.installation.env.now().since(self.started).as_secs(),
            starting: self.house.api.is_starting(),
            sealed: None,
            troubles: self.troubles(),
            mount_targets: self.mount_targets(),
            keys: self.keys(&file_systems).await,
            kms_providers: self.house.keys.providers.status(),
            clients: clients(nfs.clients),
            file_systems,
        }
    }

    /// Makes an account; the record in the audit log comes first.
    async fn create_account(&self, account: String) -> Answer {
        let refused = |error: &dyn std::fmt::Display| Answer::Refused { why: error.to_string() };
        let wall = self.house.installation.env.wall();
        let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let source = "organizations.amazonaws.com";
        let mut event = Event::service(source, "CreateAccount", &self.config.region, &self.config.account, time);
        event.identity = serde_json::json!({
            "type": "Unknown",
            "accountId": self.config.account,
            "userName": "administration socket",
        });
        event.parameters = serde_json::json!({ "accountId": account });
        let entry = match self.house.audit.begin(event, true).await {
            Ok(entry) => entry,
            Err(error) => return refused(&error),
        };
        let made = self.house.identities.create_account(&account).await;
        let (outcome, answer) = match made {
            Ok(key) => {
                let response = serde_json::json!({ "accountId": account, "accessKeyId": key.id });
                let secret = key.secret.to_string();
                (Outcome::success(response), Answer::Account { access_key_id: key.id, secret })
            }
            Err(error) => (Outcome::failure("CreateAccountFailed", &error.to_string()), refused(&error)),
        };
        if let Err(error) = entry.complete(outcome) {
            // The act is done and its begin record stands; the credentials can be had at no other time.
            tracing::error!(%error, "the outcome of an account's creation could not be recorded");
        }
        answer
    }

    fn troubles(&self) -> Vec<String> {
        let audit = &self.house.audit;
        let failed = audit.failed().then(|| {
            format!(
                "{}: the audit log has failed, so calls are refused; free space, then restart",
                audit.path().display()
            )
        });
        let unlocked = (!crypto::memory_is_locked())
            .then(|| "keys are not locked in memory and may reach swap; raise LimitMEMLOCK".to_owned());
        failed.into_iter().chain(unlocked).collect()
    }

    fn mount_targets(&self) -> Vec<MountTargetStatus> {
        let control = &self.house.control;
        let targets = control.mount_targets().into_iter();
        targets
            .map(|target| MountTargetStatus {
                id: target.id.clone(),
                file_system: target.file_system.clone(),
                address: target.address.to_string(),
                state: target.state.name().to_owned(),
                reason: control.mount_target_trouble(&target.id),
            })
            .collect()
    }

    async fn file_system(&self, found: &control::FileSystem) -> FileSystemStatus {
        let mut row = FileSystemStatus {
            id: found.id.clone(),
            name: found.tags.iter().find(|tag| tag.key == "Name").map(|tag| tag.value.clone()),
            lifecycle: found.state.name().to_owned(),
            encrypted: found.encrypted,
            kms_key: found.data_grant.as_ref().map(|grant| grant.key_arn.clone()).unwrap_or_default(),
            state: "closed".to_owned(),
            reason: None,
            lease_age_seconds: None,
            lease_left_seconds: None,
            bytes: self.house.owner.size(&found.id).await.map(|size| size.bytes),
            notes: Vec::new(),
        };
        match self.house.owner.look(&found.id).await {
            Opened::Closed => {}
            Opened::Busy => {
                row.state = "busy".to_owned();
                row.reason = Some("it is being opened, closed or removed now".to_owned());
            }
            Opened::Failed(why) => (row.state, row.reason) = ("failed".to_owned(), Some(why)),
            Opened::Open(lease) => {
                match &lease.state {
                    LeaseState::Open => row.state = "open".to_owned(),
                    LeaseState::Sealed { which, reason, .. } => {
                        row.state = "sealed".to_owned();
                        let which = match which {
                            Which::Data => "data key",
                            Which::Metadata => "metadata key",
                        };
                        row.reason = Some(format!("no {which}: {reason}"));
                    }
                }
                let ([_, age], [_, left]) = (lease.ages, lease.left);
                row.lease_age_seconds = age.map(|age| age.as_secs());
                row.lease_left_seconds = left.map(|left| left.as_secs());
            }
        }
        row
    }

    async fn keys(&self, file_systems: &[FileSystemStatus]) -> Vec<KeyStatus> {
        let mut dependents: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for system in file_systems.iter().filter(|system| !system.kms_key.is_empty()) {
            dependents.entry(&system.kms_key).or_default().push(system.id.clone());
        }
        let mut keys = Vec::new();
        for (arn, dependents) in dependents {
            // What is elsewhere is not asked for a look; what it said last is told.
            if let Some(provider) = self.provider_of(&dependents) {
                let state = provider.word(arn).map_or("Unknown", KeyWord::name).to_owned();
                let manager = provider.settings().name.clone();
                keys.push(KeyStatus { arn: arn.to_owned(), state, manager, dependents });
                continue;
            }
            let input = kms::model::DescribeKeyRequest { key_id: arn.to_owned(), ..Default::default() };
            let described = kms::ops::describe_key::run(&self.house.kms, &self.context(), input).await;
            let without = match &described {
                Err(kms::KmsError::NotFound(_)) => "Deleted",
                Ok(_) | Err(_) => "Unknown",
            };
            let metadata = described.ok().and_then(|described| described.key_metadata);
            let state = metadata.as_ref().and_then(|metadata| metadata.key_state.as_ref());
            let manager = metadata.as_ref().and_then(|metadata| metadata.key_manager.as_ref());
            keys.push(KeyStatus {
                arn: arn.to_owned(),
                state: state.map_or(without, |state| state.as_str()).to_owned(),
                manager: manager.map_or("-", |manager| manager.as_str()).to_owned(),
                dependents,
            });
        }
        keys
    }

    /// The provider that the first of these file systems has its key at.
    fn provider_of(&self, file_systems: &[String]) -> Option<&Arc<Provider>> {
        let first = self.house.control.file_system(file_systems.first()?)?;
        self.house.keys.providers.named(first.data_grant.as_ref()?.provider.as_deref()?)
    }

    /// A KMS key of ours, or the ARN of one elsewhere, with what depends on it.
    fn key_dependents(&self, key: &str) -> Answer {
        let ours = self.house.kms.key_arn(&self.config.account, &self.config.region, key);
        let key = ours.clone().unwrap_or_else(|| key.to_owned());
        let file_systems = self.house.keys.dependents.of_key(&key);
        if ours.is_none() && file_systems.is_empty() {
            return Answer::Refused { why: format!("{key}: no such KMS key, and no file system depends on it") };
        }
        Answer::KeyDependents(KeyDependents { key, file_systems })
    }

    /// The administrator on this machine looks with the eyes of the account's root.
    fn context(&self) -> CallContext {
        let env = &self.house.installation.env;
        let wall = env.wall();
        CallContext {
            caller: Caller::root(&self.config.account, None),
            region: self.config.region.clone(),
            account: self.config.account.clone(),
            request_id: env.uuid(),
            source_ip: None,
            user_agent: None,
            secure: true,
            time: Timestamp::from_unix(wall.seconds, wall.nanoseconds),
        }
    }

    fn hosts(&self) -> Vec<Host> {
        let suffix = format!("efs.{}.{}", self.config.region, self.config.dns_suffix);
        let mut hosts: Vec<Host> = Vec::new();
        let mut named = std::collections::BTreeSet::new();
        for target in self.house.control.mount_targets() {
            let mut names = vec![format!("{}.{}.{suffix}", target.zone.name, target.file_system)];
            // The name without a zone leads to one mount target: the first.
            if named.insert(target.file_system.clone()) {
                names.insert(0, format!("{}.{suffix}", target.file_system));
            }
            hosts.push(Host { address: target.address.to_string(), names });
        }
        hosts.sort();
        hosts
    }
}

fn clients(known: Vec<nfs_server::ClientStatus>) -> Vec<ClientStatus> {
    let clients = known.into_iter();
    clients
        .map(|client| ClientStatus {
            owner: client.owner,
            addresses: client.addresses.iter().map(ToString::to_string).collect(),
            file_system: client.file_system.map_or_else(|| "/".to_owned(), |id| id.to_string()),
            access_point: client.access_point,
            tls: client.secure,
            states: client.states,
            silent_seconds: client.silent.as_secs(),
        })
        .collect()
}

/// What the clients of a file system should know of its state.
fn notes(served: &nfs_server::FileSystemStatus) -> Vec<String> {
    let grace = match served.grace {
        GraceStatus::Running { waiting, remaining } => Some(format!(
            "in grace: new opens and locks wait for {waiting} clients of before, {} s at most",
            remaining.as_secs()
        )),
        GraceStatus::NotBegun => Some("its grace period begins when its keys are there".to_owned()),
        GraceStatus::Over => None,
    };
    let damaged = (served.damaged_records > 0)
        .then(|| format!("{} clients' records were damaged: they lost their opens and locks", served.damaged_records));
    grace.into_iter().chain(damaged).collect()
}

impl Administer for Reporter {
    fn answer(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match request {
                Request::Status => Answer::Status(self.status().await),
                Request::Hosts => Answer::Hosts { hosts: self.hosts() },
                Request::KeyDependents { key } => self.key_dependents(&key),
                Request::CreateAccount { account } => self.create_account(account).await,
                Request::Simulate(question) => match question.answer(&self.house, &self.config) {
                    Ok(results) => Answer::Simulated { results },
                    Err(error) => Answer::Refused { why: error.to_string() },
                },
                Request::Unseal { .. } => Answer::Refused { why: "the server is not sealed".to_owned() },
            }
        })
    }
}
