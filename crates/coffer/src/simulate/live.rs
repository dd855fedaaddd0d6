//! By what is stored in the running server: its users, roles, KMS keys and grants, decided as the server decides.

use aws_wire::{Arn, CallContext, Caller};
use kms::EncryptionContext;
use policy::{CallerPolicies, Document, IdentityPolicies as _, Request, ResourcePolicy, explain};

use super::told::Simulated;
use super::{Question, caller, now};
use crate::CofferError;
use crate::config::Config;
use crate::house::House;

/// What a file system without a policy of its own allows. EFS user guide, "Default EFS file system policy".
const DEFAULT_FILE_SYSTEM_POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Sid":"clients of mount targets","Effect":"Allow","Principal":{"AWS":"*"},"Action":["elasticfilesystem:ClientMount","elasticfilesystem:ClientWrite","elasticfilesystem:ClientRootAccess"],"Condition":{"Bool":{"elasticfilesystem:AccessedViaMountTarget":"true"}}}}"#;

impl Question {
    /// Answers the question; nothing is made or changed.
    pub(crate) fn answer(&self, house: &House, config: &Config) -> Result<Vec<Simulated>, CofferError> {
        self.check()?;
        let context = EncryptionContext::new(self.encryption_context.clone()).map_err(CofferError::stopped)?;
        let caller = self.stored_caller(house, config)?;
        let each = self.actions.iter().map(|action| match action.split_once(':') {
            Some(("kms", name)) if self.resource != "*" => self.of_key(house, config, &caller, name, &context),
            Some(("elasticfilesystem", name)) if name.starts_with("Client") => {
                self.of_client(house, config, &caller, action)
            }
            _ => self.by_identity(house, config, &caller, action),
        });
        each.collect()
    }

    fn stored_caller(&self, house: &House, config: &Config) -> Result<Caller, CofferError> {
        let account = self.arn().map(|arn| arn.account).filter(|account| !account.is_empty());
        let account = account.unwrap_or_else(|| config.account.clone());
        if let Some(service) = caller::service(&self.caller, &account) {
            return Ok(service);
        }
        let named = caller::of_arn(&self.caller)?;
        // A role's session goes by the session's ARN; a role by its own, path and all.
        let arn = Arn::parse(&self.caller).unwrap_or(named.arn);
        house.identities.stand_in(&arn).ok_or_else(|| {
            CofferError::Stopped(format!(
                "there is no {} on this server; to simulate somebody who does not exist, give --identity-policy FILE",
                self.caller
            ))
        })
    }

    /// On a KMS key: its policy, what hangs on the caller, and grants.
    fn of_key(
        &self,
        house: &House,
        config: &Config,
        caller: &Caller,
        action: &str,
        context: &EncryptionContext,
    ) -> Result<Simulated, CofferError> {
        let action_name = format!("kms:{action}");
        let Some(key) = house.kms.key_arn(&caller.account, &config.region, &self.resource) else {
            return match self.arn() {
                // Aliases in policies, and keys for all that may come.
                Some(arn) if !arn.resource.starts_with("key/") || arn.resource.contains('*') => {
                    self.by_identity(house, config, caller, &action_name)
                }
                _ => Err(CofferError::Stopped(format!("there is no KMS key {} on this server", self.resource))),
            };
        };
        let env = &house.installation.env;
        let cx = CallContext {
            caller: caller.clone(),
            region: config.region.clone(),
            account: caller.account.clone(),
            request_id: "simulation".to_owned(),
            source_ip: None,
            user_agent: None,
            secure: false,
            time: now(env),
        };
        let mut facts = self.facts(caller, env).with("aws:RequestedRegion", config.region.clone());
        if self.resource.contains("alias/") {
            let alias = self.resource.rsplit_once(':').map_or(self.resource.as_str(), |(_, alias)| alias);
            facts = facts.instead("kms:RequestAlias", alias);
        }
        let ruling = house.kms.explain(&cx, &key, action, context, facts);
        let ruling = ruling.ok_or_else(|| CofferError::Stopped(format!("there is no KMS key {key} on this server")))?;
        Ok(Simulated::of(caller, &action_name, &key, &ruling.explanation, ruling.grants))
    }

    /// By an NFS client, on a file system, which has the policy that every file system has.
    fn of_client(
        &self,
        house: &House,
        config: &Config,
        caller: &Caller,
        action: &str,
    ) -> Result<Simulated, CofferError> {
        let arn = self.resource_here(config, caller)?;
        let document = Document::parse(DEFAULT_FILE_SYSTEM_POLICY).map_err(CofferError::stopped)?;
        let facts = self.facts(caller, &house.installation.env);
        let request = Request { caller, action, resource: &arn, conditions: &facts };
        let name = "default file system policy";
        let own = ResourcePolicy { name, owner: &arn.account, document: &document };
        // NFS clients are nobody's users: nothing hangs on them.
        let explanation = explain(&request, &CallerPolicies::default(), Some(own), false);
        Ok(Simulated::of(caller, action, &arn.to_string(), &explanation, Vec::new()))
    }

    /// On whatever has no policy of its own: by what hangs on the caller.
    fn by_identity(
        &self,
        house: &House,
        config: &Config,
        caller: &Caller,
        action: &str,
    ) -> Result<Simulated, CofferError> {
        let arn = self.resource_here(config, caller)?;
        let facts = self.facts(caller, &house.installation.env).with("aws:RequestedRegion", config.region.clone());
        let facts = self.with_encryption_context(facts);
        let request = Request { caller, action, resource: &arn, conditions: &facts };
        let explanation = explain(&request, &house.identities.policies_of(caller), None, false);
        Ok(Simulated::of(caller, action, &self.resource, &explanation, Vec::new()))
    }

    /// The resource as an ARN; file systems may be named by their ids.
    fn resource_here(&self, config: &Config, caller: &Caller) -> Result<Arn, CofferError> {
        let file_system = || {
            let resource = format!("file-system/{}", self.resource);
            self.resource
                .starts_with("fs-")
                .then(|| Arn::new("elasticfilesystem", &config.region, &caller.account, resource))
        };
        let arn = self.arn().or_else(file_system);
        arn.ok_or_else(|| CofferError::Stopped(format!("{} is no ARN, no KMS key and no file system", self.resource)))
    }
}

#[cfg(test)]
mod tests {
    use policy::{Authorize as _, Conditions, Decision, DefaultFileSystemPolicy};

    use super::*;

    /// EFS user guide, "Default EFS file system policy": the text says what the server does.
    #[test]
    fn the_default_policy_is_the_one_in_force() {
        let document = Document::parse(DEFAULT_FILE_SYSTEM_POLICY).unwrap();
        let arn = Arn::new("elasticfilesystem", "us-east-1", "000000000001", "file-system/fs-1");
        let caller = Caller::anonymous();
        for action in ["ClientMount", "ClientWrite", "ClientRootAccess", "DeleteFileSystem"] {
            for mounted in ["true", "false"] {
                let action = format!("elasticfilesystem:{action}");
                let facts = Conditions::new().with("elasticfilesystem:AccessedViaMountTarget", mounted);
                let request = Request { caller: &caller, action: &action, resource: &arn, conditions: &facts };
                let own = ResourcePolicy { name: "default", owner: &arn.account, document: &document };
                let allowed = explain(&request, &CallerPolicies::default(), Some(own), false).ruling.is_ok();
                assert_eq!(allowed, DefaultFileSystemPolicy.decide(&request) == Decision::Allow, "{action} {mounted}");
            }
        }
    }
}
