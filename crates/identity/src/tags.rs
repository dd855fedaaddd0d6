//! Tags of users, roles, policies and sessions. IAM User Guide, "Tags for AWS Identity and Access Management resources".

use std::collections::BTreeMap;

use aws_wire::query::Xml;

use crate::{IdentityError, quota};

/// Tags by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// The tags with more of them: a key that differs in case only is the same key.
pub(crate) fn with(tags: &Tags, more: impl IntoIterator<Item = (String, String)>) -> Result<Tags, IdentityError> {
    let mut all = tags.clone();
    let mut given: Vec<String> = Vec::new();
    for (key, value) in more {
        if given.iter().any(|other| other.eq_ignore_ascii_case(&key)) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IdentityError::InvalidInput(text.to_owned()));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            let text = "One or more of the tag keys begin with the reserved prefix aws:.";
            return Err(IdentityError::InvalidInput(text.to_owned()));
        }
        all.retain(|other, _| !other.eq_ignore_ascii_case(&key));
        given.push(key.clone());
        all.insert(key, value);
    }
    if all.len() > quota::TAGS {
        return Err(IdentityError::LimitExceeded(format!(
            "The number of tags has reached the maximum limit of {}.",
            quota::TAGS
        )));
    }
    Ok(all)
}

/// The tags without some of them.
pub(crate) fn without(tags: &Tags, keys: &[String]) -> Tags {
    let kept = tags.iter().filter(|(key, _)| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// `Tags`, when there are any.
pub(crate) fn xml(tags: &Tags) -> Option<Xml> {
    (!tags.is_empty()).then(|| Xml::Node("Tags", tags.iter().map(|(key, value)| member(key, value)).collect()))
}

/// One tag in a list.
pub(crate) fn member(key: &str, value: &str) -> Xml {
    Xml::Node("member", vec![Xml::Text("Key", key.to_owned()), Xml::Text("Value", value.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::{Tags, with, without};

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    /// IAM User Guide, "Rules for tagging": keys are unique whatever their case, `aws:` is reserved, 50 at most.
    #[test]
    fn keys_are_unique_whatever_their_case() {
        let tags = with(&Tags::new(), [pair("Team", "blue")]).unwrap();
        let tags = with(&tags, [pair("team", "red"), pair("b", "")]).unwrap();
        assert_eq!(tags, Tags::from([pair("team", "red"), pair("b", "")]));
        assert!(with(&tags, [pair("x", "1"), pair("X", "2")]).is_err());
        assert!(with(&tags, [pair("AWS:x", "1")]).is_err());
        assert!(with(&Tags::new(), (0..51).map(|number| pair(&number.to_string(), ""))).is_err());
        assert_eq!(without(&tags, &["TEAM".to_owned()]), Tags::from([pair("b", "")]));
    }
}
