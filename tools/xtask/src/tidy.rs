//! House rules that run: the order of the workspace's members is the architecture.

use std::fs;

/// Checks every rule and names the first file that breaks one.
pub(crate) fn run() -> Result<(), String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let manifest = read(&format!("{root}/Cargo.toml"))?;
    let members = members(&manifest)?;
    for (position, member) in members.iter().enumerate() {
        let text = read(&format!("{root}/{member}/Cargo.toml"))?;
        let table: toml::Table = text.parse().map_err(|error| format!("{member}/Cargo.toml: {error}"))?;
        let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
        for dependency in dependencies.into_iter().flat_map(toml::Table::keys) {
            let below = |path: &String| path.rsplit('/').next() == Some(dependency);
            if let Some(found) = members.iter().position(below)
                && found >= position
            {
                return Err(format!("{member} uses {dependency}, which stands below it in the members list"));
            }
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn members(manifest: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = manifest.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let list = table.get("workspace").and_then(|workspace| workspace.get("members")).and_then(toml::Value::as_array);
    let list = list.ok_or("Cargo.toml has no workspace.members")?;
    Ok(list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    /// STYLE: dependencies point up the members list.
    #[test]
    fn the_workspace_keeps_its_order() {
        super::run().unwrap();
    }
}
