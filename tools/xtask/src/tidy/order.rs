//! The order of the workspace's members is the architecture: a crate uses only crates listed above it.

use std::fs;
use std::path::Path;

/// Reads the manifests and names each dependency that points down the list.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let members = members(&read(&root.join("Cargo.toml"))?)?;
    let mut findings = Vec::new();
    for member in &members {
        let manifest = read(&root.join(member).join("Cargo.toml"))?;
        findings.extend(pointing_down(&members, member, &manifest)?);
    }
    Ok(findings)
}

fn pointing_down(members: &[String], member: &str, manifest: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = manifest.parse().map_err(|error| format!("{member}/Cargo.toml: {error}"))?;
    let place = |name: &str| members.iter().position(|path| path == name || path.rsplit('/').next() == Some(name));
    let own = place(member);
    let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
    let down = dependencies
        .into_iter()
        .flat_map(toml::Table::keys)
        .filter(|name| place(name).is_some_and(|at| Some(at) >= own));
    Ok(down
        .map(|name| format!("{member}/Cargo.toml: uses {name}, which stands below it in the members list"))
        .collect())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn members(manifest: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = manifest.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let list = table.get("workspace").and_then(|workspace| workspace.get("members")).and_then(toml::Value::as_array);
    let list = list.ok_or("Cargo.toml has no workspace.members")?;
    Ok(list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// House rule: dependencies point up the members list.
    #[test]
    fn a_dependency_that_points_down_is_named() {
        let members = ["crates/low".to_owned(), "crates/high".to_owned()];
        let uses = |name: &str| format!("[dependencies]\n{name} = {{ path = \"x\" }}\nserde = \"1\"\n");
        assert_eq!(pointing_down(&members, "crates/high", &uses("low")).unwrap(), Vec::<String>::new());
        assert_eq!(pointing_down(&members, "crates/low", &uses("high")).unwrap().len(), 1);
    }
}
