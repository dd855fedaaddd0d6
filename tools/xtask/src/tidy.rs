//! House rules that run: each rule is a file, reads the sources as text, and names the place that breaks it.

mod cycles;
mod length;
mod order;
mod references;
mod source;
mod tables;
mod words;

use std::path::Path;

use source::Source;

/// Checks every rule and names every place that breaks one.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let sources = source::all(root)?;
    let mut findings = order::check(root)?;
    for source in &sources {
        findings.extend(length::check(source));
        findings.extend(words::check(source));
    }
    findings.extend(tables::check(root, &sources));
    findings.extend(cycles::check(&sources));
    findings.extend(references::check(root, &sources)?);
    let long = sources.iter().filter(|source| length::over_wanted(source)).count();
    println!("tidy: {} files, {long} longer than wanted (400 lines), {} findings", sources.len(), findings.len());
    if findings.is_empty() { Ok(()) } else { Err(format!("tidy:\n  {}", findings.join("\n  "))) }
}
