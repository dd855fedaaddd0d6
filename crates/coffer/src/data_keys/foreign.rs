//! The same for KMS keys that a provider of the configuration has. Its answers are refusals or none, its calls are in our
//! audit log as well as in its own, and what it wrapped is in custody here.

use std::sync::Arc;

use audit::{Event, Outcome};
use aws_wire::{Arn, CallContext, CallerKind};
use control::{KeyChoice, KeyGrant, KeyPurpose, Scope};
use crypto::Key;
use kms::{EncryptionContext, KmsError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FILE_SERVICE, KeyError, ServiceKeys, context, event};
use crate::external_kms::{Provider, ProviderError};

/// What is kept of a grant at a provider; format 1, JSON in custody.
#[derive(Serialize, Deserialize)]
struct GrantNote {
    version: u8,
    provider: String,
    key_arn: String,
}

/// Under these names: that a grant was asked for, and its id.
fn grant_names(file_system: &str) -> [String; 2] {
    [format!("{file_system}/grant"), format!("{file_system}/grant-id")]
}

impl ServiceKeys {
    /// The provider of the KMS key that a caller chose, if it is elsewhere. What is ours is never asked for elsewhere.
    pub(super) fn chosen_elsewhere(&self, choice: KeyChoice<'_>) -> Option<(Arc<Provider>, Arn)> {
        let KeyChoice::Chosen(text) = choice else { return None };
        let arn = Arn::parse(text).filter(|_| self.kms.key_arn("", "", text).is_none())?;
        let provider = self.providers.serving(&arn)?;
        Some((Arc::clone(provider), arn))
    }

    /// The provider that a file system's key is at.
    pub(super) fn provider(&self, name: &str) -> Result<&Arc<Provider>, KeyError> {
        self.providers.named(name).ok_or_else(|| {
            let why = "it is not in the configuration; put its [[kms_provider]] back and restart the server".to_owned();
            KeyError::Provider(ProviderError::Unreachable { provider: name.to_owned(), why })
        })
    }

    /// How much longer than usual a lease lasts while nobody answers.
    pub(crate) fn grace(&self, grant: &KeyGrant) -> std::time::Duration {
        let provider = grant.provider.as_deref().and_then(|name| self.providers.named(name));
        provider.map(|provider| provider.grace()).unwrap_or_default()
    }

    /// Lets the file service use a KMS key elsewhere, if the caller may do that: the provider's configuration names them, and
    /// their own policies allow it, as for a key of another account.
    pub(super) async fn grant_elsewhere(
        &self,
        cx: &CallContext,
        file_system: &str,
        provider: &Provider,
        key: &Arn,
    ) -> Result<KeyGrant, KeyError> {
        let context = context(file_system)?;
        let described = {
            let mut event = event(cx, "DescribeKey", json!({ "keyId": key.to_string() }), None);
            (event.read_only, event.additional) = (true, provider.whereabouts());
            invoked_by_us(&mut event);
            let act = async {
                self.may_use(cx, provider, key, &context)?;
                Ok::<_, KeyError>(provider.describe_key(key).await?)
            };
            self.written_down(event, act, |_| Outcome::success(Value::Null)).await?
        };
        let key_arn = described.to_string();
        let mut grant = KeyGrant { key_arn, grant_id: String::new(), provider: Some(provider.settings().name.clone()) };
        if let Some(grantee) = &provider.settings().grant_to {
            // Noted first: what a crash cuts off is found, and ended, all the same.
            let note =
                GrantNote { version: 1, provider: provider.settings().name.clone(), key_arn: grant.key_arn.clone() };
            let note = serde_json::to_vec(&note).map_err(|cause| KmsError::Damaged(cause.to_string()))?;
            let [asked, id] = grant_names(file_system);
            self.kms.keep_foreign(&asked, &note).await?;
            let parameters = json!({
                "keyId": grant.key_arn,
                "granteePrincipal": grantee,
                "retiringPrincipal": grantee,
                "operations": kms::SERVICE_OPERATIONS,
                "constraints": { "encryptionContextEquals": context.pairs() },
            });
            let mut event = event(cx, "CreateGrant", parameters, Some(&grant.key_arn));
            event.additional = provider.whereabouts();
            invoked_by_us(&mut event);
            let act =
                async { Ok::<_, KeyError>(provider.create_grant(&grant.key_arn, file_system, context.pairs()).await?) };
            let done = |made: &Option<String>| Outcome::success(json!({ "keyId": grant.key_arn, "grantId": made }));
            grant.grant_id = self.written_down(event, act, done).await?.unwrap_or_default();
            self.kms.keep_foreign(&id, grant.grant_id.as_bytes()).await?;
        }
        Ok(grant)
    }

    fn may_use(
        &self,
        cx: &CallContext,
        provider: &Provider,
        key: &Arn,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        if !provider.settings().admits(&cx.caller) {
            tracing::info!(caller = %cx.caller.arn, %key, "not named in `allow` of the KMS provider");
            return Err(KmsError::AccessDenied(format!(
                "User: {} is not authorized to perform: kms:CreateGrant on resource: {key}",
                cx.caller.arn
            )));
        }
        // An account's root has no policies of its own to ask.
        if cx.caller.kind == CallerKind::Root {
            return Ok(());
        }
        let service = super::principal(&cx.region);
        let may = |action| self.kms.may_through(cx, &service, action, key, context);
        ["DescribeKey", "CreateGrant"].into_iter().try_for_each(may)
    }

    /// GenerateDataKeyWithoutPlaintext there, kept here. Done before is done.
    pub(super) async fn make_elsewhere(
        &self,
        scope: Scope<'_>,
        file_system: &str,
        purpose: KeyPurpose,
        provider: &Provider,
        grant: &KeyGrant,
    ) -> Result<(), KeyError> {
        let name = purpose.name(file_system);
        if self.kms.has_data_keys(std::slice::from_ref(&name)) {
            return Ok(());
        }
        let (context, cx) = (context(file_system)?, self.service(scope));
        let parameters = json!({ "keyId": grant.key_arn, "keySpec": "AES_256", "encryptionContext": context.pairs() });
        let mut event = event(&cx, "GenerateDataKeyWithoutPlaintext", parameters, Some(&grant.key_arn));
        event.additional = provider.whereabouts();
        let act = async {
            let blob = provider.generate_data_key(&grant.key_arn, &grant.grant_id, context.pairs()).await?;
            Ok::<_, KeyError>(self.kms.keep_foreign(&name, &blob).await?)
        };
        self.written_down(event, act, |()| Outcome::success(Value::Null)).await
    }

    /// Decrypt there, of what is in custody here. What is not asked is not written down.
    pub(super) async fn open_elsewhere(
        &self,
        scope: Scope<'_>,
        file_system: &str,
        purpose: KeyPurpose,
        provider: &Provider,
        grant: &KeyGrant,
    ) -> Result<Key, KeyError> {
        provider.may_ask()?;
        let (context, cx) = (context(file_system)?, self.service(scope));
        let parameters = json!({ "encryptionContext": context.pairs(), "encryptionAlgorithm": "SYMMETRIC_DEFAULT" });
        let mut event = event(&cx, "Decrypt", parameters, Some(&grant.key_arn));
        event.additional = provider.whereabouts();
        let act = async {
            let blob = self.kms.kept_foreign(&purpose.name(file_system))?;
            Ok::<_, KeyError>(provider.decrypt(&grant.key_arn, &grant.grant_id, &blob, context.pairs()).await?)
        };
        self.written_down(event, act, |_| Outcome::success(Value::Null)).await
    }

    /// Ends the grant at a provider, if one was asked for. Once: the keys are destroyed already, so a grant that stays is of
    /// no use to anybody, and a provider that is gone must not keep a file system from being deleted.
    pub(super) async fn end_elsewhere(&self, scope: Scope<'_>, file_system: &str) -> Result<(), KeyError> {
        let names = grant_names(file_system);
        let [asked, id] = &names;
        let Ok(note) = self.kms.kept_foreign(asked) else { return Ok(()) };
        let id = self.kms.kept_foreign(id).ok().and_then(|id| String::from_utf8(id).ok());
        if let Err(error) = self.retire_elsewhere(scope, file_system, &note, id).await {
            tracing::warn!(file_system, %error, "its grant at the KMS provider stays; whoever owns the key may revoke it");
        }
        Ok(self.kms.destroy_data_keys(&names).await?)
    }

    async fn retire_elsewhere(
        &self,
        scope: Scope<'_>,
        file_system: &str,
        note: &[u8],
        id: Option<String>,
    ) -> Result<(), KeyError> {
        let note: GrantNote = serde_json::from_slice(note)
            .map_err(|cause| KmsError::Damaged(format!("{file_system}: the note of its grant: {cause}")))?;
        let provider = self.provider(&note.provider)?;
        let (context, cx) = (context(file_system)?, self.service(scope));
        let parameters = json!({ "keyId": note.key_arn, "grantId": id });
        let mut event = event(&cx, "RetireGrant", parameters, Some(&note.key_arn));
        event.additional = provider.whereabouts();
        let act = async {
            let id = match id {
                Some(id) => Some(id),
                // A crash came before its id was known: the same grant is made again, which tells it.
                None => provider.create_grant(&note.key_arn, file_system, context.pairs()).await?,
            };
            match id {
                Some(id) => Ok::<_, KeyError>(provider.retire_grant(&note.key_arn, &id).await?),
                None => Ok(()),
            }
        };
        self.written_down(event, act, |()| Outcome::success(Value::Null)).await
    }
}

/// In the caller's name, by the file service.
pub(super) fn invoked_by_us(event: &mut Event) {
    if let Some(identity) = event.identity.as_object_mut() {
        identity.insert("invokedBy".to_owned(), FILE_SERVICE.into());
    }
}
