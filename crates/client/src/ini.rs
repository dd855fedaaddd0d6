//! INI files as efs-utils, the AWS profile files and the tunnel's own settings write them.
//!
//! `[section]`, `key = value` or `key: value`, whole-line comments with `#` or `;`, indented lines continue a value.
//! Keys are case-insensitive, and `[DEFAULT]` answers for every section. There is no interpolation.

use std::{collections::BTreeMap, fmt::Write as _};

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    line: usize,
    what: &'static str,
}

const DEFAULT: &str = "DEFAULT";

/// The parsed file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Reads the whole text.
    ///
    /// # Errors
    /// A line that is no section, key or comment, or a key before the first section.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut ini = Self::default();
        let mut section: Option<String> = None;
        let mut last_key: Option<String> = None;
        for (number, raw) in text.lines().enumerate() {
            let malformed = |what| Malformed { line: number + 1, what };
            let line = raw.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let indented = raw.starts_with([' ', '\t']);
            if let (true, Some(section), Some(key)) = (indented, &section, &last_key) {
                let value = ini.sections.entry(section.clone()).or_default().entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(line);
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.strip_suffix(']').ok_or_else(|| malformed("a section's name ends with ]"))?.trim();
                let _ = ini.sections.entry(name.to_owned()).or_default();
                (section, last_key) = (Some(name.to_owned()), None);
                continue;
            }
            let section = section.as_ref().ok_or_else(|| malformed("a key stands before the first section"))?;
            let (key, value) = line.split_once(['=', ':']).ok_or_else(|| malformed("neither section nor key"))?;
            let key = key.trim().to_ascii_lowercase();
            let _ = ini.sections.entry(section.clone()).or_default().insert(key.clone(), value.trim().to_owned());
            last_key = Some(key);
        }
        Ok(ini)
    }

    /// The value of `key` in `section`, else in `[DEFAULT]`.
    #[must_use]
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let of = |section: &str| self.sections.get(section)?.get(key).map(String::as_str);
        of(section).or_else(|| of(DEFAULT))
    }

    /// Whether the file has the section.
    #[must_use]
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// Adds or replaces one value.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<String>) {
        let _ = self.sections.entry(section.to_owned()).or_default().insert(key.to_ascii_lowercase(), value.into());
    }

    /// The file as text that [`Ini::parse`] reads back.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (section, entries) in &self.sections {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in entries {
                let _ = writeln!(text, "{key} = {}", value.replace('\n', "\n    "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, dist/efs-utils.conf: the configuration file's notation, with comments, defaults and region
    /// sections.
    #[test]
    fn sections_defaults_and_comments_are_understood() {
        let ini = Ini::parse("# head\n[DEFAULT]\nLogging_Level = INFO\n\n[mount]\nregion: eu-west-1\n;x=1\n").unwrap();
        assert_eq!(ini.get("mount", "logging_level"), Some("INFO"));
        assert_eq!(ini.get("mount", "region"), Some("eu-west-1"));
        assert_eq!(ini.get("mount", "x"), None);
        assert_eq!(ini.get("absent", "logging_level"), Some("INFO"));
        assert!(ini.has_section("mount") && !ini.has_section("absent"));
    }

    /// Python's configparser, whose files these are: indented lines continue the value above.
    #[test]
    fn indented_lines_continue_a_value() {
        let ini = Ini::parse("[a]\nk = one\n  two\n").unwrap();
        assert_eq!(ini.get("a", "k"), Some("one\ntwo"));
        assert_eq!(Ini::parse(&ini.to_text()).unwrap(), ini);
    }

    /// Architecture section 7: a broken configuration is named by its line, not guessed at.
    #[test]
    fn broken_lines_are_named() {
        assert_eq!(Ini::parse("k = v\n").unwrap_err().to_string(), "line 1: a key stands before the first section");
        assert_eq!(Ini::parse("[a]\nnonsense\n").unwrap_err().to_string(), "line 2: neither section nor key");
        assert!(Ini::parse("[a\n").is_err());
    }
}
