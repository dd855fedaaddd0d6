//! The commands as an administrator runs them: what they say and how they end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Installed {
    directory: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let installed = Self { directory: tempfile::tempdir().unwrap() };
        let (code, said) = installed.run(&[
            "init",
            "--data",
            &installed.path("data").to_string_lossy(),
            "--keys",
            &installed.path("keys").to_string_lossy(),
            "--api-listen",
            &format!("127.0.0.1:{}", free_port()),
        ]);
        assert_eq!(code, 0, "{said}");
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.path("coffer.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Runs `coffer` with this configuration: exit code and everything it printed.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        let output = command.args(arguments).arg("--config").arg(self.path("coffer.toml")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A running server; killed if the test fails.
struct Serving(Child);

impl Serving {
    fn start(installed: &Installed) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        command.arg("serve").arg("--config").arg(installed.path("coffer.toml"));
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks `coffer status` until it says what is wanted.
fn until(installed: &Installed, wanted: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    for _ in 0..1200 {
        let (code, said) = installed.run(&["status"]);
        if code == 0 && wanted(&said) {
            return said;
        }
        last = said;
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within a minute: {last}");
}

/// docs/operations.md, "Watching": a mount target whose address is taken says so with the cure, to whoever makes it and in
/// `coffer status`, and works by itself once the address is free.
#[test]
fn a_mount_target_in_error_recovers_by_itself() {
    let installed = Installed::new();
    let port = free_port();
    installed.edit("port = 2049", &format!("port = {port}"));
    let other = TcpListener::bind((Ipv4Addr::new(127, 77, 0, 4), port)).unwrap();
    let server = Serving::start(&installed);
    until(&installed, |said| !said.contains("starting"));

    let (code, said) = installed.run(&["fs", "create"]);
    assert_eq!(code, 1, "{said}");
    let reason =
        format!("is error: 127.77.0.4:{port}: Address already in use (os error 98); another program listens there");
    assert!(said.contains(&reason) && said.contains("exists; `aws efs delete-file-system"), "{said}");
    until(&installed, |said| said.contains(": error: 127.77.0.4:") && said.contains("another program listens there"));
    drop(other);
    let said = until(&installed, |said| !said.contains("another program listens there"));
    assert_eq!(
        said.lines().filter(|line| line.starts_with("fsmt-") && line.ends_with("available")).count(),
        1,
        "{said}"
    );

    // A running server is a reason not to look, and no verdict.
    assert_eq!(installed.run(&["fsck"]).0, 2);
    server.stop();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 0 && said.contains(": clean: "), "{code} {said}");
    assert_eq!(installed.run(&["audit", "verify"]).0, 0);
}

/// docs/operations.md, "Checking": 0 all is sound, 1 something was found, 2 it could not look.
#[test]
fn fsck_ends_by_what_it_found() {
    let installed = Installed::new();
    assert_eq!(installed.run(&["fsck"]), (0, String::new()));

    let stray = installed.path("data/fs/fs-0123456789abcdef0");
    fs::create_dir(&stray).unwrap();
    fs::create_dir(installed.path("data/fs/.gone-fs-0123456789abcdef1")).unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("fs-0123456789abcdef0: no file system has this directory"), "{said}");
    assert!(said.contains(".gone-fs-0123456789abcdef1: the rest of a deleted file system"), "{said}");
    fs::remove_dir(stray).unwrap();
    // What a deletion left is no damage.
    assert_eq!(installed.run(&["fsck"]).0, 0);

    let (code, said) = installed.run(&["fsck", "fs-0123456789abcdef0"]);
    assert!(code == 2 && said.contains("no such file system"), "{code} {said}");
    fs::rename(installed.path("keys/root.key"), installed.path("keys/away")).unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 2 && said.contains("root.key"), "{code} {said}");
    fs::remove_file(installed.path("coffer.toml")).unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 2 && said.contains("coffer init --config"), "{code} {said}");
}

/// An installation with one file system, and that file system's directory. No server runs.
fn with_file_system() -> (Installed, PathBuf) {
    let installed = Installed::new();
    installed.edit("port = 2049", &format!("port = {}", free_port()));
    let server = Serving::start(&installed);
    until(&installed, |said| !said.contains("starting"));
    let (code, said) = installed.run(&["fs", "create"]);
    assert_eq!(code, 0, "{said}");
    server.stop();
    let mut made = fs::read_dir(installed.path("data/fs")).unwrap();
    let directory = made.next().unwrap().unwrap().path();
    (installed, directory)
}

/// Puts a record or inline data into a file system's shard, as a fault of the server would.
fn put(directory: &std::path::Path, keyspace: storage::Keyspace, key: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = storage::Engine::new(storage::Budgets::default(), env::Env::real()).unwrap();
        let (shard, _segments) = engine.open(directory).await.unwrap();
        let mut batch = storage::Batch::new(u128::MAX);
        batch.put(keyspace, key, "of nobody");
        shard.commit(batch).await.unwrap();
        shard.close().await.unwrap();
    });
}

/// docs/operations.md, "Checking": without `--repair` nothing is changed; with it what is proven is repaired, said, and in the
/// audit log; segments of an interrupted flush are no damage; what would have to be guessed remains.
#[test]
fn fsck_repairs_what_is_proven() {
    let (installed, directory) = with_file_system();
    let id = directory.file_name().unwrap().to_string_lossy().into_owned();
    let segment = directory.join("segments/1-77.seg");
    fs::write(&segment, vec![0; 3 << 20]).unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert!(
        code == 0 && said.contains(": clean: ") && said.contains("3.0 MiB in 1 segments that no file needs"),
        "{said}"
    );

    put(&directory, storage::Keyspace::Inline, [1_u64.to_be_bytes(), 9_u64.to_be_bytes()].concat());
    for _ in 0..2 {
        let (code, said) = installed.run(&["fsck"]);
        assert!(code == 1 && said.contains(&format!("{id}: NEEDS REPAIR: ")), "{code} {said}");
        assert!(
            said.contains(&format!("{id}: /: object 1: 1 inline extents, 9 the first that belong to nothing")),
            "{said}"
        );
        assert!(said.contains("`coffer fsck --repair` sets it right"), "{said}");
        assert!(segment.exists());
    }
    let (code, said) = installed.run(&["fsck", "--repair", "--quiet"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&format!("{id}: repaired: object 1: 1 inline extents that no map named are freed")),
        "{said}"
    );
    assert!(said.contains(&format!("{id}: repaired: segment 1-77: nothing named it")), "{said}");
    assert!(said.contains(": clean after its repair: "), "{said}");
    assert!(!segment.exists());
    let log = fs::read_to_string(installed.path("data/audit.log")).unwrap();
    let lines =
        |what: &str| log.lines().filter(|line| line.contains("RepairFileSystem") && line.contains(what)).count();
    assert_eq!((lines("free-inline"), lines("free-segment")), (2, 2), "begun and completed");
    assert_eq!(installed.run(&["audit", "verify"]).0, 0);
    let (code, said) = installed.run(&["fsck", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["clean"], &said["unusedSegments"]), (0, &true.into(), &0.into()), "{said}");

    put(&directory, storage::Keyspace::Records, b"X".to_vec());
    for arguments in [&["fsck"][..], &["fsck", "--repair"], &["fsck", "--repair", "--json", &id]] {
        let (code, said) = installed.run(arguments);
        assert!(code == 1 && said.contains("record 58") && said.contains("from a backup"), "{code} {said}");
    }
}

/// docs/operations.md, "Checking": every area that is listed lies in its file, apart from all others, and is noise; every other
/// file is told what it is; a sealed value is listed without its head.
#[test]
fn areas_are_ciphertext_and_nothing_else() {
    let (installed, directory) = with_file_system();
    let (code, said) = installed.run(&["fsck", "--areas", "--json"]);
    assert_eq!(code, 0, "{said}");
    let data = installed.path("data");
    let (mut end, mut last) = (0, String::new());
    let (mut kinds, mut named) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
    let mut counts = [0_u32; 256];
    for line in said.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let file = row["file"].as_str().unwrap().to_owned();
        named.insert(data.join(&file));
        let Some(kind) = row["sealed"].as_str() else {
            assert!(!row["clear"].as_str().unwrap().starts_with("no file"), "{line}");
            continue;
        };
        let number = |name: &str| usize::try_from(row[name].as_u64().unwrap()).unwrap();
        let (offset, length) = (number("offset"), number("length"));
        assert!(file != last || offset >= end, "{line} overlaps what ends at {end}");
        (last, end) = (file.clone(), offset + length);
        let bytes = fs::read(data.join(&file)).unwrap();
        let area = bytes.get(offset..end).unwrap();
        area.iter().for_each(|byte| *counts.get_mut(usize::from(*byte)).unwrap() += 1);
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
        if kind == "file-system record" {
            // Version of the format and of the key stand in the clear before salt, counter and ciphertext.
            assert_eq!(bytes.get(offset - 25..offset - 20).unwrap(), [1, 0, 0, 0, 1]);
        }
    }
    // One epoch has two wrapped keys; an empty file system has four records: its own, counters, totals, the root directory.
    assert_eq!(kinds["wrapped key"], 2, "{said}");
    assert!(kinds["control record"] >= 8 && kinds["file-system record"] >= 4, "{kinds:?}");
    let expected = counts.iter().sum::<u32>() / 256;
    // Eight standard deviations, at least: the chance of any is below one in ten thousand million.
    let far = |count: &&u32| count.abs_diff(expected).pow(2) > 64 * expected;
    assert!(expected > 5 && !counts.iter().any(|count| far(&count)), "{counts:?}");
    let mut waiting = vec![data];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                assert!(named.contains(&path), "{} is not spoken of", path.display());
            }
        }
    }
    // What is damaged is called so, in text and status.
    put(&directory, storage::Keyspace::Records, b"X".to_vec());
    let (code, said) = installed.run(&["fsck", "--areas"]);
    assert!(code == 1 && said.contains("not sound") && said.contains("\tcontrol record\n"), "{code} {said}");
    assert!(said.contains("# audit.log\t"), "{said}");
    let (code, said) = installed.run(&["fsck", "--areas", "--repair"]);
    assert!(code == 2 && said.contains("cannot be used with"), "{code} {said}");
}

/// docs/operations.md: region and account are fixed when the installation is made; another one would hide everything.
#[test]
fn another_region_is_refused() {
    let installed = Installed::new();
    installed.edit("us-east-1\"", "eu-west-1\"");
    let (code, said) = installed.run(&["fsck"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("was made for region us-east-1 and account 000000000001"), "{said}");
    assert!(said.contains("the configuration says eu-west-1"), "{said}");
    installed.edit("eu-west-1\"", "us-east-1\"");
    assert_eq!(installed.run(&["fsck"]).0, 0);
}

/// docs/operations.md: a flipped bit of a control record names the directory and the cure, and a missing installation is
/// docs/operations.md: a missing installation is told from one that cannot be looked at.
#[test]
fn a_missing_installation_is_called_so() {
    let installed = Installed::new();
    fs::rename(installed.path("data/control"), installed.path("control")).unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 2 && said.contains("make one with `coffer init`"), "{code} {said}");
    // Something that is there and cannot be looked at is another matter.
    fs::write(installed.path("data/control"), b"").unwrap();
    let (code, said) = installed.run(&["fsck"]);
    assert!(code == 2 && !said.contains("coffer init"), "{code} {said}");
}

/// docs/operations.md, "Checking": the audit log is whole, or the place is named; a log that cannot be read is neither.
#[test]
fn the_audit_log_is_verified() {
    let installed = Installed::new();
    let (code, said) = installed.run(&["audit", "verify"]);
    assert_eq!(code, 2, "no server has run yet: {said}");
    assert_eq!(installed.run(&["fsck"]).0, 0);
    let (code, said) = installed.run(&["audit", "verify"]);
    assert!(code == 0 && said.contains("lines, each follows from the one before"), "{code} {said}");
    let path = installed.path("data/audit.log");
    fs::write(&path, b"{\"hash\":\"x\"}\n").unwrap();
    let (code, said) = installed.run(&["audit", "verify"]);
    assert!(code == 1 && said.contains("broken at byte 0"), "{code} {said}");
}

/// docs/operations.md: `--subnet` is judged before anything is made, without a server.
#[test]
fn a_misspelt_subnet_makes_nothing() {
    let installed = Installed::new();
    let (code, said) = installed.run(&["fs", "create", "--subnet", "subnet-0000000f"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("--subnet subnet-0000000f: not configured; there is subnet-00000000"), "{said}");
}
