//! Which file systems seal with a KMS key or a grant. KMS does not know of file systems, and the control plane not how keys
//! work; whoever is about to take a key away is told here.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use api_server::Annotate;
use aws_wire::CallContext;
use control::{CONTEXT_NAME, Control, FileSystem, KeyGrant};
use kms::{EncryptionContext, Kms, ServiceGrant};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A file system that depends on a KMS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dependent {
    /// `fs-...`.
    pub(crate) id: String,
    /// The tag `Name`.
    pub(crate) name: Option<String>,
    /// What the KMS key guards of it: `data`, `metadata`.
    pub(crate) keys: Vec<String>,
}

/// Joins the file systems, which `control` knows, to the keys and grants, which `kms` knows.
pub(crate) struct Dependents {
    kms: Kms,
    control: OnceLock<Control>,
}

impl Dependents {
    pub(crate) fn new(kms: Kms) -> Self {
        Self { kms, control: OnceLock::new() }
    }

    /// Gives the control plane, which is made later.
    pub(crate) fn join(&self, control: Control) {
        // Set once, when the house is put together.
        let _ = self.control.set(control);
    }

    fn file_systems(&self) -> Vec<std::sync::Arc<FileSystem>> {
        self.control.get().map(Control::file_systems).unwrap_or_default()
    }

    /// The file systems under a KMS key, ours or a provider's.
    pub(crate) fn of_key(&self, key_arn: &str) -> Vec<Dependent> {
        let is = |grant: &Option<KeyGrant>| grant.as_ref().is_some_and(|grant| grant.key_arn == key_arn);
        let under = |found: &FileSystem| {
            let keys = [("data", is(&found.data_grant)), ("metadata", is(&found.metadata_grant))];
            let keys: Vec<String> = keys.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()).collect();
            let name = found.tags.iter().find(|tag| tag.key == "Name").map(|tag| tag.value.clone());
            (!keys.is_empty()).then(|| Dependent { id: found.id.clone(), name, keys })
        };
        self.file_systems().iter().filter_map(|found| under(found)).collect()
    }

    /// The file systems that a grant alone lets use their KMS key.
    fn of_grant(&self, grant: &ServiceGrant) -> Vec<Dependent> {
        let regions: BTreeMap<String, String> =
            self.file_systems().iter().map(|found| (found.id.clone(), found.region.clone())).collect();
        let by_it = |dependent: &Dependent| {
            let pairs = BTreeMap::from([(CONTEXT_NAME.to_owned(), dependent.id.clone())]);
            let Ok(context) = EncryptionContext::new(pairs) else { return false };
            let region = regions.get(&dependent.id).map(String::as_str).unwrap_or_default();
            self.kms.is_granted_only_by(grant, &crate::data_keys::principal(region), &context)
        };
        self.of_key(&grant.key_arn).into_iter().filter(by_it).collect()
    }

    /// The same for an audit record, and a line in the log if there are any.
    pub(crate) fn note(&self, key_arn: &str, action: &str) -> Value {
        told(key_arn, action, self.of_key(key_arn))
    }

    /// What a call of KMS would take away, if it succeeds; none for calls that take nothing away.
    fn of_call(&self, cx: &CallContext, action: &str, input: &Value) -> Option<(String, Vec<Dependent>)> {
        let text = |member: &str| input.get(member).and_then(Value::as_str);
        let key = || self.kms.key_arn(&cx.account, &cx.region, text("KeyId")?);
        match action {
            "DisableKey" | "ScheduleKeyDeletion" | "DeleteImportedKeyMaterial" | "PutKeyPolicy" => {
                let key = key()?;
                let dependents = self.of_key(&key);
                Some((key, dependents))
            }
            "RevokeGrant" | "RetireGrant" => {
                let grant = match text("GrantToken") {
                    Some(token) => self.kms.grant_of_token(token)?,
                    None => ServiceGrant { key_arn: key()?, grant_id: text("GrantId")?.to_owned() },
                };
                let dependents = self.of_grant(&grant);
                Some((grant.key_arn, dependents))
            }
            _ => None,
        }
    }
}

impl Annotate for Dependents {
    fn annotate(&self, cx: &CallContext, source: &str, action: &str, input: &Value) -> Value {
        if source != "kms.amazonaws.com" {
            return Value::Null;
        }
        let Some((key, dependents)) = self.of_call(cx, action, input) else { return Value::Null };
        told(&key, action, dependents)
    }
}

fn told(key: &str, action: &str, dependents: Vec<Dependent>) -> Value {
    let ids: Vec<String> = dependents.into_iter().map(|dependent| dependent.id).collect();
    if !ids.is_empty() {
        let file_systems = ids.join(" ");
        tracing::warn!(key, action, file_systems, "these file systems seal when it is done");
    }
    json!({ "dependentFileSystems": ids })
}
