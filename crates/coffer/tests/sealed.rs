//! A server whose root key is behind a passphrase: sealed, unsealed, with another root key, from a backup.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nfs_wire::NfsStat4;
use serde_json::json;
use support::{Installed, copy};

fn with_passphrase() -> (Installed, tempfile::TempDir, PathBuf) {
    let secrets = tempfile::tempdir().unwrap();
    let passphrase = Installed::secret(secrets.path(), "passphrase", "correct horse");
    let installed = Installed::new(&["--passphrase-file", &passphrase.to_string_lossy()]);
    (installed, secrets, passphrase)
}

fn unseal(installed: &Installed, passphrase: &Path) {
    let (code, said) = installed.run(&["key", "unseal", "--passphrase-file", &passphrase.to_string_lossy()]);
    assert!(code == 0 && said.contains("unsealed"), "{said}");
}

/// docs/operations.md, "A sealed server": it answers health and status, refuses calls with errors that are tried again, lets NFS
/// clients wait, and serves after `coffer key unseal` without a restart.
#[test]
fn a_sealed_server_waits_and_then_serves() {
    let (installed, secrets, passphrase) = with_passphrase();
    let server = installed.serve();
    let said = installed.until(|said| said.contains("SEALED"));
    assert!(said.contains("recipient 1 (passphrase): waits for its passphrase: `coffer key unseal`"), "{said}");
    let health =
        |installed: &Installed| installed.http(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(health(&installed), (503, "{\"status\":\"sealed\"}".to_owned()));
    let (status, body) = installed.kms("ListKeys", &json!({}));
    assert_eq!((status, body["__type"].as_str()), (500, Some("KMSInternalException")), "{body}");
    assert_eq!(installed.exchange_id(), NfsStat4::Delay);
    assert_eq!(installed.run(&["hosts"]).0, 1);

    let wrong = Installed::secret(secrets.path(), "wrong", "battery staple");
    let (code, said) = installed.run(&["key", "unseal", "--passphrase-file", &wrong.to_string_lossy()]);
    assert!(code == 1 && said.contains("does not open with this secret"), "{said}");
    assert_eq!(health(&installed).0, 503);

    unseal(&installed, &passphrase);
    installed.until_serving();
    assert_eq!(health(&installed).0, 200);
    let (status, body) = installed.kms("CreateKey", &json!({}));
    assert_eq!(status, 200, "{body}");
    let (code, said) = installed.run(&["fs", "create"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(installed.exchange_id(), NfsStat4::Ok);
    assert!(
        installed.run(&["key", "unseal", "--passphrase-file", &wrong.to_string_lossy()]).1.contains("is not sealed")
    );

    // A kill seals it again.
    server.kill();
    let server = installed.serve();
    installed.until(|said| said.contains("SEALED"));
    assert_eq!(installed.exchange_id(), NfsStat4::Delay);
    server.stop();
}

/// docs/operations.md, "Recipients" and "A new root key": commands on a stopped server ask for the passphrase, change recipients and
/// the root key, and the audit log has each of them.
#[test]
fn recipients_and_the_root_key_are_replaced() {
    let (installed, secrets, passphrase) = with_passphrase();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 2 && said.contains("COFFER_PASSPHRASE_FILE"), "{code} {said}");
    assert_eq!(installed.run_knowing(&passphrase, &["fsck"]).0, 0);
    let other = Installed::secret(secrets.path(), "other", "battery staple");
    let named = other.to_string_lossy().into_owned();
    let (code, said) = installed.run_knowing(&passphrase, &["key", "recipients", "add", "--passphrase-file", &named]);
    assert!(code == 0 && said.contains("recipient 2 added"), "{said}");
    assert_eq!(installed.run(&["key", "recipients", "remove", "1"]).0, 0);
    let (code, said) = installed.run(&["key", "recipients", "list"]);
    assert_eq!((code, said.as_str()), (0, "2 passphrase\n"));
    let (code, said) = installed.run(&["key", "recipients", "remove", "2"]);
    assert!(code == 1 && said.contains("the only one"), "{said}");
    assert_eq!(installed.run_knowing(&passphrase, &["fsck"]).0, 2);

    let before = installed.path("root.key.before");
    fs::copy(installed.path("keys/root.key"), &before).unwrap();
    let (code, said) = installed.run_knowing(&other, &["key", "rewrap-root"]);
    assert!(code == 1 && said.contains("kept nowhere"), "{said}");
    let (code, said) = installed.run_knowing(&other, &["key", "rewrap-root", "--passphrase-file", &named]);
    assert!(code == 0 && said.contains("a new root key"), "{said}");
    assert_eq!(installed.run_knowing(&other, &["fsck"]).0, 0);
    let now = fs::read(installed.path("keys/root.key")).unwrap();
    fs::copy(&before, installed.path("keys/root.key")).unwrap();
    let (code, said) = installed.run_knowing(&other, &["fsck"]);
    assert!(code == 2 && said.contains("wrong root key"), "{code} {said}");
    fs::write(installed.path("keys/root.key"), now).unwrap();
    let log = fs::read_to_string(installed.path("data/audit.log")).unwrap();
    for event in ["AddRootKeyRecipient", "RemoveRootKeyRecipient", "ReplaceRootKey"] {
        assert!(log.contains(event), "{event}");
    }
    assert_eq!(installed.run(&["audit", "verify"]).0, 0);
}

/// docs/operations.md, "A new root key": a kill at any moment leaves an installation that opens, with one of the two root keys.
#[test]
fn a_kill_while_the_root_key_is_replaced_is_survived() {
    let installed = Installed::new(&[]);
    for milliseconds in [5, 15, 25, 35, 45, 60, 80, 110, 150, 250] {
        let mut command = installed.command(&["key", "rewrap-root"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = command.kill();
        let _ = command.wait();
        let (code, said) = installed.run(&["fsck"]);
        assert_eq!(code, 0, "killed after {milliseconds} ms: {said}");
        assert!(!installed.path("keys/root.key.next").exists(), "killed after {milliseconds} ms");
    }
}

/// docs/operations.md, "Backups of keys": lost key files are replaced from a backup, and never overwritten.
#[test]
fn a_backup_replaces_lost_key_files() {
    let installed = Installed::new(&[]);
    let secrets = tempfile::tempdir().unwrap();
    let passphrase = Installed::secret(secrets.path(), "backup", "of its own");
    let (backup, passphrase) = (secrets.path().join("keys.age"), passphrase.to_string_lossy().into_owned());
    let file = backup.to_string_lossy().into_owned();
    let export = ["key", "export", "--to", &file, "--backup-passphrase-file", &passphrase];
    let (code, said) = installed.run(&export);
    assert!(code == 0 && said.contains("a backup of all keys"), "{said}");
    assert!(fs::read(&backup).unwrap().starts_with(b"age-encryption.org/v1"));
    let (code, said) = installed.run(&export);
    assert!(code == 1 && said.contains("overwrites nothing"), "{said}");

    let recover = ["key", "import", "--from", &file, "--backup-passphrase-file", &passphrase, "--recover"];
    let (code, said) = installed.run(&recover);
    assert!(code == 1 && said.contains("exists already"), "{said}");
    fs::remove_dir_all(installed.path("keys")).unwrap();
    assert_eq!(installed.run(&["fsck"]).0, 2);
    let (code, said) = installed.run(&recover);
    assert!(code == 0 && said.contains("a new root key"), "{said}");
    assert_eq!(installed.run(&["fsck"]).0, 0);
    let (code, said) = installed.run(&recover[..6]);
    assert!(code == 1 && said.contains("exists here already"), "{said}");
}

/// docs/threat-model.md, "Erasure": under a passphrase, too, an old copy of the data directory does not bring back what was deleted;
/// root key and passphrase stay.
#[test]
fn an_old_copy_does_not_undo_a_deletion() {
    let (installed, _secrets, passphrase) = with_passphrase();
    let server = installed.serve();
    installed.until(|said| said.contains("SEALED"));
    unseal(&installed, &passphrase);
    installed.until_serving();
    let (code, said) = installed.run(&["fs", "create"]);
    assert_eq!(code, 0, "{said}");
    let id = said.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let id = id.into_iter().find(|word| word.starts_with("fs-") && word.len() == 20).unwrap().to_owned();
    server.stop();
    copy(&installed.path("data"), &installed.path("copy"));

    let server = installed.serve();
    installed.until(|said| said.contains("SEALED"));
    unseal(&installed, &passphrase);
    let said = installed.until_serving();
    let target = said.split_whitespace().find(|word| word.starts_with("fsmt-")).unwrap().to_owned();
    installed.efs("DELETE", &format!("/2015-02-01/mount-targets/{target}"));
    installed.until(|said| !said.contains(&target));
    installed.efs("DELETE", &format!("/2015-02-01/file-systems/{id}"));
    let epoch =
        || fs::read_to_string(installed.path("keys/epoch.secret")).unwrap().contains("coffer-epoch-secret-1 2 ");
    for _ in 0..1800 {
        if epoch() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(epoch(), "the epoch moves within a minute and a half of the deletion");
    server.stop();

    fs::remove_dir_all(installed.path("data")).unwrap();
    copy(&installed.path("copy"), &installed.path("data"));
    let (code, said) = installed.run_knowing(&passphrase, &["fsck"]);
    assert!(code == 2 && said.contains("the data directory is an older copy, from before an erasure"), "{code} {said}");
    let mut server = installed.serve();
    installed.until(|said| said.contains("SEALED"));
    let _ = installed.run(&["key", "unseal", "--passphrase-file", &passphrase.to_string_lossy()]);
    assert!(!server.0.wait().unwrap().success(), "it does not serve what was deleted");
}
