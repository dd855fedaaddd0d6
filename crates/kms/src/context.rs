//! The encryption context: an unordered map of strings that becomes additional authenticated data. KMS developer
//! guide, "Encryption context".

use std::collections::BTreeMap;

use crate::KmsError;

/// KMS puts no number on it; the request body is bounded and so is this.
const CONTEXT_BYTES_MAX: usize = 8192;

/// A canonical encryption context: sorted, so that the order in a request never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Takes the pairs of a request.
    pub fn new<I>(pairs: I) -> Result<Self, KmsError>
    where
        I: IntoIterator<Item = (String, String)>,
    {
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        if bytes > CONTEXT_BYTES_MAX {
            return Err(KmsError::Validation(format!("EncryptionContext is larger than {CONTEXT_BYTES_MAX} bytes.")));
        }
        Ok(Self(pairs))
    }

    /// The pairs, sorted by name.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Appends the canonical form: the number of pairs, then each name and value with its length before it, so that
    /// no two contexts share a form.
    pub(crate) fn append_canonical(&self, to: &mut Vec<u8>) {
        append_length(to, self.0.len());
        for (name, value) in &self.0 {
            for text in [name, value] {
                append_length(to, text.len());
                to.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn append_length(to: &mut Vec<u8>, length: usize) {
    to.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn canonical(pairs: &[(String, String)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        EncryptionContext::new(pairs.iter().cloned()).unwrap().append_canonical(&mut bytes);
        bytes
    }

    proptest! {
        /// KMS developer guide, encryption context: the order of the pairs does not matter, their content does.
        #[test]
        fn the_canonical_form_forgets_order_and_nothing_else(
            pairs in proptest::collection::btree_map("[a-z:]{0,6}", "[a-z]{0,6}", 0..6),
            other in proptest::collection::btree_map("[a-z:]{0,6}", "[a-z]{0,6}", 0..6),
        ) {
            let forward: Vec<_> = pairs.clone().into_iter().collect();
            let backward: Vec<_> = pairs.clone().into_iter().rev().collect();
            prop_assert_eq!(canonical(&forward), canonical(&backward));
            let others: Vec<_> = other.clone().into_iter().collect();
            prop_assert_eq!(canonical(&forward) == canonical(&others), pairs == other);
        }
    }

    /// Everything a peer controls is bounded.
    #[test]
    fn a_context_beyond_the_bound_is_refused() {
        let huge = vec![("k".to_owned(), "v".repeat(CONTEXT_BYTES_MAX))];
        assert!(matches!(EncryptionContext::new(huge), Err(KmsError::Validation(_))));
    }
}
