//! Real programs in one client, and two clients with one tree.

use serde_json::Value;

use super::Scale;
use crate::stage::{Mount, Server, Stage};
use crate::trees;

/// Where the file system under test is mounted in every client.
pub(crate) const AT: &str = "/mnt/n";

/// Makes an encrypted file system (where the server is ours) and mounts it in every client; gives its id.
pub(crate) fn mounted(stage: &mut Stage) -> Result<String, String> {
    let id = match &stage.server {
        Server::Ganesha { .. } | Server::Other(_) => String::new(),
        Server::Coffer(coffer) => coffer.api()?.create_file_system("work", None)?.id,
    };
    for client in 0..stage.clients.len() {
        stage.mount(client, AT, &Mount { file_system: &id, ..Mount::default() })?;
    }
    Ok(id)
}

pub(crate) fn tar(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let tree = stage.scratch().join("tree");
    trees::real(&tree, scale.tree_files)?;
    trees::odd(&tree)?;
    mounted(stage)?;
    one(stage, "tar.sh", &[AT, &tree.display().to_string()])
}

pub(crate) fn git(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let tree = stage.scratch().join("tree");
    trees::real(&tree, scale.tree_files / 5)?;
    mounted(stage)?;
    one(stage, "git.sh", &[AT, &tree.display().to_string()])
}

pub(crate) fn sqlite(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    mounted(stage)?;
    one(stage, "sqlite.sh", &[AT])
}

pub(crate) fn sparse(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    mounted(stage)?;
    one(stage, "sparse.sh", &[AT])
}

pub(crate) fn open_unlinked(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    mounted(stage)?;
    stage.both("open_unlinked.sh", ["keeper", "remover"], AT)
}

pub(crate) fn coherence(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    mounted(stage)?;
    stage.both("coherence.sh", ["a", "b"], AT)
}

/// Both clients count in one file; the last count is the sum.
pub(crate) fn count(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    mounted(stage)?;
    let script = format!("$LOADGEN count --times {} {AT}/counter", scale.counts);
    let (one, two) = (stage.spawn(0, &script)?, stage.spawn(1, &script)?);
    let (one, two) = (stage.join(0, &script, one), stage.join(1, &script, two));
    let last = member(&one?, "last")?.max(member(&two?, "last")?);
    if last == 2 * scale.counts {
        Ok(format!("{last} counts by 2 clients"))
    } else {
        Err(format!("the counter ended at {last} after {} acknowledged counts", 2 * scale.counts))
    }
}

pub(crate) fn crowd(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    mounted(stage)?;
    let said = stage.check(0, &format!("$LOADGEN crowd --count {} {AT}/crowd", scale.crowd_files))?;
    Ok(said.trim().to_owned())
}

/// Runs a script of `tests/linux` in the first client and gives its last line.
pub(crate) fn one(stage: &Stage, name: &str, arguments: &[&str]) -> Result<String, String> {
    let said = stage.check(0, &stage.script(name, arguments))?;
    Ok(said.lines().last().unwrap_or_default().to_owned())
}

/// A number in a line of JSON.
pub(crate) fn member(line: &str, name: &str) -> Result<u64, String> {
    let value: Value = serde_json::from_str(line.trim()).map_err(|error| format!("{line:?}: {error}"))?;
    value.get(name).and_then(Value::as_u64).ok_or_else(|| format!("no {name} in {line:?}"))
}
