//! Begin, act, complete; the chain; crashes; failures.

use std::fs;
use std::path::{Path, PathBuf};

use aws_wire::{CallContext, Caller, Timestamp};
use env::Env;
use serde_json::{Value, json};

use super::AuditLog;
use crate::chain::Head;
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
    let log = AuditLog::start(&path, fs::File::open(&path).unwrap(), Head::origin(), Env::real()).unwrap();
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
