//! `cargo xtask demo`: the main job, from nothing to a mounted, encrypted file system that its key opens and closes.

mod machine;

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use linux_client::{Needs, Network};
use serde_json::json;

use crate::canary::Canaries;
use crate::coffer::{Coffer, Settings};
use crate::house::{House, Profile};
use crate::{acceptance, install, trees};
use machine::{AT, Machine};

const FILES: usize = 2000;

/// Numbered steps with the time that each took.
struct Steps {
    start: Instant,
    number: u32,
}

impl Steps {
    fn say(&mut self, what: &str) {
        self.number += 1;
        println!("\n[{:>5.1} s] {}. {what}", self.start.elapsed().as_secs_f64(), self.number);
    }
}

/// Runs the demo; with `keep` the server goes on.
pub(crate) fn run(house: &House, keep: bool) -> Result<(), String> {
    let place = house.target.join("demo");
    if let Some(process) = left_running(&place.join("data")) {
        return Err(format!(
            "process {process} still serves {}, which a new demo would delete; end it first (kill -TERM {process})",
            place.join("data").display()
        ));
    }
    let mut steps = Steps { start: Instant::now(), number: 0 };
    steps.say("What is needed");
    install::packages(Needs::Clients)?;
    println!("  all there (the tap device of the Linux client is why this needs root)");

    steps.say("Building (release; a few minutes the first time)");
    house.build(Profile::Release)?;

    steps.say("Starting a server of its own");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let network = Network::new(1).map_err(|error| error.to_string())?;
    let mut coffer = Coffer::init(house, Profile::Release, &place, &network, Settings::default())?;
    if keep {
        coffer.untie();
    }
    coffer.start()?;
    println!("  data: {}\n  API:  {}\n  log:  {}", coffer.data().display(), coffer.endpoint(), coffer.log().display());

    steps.say("A customer-managed key and an encrypted file system, through the API");
    let api = coffer.api()?;
    let key = api.create_key("the demo's key")?;
    let made = api.create_file_system("demo", Some(&key))?;
    println!("  key {key}\n  file system {} with a mount target at {}", made.id, made.address);

    steps.say("Mounting it over TLS in a Linux client");
    let machine = Machine::open(house, &place, &network, &coffer)?;
    println!("  {}", machine.describe());
    println!("  {}", machine.mount(&made.id)?.trim());

    steps.say("Copying a real tree in, and comparing every byte back past the client's cache");
    let tree = place.join("scratch/tree");
    let files = trees::real(&tree, FILES)?;
    let copy = machine.script(house, "copy_in.sh", &[&tree.display().to_string(), AT])?;
    println!("  {files} files; {} compared, all equal", copy.trim());

    steps.say("Looking for any of it in the data directory");
    no_plaintext(&tree, &coffer)?;

    steps.say("Disabling the key");
    // A file, not the root of the mount: of that, Linux turns every error into "Stale file handle" by itself.
    let file = some_file(&tree)?;
    withhold(&machine, &coffer, &api, (&made.id, &key), &file)?;

    steps.say("Enabling it again");
    api.kms("EnableKey", &json!({ "KeyId": key }))?;
    let took = machine.until_read(&file, true)?;
    println!("  read again after {:.1} s: the same mount, nothing restarted", took.as_secs_f64());
    coffer.expect_open(&made.id)?;
    machine.run(&format!("echo 3 > /proc/sys/vm/drop_caches; diff -r '{}' {AT}/tree", tree.display()))?;
    println!("  all files compared again, all equal");

    println!(
        "\nIn {:.0} s: an encrypted file system, made by the EFS API, mounted over TLS by a real",
        steps.start.elapsed().as_secs_f64()
    );
    println!("Linux client, sealed by its key and opened by it. Nothing of it lies in the clear.");
    finish(house, &made.id, machine, coffer, network, keep)
}

/// The canaries are in the tree and nowhere in the data directory.
fn no_plaintext(tree: &Path, coffer: &Coffer) -> Result<(), String> {
    let canaries = Canaries::of_tree(tree)?;
    let (in_tree, _) = canaries.search(tree)?;
    println!("  {} names and windows of content (raw, hex, base64)", canaries.count());
    println!("  the same search in the tree itself finds them in {} files", in_tree.len());
    let bytes = acceptance::keys::search(&canaries, &coffer.data())?;
    println!("  in {} MiB of the data directory: none", bytes >> 20);
    Ok(())
}

/// A file of the tree, as it is called in the mount.
fn some_file(tree: &Path) -> Result<String, String> {
    let all = crate::canary::files(tree)?;
    let file = all.iter().find(|path| path.is_file()).and_then(|path| path.strip_prefix(tree).ok());
    file.map(|file| format!("{AT}/tree/{}", file.display())).ok_or_else(|| "the tree has no file".to_owned())
}

fn withhold(
    machine: &Machine,
    coffer: &Coffer,
    api: &crate::api::Api,
    (id, key): (&str, &str),
    file: &str,
) -> Result<(), String> {
    let mark = coffer.log_mark();
    api.kms("DisableKey", &json!({ "KeyId": key }))?;
    let took = machine.until_read(file, false)?;
    let said = machine.run(&format!("cat '{file}' 2>&1; true"))?;
    println!("  after {:.1} s the client says: {}", took.as_secs_f64(), said.trim());
    if !said.contains("Input/output error") {
        return Err("an I/O error was expected".to_owned());
    }
    println!("  and `coffer status`:");
    coffer.administer(&["status"])?.lines().for_each(|line| println!("    {line}"));
    coffer.expect_sealed(mark, id, key, "is disabled")
}

/// Ends everything, or leaves the server, and says how to go on by hand.
fn finish(
    house: &House,
    id: &str,
    machine: Machine,
    mut coffer: Coffer,
    network: Network,
    keep: bool,
) -> Result<(), String> {
    machine.close()?;
    let (config, place) = (coffer.config().display().to_string(), coffer.place().to_owned());
    let program = house.program(Profile::Release, "coffer").display().to_string();
    if !keep {
        // Its network goes with this program, so nothing that needs the server can be done by hand now.
        coffer.stop()?;
        println!("\nThe server has stopped. What it left can be checked:\n  {program} fsck --config {config}");
        println!("`cargo xtask demo --keep` leaves the server running, and says how to go on with it.");
        return Ok(());
    }
    let process = coffer.leave().ok_or("the server is gone")?;
    network.leave(process).map_err(|error| error.to_string())?;
    println!("\nThe server goes on as process {process}. To go on by hand:");
    println!("  {program} status --config {config}");
    println!(
        "  AWS_SHARED_CREDENTIALS_FILE={0}/aws-profile AWS_CONFIG_FILE={0}/aws-config aws efs describe-file-systems",
        place.display()
    );
    println!("  {}", Machine::by_hand(house, &place, id));
    println!("To end it:\n  kill -TERM {process}");
    Ok(())
}

/// The process of a server that an earlier run left on this data directory.
fn left_running(data: &Path) -> Option<String> {
    let lock = File::open(data.join("LOCK")).ok()?;
    if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    // proc(5), locks: `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE ..`.
    let inode = format!(":{}", lock.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| word.ends_with(&inode))?;
        words.get(place.checked_sub(1)?).map(|process| (*process).to_owned())
    });
    Some(holder.unwrap_or_else(|| "unknown".to_owned()))
}

/// How long a key may go on working after it was disabled, and a client may take to notice that it works again.
const CHANGE_LIMIT: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask demo`: the data of a server that still runs is not deleted, and the server is named.
    #[test]
    fn a_server_that_was_left_is_found() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(left_running(data.path()), None);
        let lock = File::create(data.path().join("LOCK")).unwrap();
        assert_eq!(left_running(data.path()), None);
        lock.lock().unwrap();
        assert_eq!(left_running(data.path()), Some(std::process::id().to_string()));
    }
}
