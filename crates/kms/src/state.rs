//! Everything `kms` knows, in memory, and the edits that change it. An edit is durable before it is seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policy::Document;
use storage::{Change, SealedRecords};

use crate::KmsError;
use crate::grant_index::KeyGrants;
use crate::record::{
    AliasRecord, CustodyRecord, ErasureRecord, GrantRecord, KeyRecord, MaterialRecord, decode, encode,
};

/// Where an alias is: account, region, name.
pub(crate) type AliasPlace = (String, String, String);

/// The tables. Each record is shared, so a reader keeps what it looked up without holding a lock.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: BTreeMap<String, Arc<KeyRecord>>,
    /// The keys' policies, read once. One that cannot be read is absent.
    pub(crate) policies: HashMap<String, Arc<Document>>,
    pub(crate) material: HashMap<String, Arc<MaterialRecord>>,
    pub(crate) aliases: BTreeMap<AliasPlace, Arc<AliasRecord>>,
    /// By KMS key.
    pub(crate) grants: BTreeMap<String, KeyGrants>,
    pub(crate) custody: BTreeMap<String, Arc<CustodyRecord>>,
    pub(crate) erasure: Option<ErasureRecord>,
}

/// One change of one record.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    PutKey(KeyRecord),
    PutMaterial(MaterialRecord),
    PutAlias(AliasRecord),
    PutGrant(GrantRecord),
    PutCustody(CustodyRecord),
    PutErasure(ErasureRecord),
    DeleteKey(String),
    DeleteMaterial(String),
    DeleteAlias(AliasPlace),
    DeleteGrant { key: String, id: String },
    DeleteCustody(String),
    ClearErasure,
}

const KEY: &str = "kms/key/";
const MATERIAL: &str = "kms/material/";
const ALIAS: &str = "kms/alias/";
const GRANT: &str = "kms/grant/";
const CUSTODY: &str = "kms/custody/";
const ERASURE: &str = "kms/erasure";

impl State {
    /// Reads all records.
    pub(crate) async fn load(records: &SealedRecords) -> Result<Self, KmsError> {
        let mut state = Self::default();
        for (name, bytes) in records.load("kms/").await? {
            read_record(&name, &bytes)?.apply(&mut state);
        }
        Ok(state)
    }

    /// Reads a key's policy if it is another one than before.
    fn read_policy(&mut self, record: &KeyRecord) {
        if self.keys.get(&record.id).is_some_and(|before| before.policy == record.policy) {
            return;
        }
        match Document::parse(&record.policy) {
            Ok(document) => {
                self.policies.insert(record.id.clone(), Arc::new(document));
            }
            Err(error) => {
                tracing::error!(key = %record.arn(), %error, "the key policy cannot be read, so nobody may use the key");
                self.policies.remove(&record.id);
            }
        }
    }

    /// The grants of a KMS key, by id.
    pub(crate) fn grants_of(&self, key: &str) -> impl Iterator<Item = &Arc<GrantRecord>> {
        self.grants.get(key).into_iter().flat_map(KeyGrants::iter)
    }

    /// One grant of a KMS key.
    pub(crate) fn grant(&self, key: &str, id: &str) -> Option<&Arc<GrantRecord>> {
        self.grants.get(key)?.get(id)
    }

    /// The aliases of a KMS key.
    pub(crate) fn aliases_of(&self, key: &str) -> impl Iterator<Item = (&AliasPlace, &Arc<AliasRecord>)> {
        self.aliases.iter().filter(move |(_, alias)| alias.key == key)
    }
}

/// A record of KMS, by its name, as the edit that puts it.
pub(crate) fn read_record(name: &str, bytes: &[u8]) -> Result<Edit, KmsError> {
    Ok(if name.starts_with(KEY) {
        Edit::PutKey(decode(name, bytes)?)
    } else if name.starts_with(MATERIAL) {
        Edit::PutMaterial(decode(name, bytes)?)
    } else if name.starts_with(ALIAS) {
        Edit::PutAlias(decode(name, bytes)?)
    } else if name.starts_with(GRANT) {
        Edit::PutGrant(decode(name, bytes)?)
    } else if name.starts_with(CUSTODY) {
        Edit::PutCustody(decode(name, bytes)?)
    } else if name == ERASURE {
        Edit::PutErasure(decode(name, bytes)?)
    } else {
        return Err(KmsError::Damaged(format!("{name}: a record of a kind this version does not know")));
    })
}

fn alias_place(alias: &AliasRecord) -> AliasPlace {
    (alias.account.clone(), alias.region.clone(), alias.name.clone())
}

fn alias_name(place: &AliasPlace) -> String {
    format!("{ALIAS}{}/{}/{}", place.0, place.1, place.2)
}

impl Edit {
    /// The edit as the sealed records take it.
    pub(crate) fn change(&self) -> Result<Change, KmsError> {
        Ok(match self {
            Self::PutKey(record) => Change::Put(format!("{KEY}{}", record.id), encode(record)?),
            Self::PutMaterial(record) => Change::Put(format!("{MATERIAL}{}", record.key), encode(record)?),
            Self::PutAlias(record) => Change::Put(alias_name(&alias_place(record)), encode(record)?),
            Self::PutGrant(record) => Change::Put(format!("{GRANT}{}/{}", record.key, record.id), encode(record)?),
            Self::PutCustody(record) => Change::Put(format!("{CUSTODY}{}", record.name), encode(record)?),
            Self::PutErasure(record) => Change::Put(ERASURE.to_owned(), encode(record)?),
            Self::DeleteKey(id) => Change::Delete(format!("{KEY}{id}")),
            Self::DeleteMaterial(id) => Change::Delete(format!("{MATERIAL}{id}")),
            Self::DeleteAlias(place) => Change::Delete(alias_name(place)),
            Self::DeleteGrant { key, id } => Change::Delete(format!("{GRANT}{key}/{id}")),
            Self::DeleteCustody(name) => Change::Delete(format!("{CUSTODY}{name}")),
            Self::ClearErasure => Change::Delete(ERASURE.to_owned()),
        })
    }

    /// The edit in memory.
    pub(crate) fn apply(self, state: &mut State) {
        match self {
            Self::PutKey(record) => {
                state.read_policy(&record);
                state.keys.insert(record.id.clone(), Arc::new(record));
            }
            Self::PutMaterial(record) => {
                state.material.insert(record.key.clone(), Arc::new(record));
            }
            Self::PutAlias(record) => {
                state.aliases.insert(alias_place(&record), Arc::new(record));
            }
            Self::PutGrant(record) => {
                state.grants.entry(record.key.clone()).or_default().put(record);
            }
            Self::PutCustody(record) => {
                state.custody.insert(record.name.clone(), Arc::new(record));
            }
            Self::PutErasure(record) => state.erasure = Some(record),
            Self::DeleteKey(id) => {
                state.policies.remove(&id);
                state.keys.remove(&id);
            }
            Self::DeleteMaterial(id) => {
                state.material.remove(&id);
            }
            Self::DeleteAlias(place) => {
                state.aliases.remove(&place);
            }
            Self::DeleteGrant { key, id } => {
                if let Some(grants) = state.grants.get_mut(&key) {
                    grants.remove(&id);
                    if grants.is_empty() {
                        state.grants.remove(&key);
                    }
                }
            }
            Self::DeleteCustody(name) => {
                state.custody.remove(&name);
            }
            Self::ClearErasure => state.erasure = None,
        }
    }
}
