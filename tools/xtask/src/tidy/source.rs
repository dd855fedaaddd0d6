//! The Rust sources of the workspace as text, with what the rules need to know of each line.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Its path from the root of the workspace.
    pub(crate) path: String,
    /// Its lines.
    pub(crate) lines: Vec<String>,
    /// The first line of its test module; the number of lines when it has none.
    pub(crate) tests_from: usize,
    /// Whether the whole file is tests.
    pub(crate) is_test: bool,
    /// Whether it is a table (`tidy: table` in its head) or generated.
    pub(crate) is_table: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let head = lines.iter().take(12);
        let is_table = head
            .clone()
            .any(|line| line.starts_with("//") && (line.contains("tidy: table") || line.contains("enerated")));
        let inline_tests = |at: &usize| {
            let next = lines.get(at + 1).map_or("", String::as_str);
            lines.get(*at).is_some_and(|line| line.starts_with("#[cfg(") && line.contains("test"))
                && (next.starts_with("mod ") || next.starts_with("pub mod ") || next.starts_with("#["))
                && lines.iter().skip(*at).take(4).any(|line| line.starts_with("mod ") && line.ends_with('{'))
        };
        let tests_from = (0..lines.len()).find(inline_tests).unwrap_or(lines.len());
        let is_test = path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs")
            || path.contains("/testing")
            || path.contains("/benches/");
        Self { path: path.to_owned(), lines, tests_from, is_test, is_table }
    }

    /// The lines that are no tests, with their numbers from 1.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let count = if self.is_test { 0 } else { self.tests_from };
        self.lines.iter().take(count).enumerate().map(|(at, line)| (at + 1, line.as_str()))
    }
}

/// Every Rust file below `crates` and `tools`, in order.
pub(crate) fn all(root: &Path) -> Result<Vec<Source>, String> {
    let mut waiting: Vec<PathBuf> = ["crates", "tools"].iter().map(|name| root.join(name)).collect();
    let mut sources = Vec::new();
    while let Some(directory) = waiting.pop() {
        let failed = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                sources.push(Source::new(&name, &text));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}
