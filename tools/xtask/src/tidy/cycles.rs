//! The modules of a crate use each other in one direction only. What the crate's root re-exports is not followed: only
//! `crate::module::..` paths between modules directly under the root count.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

type Uses<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// Names one ring of modules for each crate that has one.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Uses<'_>> = BTreeMap::new();
    for source in sources {
        let Some((home, rest)) = source.path.split_once("/src/") else { continue };
        let module = rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "bin") {
            continue;
        }
        let uses = crates.entry(home).or_default().entry(module).or_default();
        for (_, line) in source.code().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            uses.extend(used(line).filter(|name| name != module));
        }
    }
    crates
        .iter()
        .filter_map(|(home, uses)| ring(uses).map(|ring| format!("{home}: modules use each other in a ring: {ring}")))
        .collect()
}

/// The modules that a line names as `crate::name::` or, in a list, `crate::{name::..}`.
fn used(line: &str) -> impl Iterator<Item = String> {
    line.match_indices("crate::").filter_map(|(at, found)| {
        let rest = line.get(at + found.len()..)?;
        let (name, after) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_')?);
        after.starts_with("::").then(|| name.to_owned())
    })
}

fn ring(uses: &Uses<'_>) -> Option<String> {
    let mut clear = BTreeSet::new();
    uses.keys().find_map(|start| {
        let mut path = Vec::new();
        visit(uses, start, &mut path, &mut clear)
    })
}

fn visit(uses: &Uses<'_>, at: &str, path: &mut Vec<String>, clear: &mut BTreeSet<String>) -> Option<String> {
    if clear.contains(at) {
        return None;
    }
    if let Some(from) = path.iter().position(|step| step == at) {
        let ring: Vec<_> = path.iter().skip(from).map(String::as_str).chain([at]).collect();
        return Some(ring.join(" -> "));
    }
    path.push(at.to_owned());
    let found = uses.get(at).into_iter().flatten().find_map(|next| visit(uses, next, path, clear));
    path.pop();
    clear.insert(at.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// House rule: no module cycle.
    #[test]
    fn a_ring_of_modules_is_named() {
        let one = Source::new("crates/a/src/one.rs", "use crate::two::Two;\n");
        let two = Source::new("crates/a/src/two.rs", "use crate::three::Three;\n");
        let back = Source::new("crates/a/src/three.rs", "use crate::one::One;\n");
        let fine = Source::new("crates/a/src/three.rs", "use crate::Whatever;\n");
        assert_eq!(check(&[one, two, fine]), Vec::<String>::new());
        let one = Source::new("crates/a/src/one.rs", "use crate::two::Two;\n");
        let two = Source::new("crates/a/src/two.rs", "use crate::three::Three;\n");
        assert_eq!(check(&[one, two, back]).len(), 1);
    }
}
