//! Joins key management to the control plane and to the key leases: what the file service asks of KMS is checked,
//! granted and written down as that service's own calls. Architecture section 5, levels 3d and 3m.

mod foreign;

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{AuditError, AuditLog, Event, Outcome, Resource};
use aws_wire::{ApiError, Arn, CallContext, Caller, Timestamp};
use control::{CONTEXT_NAME, DataKeys, DataKeysError, KeyChoice, KeyGrant, KeyPurpose, Scope};
use crypto::Key;
use env::Env;
use kms::{EncryptionContext, Kms, KmsError, ServiceGrant};
use serde_json::{Value, json};
use storage::BoxFuture;

use crate::external_kms::{ProviderError, Providers};

/// The service's own KMS key.
const SERVICE_ALIAS: &str = "alias/aws/elasticfilesystem";
/// KMS in audit records.
const SOURCE: &str = "kms.amazonaws.com";
/// The file service in audit records.
const FILE_SERVICE: &str = "elasticfilesystem.amazonaws.com";

/// Why a key of a file system is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// KMS says no, or cannot say anything.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The same of a KMS elsewhere.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// What is not written down is not done.
    #[error("the audit log cannot be written: {0}")]
    Audit(#[from] AuditError),
}

impl KeyError {
    /// Whether this is a decision about the KMS key, as opposed to no answer: a lease seals at once on the first.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Kms(error) => error.is_refusal(),
            Self::Provider(error) => error.is_refusal(),
            Self::Audit(_) => false,
        }
    }

    /// Code and sentence for the audit record.
    fn shown(&self) -> (String, String) {
        match self {
            Self::Kms(error) => {
                let shown = ApiError::from(error);
                (shown.code.to_owned(), shown.message)
            }
            Self::Provider(error) => error.shown(),
            Self::Audit(error) => ("InternalFailure".to_owned(), error.to_string()),
        }
    }
}

impl From<KeyError> for DataKeysError {
    fn from(error: KeyError) -> Self {
        if error.is_refusal() { Self::Refused(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

/// KMS as the file service uses it.
#[derive(Clone)]
pub(crate) struct ServiceKeys {
    kms: Kms,
    audit: AuditLog,
    env: Env,
    providers: Arc<Providers>,
}

impl ServiceKeys {
    /// KMS decides whether a caller may let the file service use a KMS key of theirs.
    pub(crate) fn new(kms: Kms, audit: AuditLog, env: Env) -> Self {
        Self { kms, audit, env, providers: Arc::default() }
    }

    /// With key services elsewhere.
    pub(crate) fn with_providers(self, providers: Arc<Providers>) -> Self {
        Self { providers, ..self }
    }

    /// Decrypts one of a file system's two keys, as a lease does.
    pub(crate) async fn open(
        &self,
        scope: Scope<'_>,
        file_system: &str,
        purpose: KeyPurpose,
        grant: &KeyGrant,
    ) -> Result<Key, KeyError> {
        if let Some(name) = &grant.provider {
            return self.open_elsewhere(scope, file_system, purpose, self.provider(name)?, grant).await;
        }
        let key_arn = grant.key_arn.as_str();
        let context = context(file_system)?;
        let cx = self.service(scope);
        let parameters = json!({
            "encryptionContext": context.pairs(),
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
        });
        let name = purpose.name(file_system);
        let act = self.kms.open_data_key(&cx, &name, key_arn, &context);
        let event = event(&cx, "Decrypt", parameters, Some(key_arn));
        self.written_down(event, act, |_| Outcome::success(Value::Null)).await
    }

    /// The service's own call for an account.
    fn service(&self, scope: Scope<'_>) -> CallContext {
        let wall = self.env.wall();
        CallContext {
            caller: Caller::service(scope.account, &principal(scope.region)),
            region: scope.region.to_owned(),
            account: scope.account.to_owned(),
            request_id: self.env.uuid(),
            source_ip: None,
            user_agent: None,
            secure: true,
            time: Timestamp::from_unix(wall.seconds, wall.nanoseconds),
        }
    }

    /// Grants the file service the use of a KMS key, if the caller may do that through it. EFS user guide, "Encrypting data at
    /// rest": whoever chooses a key needs `kms:DescribeKey` and `kms:CreateGrant` on it; the policy of the service's own key
    /// gives both to every caller of EFS.
    async fn grant_for(
        &self,
        cx: &CallContext,
        choice: KeyChoice<'_>,
        context: &EncryptionContext,
    ) -> Result<ServiceGrant, KmsError> {
        let key = match choice {
            KeyChoice::Service => SERVICE_ALIAS,
            KeyChoice::Chosen(chosen) => chosen,
        };
        self.kms.grant_to_service(cx, &principal(&cx.region), key, context).await
    }

    /// Begins the record, acts, completes the record.
    async fn written_down<T, E: Into<KeyError>>(
        &self,
        event: Event,
        act: impl Future<Output = Result<T, E>>,
        done: impl FnOnce(&T) -> Outcome,
    ) -> Result<T, KeyError> {
        let action = event.name.clone();
        let entry = self.audit.begin(event, true).await?;
        let outcome: Result<T, KeyError> = act.await.map_err(Into::into);
        let written = match &outcome {
            Ok(value) => done(value),
            Err(error) => {
                let (code, message) = error.shown();
                Outcome::failure(&code, &message)
            }
        };
        if let Err(cause) = entry.complete(written) {
            tracing::error!(%cause, action, "the outcome of a call to KMS could not be written down");
        }
        outcome
    }

    /// Destroys what is in custody for a file system. No call of KMS's API does that, so it is the service's own act.
    async fn destroy_wrapped(&self, scope: Scope<'_>, file_system: &str) -> Result<(), KeyError> {
        let names = [KeyPurpose::Data, KeyPurpose::Metadata].map(|purpose| purpose.name(file_system));
        if !self.kms.has_data_keys(&names) {
            return Ok(());
        }
        let wall = self.env.wall();
        let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let mut event = Event::service(FILE_SERVICE, "DestroyDataKeys", scope.region, scope.account, time);
        event.parameters = json!({ "fileSystemId": file_system });
        self.written_down(event, self.kms.destroy_data_keys(&names), |()| Outcome::success(Value::Null)).await
    }
}

fn key_resource(cx: &CallContext, arn: &str) -> Resource {
    let account = Arn::parse(arn).map_or_else(|| cx.account.clone(), |arn| arn.account);
    Resource { arn: arn.to_owned(), account, kind: "AWS::KMS::Key" }
}

fn event(cx: &CallContext, name: &str, parameters: Value, key_arn: Option<&str>) -> Event {
    let read_only = !matches!(name, "CreateGrant" | "RetireGrant");
    let mut event = Event::call(cx, SOURCE, name, read_only, parameters);
    event.resources.extend(key_arn.map(|arn| key_resource(cx, arn)));
    event
}

impl DataKeys for ServiceKeys {
    fn grant<'a>(
        &'a self,
        cx: &'a CallContext,
        file_system: &'a str,
        choice: KeyChoice<'a>,
    ) -> BoxFuture<'a, Result<KeyGrant, DataKeysError>> {
        Box::pin(async move {
            if let Some((provider, key)) = self.chosen_elsewhere(choice) {
                return Ok(self.grant_elsewhere(cx, file_system, &provider, &key).await?);
            }
            let context = context(file_system).map_err(KeyError::from)?;
            let key = match choice {
                KeyChoice::Service => SERVICE_ALIAS,
                KeyChoice::Chosen(key) => key,
            };
            let principal = principal(&cx.region);
            let parameters = json!({
                "keyId": key,
                "granteePrincipal": principal,
                "retiringPrincipal": principal,
                "operations": kms::SERVICE_OPERATIONS,
                "constraints": { "encryptionContextEquals": context.pairs() },
            });
            let mut event = event(cx, "CreateGrant", parameters, None);
            foreign::invoked_by_us(&mut event);
            let act = self.grant_for(cx, choice, &context);
            let done = |made: &ServiceGrant| Outcome {
                resources: vec![key_resource(cx, &made.key_arn)],
                ..Outcome::success(json!({ "keyId": made.key_arn, "grantId": made.grant_id }))
            };
            let ServiceGrant { key_arn, grant_id } = self.written_down(event, act, done).await?;
            Ok(KeyGrant { key_arn, grant_id, provider: None })
        })
    }

    fn make<'a>(
        &'a self,
        scope: Scope<'a>,
        file_system: &'a str,
        purpose: KeyPurpose,
        grant: &'a KeyGrant,
    ) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(async move {
            if let Some(name) = &grant.provider {
                let provider = self.provider(name)?;
                return Ok(self.make_elsewhere(scope, file_system, purpose, provider, grant).await?);
            }
            let context = context(file_system).map_err(KeyError::from)?;
            let cx = self.service(scope);
            let parameters =
                json!({ "keyId": grant.key_arn, "keySpec": "AES_256", "encryptionContext": context.pairs() });
            let name = purpose.name(file_system);
            let act = self.kms.make_data_key(&cx, &name, &grant.key_arn, &context);
            let event = event(&cx, "GenerateDataKeyWithoutPlaintext", parameters, Some(&grant.key_arn));
            Ok(self.written_down(event, act, |()| Outcome::success(Value::Null)).await?)
        })
    }

    fn destroy<'a>(&'a self, scope: Scope<'a>, file_system: &'a str) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(async move {
            let context = context(file_system).map_err(KeyError::from)?;
            let cx = self.service(scope);
            self.destroy_wrapped(scope, file_system).await?;
            self.end_elsewhere(scope, file_system).await?;
            // A record for each grant that is ended, and none where there is none.
            for grant in self.kms.service_grants(&principal(scope.region), &context) {
                let parameters = json!({ "keyId": grant.key_arn, "grantId": grant.grant_id });
                let event = event(&cx, "RetireGrant", parameters, Some(&grant.key_arn));
                let act = self.kms.retire_service_grant(&grant);
                self.written_down(event, act, |()| Outcome::success(Value::Null)).await?;
            }
            Ok(())
        })
    }
}

/// The file service's principal in a region.
pub(crate) fn principal(region: &str) -> String {
    format!("elasticfilesystem.{region}.amazonaws.com")
}

fn context(file_system: &str) -> Result<EncryptionContext, KmsError> {
    EncryptionContext::new(BTreeMap::from([(CONTEXT_NAME.to_owned(), file_system.to_owned())]))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use audit::AuditLog;
    use aws_wire::{Arn, CallContext, Caller, CallerKind};
    use control::{DataKeys as _, KeyChoice, KeyPurpose, Scope};
    use env::Env;
    use kms::root::{FileProvider, RootProvider};
    use kms::{KeyRing, Kms};
    use policy::{AttachedPolicy, CallerPolicies, Document, IdentityPolicies};
    use serde_json::{Value, json};
    use storage::{SealedRecords, memory::Memory};

    use super::{FILE_SERVICE, ServiceKeys};

    const SCOPE: Scope<'_> = Scope { account: "000000000001", region: "us-east-1" };

    /// KMS over memory with its key files and its audit log in a directory.
    pub(crate) async fn service_keys(directory: &Path) -> ServiceKeys {
        let env = Env::real();
        let files = FileProvider::new(directory.join("root.key"), directory.join("epoch.secret"));
        files.create(&env).unwrap();
        let provider: Arc<dyn RootProvider> = Arc::new(files);
        let (shard, _) = Memory::new().open();
        KeyRing::create(&shard, &provider, &env).await.unwrap();
        let ring = KeyRing::open(Arc::clone(&shard), provider, env.clone()).await.unwrap();
        let records = SealedRecords::open(shard, &ring.records_key(), env.clone()).await.unwrap();
        let kms = Kms::open(Arc::new(records), ring, env.clone()).await.unwrap();
        let audit = AuditLog::open(&directory.join("audit.log"), env.clone()).unwrap();
        ServiceKeys::new(kms, audit, env)
    }

    /// A user who may use every key through the file service, except for one action on one key.
    struct AllBut(String);

    impl IdentityPolicies for AllBut {
        fn policies_of(&self, caller: &Caller) -> CallerPolicies {
            let document = Arc::new(Document::parse(&self.0).unwrap());
            let identity = vec![AttachedPolicy { name: "own".to_owned(), document }];
            if caller.kind == CallerKind::User {
                CallerPolicies { identity, ..Default::default() }
            } else {
                Default::default()
            }
        }
    }

    /// EFS user guide, "Encrypting data at rest": whoever chooses a KMS key needs two permissions on it, as a call through the file
    /// service; the service's own key needs none.
    #[tokio::test]
    async fn a_chosen_key_needs_permissions_of_the_caller() {
        for (denied, granted) in [("kms:DescribeKey", false), ("kms:CreateGrant", false), ("kms:Other", true)] {
            let directory = tempfile::tempdir().unwrap();
            let keys = service_keys(directory.path()).await;
            let root = CallContext { caller: Caller::root(SCOPE.account, None), ..keys.service(SCOPE) };
            let made = kms::ops::create_key::run(&keys.kms, &root, Default::default()).await.unwrap();
            let arn = made.key_metadata.unwrap().arn.unwrap();
            let policy = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition":
                    {"StringEquals": {"kms:ViaService": "elasticfilesystem.us-east-1.amazonaws.com"}}},
                {"Effect": "Deny", "Action": denied, "Resource": arn},
            ]});
            keys.kms.judge_by(Arc::new(AllBut(policy.to_string())));
            let mara = Caller {
                arn: Arn::new("iam", "", SCOPE.account, "user/mara"),
                kind: CallerKind::User,
                ..Caller::root(SCOPE.account, None)
            };
            let user = CallContext { caller: mara, ..root };
            let answer = keys.grant(&user, "fs-1", KeyChoice::Chosen(&arn)).await;
            assert_eq!(answer.is_ok(), granted, "{denied}: {answer:?}");
            if let Err(error) = answer {
                assert!(error.to_string().contains(denied) && error.to_string().contains(&arn), "{error}");
                assert_eq!(completed(&keys).await[0]["errorCode"], "AccessDeniedException");
            }
            keys.grant(&user, "fs-1", KeyChoice::Service).await.unwrap();
        }
    }

    /// The completed records so far.
    async fn completed(keys: &ServiceKeys) -> Vec<Value> {
        keys.audit.flush().await.unwrap();
        let text = std::fs::read_to_string(keys.audit.path()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["phase"] == "complete").map(|line| line["record"].clone()).collect()
    }

    /// CloudTrail record contents, "resources": what the file service does with a customer's KMS key names that key, each
    /// grant has a record of its own, and what did not happen has none.
    #[tokio::test]
    async fn grants_are_written_down_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let keys = service_keys(directory.path()).await;
        let root = CallContext { caller: Caller::root(SCOPE.account, None), ..keys.service(SCOPE) };
        keys.destroy(SCOPE, "fs-1").await.unwrap();
        assert!(completed(&keys).await.is_empty());

        let mut grants = Vec::new();
        for purpose in [KeyPurpose::Data, KeyPurpose::Metadata] {
            let grant = keys.grant(&root, "fs-1", KeyChoice::Service).await.unwrap();
            keys.make(SCOPE, "fs-1", purpose, &grant).await.unwrap();
            grants.push(grant);
        }
        let made = completed(&keys).await;
        let record = &made[0];
        assert_eq!(record["eventName"], "CreateGrant");
        assert_eq!(record["resources"][0]["ARN"], grants[0].key_arn);
        assert_eq!(record["responseElements"]["grantId"], grants[0].grant_id);
        assert_eq!(record["userIdentity"]["invokedBy"], FILE_SERVICE);
        assert_eq!(record["requestParameters"]["operations"][0], "Decrypt");

        keys.destroy(SCOPE, "fs-1").await.unwrap();
        let all = completed(&keys).await;
        let ended: Vec<&Value> = all.iter().skip(made.len()).collect();
        let names: Vec<&str> = ended.iter().filter_map(|record| record["eventName"].as_str()).collect();
        assert_eq!(names, ["DestroyDataKeys", "RetireGrant", "RetireGrant"]);
        for record in ended.iter().skip(1) {
            assert_eq!(record["resources"][0]["ARN"], grants[0].key_arn);
            let id = record["requestParameters"]["grantId"].as_str().unwrap();
            assert!(grants.iter().any(|grant| grant.grant_id == id));
        }
    }
}
