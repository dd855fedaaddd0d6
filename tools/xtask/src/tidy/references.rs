//! What comments refer to is there: each section, point and name of docs/architecture.md that a comment gives, and nothing
//! that a reader of the repository does not have.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Source;

/// Where the sections are.
const PAGE: &str = "docs/architecture.md";

/// What lies outside of the repository, split so that this file does not name it either.
const OUTSIDE: &[&str] = &[
    concat!("DES", "IGN"),
    concat!("STYLE ", "principle"),
    concat!("STYLE ", "2."),
    concat!("../", "shared"),
    concat!("/wo", "rk/"),
    concat!("efs-", "features"),
];

/// Names each reference that leads nowhere.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Result<Vec<String>, String> {
    let page = Page::of(&read(&root.join(PAGE))?);
    let mut findings: Vec<String> = sources.iter().flat_map(|source| unresolved(source, &page)).collect();
    for source in sources {
        findings.extend(outside(&source.path, source.lines.iter().map(String::as_str)));
    }
    for path in other_texts(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        findings.extend(outside(&name, read(&path)?.lines()));
    }
    Ok(findings)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The documents, the scripts and what is installed.
fn other_texts(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut texts = Vec::new();
    let mut waiting: Vec<PathBuf> = ["docs", "dist", "tests"].iter().map(|name| root.join(name)).collect();
    waiting.push(root.to_owned());
    while let Some(directory) = waiting.pop() {
        let failed = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if path.is_dir() && directory != root {
                waiting.push(path);
            } else if path.is_file() && matches!(ending, "md" | "toml" | "sh" | "py" | "conf" | "service" | "txt") {
                texts.push(path);
            }
        }
    }
    texts.sort();
    Ok(texts)
}

/// The page as what can be referred to: its text by section and point, in small letters.
struct Page {
    whole: String,
    sections: BTreeMap<String, String>,
}

impl Page {
    /// `## 2. Name` begins a section, `### 2.1 Name` a point of it.
    fn of(text: &str) -> Self {
        let mut sections: BTreeMap<String, String> = BTreeMap::new();
        let mut open: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                let number = number(heading.trim_start_matches('#').trim_start()).map(|(number, _)| number.to_owned());
                match number {
                    Some(ref point) if point.contains('.') => open.truncate(1),
                    _ => open.clear(),
                }
                open.extend(number);
            }
            for name in &open {
                let section = sections.entry(name.clone()).or_default();
                section.push_str(&line.trim().to_lowercase());
                section.push(' ');
            }
        }
        let whole = text.lines().map(|line| line.trim().to_lowercase() + " ").collect();
        Self { whole, sections }
    }

    /// Why references lead nowhere. A name is looked for in the section before it.
    fn lacking(&self, references: &[Reference<'_>]) -> Vec<String> {
        let mut findings = Vec::new();
        let mut section = None;
        for reference in references {
            match *reference {
                Reference::Section(number) => {
                    section = self.sections.get(number);
                    if section.is_none() {
                        findings.push(format!("{PAGE} has no section {number}"));
                        return findings;
                    }
                }
                Reference::Promise(number) if !self.whole.contains(&format!(" {number}. **")) => {
                    findings.push(format!("{PAGE} has no promise {number}"));
                }
                Reference::Name(name) if !section.unwrap_or(&self.whole).contains(&name.to_lowercase()) => {
                    findings.push(format!("{PAGE} has no \"{name}\" there"));
                }
                Reference::Promise(_) | Reference::Name(_) => {}
            }
        }
        findings
    }
}

/// One thing that a comment refers to.
enum Reference<'a> {
    Section(&'a str),
    Promise(&'a str),
    Name(&'a str),
}

/// Each reference of a source's comments that the page does not have.
fn unresolved(source: &Source, page: &Page) -> Vec<String> {
    let comments: Vec<Option<&str>> = source.lines.iter().map(|line| comment(line)).collect();
    let mut findings = Vec::new();
    for (at, text) in comments.iter().enumerate() {
        let Some(text) = text else { continue };
        for (mention, word) in text.match_indices("rchitecture") {
            // A reference may go on in the lines below.
            let below = comments.iter().skip(at + 1).map_while(|text| *text).take(3);
            let rest = text.get(mention + word.len()..);
            let rest: String = rest.into_iter().chain(below).collect::<Vec<_>>().join(" ");
            let lacking = page.lacking(&references(&rest));
            findings.extend(lacking.into_iter().map(|why| format!("{}:{}: {why}", source.path, at + 1)));
        }
    }
    findings
}

fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim())
}

/// What follows the word: `section 2.3 and 2.4`, `section 3 ("Data", "Extents"); section 5`, `promise 2`, `"a promise"`.
fn references<'a>(text: &'a str) -> Vec<Reference<'a>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut kind: Option<fn(&'a str) -> Reference<'a>> = None;
    loop {
        rest = rest.trim_start_matches([' ', ',', ';', '(']);
        if let Some(after) = rest.strip_prefix('"') {
            let Some((name, after)) = after.split_once('"') else { return found };
            found.push(Reference::Name(name));
            rest = after;
            continue;
        }
        let Some((word, after)) = rest.split_once(' ') else { return found };
        match word {
            "section" | "sections" => kind = Some(Reference::Section),
            "promise" | "promises" => kind = Some(Reference::Promise),
            "and" | "to" => {}
            _ => return found,
        }
        rest = after;
        if let (Some(kind), Some((number, after))) = (kind, number(rest)) {
            found.push(kind(number));
            rest = after;
        }
    }
}

/// The number at the beginning, `5` or `2.3`, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let whole = digits(text);
    let point = text.get(whole..)?.strip_prefix('.').map_or(0, digits);
    let end = if point > 0 { whole + 1 + point } else { whole };
    (whole > 0).then(|| text.split_at(end))
}

/// Each line that names what a reader does not have.
fn outside<'a>(name: &str, lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, line) in lines.enumerate() {
        let found = OUTSIDE.iter().copied().find(|word| line.contains(word));
        if let Some(word) = found.or_else(|| numbered_dossier(line)) {
            findings.push(format!("{name}:{}: {word} is not in this repository", at + 1));
        }
    }
    findings
}

/// `efs-utils` with the number of a section behind it, which is no version (those have three parts).
fn numbered_dossier(line: &str) -> Option<&str> {
    let name = concat!("efs-", "utils ");
    line.match_indices(name).find_map(|(at, _)| {
        let (number, after) = number(line.get(at + name.len()..)?)?;
        let version =
            after.strip_prefix('.').is_some_and(|after| after.starts_with(|letter: char| letter.is_ascii_digit()));
        (!version).then(|| line.get(at..at + name.len() + number.len())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::of(
            "# P\n1. **Nothing\n   lost.**\n## 2. Way\n### 2.1 Accept\nx\n### 2.2 TLS\n## 5. Rest\n**A seal** flushes\n",
        )
    }

    fn findings(comments: &str) -> Vec<String> {
        unresolved(&Source::new("a.rs", comments), &page())
    }

    /// House rule: a reference to a section or point of docs/architecture.md leads there, over a line's end too.
    #[test]
    fn a_section_that_is_not_there_is_named() {
        for sound in [
            "// Architecture section 2.1 and 2.2, section 5: all there.",
            "//! (architecture\n//! section 5, \"A seal\"), promise 9 of another page",
            "/// Architecture, promise 1 and section 2. It goes on.",
            "/// Architecture, \"nothing\n    /// lost\": as promised.",
            "//! The architecture has 7 crates; Architecture section 2.1, 3 of them.",
        ] {
            assert_eq!(findings(sound), Vec::<String>::new(), "{sound}");
        }
        for broken in [
            "// Architecture section 3: gone.",
            "// Architecture section 2.1 to 2.9.",
            "// Architecture section 5, \"A lease\".",
            "// Architecture section 2 (\"A seal\").",
            "/// Architecture, promise 2.",
            "/// Architecture,\n/// \"everything lost\".",
        ] {
            assert_eq!(findings(broken).len(), 1, "{broken}");
        }
    }

    /// House rule: no source refers to what a reader of the repository does not have.
    #[test]
    fn what_lies_outside_is_named() {
        let count = |line: &str| outside("a.rs", std::iter::once(line)).len();
        for word in OUTSIDE {
            assert_eq!(count(&format!("// {word} says so")), 1, "{word}");
        }
        assert_eq!(count(concat!("/// efs-", "utils 1.3: exit codes")), 1);
        assert_eq!(count(concat!("//! as it is (efs-", "utils 4).")), 1);
        assert_eq!(count("/// aws/efs-utils 3.2.0 and aws/efs-utils#218: the design of style"), 0);
    }
}
