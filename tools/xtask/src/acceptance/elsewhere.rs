//! A file system whose key is in a KMS elsewhere: a second Coffer on this machine.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Scale;
use super::keys::{await_file, reach};
use super::work::AT;
use crate::api::text;
use crate::coffer::Coffer;
use crate::house::Profile;
use crate::stage::{Mount, Stage};

const REGION: &str = "eu-west-9";
const ACCOUNT: &str = "000000000002";
/// With the case's key lease of 10 s: what the client is served for after the cut is more than a lease, and less than a lease
/// and the grace.
const GRACE_SECONDS: u64 = 30;
const SERVED_SECONDS: u64 = 15;
const SEAL_LIMIT: Duration = Duration::from_secs(60);

/// Cut off, it serves within the grace and then has its clients wait; restored, they go on; its key disabled there, they get
/// I/O errors within 60 s; enabled, all is back: with one mount and one open file.
pub(crate) fn kms(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let mut second = Coffer::elsewhere(stage.house(), Profile::Dev, &stage.place.join("second"), REGION, ACCOUNT)?;
    let there = second.api()?.in_region(REGION);
    let made = there.kms("CreateKey", &json!({ "Description": "for a server elsewhere" }))?;
    let key = text(&made, &["KeyMetadata", "Arn"])?;
    let coffer = stage.coffer()?;
    coffer.stop()?;
    provide(coffer, &second)?;
    coffer.start()?;
    let id = coffer.api()?.create_file_system("elsewhere", Some(&key))?.id;
    let dependents = coffer.administer(&["key", "dependents", &key])?;
    if !dependents.contains(&id) {
        return Err(format!("`coffer key dependents {key}` does not name {id}: {dependents}"));
    }
    stage.mount(0, AT, &Mount { file_system: &id, ..Mount::default() })?;
    let meet = stage.scratch().join("meet");
    fs::create_dir_all(&meet).map_err(|error| error.to_string())?;
    let script = stage.script("kms_elsewhere.sh", &[AT, &meet.display().to_string(), &SERVED_SECONDS.to_string()]);
    let running = stage.spawn(0, &script)?;
    let ended = || running.is_finished();
    let mut steps = || -> Result<String, String> {
        await_file(&meet, "ready", &ended)?;
        second.stop()?;
        let cut = Instant::now();
        reach(&meet, "cut")?;
        await_file(&meet, "served", &ended)?;
        let sealed = until_sealed(stage.coffer()?, &id, "does not answer", cut + Duration::from_secs(120))?;
        let sealed = sealed.duration_since(cut);
        reach(&meet, "sealed")?;
        await_file(&meet, "waiting", &ended)?;
        second.start()?;
        reach(&meet, "restored")?;
        await_file(&meet, "back", &ended)?;
        stage.coffer()?.expect_open(&id)?;
        there.kms("DisableKey", &json!({ "KeyId": key }))?;
        let disabled = Instant::now();
        reach(&meet, "disabled")?;
        await_file(&meet, "refused", &ended)?;
        let refused = until_sealed(stage.coffer()?, &id, "DisabledException", disabled + SEAL_LIMIT)?;
        let refused = refused.duration_since(disabled);
        there.kms("EnableKey", &json!({ "KeyId": key }))?;
        reach(&meet, "enabled")?;
        Ok(format!("waiting {} s after the cut, refused {} s after DisableKey", sealed.as_secs(), refused.as_secs()))
    };
    match steps() {
        Ok(times) => {
            let said = stage.join(0, &script, running)?;
            Ok(format!("{times}; {}", said.lines().collect::<Vec<_>>().join(", ")))
        }
        Err(why) => {
            let said = stage.join(0, &script, running).err().map(|said| format!("; {said}")).unwrap_or_default();
            Err(format!("{why}{said}"))
        }
    }
}

/// Makes the second server a KMS provider of the first.
fn provide(coffer: &Coffer, second: &Coffer) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", coffer.config().display());
    let profile = second.place().join("aws-profile");
    fs::set_permissions(&profile, Permissions::from_mode(0o600)).map_err(failed)?;
    let mut file = File::options().append(true).open(coffer.config()).map_err(failed)?;
    write!(
        file,
        "\n[[kms_provider]]\nname = \"second\"\nendpoint = {:?}\nregion = {REGION:?}\nserves = [{ACCOUNT:?}]\n\
         allow = [\"000000000001\"]\ncredentials_file = {profile:?}\ntimeout_seconds = 2\ngrace_seconds = {GRACE_SECONDS}\n",
        second.endpoint()
    )
    .map_err(failed)
}

/// Asks `coffer status` until it shows the file system sealed for this reason.
fn until_sealed(coffer: &Coffer, id: &str, reason: &str, end: Instant) -> Result<Instant, String> {
    let head = format!("{id}: sealed: ");
    loop {
        let status = coffer.administer(&["status"])?;
        if status.lines().any(|line| line.starts_with(&head) && line.contains(reason)) {
            return Ok(Instant::now());
        }
        if Instant::now() > end {
            return Err(format!("{id} is not sealed with {reason:?}:\n{status}"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
