//! The condition context keys that a document asks for. IAM API, GetContextKeysForCustomPolicy; IAM User Guide, "AWS global
//! condition context keys".

use crate::document::{Document, Scope, Statement};
use crate::variable;

/// Several names, each once whatever the case of its letters, in the order of their first mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextKeys(Vec<String>);

impl ContextKeys {
    /// Adds a name.
    pub fn add(&mut self, name: &str) {
        if !self.0.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            self.0.push(name.to_owned());
        }
    }

    /// Adds several.
    pub fn add_all<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        names.into_iter().for_each(|name| self.add(name));
    }

    /// The names.
    pub fn into_names(self) -> Vec<String> {
        self.0
    }
}

impl Document {
    /// Adds every key that a condition names and every variable that stands in a resource or in a condition's value.
    pub fn context_keys(&self, keys: &mut ContextKeys) {
        for statement in &self.statements {
            statement.resource_variables().for_each(|name| keys.add(name));
            for condition in &statement.conditions {
                keys.add(condition.key());
                condition.variables().for_each(|name| keys.add(name));
            }
        }
    }
}

impl Statement {
    /// The keys of the variables in its resources.
    pub(crate) fn resource_variables(&self) -> impl Iterator<Item = &str> {
        let patterns = match &self.resources {
            Some(Scope::Only(patterns) | Scope::AllBut(patterns)) if self.variables => patterns.as_slice(),
            _ => &[],
        };
        patterns.iter().flat_map(|pattern| variable::keys(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::ContextKeys;
    use crate::Document;

    /// IAM API, GetContextKeysForCustomPolicy: all keys that the policies refer to, each once; in the language of 2008 there
    /// are no variables.
    #[test]
    fn keys_of_conditions_and_variables_are_found_once() {
        let text = |version: &str| {
            format!(
                r#"{{"Version":"{version}","Statement":[
                {{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:a:::${{aws:username}}/${{*}}",
                  "Condition":{{"StringEquals":{{"aws:TagKeys":"${{aws:PrincipalTag/team, 'none'}}","kms:ViaService":"x"}}}}}},
                {{"Effect":"Deny","Action":"a:b","NotResource":"*","Condition":{{"Null":{{"AWS:tagkeys":"true"}}}}}}]}}"#
            )
        };
        let keys = |version: &str| {
            let mut keys = ContextKeys::default();
            Document::parse(&text(version)).unwrap().context_keys(&mut keys);
            keys.into_names()
        };
        assert_eq!(keys("2012-10-17"), ["aws:username", "aws:TagKeys", "aws:PrincipalTag/team", "kms:ViaService"]);
        assert_eq!(keys("2008-10-17"), ["aws:TagKeys", "kms:ViaService"]);
    }
}
