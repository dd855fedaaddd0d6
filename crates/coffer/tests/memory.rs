//! Where keys are in the memory of a running server, and that they are nowhere else: neither in other mappings, nor, after a
//! seal, anywhere, nor in the data directory. The image is taken as a debugger would take it; the keys to look for are found
//! afterwards, from the stopped server's data directory with its root key.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_wire::{CallContext, Caller, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Key;
use kms::root::{FileProvider, RootProvider};
use kms::{EncryptionContext, KeyRing, Kms};
use nfs_wire::NfsStat4;
use serde_json::{Value, json};
use storage::SealedRecords;
use support::Installed;

/// A readable mapping of a process, with what was in it.
struct Mapping {
    name: String,
    /// Locked and left out of core dumps: where keys belong.
    kept: bool,
    bytes: Vec<u8>,
}

/// What a debugger sees of a process; nothing where it may not look.
fn image(id: u32) -> Option<Vec<Mapping>> {
    let memory = File::open(format!("/proc/{id}/mem")).ok()?;
    let text = fs::read_to_string(format!("/proc/{id}/smaps")).ok()?;
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut bounds = None;
    for line in text.lines() {
        let first = line.split(' ').next().unwrap();
        if let Some(flags) = line.strip_prefix("VmFlags: ") {
            let (start, end, name): (u64, u64, String) = bounds.take().unwrap();
            let flags: Vec<&str> = flags.split(' ').collect();
            let kept = flags.contains(&"lo") && flags.contains(&"dd");
            if flags.contains(&"rd") && !name.starts_with("[v") {
                let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
                // A mapping that went meanwhile is not there.
                if memory.read_exact_at(&mut bytes, start).is_ok() {
                    mappings.push(Mapping { name, kept, bytes });
                }
            }
        } else if let Some((start, end)) = first.split_once('-') {
            let number = |hex| u64::from_str_radix(hex, 16).ok();
            if let (Some(start), Some(end)) = (number(start), number(end)) {
                let name = line.split_whitespace().nth(5).unwrap_or("anonymous").to_owned();
                bounds = Some((start, end, name));
            }
        }
    }
    assert!(mappings.len() > 20, "this is no image of a server");
    Some(mappings)
}

/// What is looked for: names and bytes, found by their first eight.
struct Patterns(HashMap<[u8; 8], Vec<(String, Vec<u8>)>>, Vec<bool>);

impl Patterns {
    fn new() -> Self {
        Self(HashMap::new(), vec![false; 1 << 16])
    }

    /// A key as it is, and the text of it.
    fn take(&mut self, name: &str, bytes: &[u8]) {
        self.one(name.to_owned(), bytes.to_vec());
        self.one(format!("{name} in hex"), hex::encode(bytes).into_bytes());
        self.one(format!("{name} in base64"), STANDARD.encode(&bytes[..30]).into_bytes());
    }

    fn one(&mut self, name: String, bytes: Vec<u8>) {
        let head: [u8; 8] = bytes[..8].try_into().unwrap();
        self.1[usize::from(u16::from_le_bytes([head[0], head[1]]))] = true;
        self.0.entry(head).or_default().push((name, bytes));
    }

    /// The names of what is in these bytes.
    fn within(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            if !self.1[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] {
                continue;
            }
            let Some(head) = bytes.get(at..at + 8) else { break };
            for (name, pattern) in self.0.get(head).into_iter().flatten() {
                if bytes[at..].starts_with(pattern) {
                    found.push(name.as_str());
                }
            }
        }
        found
    }
}

/// The keys of a stopped installation, by its own code: level 0 from the key files, level 1 from a backup, level 2 from the
/// records, level 3 as a lease gets them.
struct Keys {
    all: Vec<(String, Vec<u8>)>,
    data: Vec<u8>,
}

async fn keys(installed: &Installed, file_system: &str, chosen: &str) -> Keys {
    let env = env::Env::real();
    let engine = storage::Engine::new(storage::Budgets::default(), env.clone()).unwrap();
    let (shard, _) = engine.open(&installed.path("data/control")).await.unwrap();
    let (root, epoch) = (installed.path("keys/root.key"), installed.path("keys/epoch.secret"));
    let provider: Arc<dyn RootProvider> = Arc::new(FileProvider::new(root, epoch));
    let secrets = provider.load().unwrap();
    let mut all = vec![
        ("the root key".to_owned(), secrets.root.expose().to_vec()),
        ("the epoch secret".to_owned(), secrets.current.secret.expose().to_vec()),
    ];
    let ring = KeyRing::open(shard.clone(), provider, env.clone()).await.unwrap();
    let records = Arc::new(SealedRecords::open(shard.clone(), &ring.records_key(), env.clone()).await.unwrap());
    let kms = Kms::open(records, ring, env).await.unwrap();
    let backup: Value = serde_json::from_slice(&kms.backup().await.unwrap()).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    all.push(("the control key".to_owned(), bytes(&backup["control_key"])));
    let mut domains = HashMap::new();
    for (epoch, key) in backup["domain_keys"].as_object().unwrap() {
        all.push((format!("the domain key of epoch {epoch}"), bytes(key)));
        domains.insert(epoch.parse::<u64>().unwrap(), Key::take(&mut bytes(key)).unwrap());
    }
    let records = backup["records"].as_object().unwrap();
    let mut versions = 0;
    for (name, record) in records.iter().filter(|(name, _)| name.starts_with("kms/material/")) {
        let id = name.strip_prefix("kms/material/").unwrap();
        let record: Value = serde_json::from_slice(&STANDARD.decode(record.as_str().unwrap()).unwrap()[1..]).unwrap();
        for version in record["versions"].as_array().unwrap() {
            let aad = format!("kms/material/000000000001/us-east-1/{id}/{}", version["id"].as_str().unwrap());
            let sealed = STANDARD.decode(version["wrapped"]["sealed"].as_str().unwrap()).unwrap();
            let domain = &domains[&version["wrapped"]["epoch"].as_u64().unwrap()];
            all.push((format!("KMS key {id}"), domain.unwrap(&sealed, aad.as_bytes()).unwrap().expose().to_vec()));
            versions += 1;
        }
    }
    assert!(versions >= 2, "the chosen key and the service's key have material");
    let context: std::collections::BTreeMap<String, String> =
        [("aws:elasticfilesystem:filesystem:id".to_owned(), file_system.to_owned())].into();
    let context = EncryptionContext::new(context).unwrap();
    let service = CallContext {
        caller: Caller::service("000000000001", "elasticfilesystem.us-east-1.amazonaws.com"),
        region: "us-east-1".to_owned(),
        account: "000000000001".to_owned(),
        request_id: "test".to_owned(),
        source_ip: None,
        user_agent: None,
        secure: true,
        time: Timestamp::from_unix(0, 0),
    };
    let mut data = Vec::new();
    let grants = kms.service_grants("elasticfilesystem.us-east-1.amazonaws.com", &context);
    for name in records.keys().filter_map(|name| name.strip_prefix("kms/custody/")) {
        for grant in &grants {
            let Ok(key) = kms.open_data_key(&service, name, &grant.key_arn, &context).await else { continue };
            if grant.key_arn.ends_with(chosen) {
                data = key.expose().to_vec();
            }
            all.push((format!("{name} under {}", grant.key_arn), key.expose().to_vec()));
        }
    }
    assert_eq!(data.len(), 32, "the file system has a data key under the chosen KMS key");
    shard.close().await.unwrap();
    Keys { all, data }
}

/// Fails where a pattern is in a mapping that keys do not belong to.
fn only_kept(image: &[Mapping], patterns: &Patterns, when: &str) {
    let mut stray = Vec::new();
    for mapping in image.iter().filter(|mapping| !mapping.kept) {
        stray.extend(patterns.within(&mapping.bytes).into_iter().map(|found| format!("{found} in {}", mapping.name)));
    }
    assert!(stray.is_empty(), "{when}: {stray:#?}");
}

/// Architecture section 5: keys are in locked memory that core dumps leave out, and nowhere else; a seal wipes the data key from
/// all memory; the data directory has none of them in any form.
#[test]
fn keys_are_where_they_belong_and_a_seal_wipes_them() {
    let installed = Installed::new(&[]);
    let server = installed.serve();
    installed.until_serving();
    let (status, made) = installed.kms("CreateKey", &json!({}));
    assert_eq!(status, 200, "{made}");
    let chosen = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let (code, said) = installed.run(&["fs", "create", "--kms-key-id", &chosen]);
    assert_eq!(code, 0, "{said}");
    let words = said.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let file_system = words.into_iter().find(|word| word.starts_with("fs-") && word.len() == 20).unwrap().to_owned();
    assert_eq!(installed.exchange_id(), NfsStat4::Ok);
    installed.until(|said| said.contains(" open "));

    let id = server.0.id();
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap_or_default();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).map(str::to_owned);
    let Some(open) = image(id) else {
        // Not even its own user may look: that is what "not dumpable" is for.
        assert!(File::open(format!("/proc/{id}/mem")).is_err());
        return;
    };
    assert!(core.is_some_and(|core| core.split_whitespace().filter(|word| *word == "0").count() == 2));
    assert_eq!(installed.kms("DisableKey", &json!({ "KeyId": chosen })).0, 200);
    installed.until(|said| said.contains(" sealed "));
    let sealed = image(id).unwrap();
    assert_eq!(installed.kms("EnableKey", &json!({ "KeyId": chosen })).0, 200);
    server.stop();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let keys = runtime.block_on(keys(&installed, &file_system, &chosen));
    let mut patterns = Patterns::new();
    for (name, bytes) in &keys.all {
        patterns.take(name, bytes);
    }
    let mut data = Patterns::new();
    data.take("the data key", &keys.data);
    let kept: Vec<&str> =
        open.iter().filter(|mapping| mapping.kept).flat_map(|mapping| data.within(&mapping.bytes)).collect();
    assert!(kept.contains(&"the data key"), "the test does not see the key where it must be");
    only_kept(&open, &patterns, "while the file system is open");
    only_kept(&sealed, &patterns, "while it is sealed");
    for mapping in &sealed {
        assert_eq!(data.within(&mapping.bytes), [""; 0], "after a seal, in {}", mapping.name);
    }
    search(&installed.path("data"), &patterns);
    search(&installed.path("server.log"), &patterns);
}

fn search(path: &Path, patterns: &Patterns) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            search(&entry.unwrap().path(), patterns);
        }
    } else if path.is_file() {
        assert_eq!(patterns.within(&fs::read(path).unwrap()), [""; 0], "{}", path.display());
    }
}
