//! A file has 400 lines at best and 800 at most, a function 70. Tables and tests may be longer: length is harmless in a
//! table (`tidy: table` in the file's head, or in the line before the function) and harmful in control flow.

use super::Source;

const FILE_WANTED: usize = 400;
const FILE_MAX: usize = 800;
const FUNCTION_MAX: usize = 70;

/// Whether the file is longer than wanted, though not forbidden.
pub(crate) fn over_wanted(source: &Source) -> bool {
    !source.is_table && source.code().count() > FILE_WANTED
}

/// Names a file and the functions in it that are too long.
pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if source.is_table {
        return findings;
    }
    let length = source.code().count();
    if length > FILE_MAX {
        findings.push(format!("{}: {length} lines, at most {FILE_MAX}", source.path));
    }
    let code: Vec<(usize, &str)> = source.code().collect();
    for (at, (number, line)) in code.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = code.iter().skip(at).position(|(_, line)| {
            let closes = line.trim_start();
            line.len() - closes.len() == indent && (closes.starts_with('}') || closes.ends_with(';'))
        });
        let length = end.map_or(0, |end| end + 1);
        let table = at > 0 && code.get(at - 1).is_some_and(|(_, before)| before.contains("tidy: table"));
        if length > FUNCTION_MAX && !table {
            findings.push(format!("{}:{number}: {name} has {length} lines, at most {FUNCTION_MAX}", source.path));
        }
    }
    findings
}

/// The name of the function that this line begins, if it begins one.
pub(crate) fn function(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(head: &str, count: usize) -> String {
        format!("//! Head.\n\n{head}fn long() {{\n{}}}\n", "    work();\n".repeat(count))
    }

    /// House rule: a function has at most 70 lines.
    #[test]
    fn a_long_function_is_named() {
        assert_eq!(check(&Source::new("a.rs", &long("", 68))), Vec::<String>::new());
        assert_eq!(check(&Source::new("a.rs", &long("", 69))).len(), 1);
    }

    /// House rule: tables and tests are exempt by marker.
    #[test]
    fn a_marked_table_may_be_long() {
        assert_eq!(check(&Source::new("a.rs", &long("// tidy: table\n", 200))), Vec::<String>::new());
        assert_eq!(check(&Source::new("crates/a/tests/b.rs", &long("", 2000))), Vec::<String>::new());
        assert_eq!(check(&Source::new("a.rs", &long("", 900))).len(), 2);
    }
}
