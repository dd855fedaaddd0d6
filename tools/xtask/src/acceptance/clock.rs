//! What KMS does when its dates come: deletions and rotations, on the server itself, whose clock is moved by libfaketime.

mod moved;
mod used;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use self::moved::Clock;
use self::used::{Used, decrypt, encrypt, rotations};
use super::Scale;
use super::work::AT;
use crate::api::{Api, text};
use crate::canary::files;
use crate::coffer::Coffer;
use crate::house::output;
use crate::stage::{Mount, Server, Stage};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// The least that KMS takes for each.
const WINDOW_DAYS: u32 = 7;
const PERIOD_DAYS: u32 = 90;
const ROTATIONS: u32 = 3;
/// The server looks at its clock every 5 s, by the machine's real one.
const LOOK_LIMIT: Duration = Duration::from_secs(40);

/// A deletion falls due and happens only when the key has been due for an hour by the clock that nobody sets; then nothing
/// brings the key back, not even a copy of the data directory with the root key. Rotations come every period, old ciphertexts
/// and files go on and nothing of them is rewritten, and a key that was disabled catches up when it is enabled.
pub(crate) fn dates_come(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let clock = Clock::at(stage.place.join("clock"))?;
    let mut world = World { stage, clock };
    world.restart_under(world.clock.all()?)?;
    let api = world.api()?;
    let doomed = Used::new(&api, "doomed")?;
    let kept = Used::new(&api, "kept")?;
    let (turning, resting) = (Used::new(&api, "turning")?, Used::new(&api, "resting")?);
    for key in [&turning, &resting] {
        api.kms("EnableKeyRotation", &json!({ "KeyId": key.id, "RotationPeriodInDays": PERIOD_DAYS }))?;
    }
    api.kms("DisableKey", &json!({ "KeyId": resting.id }))?;
    api.kms("ScheduleKeyDeletion", &json!({ "KeyId": doomed.id, "PendingWindowInDays": WINDOW_DAYS }))?;
    let files = api.create_file_system("turning", Some(&turning.id))?.id;
    world.mounted(
        &files,
        "head -c 9000000 /dev/urandom > /mnt/large && cp /mnt/large $AT/large && echo small > $AT/small",
    )?;
    let old = world.copy("old")?;
    let contents = digests(&old.join("data/fs"))?;

    let (deleted, erased) = world.deletion(&doomed, &kept)?;
    let (blobs, versions) = world.rotations(&turning)?;
    world.catches_up(&resting)?;
    kept.opens(&world.api()?)?;
    // What a restart in the future reads is the same.
    let newest = world.copy("newest")?;
    if digests(&newest.join("data/fs"))? != contents {
        return Err("rotations of its key rewrote something of a file system".to_owned());
    }
    for (blob, version) in blobs.iter().zip(&versions) {
        let found = decrypt(&world.api()?, &turning.id, blob)?;
        if found != *version {
            return Err(format!("a ciphertext of version {version} was decrypted by {found} after a restart"));
        }
    }
    doomed.is_gone(&world.api()?)?;
    world.mounted(&files, "cmp /mnt/large $AT/large && grep -qx small $AT/small && echo more > $AT/more")?;
    world.stage.coffer()?.stop()?;
    let audited = world.audited(&doomed, &turning)?;
    world.coffer()?.fsck()?;
    world.old_copies(&old, &doomed)?;
    Ok(format!(
        "deleted {} min after its date and erased {} s later; {ROTATIONS} rotations of {PERIOD_DAYS} days and one caught up; \
         {audited}; the old copy is refused",
        deleted.as_secs() / 60,
        erased.as_secs()
    ))
}

/// A server whose clocks are ahead of this machine's.
struct World<'a> {
    stage: &'a mut Stage,
    clock: Clock,
}

impl World<'_> {
    fn coffer(&self) -> Result<&Coffer, String> {
        match &self.stage.server {
            Server::Coffer(coffer) => Ok(coffer),
            Server::Ganesha { .. } | Server::Other(_) => Err("this needs Coffer".to_owned()),
        }
    }

    /// The API, by requests of the server's time.
    fn api(&self) -> Result<Api, String> {
        Ok(self.coffer()?.api()?.ahead(self.clock.ahead))
    }

    fn restart_under(&mut self, programs: Vec<String>) -> Result<(), String> {
        let coffer = self.stage.coffer()?;
        coffer.stop()?;
        coffer.run_under(programs);
        coffer.start()
    }

    /// Runs a script in a client that has the file system at `$AT` meanwhile: not over TLS, since the client's clock is not
    /// moved and certificates have dates, and no longer, since its leases end with the first move.
    fn mounted(&self, id: &str, script: &str) -> Result<(), String> {
        self.stage.mount(0, AT, &Mount { file_system: id, clear: true, ..Mount::default() })?;
        self.stage.check(0, &format!("set -e\nAT={AT}\n{script}\nsync\numount {AT}")).map(drop)
    }

    /// The data directory and the epoch secret as they are now, with the server stopped.
    fn copy(&mut self, name: &str) -> Result<PathBuf, String> {
        let (to, secret, coffer) = (self.stage.place.join(name), self.epoch_secret()?, self.stage.coffer()?);
        coffer.stop()?;
        fs::create_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
        for from in [coffer.data(), secret] {
            output(Command::new("cp").arg("-a").arg(&from).arg(&to))?;
        }
        coffer.start()?;
        Ok(to)
    }

    fn epoch_secret(&self) -> Result<PathBuf, String> {
        Ok(self.coffer()?.place().join("keys/epoch.secret"))
    }

    /// Waits until the server, whose clock was moved, has done what it does then.
    fn until(&self, what: &str, mut done: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
        let start = Instant::now();
        while !done()? {
            if start.elapsed() > LOOK_LIMIT {
                let ahead = self.clock.ahead.as_secs();
                return Err(format!("{what}: not within {LOOK_LIMIT:?} after the clock moved {ahead} s ahead"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Gives the server the time to do what it is not to do.
    fn look(&self) {
        // Its own pace, and half of it.
        std::thread::sleep(Duration::from_millis(7500));
    }

    /// Whether a line since then has all these words.
    fn logged(&self, mark: u64, words: &[&str]) -> Result<bool, String> {
        let log = self.coffer()?.logged_since(mark);
        Ok(log.lines().any(|line| words.iter().all(|word| line.contains(word))))
    }

    /// The deletion is due at its date and not before.
    fn falls_due(&mut self, doomed: &Used, due: Duration) -> Result<(), String> {
        let mark = self.coffer()?.log_mark();
        self.clock.move_to(due - HOUR)?;
        self.look();
        if self.logged(mark, &["deletion is due", &doomed.id])? {
            return Err("a deletion was due before its date".to_owned());
        }
        self.clock.move_to(due + MINUTE)?;
        self.until("the deletion falls due", || self.logged(mark, &["deletion is due", &doomed.id]))
    }

    fn still_waits(&self, doomed: &Used) -> Result<(), String> {
        let found = self.api()?.kms("DescribeKey", &json!({ "KeyId": doomed.id }))?;
        let state = text(&found, &["KeyMetadata", "KeyState"])?;
        if state == "PendingDeletion" { Ok(()) } else { Err(format!("too early, the key is {state}")) }
    }

    /// The key is deleted when it is, and no earlier. Gives how long after its date that was, and after what time more its
    /// erasure was complete, both at most, by the server's clock.
    fn deletion(&mut self, doomed: &Used, kept: &Used) -> Result<(Duration, Duration), String> {
        let due = DAY * WINDOW_DAYS;
        // A time of day that is wrong lets it fall due, which a server that starts sees at once, and deletes nothing.
        let mark = self.coffer()?.log_mark();
        self.clock.move_to(due + MINUTE)?;
        self.restart_under(self.clock.wall_alone()?)?;
        self.until("the deletion falls due", || self.logged(mark, &["deletion is due", &doomed.id]))?;
        self.clock.move_to(due + HOUR * 5)?;
        // By its other clock it would look again only in a minute. A new date of a rotation has it look now.
        self.api()?.kms("EnableKeyRotation", &json!({ "KeyId": kept.id, "RotationPeriodInDays": 2560 }))?;
        self.look();
        self.still_waits(doomed)?;
        self.clock.move_to(Duration::ZERO)?;
        self.restart_under(self.clock.all()?)?;

        let mark = self.coffer()?.log_mark();
        self.falls_due(doomed, due)?;
        self.clock.move_to(due + HOUR / 2)?;
        self.look();
        self.still_waits(doomed)?;
        let most = due + MINUTE + HOUR + MINUTE;
        self.clock.move_to(most)?;
        self.until("the deletion", || self.logged(mark, &["the KMS key is deleted", &doomed.id]))?;
        doomed.is_gone(&self.api()?)?;
        kept.opens(&self.api()?)?;
        let path = self.epoch_secret()?;
        let before = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let rest = MINUTE * 2;
        self.clock.move_to(most + rest)?;
        let replaced = || Ok(fs::read(&path).is_ok_and(|after| after != before));
        self.until("another epoch secret", replaced)?;
        self.until("the next epoch", || self.logged(mark, &["the epoch moved on"]))?;
        Ok((most - due, rest))
    }

    /// Each period brings a version; gives ciphertexts of all versions, oldest first, and their versions.
    fn rotations(&mut self, key: &Used) -> Result<(Vec<String>, Vec<String>), String> {
        let first = decrypt(&self.api()?, &key.id, &key.blob)?;
        let (mut blobs, mut versions) = (vec![key.blob.clone()], vec![first]);
        for nth in 1..=ROTATIONS {
            let date = DAY * PERIOD_DAYS * nth;
            // Not before its date.
            self.clock.move_to(date - HOUR)?;
            self.look();
            let early = rotations(&self.api()?, key)?.len();
            if early != blobs.len() - 1 {
                return Err(format!("{early} rotations an hour before rotation {nth}"));
            }
            // A period begins when the version before came, which was later each time.
            self.clock.move_to(date + HOUR * nth)?;
            self.until("a rotation", || Ok(rotations(&self.api()?, key)?.len() == blobs.len()))?;
            let found = rotations(&self.api()?, key)?;
            if found.iter().any(|kind| kind != "AUTOMATIC") {
                return Err(format!("ListKeyRotations says {found:?}"));
            }
            let api = self.api()?;
            for (blob, version) in blobs.iter().zip(&versions) {
                let opened_by = decrypt(&api, &key.id, blob)?;
                if opened_by != *version {
                    return Err(format!("after rotation {nth} {opened_by} decrypted what {version} encrypted"));
                }
            }
            let blob = encrypt(&api, &key.id)?;
            let version = decrypt(&api, &key.id, &blob)?;
            if versions.contains(&version) {
                return Err(format!("after rotation {nth} it encrypts by an older version, {version}"));
            }
            blobs.push(blob);
            versions.push(version);
            self.next_date(key)?;
        }
        Ok((blobs, versions))
    }

    /// GetKeyRotationStatus gives the date of the rotation after the one that came just now.
    fn next_date(&self, key: &Used) -> Result<(), String> {
        let status = self.api()?.kms("GetKeyRotationStatus", &json!({ "KeyId": key.id }))?;
        let date = status.get("NextRotationDate").and_then(Value::as_f64).unwrap_or_default();
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let off = date - (real + self.clock.ahead + DAY * PERIOD_DAYS).as_secs_f64();
        if off.abs() > LOOK_LIMIT.as_secs_f64() {
            return Err(format!("the next rotation is {off} s off the date that it should have: {status}"));
        }
        Ok(())
    }

    /// A key that was disabled while its date passed gets one version once it is enabled, and none before. KMS developer
    /// guide, "Rotating AWS KMS keys".
    fn catches_up(&mut self, key: &Used) -> Result<(), String> {
        let before = rotations(&self.api()?, key)?.len();
        self.api()?.kms("EnableKey", &json!({ "KeyId": key.id }))?;
        self.clock.move_to(self.clock.ahead + MINUTE * 2)?;
        self.until("the rotation that was missed", || Ok(!rotations(&self.api()?, key)?.is_empty()))?;
        self.look();
        let after = rotations(&self.api()?, key)?.len();
        if (before, after) != (0, 1) {
            return Err(format!("a disabled key had {before} rotations, and {after} after it was enabled"));
        }
        key.opens(&self.api()?)
    }

    /// The audit log verifies and has the deletion, the erasure and the rotations.
    fn audited(&self, doomed: &Used, turning: &Used) -> Result<String, String> {
        self.coffer()?.administer(&["audit", "verify"])?;
        let path = self.coffer()?.data().join("audit.log");
        let log = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let count = |event: &str, key: Option<&Used>| {
            let wanted = |line: &&Value| {
                let record = line.get("record").cloned().unwrap_or_default();
                let arn = record.pointer("/resources/0/ARN").and_then(Value::as_str).unwrap_or_default();
                line.get("phase").is_some_and(|phase| phase == "complete")
                    && record.get("eventName").is_some_and(|name| name == event)
                    && record.get("errorCode").is_none_or(Value::is_null)
                    && key.is_none_or(|key| arn.ends_with(&key.id))
            };
            lines.iter().filter(wanted).count()
        };
        let found = (
            count("DeleteKey", Some(doomed)),
            count("ReplaceEpochSecret", None),
            count("RotateKey", Some(turning)),
            count("DeleteKey", None),
        );
        if found != (1, 1, usize::try_from(ROTATIONS).unwrap_or(0), 1) {
            return Err(format!(
                "the audit log has {found:?} of DeleteKey, ReplaceEpochSecret, RotateKey, all DeleteKey"
            ));
        }
        Ok(format!("{} audit records", lines.len()))
    }

    /// The old data directory with the root key does not open; with the epoch secret of its own time it would, so it is the
    /// destroyed secret that keeps it shut.
    fn old_copies(&mut self, old: &Path, doomed: &Used) -> Result<(), String> {
        let (data, secret) = (self.coffer()?.data(), self.epoch_secret()?);
        let aside = data.with_extension("of-the-end");
        fs::rename(&data, &aside).map_err(|error| format!("{}: {error}", data.display()))?;
        output(Command::new("cp").arg("-a").arg(old.join("data")).arg(&data))?;
        match self.stage.coffer()?.start() {
            Ok(()) => return Err("a server started on a data directory from before a deletion".to_owned()),
            Err(why) if why.contains("older copy, from before an erasure") => {}
            Err(why) => return Err(format!("the old data directory was refused for another reason: {why}")),
        }
        // The proof of this test: with a clock of that time, which deletes nothing, and the secret that was destroyed.
        self.clock.move_to(Duration::ZERO)?;
        fs::copy(old.join("epoch.secret"), &secret).map_err(|error| format!("{}: {error}", secret.display()))?;
        let started = self.stage.coffer()?.start();
        started.map_err(|why| format!("the copy is not whole, so it proves nothing: {why}"))?;
        let api = self.api()?;
        api.kms("CancelKeyDeletion", &json!({ "KeyId": doomed.id }))?;
        api.kms("EnableKey", &json!({ "KeyId": doomed.id }))?;
        doomed.opens(&api)?;
        self.stage.coffer()?.stop()
    }
}

/// Every file below a directory, by a hash of what is in it.
fn digests(directory: &Path) -> Result<BTreeMap<PathBuf, u64>, String> {
    let mut found = BTreeMap::new();
    for path in files(directory)?.into_iter().filter(|path| path.is_file()) {
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        found.insert(path.strip_prefix(directory).unwrap_or(&path).to_owned(), hasher.finish());
    }
    if found.is_empty() { Err(format!("{}: no file", directory.display())) } else { Ok(found) }
}
