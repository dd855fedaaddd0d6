//! `coffer key dependents`: which file systems seal with a KMS key.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::dependents::Dependent;

/// A KMS key and what depends on it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyDependents {
    /// The KMS key's ARN.
    pub(crate) key: String,
    /// What seals when it is disabled or deleted.
    pub(crate) file_systems: Vec<Dependent>,
}

/// The answer for people.
pub(crate) fn render(found: &KeyDependents) -> String {
    if found.file_systems.is_empty() {
        return format!("no file system depends on {}\n", found.key);
    }
    let mut text =
        format!("{} file systems seal when {} is disabled or deleted:\n", found.file_systems.len(), found.key);
    for system in &found.file_systems {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {}  {}", system.id, system.keys.join("+"), system.name.as_deref().unwrap_or("-"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/operations.md, "Before a key is taken away": each file system by id, by what is guarded, and by name.
    #[test]
    fn dependents_are_named() {
        let one = Dependent { id: "fs-1".to_owned(), name: Some("a".to_owned()), keys: vec!["data".to_owned()] };
        let text = render(&KeyDependents { key: "arn:k".to_owned(), file_systems: vec![one] });
        assert_eq!(text, "1 file systems seal when arn:k is disabled or deleted:\nfs-1  data  a\n");
        let none = render(&KeyDependents { key: "arn:k".to_owned(), file_systems: Vec::new() });
        assert_eq!(none, "no file system depends on arn:k\n");
    }
}
