//! Which file systems seal with a KMS key, told before it is taken away: by `coffer key dependents`, by the audit records of the
//! calls that take it away, and by the log.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests may panic, and tests of processes work in real time"
)]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{Oaep, PairKind, PublicKey};
use serde_json::{Value, json};

/// In this time the audit log has how a call ended.
const COMPLETE_MAX: Duration = Duration::from_secs(5);

/// A server of its own, running; it ends with the value.
struct Running {
    directory: tempfile::TempDir,
    api: SocketAddr,
    process: Child,
}

impl Running {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let place = |name: &str| directory.path().join(name);
        let mut init = Command::new(env!("CARGO_BIN_EXE_coffer"));
        init.args(["init", "--api-listen", &api.to_string()]).arg("--config").arg(place("coffer.toml"));
        init.arg("--data").arg(place("data")).arg("--keys").arg(place("keys"));
        assert!(init.stdout(Stdio::null()).status().unwrap().success());
        let mut serve = Command::new(env!("CARGO_BIN_EXE_coffer"));
        serve.arg("serve").arg("--config").arg(place("coffer.toml")).stdin(Stdio::null());
        let process = serve.stderr(File::create(place("log")).unwrap()).spawn().unwrap();
        let running = Self { directory, api, process };
        for _ in 0..1200 {
            if running.coffer(&["status"]).0 == 0 && !running.coffer(&["status"]).1.contains("starting") {
                return running;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not up within a minute");
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn coffer(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        let done = command.args(arguments).arg("--config").arg(self.place("coffer.toml")).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.code().unwrap(), said)
    }

    fn call(&self, service: &str, path: &str, extra: &[(&str, &str)], input: &Value) -> Value {
        let profile = fs::read_to_string(self.place("aws-profile")).unwrap();
        let value = |name: &str| {
            let mut lines = profile.lines().filter_map(|line| line.split_once(" = "));
            lines.find(|(key, _)| *key == name).unwrap().1.to_owned()
        };
        let signer = Signer {
            access_key_id: value("aws_access_key_id"),
            secret: value("aws_secret_access_key").into(),
            token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        };
        let (host, body) = (self.api.to_string(), input.to_string());
        let mut headers = vec![("host", host.as_str()), ("content-type", "application/x-amz-json-1.1")];
        headers.extend(extra);
        let wall = env::Env::real().wall();
        let now = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let added = signer.sign("POST", path, "", &headers, body.as_bytes(), now);
        let mut text = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(added) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(self.api).unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
        if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() }
    }

    fn kms(&self, action: &str, input: &Value) -> Value {
        self.call("kms", "/", &[("x-amz-target", &format!("TrentService.{action}"))], input)
    }

    fn create_file_system(&self, token: &str, key: &str) -> String {
        let input = json!({
            "CreationToken": token, "Encrypted": true, "KmsKeyId": key, "Tags": [{ "Key": "Name", "Value": token }],
        });
        let made = self.call("elasticfilesystem", "/2015-02-01/file-systems", &[], &input);
        made["FileSystemId"].as_str().unwrap().to_owned()
    }

    /// What the records of an action say beside the call, with their phases, once each act that began is complete there: a
    /// reply does not wait for that line.
    fn additional(&self, action: &str) -> Vec<(String, Value)> {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(self.place("data/audit.log")).unwrap();
            // The last line may be on its way still.
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
            let of_action = lines.filter(|line| line["record"]["eventName"] == action);
            let found: Vec<(String, Value)> = of_action
                .map(|line| {
                    let phase = line["phase"].as_str().unwrap_or_default().to_owned();
                    (phase, line["record"]["additionalEventData"]["dependentFileSystems"].clone())
                })
                .collect();
            let count = |phase: &str| found.iter().filter(|(name, _)| name == phase).count();
            if count("begin") == count("complete") || start.elapsed() > COMPLETE_MAX {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// docs/operations.md, "Before a key is taken away": each call that takes a KMS key away has the file systems in its audit record,
/// before the act already, and in the log.
#[test]
fn whoever_takes_a_key_away_is_told_what_seals() {
    let server = Running::start();
    let made = server.kms("CreateKey", &json!({}));
    let (key, arn) = (made["KeyMetadata"]["KeyId"].as_str().unwrap(), made["KeyMetadata"]["Arn"].as_str().unwrap());
    server.kms("CreateAlias", &json!({ "AliasName": "alias/a", "TargetKeyId": key }));
    let (code, said) = server.coffer(&["key", "dependents", key]);
    assert_eq!((code, said), (0, format!("no file system depends on {arn}\n")));

    let first = server.create_file_system("first", key);
    let second = server.create_file_system("second", "alias/a");
    for spelling in [key, arn, "alias/a"] {
        let (code, said) = server.coffer(&["key", "dependents", spelling]);
        assert_eq!(code, 0, "{said}");
        assert!(said.starts_with(&format!("2 file systems seal when {arn} is disabled or deleted:\n")), "{said}");
        assert!(
            said.contains(&format!("{first}  data  first\n")) && said.contains(&format!("{second}  data  second\n"))
        );
    }
    let (code, said) = server.coffer(&["key", "dependents", "alias/aws/elasticfilesystem", "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, found["file_systems"][0]["keys"].clone()), (0, json!(["metadata"])));
    let (code, said) = server.coffer(&["key", "dependents", "alias/absent"]);
    assert!(code == 1 && said.contains("no such KMS key"), "{said}");

    let mut all = vec![first.clone(), second.clone()];
    all.sort();
    let listed = server.kms("ListGrants", &json!({ "KeyId": key }));
    let of = |id: &str| {
        let grants = listed["Grants"].as_array().unwrap();
        let context = |grant: &Value| grant["Constraints"]["EncryptionContextEquals"].clone();
        let found = grants.iter().find(|grant| context(grant)["aws:elasticfilesystem:filesystem:id"] == id);
        found.unwrap()["GrantId"].as_str().unwrap().to_owned()
    };
    server.kms("RevokeGrant", &json!({ "KeyId": key, "GrantId": of(&first) }));
    server.kms("DisableKey", &json!({ "KeyId": key }));
    server.kms("ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 7 }));
    for (action, wanted) in
        [("RevokeGrant", json!([first])), ("DisableKey", json!(all)), ("ScheduleKeyDeletion", json!(all))]
    {
        let found = server.additional(action);
        let wanted = ["begin", "complete"].map(|phase| (phase.to_owned(), wanted.clone()));
        assert_eq!(found, wanted, "{action}");
    }
    let log = fs::read_to_string(server.place("log")).unwrap();
    let told = |line: &str| line.contains("DisableKey") && all.iter().all(|id| line.contains(id.as_str()));
    assert!(log.lines().any(told), "{log}");
}

/// The same of imported key material, which whoever brought it can take away again without the key.
#[test]
fn whoever_deletes_imported_material_is_told_what_seals() {
    let server = Running::start();
    let made = server.kms("CreateKey", &json!({ "Origin": "EXTERNAL" }));
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap();
    let wrapping = json!({ "KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048" });
    let parameters = server.kms("GetParametersForImport", &wrapping);
    let public = STANDARD.decode(parameters["PublicKey"].as_str().unwrap()).unwrap();
    let sealed = PublicKey::from_spki(PairKind::Rsa2048, public).encrypt(Oaep::Sha256, &[7; 32]).unwrap();
    server.kms(
        "ImportKeyMaterial",
        &json!({
            "KeyId": key,
            "ImportToken": parameters["ImportToken"],
            "EncryptedKeyMaterial": STANDARD.encode(sealed),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        }),
    );
    let id = server.create_file_system("imported", key);
    server.kms("DeleteImportedKeyMaterial", &json!({ "KeyId": key }));
    let wanted = ["begin", "complete"].map(|phase| (phase.to_owned(), json!([id])));
    assert_eq!(server.additional("DeleteImportedKeyMaterial"), wanted);
    let log = fs::read_to_string(server.place("log")).unwrap();
    assert!(log.lines().any(|line| line.contains("DeleteImportedKeyMaterial") && line.contains(&id)), "{log}");
}
