//! Looks at keys and grants for whoever runs the server: no caller, no permission, nothing made on first use.

use aws_wire::Arn;

use crate::kms::Kms;
use crate::{EncryptionContext, ServiceGrant};

impl Kms {
    /// The ARN of the KMS key that a key id, an alias or an ARN of either means in an account and region, if it is here.
    #[must_use]
    pub fn key_arn(&self, account: &str, region: &str, text: &str) -> Option<String> {
        let arn = Arn::parse(text);
        let (account, region, named) = match &arn {
            Some(arn) if arn.service == "kms" => (arn.account.as_str(), arn.region.as_str(), arn.resource.as_str()),
            Some(_) => return None,
            None => (account, region, text),
        };
        if named.starts_with("alias/") {
            return self.find_alias(account, region, named).map(|key| key.arn());
        }
        let id = if arn.is_some() { named.strip_prefix("key/")? } else { named };
        self.find_id(account, region, id).ok().map(|key| key.arn())
    }

    /// The KMS key and the grant that a token names, if it was issued here.
    #[must_use]
    pub fn grant_of_token(&self, token: &str) -> Option<ServiceGrant> {
        let (key, grant_id) = self.read_grant_token(token).ok()?;
        let key_arn = self.read(|state| state.keys.get(&key).map(|key| key.arn()))?;
        Some(ServiceGrant { key_arn, grant_id })
    }

    /// Whether `principal` may decrypt with this encryption context by this grant, and by no other on the KMS key.
    #[must_use]
    pub fn is_granted_only_by(&self, grant: &ServiceGrant, principal: &str, context: &EncryptionContext) -> bool {
        let Some(key) = self.key_of_arn(&grant.key_arn) else { return false };
        self.read(|state| {
            let by = |id: &str| id == grant.grant_id;
            let Some(grants) = state.grants.get(&key.id) else { return false };
            let mut helping = grants.allowing("Decrypt", context).filter(|found| found.grantee.name() == principal);
            helping.next().is_some_and(|first| by(&first.id)) && helping.next().is_none()
        })
    }
}
