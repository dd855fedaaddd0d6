//! KMS keys that a service makes for an account on first use. KMS developer guide, "AWS managed keys"; EFS user guide,
//! "Encrypting data at rest".

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::KmsError;
use crate::kind::Kind;
use crate::kms::Kms;
use crate::observer::Act;
use crate::policy_document;
use crate::record::{AliasRecord, KeyRecord, KeyState, Manager, MaterialRecord, Origin, Rotation};
use crate::state::Edit;

/// One service whose key exists for every account.
pub(crate) struct Service {
    pub(crate) alias: &'static str,
    /// First label of its principal and of `kms:ViaService`.
    pub(crate) name: &'static str,
    description: &'static str,
}

/// The services of this installation.
pub(crate) const SERVICES: &[Service] = &[Service {
    alias: "alias/aws/elasticfilesystem",
    name: "elasticfilesystem",
    description: "Default key that protects my EFS filesystems when no other key is defined",
}];

/// A service's key gets a new version each year; nobody can change that.
const ROTATION_DAYS: u16 = 365;
pub(crate) const DAY_SECONDS: i64 = 86_400;

/// The service whose key this alias names.
pub(crate) fn service_of(alias: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.alias == alias)
}

impl Kms {
    /// The key of a service, made now if this is its first use.
    pub(crate) async fn managed_key(
        &self,
        account: &str,
        region: &str,
        alias: &str,
    ) -> Result<Arc<KeyRecord>, KmsError> {
        if let Some(key) = self.find_alias(account, region, alias) {
            return Ok(key);
        }
        let service = service_of(alias).ok_or_else(|| KmsError::NotFound(format!("Alias {alias} is not found.")))?;
        let turn = self.turn().await;
        // Another call may have made it while this one waited.
        if let Some(key) = self.find_alias(account, region, alias) {
            return Ok(key);
        }
        let now = self.now();
        let key = KeyRecord {
            id: self.env().uuid(),
            account: account.to_owned(),
            region: region.to_owned(),
            manager: Manager::Service,
            state: KeyState::Enabled,
            created: now,
            description: service.description.to_owned(),
            policy: policy_document::of_service(service.name, account, region),
            tags: BTreeMap::new(),
            rotation: Rotation {
                enabled: true,
                period_days: ROTATION_DAYS,
                next: now + i64::from(ROTATION_DAYS) * DAY_SECONDS,
            },
            kind: Kind::Symmetric,
            public_key: None,
            origin: Origin::AwsKms,
            before_expiry: None,
        };
        let material = MaterialRecord::of(&key, self.new_version(&key, None));
        let alias = AliasRecord {
            account: account.to_owned(),
            region: region.to_owned(),
            name: alias.to_owned(),
            key: key.id.clone(),
            created: now,
            updated: now,
        };
        let edits = vec![Edit::PutMaterial(material), Edit::PutKey(key.clone()), Edit::PutAlias(alias)];
        // Whichever call came first, a look among them: that it makes a key is the service's own act.
        self.observed(Act::on("CreateKey", &key), turn.write(edits)).await?;
        tracing::info!(key = %key.arn(), service = service.name, "made the service's key on its first use");
        self.wake().notify_one();
        Ok(Arc::new(key))
    }
}
