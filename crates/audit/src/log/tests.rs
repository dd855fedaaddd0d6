//! Begin, act, complete; the chain; crashes; failures.

use std::fs;
use std::path::{Path, PathBuf};

use aws_wire::{CallContext, Caller, Timestamp};
use env::Env;
use serde_json::{Value, json};

use super::AuditLog;
use crate::chain::Head;
use crate::writer::Target;
use crate::{AuditError, Event, Outcome, verify};

fn context() -> CallContext {
    CallContext {
        caller: Caller::root("000000000001", Some("AKIACOFFER".to_owned())),
        region: "us-east-1".to_owned(),
        account: "000000000001".to_owned(),
        request_id: "6d0f2c11".to_owned(),
        source_ip: Some([198, 51, 100, 24].into()),
        user_agent: Some("test".to_owned()),
        secure: false,
        time: Timestamp::parse_basic("20310409T081527Z").unwrap(),
    }
}

fn event(name: &str) -> Event {
    Event::call(&context(), "kms.amazonaws.com", name, false, json!({"keyId": "k"}))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    (directory, path)
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn filled(path: &Path, count: usize) {
    let log = AuditLog::open(path, Env::real()).unwrap();
    for _ in 0..count {
        log.begin(event("Encrypt"), true).await.unwrap().complete(Outcome::success(Value::Null)).unwrap();
    }
    log.close().await.unwrap();
}

/// Architecture section 6 and CloudTrail record contents: begin before the act, complete after it, in CloudTrail's shape.
#[tokio::test]
async fn a_call_is_begun_and_completed() {
    let (_directory, path) = place();
    let log = AuditLog::open(&path, Env::real()).unwrap();
    let entry = log.begin(event("CreateKey"), true).await.unwrap();
    assert_eq!(lines(&path).len(), 1, "durable means written");
    entry.complete(Outcome::success(json!({"keyId": "new"}))).unwrap();
    let failed = log.begin(event("Decrypt"), false).await.unwrap();
    failed.complete(Outcome::failure("DisabledException", "is disabled.")).unwrap();
    log.flush().await.unwrap();
    let lines = lines(&path);
    assert_eq!(
        lines.iter().map(|line| line["phase"].as_str().unwrap()).collect::<Vec<_>>(),
        ["begin", "complete", "begin", "complete"]
    );
    let record = &lines[1]["record"];
    assert_eq!(
        record["userIdentity"],
        json!({"type": "Root", "principalId": "000000000001", "arn": "arn:aws:iam::000000000001:root", "accountId": "000000000001", "accessKeyId": "AKIACOFFER"})
    );
    assert_eq!(record["eventTime"], "2031-04-09T08:15:27Z");
    assert_eq!(record["responseElements"], json!({"keyId": "new"}));
    assert_eq!(record["requestParameters"], json!({"keyId": "k"}));
    assert_eq!(lines[0]["eventID"], lines[1]["eventID"]);
    assert_eq!(lines[3]["record"]["errorCode"], "DisabledException");
    assert_eq!(lines[3]["record"]["responseElements"], Value::Null);
    assert_eq!(verify(&path).unwrap().head.sequence, 4);
}

/// Architecture section 6: the record is completed whatever happens to the call.
#[tokio::test]
async fn a_dropped_call_is_completed_as_abandoned() {
    let (_directory, path) = place();
    let log = AuditLog::open(&path, Env::real()).unwrap();
    drop(log.begin(event("CreateKey"), false).await.unwrap());
    log.flush().await.unwrap();
    assert_eq!(lines(&path)[1]["record"]["errorCode"], "Abandoned");
}

/// Architecture section 6: a log goes on across restarts in one chain; an event that a crash cut off is found.
#[tokio::test]
async fn the_chain_goes_on_after_a_restart() {
    let (_directory, path) = place();
    filled(&path, 2).await;
    let log = AuditLog::open(&path, Env::real()).unwrap();
    let entry = log.begin(event("CreateKey"), true).await.unwrap();
    let id = entry.id().to_owned();
    std::mem::forget(entry);
    drop(log);
    let report = verify(&path).unwrap();
    assert_eq!((report.head.sequence, report.incomplete), (5, vec![id]));
}

/// Architecture section 6: a changed, removed or moved line is found by whoever checks the chain.
#[tokio::test]
async fn tampering_is_found() {
    let (_directory, path) = place();
    filled(&path, 3).await;
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let broken = |lines: Vec<String>| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        matches!(verify(&path), Err(AuditError::Broken { .. }))
    };
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(!broken(owned(&lines)));
    let mut changed = owned(&lines);
    changed[1] = changed[1].replace("Encrypt", "Decrypt");
    assert!(broken(changed));
    let mut removed = owned(&lines);
    removed.remove(2);
    assert!(broken(removed.clone()));
    assert!(
        matches!(AuditLog::open(&path, Env::real()), Err(AuditError::Broken { .. })),
        "nor is such a log written on"
    );
    let mut swapped = owned(&lines);
    swapped.swap(1, 2);
    assert!(broken(swapped));
}

/// Architecture section 6: a line that a crash tore is put aside, and the log says so.
#[tokio::test]
async fn a_torn_line_is_put_aside() {
    let (directory, path) = place();
    filled(&path, 2).await;
    let whole = fs::read(&path).unwrap();
    for torn in [&b"{\"hash\":\"00"[..], b"\0\0\0\0\n\0\0", b"\n"] {
        fs::write(&path, [&whole, torn].concat()).unwrap();
        let log = AuditLog::open(&path, Env::real()).unwrap();
        log.close().await.unwrap();
        drop(log);
        assert_eq!(verify(&path).unwrap().head.sequence, 5);
        assert_eq!(lines(&path)[4]["phase"], "recovery");
        let aside = directory.path().join(format!("audit.log.torn-{}", whole.len()));
        assert_eq!(fs::read(&aside).unwrap(), torn);
    }
}

/// Threat model: two servers must not write one log.
#[tokio::test]
async fn a_log_has_one_writer() {
    let (_directory, path) = place();
    let _log = AuditLog::open(&path, Env::real()).unwrap();
    assert!(matches!(AuditLog::open(&path, Env::real()), Err(AuditError::Locked(_))));
}

/// Architecture section 6, fail closed: when the disk takes no more, nothing that needs a record goes on.
#[tokio::test]
async fn a_failed_write_refuses_calls() {
    let (_directory, path) = place();
    filled(&path, 1).await;
    // A file that was opened for reading only takes no write.
    let file = fs::File::open(&path).unwrap();
    let target = Target { path: path.clone(), file, head: Head::origin(), bytes: 0, bytes_max: u64::MAX };
    let log = AuditLog::start(target, Env::real()).unwrap();
    let refused = log.begin(event("CreateKey"), true).await;
    assert!(refused.is_err());
    assert!(log.failed());
    assert!(matches!(log.begin(event("ListKeys"), false).await, Err(AuditError::Failed)));
}

/// House rule: what a peer sends does not grow the log without bound, and lines stay lines.
#[tokio::test]
async fn records_are_bounded() {
    let (_directory, path) = place();
    let log = AuditLog::open(&path, Env::real()).unwrap();
    let mut large = event("Encrypt");
    large.parameters = json!({"description": "x\n".repeat(100_000)});
    large.user_agent = Some("u\n".repeat(100_000));
    log.begin(large, true).await.unwrap().complete(Outcome::failure("E", &"m".repeat(100_000))).unwrap();
    log.flush().await.unwrap();
    assert_eq!(lines(&path).len(), 2);
    assert!(fs::metadata(&path).unwrap().len() < 20_000);
}

/// Many callers share one sync, and every line is there once, in one chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_make_one_chain() {
    let (_directory, path) = place();
    let log = AuditLog::open(&path, Env::real()).unwrap();
    let calls = (0..200).map(|_| {
        let log = log.clone();
        tokio::spawn(async move {
            log.begin(event("Encrypt"), true).await.unwrap().complete(Outcome::success(Value::Null)).unwrap();
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    log.close().await.unwrap();
    let report = verify(&path).unwrap();
    assert_eq!((report.head.sequence, report.incomplete.len()), (400, 0));
}

fn closed(path: &Path) -> Vec<PathBuf> {
    crate::files::closed(path).unwrap()
}

async fn rotated(path: &Path, count: usize) {
    let log = AuditLog::open_sized(path, Env::real(), 4000).unwrap();
    for _ in 0..count {
        log.begin(event("Encrypt"), true).await.unwrap().complete(Outcome::success(Value::Null)).unwrap();
    }
    log.close().await.unwrap();
}

/// docs/on-disk-format.md, "Audit log": a file has a size, and one chain goes through all files, across restarts.
#[tokio::test]
async fn the_chain_goes_on_from_file_to_file() {
    let (_directory, path) = place();
    for _ in 0..3 {
        rotated(&path, 20).await;
    }
    let files = closed(&path);
    assert!(files.len() > 5, "{files:?}");
    for file in files.iter().chain([&path]) {
        let about = fs::metadata(file).unwrap();
        assert!(about.len() < 8000);
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777, 0o600);
    }
    let report = verify(&path).unwrap();
    let begun = files.len() as u64;
    assert_eq!((report.first, report.head.sequence, report.incomplete.len()), (1, 120 + begun, 0));

    // A line that is gone from the middle of any file is found, and so is a file.
    let middle = &files[2];
    let text = fs::read_to_string(middle).unwrap();
    let cut: Vec<&str> = text.lines().enumerate().filter(|(number, _)| *number != 1).map(|(_, line)| line).collect();
    fs::write(middle, cut.join("\n") + "\n").unwrap();
    assert!(matches!(verify(&path), Err(AuditError::Broken { .. })));
    fs::remove_file(middle).unwrap();
    assert!(matches!(verify(&path), Err(AuditError::Broken { .. })));
    fs::write(middle, &text).unwrap();

    // Old files may be moved away: the rest holds from its first line on, and says which that is.
    for file in files.iter().take(3) {
        fs::remove_file(file).unwrap();
    }
    let rest = verify(&path).unwrap();
    assert!(rest.first > 1);
    assert_eq!(rest.head, report.head);
    for file in &files[3..] {
        fs::remove_file(file).unwrap();
    }
    rotated(&path, 1).await;
    assert!(verify(&path).unwrap().head.sequence > report.head.sequence);
}

/// docs/on-disk-format.md, "Audit log": a crash while one file ends and the next begins loses nothing and breaks nothing.
#[tokio::test]
async fn a_crash_between_two_files_is_made_good() {
    let (directory, path) = place();
    rotated(&path, 20).await;
    let before = verify(&path).unwrap().head;
    // The file was closed; its successor exists in part, or has nothing in it.
    fs::rename(&path, directory.path().join(format!("audit.log.{:020}", before.sequence))).unwrap();
    fs::write(directory.path().join("audit.log.next"), "{\"hash\":").unwrap();
    rotated(&path, 1).await;
    assert!(!directory.path().join("audit.log.next").exists());
    let after = verify(&path).unwrap();
    assert_eq!((after.first, after.head.sequence), (1, before.sequence + 3));
    assert_eq!(lines(&path)[0]["phase"], "continuation");
    // A successor that does not follow is not written on.
    let text = fs::read_to_string(&path).unwrap();
    let second = text.lines().nth(1).unwrap();
    fs::write(&path, format!("{second}\n")).unwrap();
    assert!(matches!(AuditLog::open(&path, Env::real()), Err(AuditError::Broken { .. })));
}

/// docs/on-disk-format.md, "Audit log": a line that nobody waits for is on disk within a second or so, also when lines never
/// cease to come.
#[tokio::test]
async fn a_steady_stream_is_synced() {
    let (_directory, path) = place();
    let (env, simulation) = Env::simulated(1);
    let log = AuditLog::open(&path, env).unwrap();
    for _ in 0..20 {
        simulation.advance(std::time::Duration::from_millis(100));
        log.note(event("GetCallerIdentity"), Outcome::default()).await.unwrap();
        Env::real().sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(log.syncs() >= 1, "nothing was synced in two seconds of lines");
    log.close().await.unwrap();
}
