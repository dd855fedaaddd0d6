//! Tags of KMS keys. KMS developer guide, "Tags in AWS KMS".

use std::collections::BTreeMap;

use crate::{KmsError, model};

/// KMS developer guide, "Resource quotas": tags of one KMS key.
const TAGS_MAX: usize = 50;

/// Adds tags to what is there; an equal key takes the new value.
pub(crate) fn add(to: &mut BTreeMap<String, String>, tags: Vec<model::Tag>) -> Result<(), KmsError> {
    let mut seen = std::collections::BTreeSet::new();
    for tag in tags {
        check_key(&tag.tag_key)?;
        if !seen.insert(tag.tag_key.clone()) {
            return Err(KmsError::Tag("Duplicate tag keys".to_owned()));
        }
        to.insert(tag.tag_key, tag.tag_value);
    }
    if to.len() > TAGS_MAX {
        return Err(KmsError::LimitExceeded(format!("A KMS key has at most {TAGS_MAX} tags.")));
    }
    Ok(())
}

pub(crate) fn check_key(key: &str) -> Result<(), KmsError> {
    let reserved = key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if reserved {
        return Err(KmsError::Tag("aws: prefixed tag key names are not allowed for external use".to_owned()));
    }
    Ok(())
}
