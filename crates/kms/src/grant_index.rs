//! The grants of one KMS key, found by id and by the encryption context that they are for. A thousand file systems under one
//! key are a thousand grants to one service, and each lease asks for one of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::EncryptionContext;
use crate::record::GrantRecord;

/// Grants by id.
type ById = BTreeMap<String, Arc<GrantRecord>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KeyGrants {
    all: ById,
    /// Those whose constraint is equality with this encryption context.
    exact: HashMap<BTreeMap<String, String>, ById>,
    /// The others.
    open: ById,
}

impl KeyGrants {
    pub(crate) fn put(&mut self, grant: GrantRecord) {
        self.remove(&grant.id);
        let (id, grant) = (grant.id.clone(), Arc::new(grant));
        let place = match &grant.constraints.equals {
            Some(pairs) => self.exact.entry(pairs.clone()).or_default(),
            None => &mut self.open,
        };
        place.insert(id.clone(), Arc::clone(&grant));
        self.all.insert(id, grant);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let Some(grant) = self.all.remove(id) else { return };
        let Some(pairs) = &grant.constraints.equals else {
            self.open.remove(id);
            return;
        };
        if let Some(grants) = self.exact.get_mut(pairs) {
            grants.remove(id);
            if grants.is_empty() {
                self.exact.remove(pairs);
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<GrantRecord>> {
        self.all.get(id)
    }

    /// All of them, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<GrantRecord>> {
        self.all.values()
    }

    /// Those that may apply to an operation with this encryption context: a grant for exactly another one cannot.
    pub(crate) fn for_context(&self, context: &EncryptionContext) -> impl Iterator<Item = &Arc<GrantRecord>> {
        self.exact.get(context.pairs()).into_iter().chain([&self.open]).flat_map(BTreeMap::values)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Constraints, Grantee};

    fn pairs(file_system: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("id".to_owned(), file_system.to_owned())])
    }

    fn grant(id: &str, equals: Option<&str>, subset: Option<&str>) -> GrantRecord {
        GrantRecord {
            key: "k".to_owned(),
            id: id.to_owned(),
            name: None,
            grantee: Grantee::Service("s".to_owned()),
            retiring: None,
            operations: vec!["Decrypt".to_owned()],
            constraints: Constraints { equals: equals.map(pairs), subset: subset.map(pairs) },
            created: 0,
            issuing_account: "a".to_owned(),
        }
    }

    /// KMS API, GrantConstraints: a grant for exactly one encryption context does not apply in another; all others may.
    #[test]
    fn grants_for_another_context_are_left_aside() {
        let mut grants = KeyGrants::default();
        for (id, equals, subset) in
            [("1", Some("fs-1"), None), ("2", Some("fs-2"), None), ("3", None, Some("fs-2")), ("4", None, None)]
        {
            grants.put(grant(id, equals, subset));
        }
        let of = |grants: &KeyGrants, file_system: &str| -> Vec<String> {
            let context = EncryptionContext::new(pairs(file_system)).unwrap();
            grants.for_context(&context).map(|grant| grant.id.clone()).collect()
        };
        assert_eq!(of(&grants, "fs-1"), ["1", "3", "4"]);
        assert_eq!(of(&grants, "fs-3"), ["3", "4"]);
        // One that is put again under its id is where its new terms say.
        grants.put(grant("1", Some("fs-3"), None));
        assert_eq!(of(&grants, "fs-1"), ["3", "4"]);
        assert_eq!(of(&grants, "fs-3"), ["1", "3", "4"]);
        grants.remove("3");
        grants.remove("1");
        grants.remove("1");
        assert_eq!(of(&grants, "fs-3"), ["4"]);
        assert_eq!((grants.len(), grants.iter().count()), (2, 2));
        assert!(grants.get("1").is_none() && grants.get("2").is_some());
    }
}
