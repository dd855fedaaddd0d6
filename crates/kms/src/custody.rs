//! Data keys in custody: what a service stores wrapped, kept here so that it can be erased with everything else.
//!
//! A service asks for a data key under a KMS key of the caller's choice. The wrapped form is wrapped once more under the
//! domain key and kept under a name; the plaintext is given out only for the term of a lease.

use aws_wire::CallContext;
use crypto::Key;
use zeroize::Zeroizing;

use crate::algorithm::check_symmetric;
use crate::grants::Terms;
use crate::kms::{Kms, Turn};
use crate::record::{Constraints, CustodyRecord, ErasureRecord, Grantee, KeyRecord};
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::wrapped::UnwrapError;
use crate::{EncryptionContext, KmsError, access, facts, model, ops};

/// What a service is granted on a KMS key that a caller chose.
pub const SERVICE_OPERATIONS: &[&str] = &["Decrypt", "GenerateDataKeyWithoutPlaintext", "RetireGrant", "DescribeKey"];

/// A KMS key that a service may use from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceGrant {
    /// The KMS key's ARN, whatever spelling it was chosen by.
    pub key_arn: String,
    /// The grant.
    pub grant_id: String,
}

impl Kms {
    /// In the name of the caller and through `service`: DescribeKey and CreateGrant on the KMS key of that spelling, for
    /// data keys under exactly this encryption context. A KMS key that cannot be used is refused and left as it was.
    pub async fn grant_to_service(
        &self,
        cx: &CallContext,
        service: &str,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<ServiceGrant, KmsError> {
        let found = self.find(cx, key, Spelling::KeyOrAlias).await?;
        let facts = || facts::through(access::named_by(cx, key), service);
        self.allow_with(cx, &found, "DescribeKey", &EncryptionContext::default(), facts())?;
        let turn = self.turn().await;
        let key = self.find_id(&found.account, &found.region, &found.id)?;
        let granted = facts()
            .with("kms:GranteePrincipal", service)
            .with("kms:RetiringPrincipal", service)
            .with("kms:GrantConstraintType", "EncryptionContextEquals")
            .with_all("kms:GrantOperations", SERVICE_OPERATIONS.iter().copied());
        self.allow_with(cx, &key, "CreateGrant", context, granted)?;
        check_symmetric(&key, "GenerateDataKeyWithoutPlaintext")?;
        state_table::check(Action::CreateGrant, &key)?;
        let terms = Terms {
            name: None,
            grantee: Grantee::Principal(service.to_owned()),
            retiring: Some(Grantee::Principal(service.to_owned())),
            operations: SERVICE_OPERATIONS.iter().map(|&operation| operation.to_owned()).collect(),
            constraints: Constraints { equals: Some(context.pairs().clone()), subset: None },
        };
        let (grant_id, _) = self.grant(&turn, &key, terms, &cx.account).await?;
        Ok(ServiceGrant { key_arn: key.arn(), grant_id })
    }

    /// Ends the grant of a service; no error if it ended before.
    pub async fn retire_service_grant(&self, grant: &ServiceGrant) -> Result<(), KmsError> {
        let Some(key) = self.key_of_arn(&grant.key_arn) else { return Ok(()) };
        let turn = self.turn().await;
        let there = self.read(|state| state.grant(&key.id, &grant.grant_id).is_some());
        if there { self.end_grant(&turn, &key, &grant.grant_id).await } else { Ok(()) }
    }

    /// Every grant on any KMS key that lets `service` use this encryption context.
    #[must_use]
    pub fn service_grants(&self, service: &str, context: &EncryptionContext) -> Vec<ServiceGrant> {
        self.read(|state| {
            let grants = state.grants.values().flat_map(|grants| grants.for_context(context));
            grants
                .filter(|grant| grant.grantee.name() == service)
                .filter(|grant| grant.constraints.equals.as_ref() == Some(context.pairs()))
                .filter_map(|grant| {
                    let key = state.keys.get(&grant.key)?;
                    Some(ServiceGrant { key_arn: key.arn(), grant_id: grant.id.clone() })
                })
                .collect()
        })
    }

    /// Ends every grant on any KMS key that lets `service` use this encryption context: what an interrupted creation may
    /// have left behind.
    pub async fn retire_service_grants(&self, service: &str, context: &EncryptionContext) -> Result<(), KmsError> {
        for grant in self.service_grants(service, context) {
            self.retire_service_grant(&grant).await?;
        }
        Ok(())
    }

    /// Whether anything is in custody under one of these names.
    #[must_use]
    pub fn has_data_keys(&self, names: &[String]) -> bool {
        self.read(|state| names.iter().any(|name| state.custody.contains_key(name)))
    }

    /// As the service: GenerateDataKeyWithoutPlaintext under `key_arn`, kept in custody as `name`. A name that is taken
    /// keeps what it holds, so that an interrupted creation can be gone over again.
    pub async fn make_data_key(
        &self,
        service: &CallContext,
        name: &str,
        key_arn: &str,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        if self.read(|state| state.custody.contains_key(name)) {
            return Ok(());
        }
        let input = model::GenerateDataKeyWithoutPlaintextRequest {
            key_id: key_arn.to_owned(),
            key_spec: Some(model::DataKeySpec::Aes256),
            encryption_context: Some(context.pairs().clone()),
            ..model::GenerateDataKeyWithoutPlaintextRequest::default()
        };
        let made = ops::generate_data_key_without_plaintext::run(self, service, input).await?;
        let blob = made.ciphertext_blob.unwrap_or_default();
        let turn = self.turn().await;
        // Another call may have made it while this one worked.
        if self.read(|state| state.custody.contains_key(name)) {
            return Ok(());
        }
        let wrapped = self.ring().seal(&blob.0, &custody_aad(name));
        turn.write(vec![Edit::PutCustody(CustodyRecord { name: name.to_owned(), wrapped })]).await
    }

    /// As the service: Decrypt of what is in custody as `name`. This is what a key lease asks for.
    pub async fn open_data_key(
        &self,
        service: &CallContext,
        name: &str,
        key_arn: &str,
        context: &EncryptionContext,
    ) -> Result<Key, KmsError> {
        let blob = self.custody(name)?;
        let (_, mut plaintext, _) = ops::decrypt::open(self, service, &blob, Some(key_arn), context, None).await?;
        Key::take(&mut plaintext).map_err(|_| KmsError::Damaged(format!("{name}: not a 256-bit data key")))
    }

    /// Forgets what is in custody under these names, for ever: the epoch moves on within a minute.
    pub async fn destroy_data_keys(&self, names: &[String]) -> Result<(), KmsError> {
        let turn = self.turn().await;
        let there: Vec<String> =
            self.read(|state| names.iter().filter(|name| state.custody.contains_key(*name)).cloned().collect());
        if there.is_empty() {
            return Ok(());
        }
        let mut edits: Vec<Edit> = there.into_iter().map(Edit::DeleteCustody).collect();
        edits.push(self.erasure_edit());
        turn.write(edits).await?;
        self.wake().notify_one();
        Ok(())
    }

    /// Notes that something was deleted; the first of several keeps its time, so they share one move.
    pub(crate) fn erasure_edit(&self) -> Edit {
        let since = self.read(|state| state.erasure).map_or_else(|| self.now(), |erasure| erasure.since);
        Edit::PutErasure(ErasureRecord { since })
    }

    pub(crate) fn custody(&self, name: &str) -> Result<Vec<u8>, KmsError> {
        self.open_custody(name).map(|blob| blob.to_vec())
    }

    /// The same where what is kept is itself a secret.
    pub(crate) fn open_custody(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        for _ in 0..3 {
            let record = self.read(|state| state.custody.get(name).cloned());
            let record = record.ok_or_else(|| KmsError::NotFound(format!("No data key is kept as {name}.")))?;
            match self.ring().open_sealed(&record.wrapped, &custody_aad(name)) {
                Ok(blob) => return Ok(blob),
                // The epoch moved on between look and open: look again.
                Err(UnwrapError::EpochGone) => {}
                Err(UnwrapError::OpenFailed) => break,
            }
        }
        Err(KmsError::Damaged(format!("{name}: the data key in custody does not open")))
    }

    pub(crate) fn rewrap_custody(&self, record: &CustodyRecord) -> Result<CustodyRecord, KmsError> {
        let aad = custody_aad(&record.name);
        let blob = self
            .ring()
            .open_sealed(&record.wrapped, &aad)
            .map_err(|_| KmsError::Damaged(format!("{}: the data key in custody does not open", record.name)))?;
        Ok(CustodyRecord { name: record.name.clone(), wrapped: self.ring().seal(&blob, &aad) })
    }

    pub(crate) fn key_of_arn(&self, arn: &str) -> Option<std::sync::Arc<KeyRecord>> {
        let id = arn.rsplit_once('/').map(|(_, id)| id)?;
        self.read(|state| state.keys.get(id).cloned())
    }
}

/// Edits of one step of a re-wrap, small enough for one commit.
pub(crate) const REWRAP_STEP: usize = 200;

pub(crate) fn custody_aad(name: &str) -> Vec<u8> {
    format!("kms/custody/{name}").into_bytes()
}

/// Writes edits in steps that each fit a commit.
pub(crate) async fn write_in_steps(turn: &Turn, edits: Vec<Edit>) -> Result<(), KmsError> {
    let mut rest = edits.into_iter().peekable();
    while rest.peek().is_some() {
        turn.write(rest.by_ref().take(REWRAP_STEP).collect()).await?;
    }
    Ok(())
}
