//! What KMS does when its dates come: deletions and rotations, on the server itself, whose clock is moved by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, text};
use crate::coffer::Coffer;
use crate::house::{House, Profile, output};
use crate::install;

/// The case's name.
pub(crate) const NAME: &str = "a moved clock";

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
/// go on, and a key that was disabled catches up when it is enabled.
pub(crate) fn dates_come(house: &House, profile: Profile) -> Result<String, String> {
    if profile == Profile::Release {
        house.build(profile)?;
    }
    let place = house.fresh("a-moved-clock")?;
    let outcome = play(house, profile, &place);
    match &outcome {
        Ok(_) => drop(fs::remove_dir_all(&place)),
        Err(_) => eprintln!("  what it left is in {}", place.display()),
    }
    outcome
}

fn play(house: &House, profile: Profile, place: &Path) -> Result<String, String> {
    let clock = Clock::at(place.join("clock"))?;
    let mut world = World { coffer: Coffer::on_loopback_under(house, profile, place, &clock.environment()?)?, clock };
    let doomed = Used::new(&world.api()?, "doomed")?;
    let kept = Used::new(&world.api()?, "kept")?;
    let (turning, resting) = (Used::new(&world.api()?, "turning")?, Used::new(&world.api()?, "resting")?);
    for key in [&turning, &resting] {
        let input = json!({ "KeyId": key.id, "RotationPeriodInDays": PERIOD_DAYS });
        world.api()?.kms("EnableKeyRotation", &input)?;
    }
    world.api()?.kms("DisableKey", &json!({ "KeyId": resting.id }))?;
    let scheduled = json!({ "KeyId": doomed.id, "PendingWindowInDays": WINDOW_DAYS });
    world.api()?.kms("ScheduleKeyDeletion", &scheduled)?;
    let old = world.copy(&place.join("old"))?;

    let erased = world.deletion(&doomed, &kept)?;
    let (blobs, versions) = world.rotations(&turning)?;
    world.catches_up(&resting)?;
    kept.opens(&world.api()?)?;
    // A restart in the future reads the same.
    world.coffer.stop()?;
    world.coffer.start()?;
    for (blob, version) in blobs.iter().zip(&versions) {
        let found = decrypt(&world.api()?, &turning.id, blob)?;
        if found != *version {
            return Err(format!("a ciphertext of version {version} was decrypted by {found} after a restart"));
        }
    }
    doomed.is_gone(&world.api()?)?;
    world.coffer.stop()?;
    let audited = world.audited(&doomed, &turning)?;
    world.coffer.fsck()?;
    world.old_copies(&old, &doomed)?;
    Ok(format!(
        "deleted {} min after its date and erased {} s later; {ROTATIONS} rotations of {PERIOD_DAYS} days and one caught up; \
         {audited}; the old copy is refused",
        erased.0.as_secs() / 60,
        erased.1.as_secs()
    ))
}

/// A server whose clocks are ahead of this machine's.
struct World {
    coffer: Coffer,
    clock: Clock,
}

impl World {
    /// The API, by requests of the server's time.
    fn api(&self) -> Result<Api, String> {
        Ok(self.coffer.api()?.ahead(self.clock.ahead))
    }

    /// The data directory and the epoch secret as they are now, with the server stopped.
    fn copy(&mut self, to: &Path) -> Result<PathBuf, String> {
        self.coffer.stop()?;
        fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
        for from in [self.coffer.data(), self.epoch_secret()] {
            output(Command::new("cp").arg("-a").arg(&from).arg(to))?;
        }
        self.coffer.start()?;
        Ok(to.to_owned())
    }

    fn epoch_secret(&self) -> PathBuf {
        self.coffer.place().join("keys/epoch.secret")
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

    fn state(&self, key: &Used) -> Result<String, String> {
        text(&self.api()?.kms("DescribeKey", &json!({ "KeyId": key.id }))?, &["KeyMetadata", "KeyState"])
    }

    /// The key is deleted when it is, and no earlier. Gives how long after its date that was, and after what time more its
    /// erasure was complete, both at most, by the server's clock.
    fn deletion(&mut self, doomed: &Used, kept: &Used) -> Result<(Duration, Duration), String> {
        let due = DAY * WINDOW_DAYS;
        let mark = self.coffer.log_mark();
        let named = |coffer: &Coffer, words: &str| {
            coffer.logged_since(mark).lines().any(|line| line.contains(words) && line.contains(&doomed.id))
        };
        self.clock.move_to(due - HOUR)?;
        self.look();
        if named(&self.coffer, "deletion is due") {
            return Err("a deletion was due before its date".to_owned());
        }
        self.clock.move_to(due + MINUTE)?;
        self.until("the deletion falls due", || Ok(named(&self.coffer, "deletion is due")))?;
        // A clock that was set wrong says so too, so this deletes nothing yet.
        self.clock.move_to(due + HOUR / 2)?;
        self.look();
        let state = self.state(doomed)?;
        if state != "PendingDeletion" {
            return Err(format!("half an hour after it fell due the key is {state}"));
        }
        let most = due + MINUTE + HOUR + MINUTE;
        self.clock.move_to(most)?;
        self.until("the deletion", || Ok(named(&self.coffer, "the KMS key is deleted")))?;
        doomed.is_gone(&self.api()?)?;
        kept.opens(&self.api()?)?;
        let before = fs::read(self.epoch_secret()).map_err(|error| format!("the epoch secret: {error}"))?;
        let rest = MINUTE * 2;
        self.clock.move_to(most + rest)?;
        let replaced = || Ok(fs::read(self.epoch_secret()).is_ok_and(|after| after != before));
        self.until("another epoch secret", replaced)?;
        self.until("the next epoch", || Ok(self.coffer.logged_since(mark).contains("the epoch moved on")))?;
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
        self.coffer.administer(&["audit", "verify"])?;
        let path = self.coffer.data().join("audit.log");
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
        let data = self.coffer.data();
        let moved = self.coffer.place().join("newest");
        fs::rename(&data, &moved).map_err(|error| format!("{}: {error}", data.display()))?;
        output(Command::new("cp").arg("-a").arg(old.join("data")).arg(&data))?;
        match self.coffer.start() {
            Ok(()) => return Err("a server started on a data directory from before a deletion".to_owned()),
            Err(why) if why.contains("older copy, from before an erasure") => {}
            Err(why) => return Err(format!("the old data directory was refused for another reason: {why}")),
        }
        // The proof of this test: a clock that does not complete the deletion at once, and the secret that is destroyed.
        self.clock.move_to(Duration::ZERO)?;
        fs::copy(old.join("epoch.secret"), self.epoch_secret())
            .map_err(|error| format!("the epoch secret: {error}"))?;
        self.coffer.start().map_err(|why| format!("the copy is not whole, so it proves nothing: {why}"))?;
        self.api()?.kms("CancelKeyDeletion", &json!({ "KeyId": doomed.id }))?;
        self.api()?.kms("EnableKey", &json!({ "KeyId": doomed.id }))?;
        doomed.opens(&self.api()?)?;
        self.coffer.stop()
    }
}

/// A key that encrypted something, with an alias.
struct Used {
    id: String,
    alias: String,
    blob: String,
}

const PLAINTEXT: &[u8] = b"before the clock moved";

impl Used {
    fn new(api: &Api, name: &str) -> Result<Self, String> {
        let id = api.create_key(name)?;
        let alias = format!("alias/{name}");
        api.kms("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": id }))?;
        let blob = encrypt(api, &id)?;
        Ok(Self { id, alias, blob })
    }

    /// What it encrypted is decrypted, by its alias.
    fn opens(&self, api: &Api) -> Result<(), String> {
        decrypt(api, &self.alias, &self.blob).map(drop)
    }

    /// Neither the key nor its alias is there, and what it encrypted is refused.
    fn is_gone(&self, api: &Api) -> Result<(), String> {
        for name in [&self.id, &self.alias] {
            refused(api, "DescribeKey", &json!({ "KeyId": name }), "NotFoundException")?;
            let input = json!({ "KeyId": name, "CiphertextBlob": self.blob });
            refused(api, "Decrypt", &input, "NotFoundException")?;
        }
        refused(api, "CancelKeyDeletion", &json!({ "KeyId": self.id }), "NotFoundException")?;
        // A blob that names no key says no more than one that does not open.
        refused(api, "Decrypt", &json!({ "CiphertextBlob": self.blob }), "InvalidCiphertextException")
    }
}

fn refused(api: &Api, action: &str, input: &Value, code: &str) -> Result<(), String> {
    match api.kms(action, input) {
        Ok(answer) => Err(format!("{action} of a deleted key answers {answer}")),
        Err(why) if why.contains(code) => Ok(()),
        Err(why) => Err(format!("{code} was wanted: {why}")),
    }
}

fn encrypt(api: &Api, key: &str) -> Result<String, String> {
    let input = json!({ "KeyId": key, "Plaintext": STANDARD.encode(PLAINTEXT) });
    text(&api.kms("Encrypt", &input)?, &["CiphertextBlob"])
}

/// Decrypts and compares; gives the version that did it.
fn decrypt(api: &Api, key: &str, blob: &str) -> Result<String, String> {
    let opened = api.kms("Decrypt", &json!({ "KeyId": key, "CiphertextBlob": blob }))?;
    if STANDARD.decode(text(&opened, &["Plaintext"])?).map_err(|error| error.to_string())? != PLAINTEXT {
        return Err(format!("{key} decrypts to something else"));
    }
    text(&opened, &["KeyMaterialId"])
}

/// The types of the key's rotations.
fn rotations(api: &Api, key: &Used) -> Result<Vec<String>, String> {
    let listed = api.kms("ListKeyRotations", &json!({ "KeyId": key.id }))?;
    let entries = listed.get("Rotations").and_then(Value::as_array).cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, &["RotationType"])).collect()
}

/// What a process under libfaketime takes its time from: all its clocks, the one that nobody sets included.
struct Clock {
    file: PathBuf,
    ahead: Duration,
}

impl Clock {
    fn at(file: PathBuf) -> Result<Self, String> {
        let mut clock = Self { file, ahead: Duration::ZERO };
        clock.move_to(Duration::ZERO)?;
        Ok(clock)
    }

    /// The program under which the server runs.
    fn environment(&self) -> Result<Vec<String>, String> {
        Ok(vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", install::faketime()?.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            // Read at every look at a clock, so that it moves at once.
            "FAKETIME_NO_CACHE=1".to_owned(),
        ])
    }

    /// So far ahead of this machine's.
    fn move_to(&mut self, ahead: Duration) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.file.display());
        let new = self.file.with_extension("new");
        fs::write(&new, format!("+{}\n", ahead.as_secs())).map_err(failed)?;
        // In one step: a clock is never read half written.
        fs::rename(&new, &self.file).map_err(failed)?;
        self.ahead = ahead;
        Ok(())
    }
}
