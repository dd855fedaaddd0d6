//! One word, one meaning, and nothing left undone: words that are not ours in names, glob imports outside tests, names
//! that say nothing, unfinished places, and tests that do not say which rule they keep.

use super::Source;
use super::length::function;

/// Words that another word of the vocabulary replaces, with that word. They are looked for in names that we declare.
const BANNED: &[(&str, &str)] = &[
    ("volume", "file system"),
    ("chunk", "extent or piece"),
    ("inode_number", "fileid"),
    ("permission_check", "decision"),
    ("password", "credentials"),
    ("whitelist", "a word for what passes"),
    ("blacklist", "a word for what is refused"),
];

/// Module and file names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "types", "manager"];

/// What a finished program does not contain, split so that this file does not contain it either.
const UNFINISHED: &[&str] =
    &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!("), concat!("#[", "ignore")];

/// Names each line that breaks a rule of words.
pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |number: usize, what: String| findings.push(format!("{}:{number}: {what}", source.path));
    let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if EMPTY_NAMES.contains(&stem) {
        find(1, format!("{stem} says nothing about what is in it"));
    }
    if !source.is_table && !source.lines.first().is_some_and(|line| line.starts_with("//!")) {
        find(1, "the file does not open with //! and what it is".to_owned());
    }
    for (number, line) in source.code() {
        let text = line.trim_start();
        if text.starts_with("//") {
            continue;
        }
        if is_import(text) && text.contains("::*") {
            find(number, "a glob import outside tests".to_owned());
        }
        if let Some(name) = declared(text)
            && let Some((word, ours)) = banned(name)
        {
            find(number, format!("{name}: we do not say {word} but {ours}"));
        }
    }
    for (at, line) in source.lines.iter().enumerate() {
        let text = line.trim_start();
        if let Some(word) = UNFINISHED.iter().find(|word| !text.starts_with("//") && text.contains(*word)) {
            find(at + 1, format!("{word} is left in the code"));
        }
        if is_test(text) && !documented(source, at) {
            find(at + 1, "the test does not say (///) which rule it keeps".to_owned());
        }
    }
    findings
}

fn is_import(text: &str) -> bool {
    text.starts_with("use ") || (text.starts_with("pub") && text.contains(" use "))
}

fn is_test(text: &str) -> bool {
    text == "#[test]" || text.starts_with("#[tokio::test")
}

/// Whether the comment before the test's attributes is a `///`.
fn documented(source: &Source, at: usize) -> bool {
    let before = source.lines.iter().take(at).rev().map(|line| line.trim_start());
    let mut before = before.skip_while(|line| line.starts_with("#["));
    before.next().is_some_and(|line| line.starts_with("///"))
}

/// The name that a line declares: a function, a type, a constant, a module.
fn declared(text: &str) -> Option<&str> {
    if let Some(name) = function(text) {
        return Some(name);
    }
    let rest = ["pub(crate) ", "pub(super) ", "pub "].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let rest = ["struct ", "enum ", "trait ", "mod ", "type ", "const ", "static "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))?;
    rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

fn banned(name: &str) -> Option<(&'static str, &'static str)> {
    let snake: String = name
        .chars()
        .flat_map(|letter| {
            let low = letter.to_ascii_lowercase();
            if letter.is_ascii_uppercase() { vec!['_', low] } else { vec![low] }
        })
        .collect();
    let padded = format!("_{}_", snake.trim_matches('_'));
    let found = |word: &str| padded.contains(&format!("_{word}_")) || padded.contains(&format!("_{word}s_"));
    BANNED.iter().find(|(word, _)| found(word)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&Source::new("crates/a/src/b.rs", &format!("//! Head.\n{text}"))).len()
    }

    /// House rule: one word, one meaning.
    #[test]
    fn a_banned_word_in_a_declared_name_is_named() {
        assert_eq!(findings("pub struct VolumeId(u64);\n"), 1);
        assert_eq!(findings("fn read_chunks() {}\n"), 1);
        assert_eq!(findings("fn read() { bytes.chunks(4) }\n"), 0);
    }

    /// House rule: no glob import outside tests.
    #[test]
    fn a_glob_import_is_named_unless_in_tests() {
        assert_eq!(findings("use super::*;\n"), 1);
        assert_eq!(findings("#[cfg(test)]\nmod tests {\n    use super::*;\n}\n"), 0);
    }

    /// House rule: each test names the rule it keeps.
    #[test]
    fn a_test_without_its_rule_is_named() {
        let test = "#[cfg(test)]\nmod tests {\n    DOC\n    #[test]\n    fn a() {}\n}\n";
        assert_eq!(findings(&test.replace("DOC", "/// RFC 1, section 1.")), 0);
        assert_eq!(findings(&test.replace("DOC", "")), 1);
    }
}
