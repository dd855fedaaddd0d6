//! The tables of operations and actions are the only lists of them: each row has a file that opens with its name, and a
//! test; each file has a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Source;

/// Names each file of an operation or action whose head says something else, and each row without file or test.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<String> {
    let mut findings: Vec<String> = sources.iter().filter_map(head).collect();
    findings.extend(rows(root, sources));
    findings
}

/// `ops/close.rs` opens with CLOSE and its RFC section, `ops/create_key.rs` with CreateKey.
fn head(source: &Source) -> Option<String> {
    let (home, file) = source.path.split_once("/src/ops/")?;
    let stem = file.strip_suffix(".rs").filter(|stem| !stem.contains('/') && !matches!(*stem, "tests" | "mod"))?;
    if !["nfs-server", "kms", "control", "identity"].iter().any(|name| home.ends_with(name)) {
        return None;
    }
    let first = source.lines.iter().take_while(|line| line.starts_with("//!")).map(String::as_str).collect::<String>();
    let of_nfs = home.ends_with("nfs-server");
    let wanted = if of_nfs { stem.to_uppercase() } else { camel(stem) };
    // Of `OpenIDConnect` a file's name keeps the letters, not their case.
    let says = first.to_lowercase().contains(&wanted.to_lowercase()) && (!of_nfs || first.contains("RFC"));
    (!says).then(|| {
        format!(
            "{}: the head does not open with {wanted}{}",
            source.path,
            if of_nfs { " and its RFC section" } else { "" }
        )
    })
}

fn camel(stem: &str) -> String {
    stem.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect()
}

/// The rows of the operation table: `number NAME Variant file (Arguments) -> ...`.
fn rows(root: &Path, sources: &[Source]) -> Vec<String> {
    let Ok(table) = fs::read_to_string(root.join("crates/nfs-wire/src/operations.rs")) else { return Vec::new() };
    let home = "crates/nfs-server/src/ops/";
    let files: BTreeSet<&str> = sources.iter().filter_map(|source| source.path.strip_prefix(home)).collect();
    if files.is_empty() {
        return Vec::new();
    }
    let tests: String = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/nfs-server/"))
        .flat_map(|source| source.lines.iter().skip(if source.is_test { 0 } else { source.tests_from }))
        .map(|line| line.to_lowercase().replace('_', ""))
        .collect();
    let mut findings = Vec::new();
    for file in table.lines().filter_map(file_of_row) {
        if !files.contains(format!("{file}.rs").as_str()) && !files.contains(format!("{file}/mod.rs").as_str()) {
            findings.push(format!("crates/nfs-wire/src/operations.rs: no {home}{file}.rs for this row"));
        } else if !tests.contains(&file.replace('_', "")) {
            findings.push(format!("{home}{file}.rs: no test of nfs-server names it"));
        }
    }
    findings
}

/// The file that a row of the table names.
fn file_of_row(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mut words = line.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    let name = words.next()?;
    let shouting = name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
    let quiet =
        |word: &&str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    words.take(2).filter_map(|word| word.split('(').next()).find(quiet).filter(|_| shouting)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// House rule: an operation's file opens with its name and RFC section.
    #[test]
    fn a_head_without_its_name_is_named() {
        let path = "crates/nfs-server/src/ops/open_downgrade.rs";
        assert!(head(&Source::new(path, "//! OPEN_DOWNGRADE: fewer rights. RFC 8881, section 18.18.\n")).is_none());
        assert!(head(&Source::new(path, "//! Fewer rights.\n")).is_some());
        assert!(head(&Source::new("crates/kms/src/ops/create_key.rs", "//! CreateKey.\n")).is_none());
    }

    /// House rule: the table's rows are read as they are written.
    #[test]
    fn a_row_gives_its_file() {
        assert_eq!(file_of_row("  4  CLOSE  Close  close  (Close4Args)  -> Status<Stateid4>, FH;"), Some("close"));
        assert_eq!(
            file_of_row("    53  SEQUENCE sequence(SequenceArgs4)-> Status<SequenceOk>, FIRST_ONLY;"),
            Some("sequence")
        );
        assert_eq!(file_of_row("//  no  name     file    arguments"), None);
    }
}
