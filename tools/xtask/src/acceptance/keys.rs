//! Keys that are taken away, and what lies on the disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Scale;
use super::work::{AT, mounted, one};
use crate::api::{Api, text};
use crate::canary::{Canaries, Found};
use crate::stage::{Mount, Stage};
use crate::trees;

/// The ways to take a key away, each undone without a remount, and what status and log then give as the reason.
const ROUNDS: [(&str, &str); 5] = [
    ("disabled", "is disabled"),
    ("restarted", "is disabled"),
    ("pending-deletion", "is pending deletion"),
    ("grant-revoked", "is not authorized to perform: kms:Decrypt"),
    ("policy-denied", "with an explicit deny in a resource-based policy"),
];

/// Each way: the client's operations fail with an I/O error, status and log say which key and why, and it goes on
/// afterwards: with the same mount, the same open files and the same lock, which another client is still refused.
pub(crate) fn disabled(stage: &mut Stage, _: &Scale) -> Result<String, String> {
    let api = stage.coffer()?.api()?;
    let key = api.create_key("taken away and given back")?;
    let id = api.create_file_system("sealed", Some(&key))?.id;
    for client in 0..stage.clients.len() {
        stage.mount(client, AT, &Mount { file_system: &id, ..Mount::default() })?;
    }
    let meet = stage.scratch().join("meet");
    fs::create_dir_all(&meet).map_err(|error| error.to_string())?;
    let mut arguments = vec![AT.to_owned(), meet.display().to_string()];
    arguments.extend(ROUNDS.map(|(round, _)| round.to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let script = stage.script("sealed.sh", &arguments);
    let running = stage.spawn(0, &script)?;
    for (round, reason) in ROUNDS {
        let mut steps = || -> Result<(), String> {
            await_file(&meet, &format!("{round}-ready"), &|| running.is_finished())?;
            let mark = stage.coffer()?.log_mark();
            let taken = withhold(&api, round, &key)?;
            if round == "restarted" {
                let coffer = stage.coffer()?;
                coffer.stop()?;
                coffer.start()?;
            }
            reach(&meet, &format!("{round}-withheld"))?;
            await_file(&meet, &format!("{round}-refused"), &|| running.is_finished())?;
            stage.coffer()?.expect_sealed(mark, &id, &key, reason).map_err(|why| format!("{round}: {why}"))?;
            give_back(&api, round, &key, taken.as_ref())?;
            reach(&meet, &format!("{round}-returned"))?;
            await_file(&meet, &format!("{round}-goes-on"), &|| running.is_finished())?;
            stage.coffer()?.expect_open(&id).map_err(|why| format!("{round}: {why}"))?;
            stage.check(1, &still_locked()).map_err(|why| format!("{round}: {why}"))?;
            reach(&meet, &format!("{round}-checked"))
        };
        if let Err(why) = steps() {
            let said = stage.join(0, &script, running);
            return Err(format!("{why}{}", said.err().map(|said| format!("; {said}")).unwrap_or_default()));
        }
    }
    let said = stage.join(0, &script, running)?;
    Ok(said.lines().collect::<Vec<_>>().join(", "))
}

/// The lock that the first client took before everything is refused to the second one.
fn still_locked() -> String {
    format!(
        "exec 6<> {AT}/held
if flock -n 6; then echo 'the lock of the first client is gone' >&2; exit 1; fi"
    )
}

/// Takes the key away; gives what has to be put back: the grant that was revoked, the policy that was replaced.
pub(crate) fn withhold(api: &Api, round: &str, key: &str) -> Result<Option<Value>, String> {
    match round {
        "pending-deletion" => {
            api.kms("ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 7 })).map(|_| None)
        }
        "grant-revoked" => {
            let grants = api.kms("ListGrants", &json!({ "KeyId": key }))?;
            let grant = grants.get("Grants").and_then(|grants| grants.get(0)).cloned().ok_or("the key has no grant")?;
            api.kms("RevokeGrant", &json!({ "KeyId": key, "GrantId": text(&grant, &["GrantId"])? }))?;
            Ok(Some(grant))
        }
        "policy-denied" => {
            let before = api.kms("GetKeyPolicy", &json!({ "KeyId": key, "PolicyName": "default" }))?;
            let mut policy: Value =
                serde_json::from_str(&text(&before, &["Policy"])?).map_err(|why| why.to_string())?;
            let deny = json!({
                "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*",
                "Principal": { "Service": "elasticfilesystem.us-east-1.amazonaws.com" },
            });
            let statements = policy.get_mut("Statement").and_then(Value::as_array_mut);
            statements.ok_or("the key policy has no statements")?.push(deny);
            put_policy(api, key, &policy.to_string())?;
            Ok(Some(before))
        }
        _ => api.kms("DisableKey", &json!({ "KeyId": key })).map(|_| None),
    }
}

fn put_policy(api: &Api, key: &str, policy: &str) -> Result<(), String> {
    api.kms("PutKeyPolicy", &json!({ "KeyId": key, "PolicyName": "default", "Policy": policy })).map(drop)
}

/// Gives the key back; `taken` is what [`withhold`] gave.
pub(crate) fn give_back(api: &Api, round: &str, key: &str, taken: Option<&Value>) -> Result<(), String> {
    if let ("policy-denied", Some(before)) = (round, taken) {
        return put_policy(api, key, &text(before, &["Policy"])?);
    }
    if let Some(grant) = taken {
        let part = |name: &str| grant.get(name).cloned().unwrap_or_default();
        let mut again = json!({
            "KeyId": key, "GranteePrincipal": part("GranteePrincipal"), "Operations": part("Operations"),
        });
        if let Some(again) = again.as_object_mut() {
            for name in ["Constraints", "RetiringPrincipal"] {
                if !part(name).is_null() {
                    again.insert(name.to_owned(), part(name));
                }
            }
        }
        return api.kms("CreateGrant", &again).map(drop);
    }
    if round == "pending-deletion" {
        api.kms("CancelKeyDeletion", &json!({ "KeyId": key }))?;
    }
    api.kms("EnableKey", &json!({ "KeyId": key })).map(drop)
}

/// A real tree is copied in; neither while the server runs nor after it stopped does any of it lie in the clear.
pub(crate) fn canaries(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let tree = stage.scratch().join("tree");
    trees::real(&tree, scale.tree_files)?;
    trees::odd(&tree)?;
    let canaries = Canaries::of_tree(&tree)?;
    // The search itself is proven on the tree in the clear.
    if canaries.search(&tree)?.0.len() * 2 < scale.tree_files {
        return Err("the search does not even find the tree in itself".to_owned());
    }
    mounted(stage)?;
    one(stage, "copy_in.sh", &[&tree.display().to_string(), AT])?;
    let data = stage.coffer()?.data();
    search(&canaries, &data)?;
    stage.check(0, &format!("umount {AT}"))?;
    stage.coffer()?.stop()?;
    let bytes = search(&canaries, &data)?;
    if let Some(found) = canaries.search_file(&stage.coffer()?.log())? {
        return Err(plaintext(&[found]));
    }
    Ok(format!("{} canaries, {} MiB searched", canaries.count(), bytes >> 20))
}

/// An error that names the first canary found.
pub(crate) fn search(canaries: &Canaries, data: &Path) -> Result<u64, String> {
    let (found, bytes) = canaries.search(data)?;
    if found.is_empty() { Ok(bytes) } else { Err(plaintext(&found)) }
}

fn plaintext(found: &[Found]) -> String {
    let first = found.first().map_or_else(String::new, |first| {
        format!("{} at byte {} holds some of {}", first.file.display(), first.offset, first.source.display())
    });
    format!("{} files hold plaintext: {first}", found.len())
}

/// Says to the client that this side has come so far.
pub(crate) fn reach(meet: &Path, name: &str) -> Result<(), String> {
    fs::write(meet.join(name), "").map_err(|error| format!("{name}: {error}"))
}

/// Waits until the client has come so far, or has ended.
pub(crate) fn await_file(meet: &Path, name: &str, ended: &dyn Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !meet.join(name).exists() {
        if ended() {
            return Err(format!("the client ended before {name}"));
        }
        if start.elapsed() > Duration::from_secs(180) {
            return Err(format!("the client did not come to {name} in 180 s"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
