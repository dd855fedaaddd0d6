//! The README's own commands, as a reader would type them.

use std::fs;

use super::Scale;
use crate::stage::Stage;

const HEADING: &str = "## A first mount by hand";

/// Runs the first block below the heading in a client, which is server and client in one, and works on the mount. What is
/// built and installed from the network is there already.
pub(crate) fn first_mount(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let (root, programs) = (stage.root().to_owned(), stage.programs());
    let path = root.join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let commands = commands(&text)?;
    let count = commands.len();
    let typed: Vec<_> = commands.into_iter().filter(|line| !is_there_already(line)).collect();
    let script = format!(
        "set -e
mkdir -p /mnt/build/target && ln -s '{}' /mnt/build/target/release && cd /mnt/build
rm -f /etc/amazon/efs/* /root/.aws/*
export PATH=/usr/local/bin:$PATH
trap 'kill $(jobs -p)' EXIT
{}
grep ' /mnt/efs nfs4 ' /proc/mounts > /mnt/mounted
echo here > /mnt/efs/file
echo 3 > /proc/sys/vm/drop_caches
test \"$(cat /mnt/efs/file)\" = here
coffer status | grep -q \"$id.* open\"
umount /mnt/efs",
        programs.display(),
        typed.join("\n")
    );
    stage.check(0, &script)?;
    if count > 10 {
        return Err(format!("the README promises ten lines and has {count}"));
    }
    Ok(format!("{count} lines, {} of them typed here", typed.len()))
}

fn is_there_already(command: &str) -> bool {
    command.starts_with("apt-get ") || command.starts_with("cargo ")
}

/// The lines of the first block below the heading, without their prompts.
fn commands(text: &str) -> Result<Vec<&str>, String> {
    let (_, section) = text.split_once(HEADING).ok_or_else(|| format!("the README has no {HEADING:?}"))?;
    let block = section.split("```").nth(1).and_then(|block| block.strip_prefix("console\n"));
    let lines = block.into_iter().flat_map(str::lines);
    let commands: Option<Vec<&str>> = lines.map(|line| line.strip_prefix("# ")).collect();
    commands
        .filter(|commands| !commands.is_empty())
        .ok_or_else(|| "the README's block is no list of commands".to_owned())
}
