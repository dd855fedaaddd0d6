//! A second Coffer as the key service of a first one, over real HTTP on loopback: cut off, restored, its key disabled.

mod imported;

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_wire::{CallContext, Caller, Timestamp};
use bytes::Bytes;
use control::model::CreateFileSystemRequest;
use filesystem::{
    Context, Credentials, FileSystem, FsError, LeaseState, Name, NewObject, Node, SealCause, SetAttributes, Stability,
    Watermark,
};
use identity::{AccessKey, Identities};
use kms::model;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::CofferError;
use crate::config::Config;
use crate::house::House;
use crate::installation::{self, Installation};
use crate::kms_acts::KmsActs;

/// The first server's account, and the account and region of the KMS key.
const HERE: &str = "000000000001";
const ELSEWHERE: &str = "000000000002";
const REGION: &str = "eu-west-9";

/// A lease of 2 s and a grace of 3 s: everything takes seconds.
const LEASE: &str = "[keys]\nlease_seconds = 2\n";
const LIMIT: Duration = Duration::from_secs(30);

/// An installation of its own, open; nothing listens.
struct Open {
    directory: tempfile::TempDir,
    config: Config,
    house: House,
    key: AccessKey,
}

impl Open {
    async fn new(account: &str, extra: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("data");
        let keys = directory.path().join("keys");
        installation::private_directory(&keys).unwrap();
        let text = format!(
            "data = {place:?}\nroot_key = {:?}\nepoch_secret = {:?}\nregion = {REGION:?}\naccount = {account:?}\n{extra}",
            keys.join("root.key"),
            keys.join("epoch.secret"),
        );
        let config = Config::parse(Path::new("coffer.toml"), &text).unwrap();
        let (made, ring) = Installation::create(&config, &[kms::root::Recipient::File]).await.unwrap();
        let key = Identities::create(&made.records, account, &made.env).await.unwrap();
        drop(ring);
        made.close().await;
        drop(made);
        let house = House::open(&config).await.unwrap();
        Self { directory, config, house, key }
    }

    fn root(&self) -> CallContext {
        let wall = self.house.installation.env.wall();
        CallContext {
            caller: Caller::root(&self.config.account, None),
            region: REGION.to_owned(),
            account: self.config.account.clone(),
            request_id: "test".to_owned(),
            source_ip: None,
            user_agent: None,
            secure: true,
            time: Timestamp::from_unix(wall.seconds, wall.nanoseconds),
        }
    }

    async fn create_key(&self) -> String {
        let made = kms::ops::create_key::run(&self.house.kms, &self.root(), Default::default()).await.unwrap();
        made.key_metadata.unwrap().arn.unwrap()
    }

    async fn disable(&self, key: &str) {
        let input = model::DisableKeyRequest { key_id: key.to_owned() };
        kms::ops::disable_key::run(&self.house.kms, &self.root(), input).await.unwrap();
    }

    async fn enable(&self, key: &str) {
        let input = model::EnableKeyRequest { key_id: key.to_owned() };
        kms::ops::enable_key::run(&self.house.kms, &self.root(), input).await.unwrap();
    }

    /// Creates a file system under a KMS key and waits until it is there.
    async fn create(&self, cx: &CallContext, token: &str, key: &str) -> Result<String, control::ControlError> {
        let input = CreateFileSystemRequest {
            creation_token: token.to_owned(),
            encrypted: Some(true),
            kms_key_id: Some(key.to_owned()),
            ..Default::default()
        };
        let made = control::ops::create_file_system::run(&self.house.control, cx, input).await?;
        assert_eq!(made.kms_key_id.as_deref(), Some(key));
        let id = made.file_system_id;
        self.until(|| self.house.control.file_system(&id).is_some_and(|found| found.state.name() == "available")).await;
        Ok(id)
    }

    async fn until(&self, what: impl Fn() -> bool) {
        let env = &self.house.installation.env;
        let start = env.now();
        while !what() {
            assert!(env.now().since(start) < LIMIT, "not within {LIMIT:?}");
            env.sleep(Duration::from_millis(20)).await;
        }
    }

    /// The completed audit records of an action.
    async fn records(&self, action: &str) -> Vec<Value> {
        self.house.audit.flush().await.unwrap();
        let text = fs::read_to_string(self.house.audit.path()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let done = lines.filter(|line| line["phase"] == "complete").map(|line| line["record"].clone());
        done.filter(|record| record["eventName"] == action).collect()
    }

    /// Closes everything, so that nothing is at work when the directory goes.
    async fn close(self) {
        self.house.owner.close().await;
        self.house.audit.close().await.unwrap();
        self.house.installation.close().await;
        drop(self.directory);
    }
}

/// What stands between the servers does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// It carries.
    Through,
    /// It closes every connection.
    Cut,
    /// It takes requests and gives nothing back.
    Silent,
}

/// The way to the second server's API, which can be cut and restored.
struct Way {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Way {
    async fn to(open: &Open) -> Self {
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = api.local_addr().unwrap();
        let server = open.house.api.clone();
        tokio::spawn(async move { server.serve(api).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = watch::Sender::new(Wire::Through);
        let seen = wire.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let now = *seen.borrow_and_update();
                    let carried = async {
                        match now {
                            Wire::Through => {
                                let mut far = TcpStream::connect(target).await.unwrap();
                                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                            }
                            Wire::Cut => {}
                            Wire::Silent => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = carried => {}
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Self { address, wire }
    }

    fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

/// The second server, and a first one that has it as a provider; `extra` is more of the provider's settings.
async fn both(extra: &str) -> (Open, Way, Open) {
    let far = Open::new(ELSEWHERE, LEASE).await;
    let way = Way::to(&far).await;
    let profile = far.directory.path().join("profile");
    let text =
        format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", far.key.id, far.key.secret.as_str());
    fs::write(&profile, text).unwrap();
    fs::set_permissions(&profile, Permissions::from_mode(0o600)).unwrap();
    let provider = format!(
        "{LEASE}[[kms_provider]]\nname = \"far\"\nendpoint = \"http://{}\"\nregion = {REGION:?}\nserves = [{ELSEWHERE:?}]\n\
         allow = [{HERE:?}]\ncredentials_file = {profile:?}\ntimeout_seconds = 1\ngrace_seconds = 3\n{extra}",
        way.address
    );
    let near = Open::new(HERE, &provider).await;
    (far, way, near)
}

/// Makes a file and writes to it, durably.
async fn write(fs: &FileSystem, name: &str, bytes: &'static [u8]) -> Result<Node, FsError> {
    let who = (Credentials { uid: 0, gid: 0, groups: Vec::new() }, Watermark::new());
    let cx = Context { credentials: &who.0, watermark: &who.1, reply: None, read_only: false };
    let root = fs.root().await?;
    let name = Name::new(name.as_bytes())?;
    let made = fs.create_object(&cx, &root, &name, NewObject::Regular, &SetAttributes::default()).await?;
    fs.write(&cx, &made.node, 0, Bytes::from_static(bytes), Stability::FileSync).await?;
    fs.durable(&who.1).await?;
    Ok(made.node)
}

async fn read(fs: &FileSystem, node: &Node) -> Result<Vec<u8>, FsError> {
    let who = (Credentials { uid: 0, gid: 0, groups: Vec::new() }, Watermark::new());
    let cx = Context { credentials: &who.0, watermark: &who.1, reply: None, read_only: false };
    Ok(fs.read(&cx, node, 0, 4096).await?.data.to_vec())
}

fn is_sealed(fs: &FileSystem, wanted: SealCause) -> bool {
    matches!(fs.lease_status().state, LeaseState::Sealed { cause, .. } if cause == wanted)
}

/// Architecture section 5, "Lease": a key service that does not answer is not one that refuses. Cut off, the file system
/// serves for lease and grace and then says that it is worth waiting; restored, it goes on; disabled there, it fails; and
/// enabled, it is back. All with the same open file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_refusal_are_two_things() {
    let (far, way, near) = both("").await;
    let key = far.create_key().await;
    let id = near.create(&near.root(), "t", &key).await.unwrap();
    let fs = near.house.owner.open(&id).await.unwrap();
    let file = write(&fs, "a", b"before").await.unwrap();

    way.set(Wire::Cut);
    let env = near.house.installation.env.clone();
    let cut = env.now();
    // Longer than a lease, and shorter than a lease and the grace.
    while env.now().since(cut) < Duration::from_millis(2500) {
        assert_eq!(read(&fs, &file).await.unwrap(), b"before");
        env.sleep(Duration::from_millis(50)).await;
    }
    near.until(|| is_sealed(&fs, SealCause::Unreachable)).await;
    let after = env.now().since(cut);
    assert!(after < Duration::from_secs(8), "sealed {after:?} after the cut");
    assert_eq!(read(&fs, &file).await.err(), Some(FsError::Sealed(SealCause::Unreachable)));
    let status = near.house.keys.providers.status();
    assert_eq!((status[0].state.as_str(), status[0].refused), ("silent", 0));
    let lost = near.records("Decrypt").await;
    let lost = lost.iter().find(|record| record["errorCode"] == "DependencyTimeoutException").unwrap();
    assert_eq!(lost["additionalEventData"]["kmsProvider"], "far");

    way.set(Wire::Through);
    near.until(|| fs.lease_status().state == LeaseState::Open).await;
    assert_eq!(read(&fs, &file).await.unwrap(), b"before");
    assert_eq!(near.house.keys.providers.status()[0].state, "answers");

    far.disable(&key).await;
    near.until(|| is_sealed(&fs, SealCause::Refused)).await;
    assert_eq!(read(&fs, &file).await.err(), Some(FsError::Sealed(SealCause::Refused)));
    let LeaseState::Sealed { reason, .. } = fs.lease_status().state else { panic!("it serves") };
    assert_eq!(reason, format!("the KMS provider far refuses it: DisabledException: {key} is disabled."));
    let status = near.house.keys.providers.status();
    assert!(status[0].state == "answers" && status[0].refused > 0);
    let refused = near.records("Decrypt").await;
    assert!(
        refused
            .iter()
            .any(|record| record["errorCode"] == "DisabledException" && record["resources"][0]["ARN"] == *key)
    );

    far.enable(&key).await;
    near.until(|| fs.lease_status().state == LeaseState::Open).await;
    assert_eq!(read(&fs, &file).await.unwrap(), b"before");
    write(&fs, "b", b"after").await.unwrap();
    drop((fs, file));
    near.close().await;
    far.close().await;
}

/// Architecture section 5, "Lease": no answer within the time is none, and a lease runs out as without a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_hangs_does_not_answer() {
    let (far, way, near) = both("").await;
    let key = far.create_key().await;
    let id = near.create(&near.root(), "t", &key).await.unwrap();
    let fs = near.house.owner.open(&id).await.unwrap();
    way.set(Wire::Silent);
    near.until(|| is_sealed(&fs, SealCause::Unreachable)).await;
    let status = near.house.keys.providers.status();
    assert_eq!(status[0].reason.as_deref(), Some("no answer within 1 s"));
    // Nothing new is made under a key that nobody can ask for, and nothing of it stays.
    let made = near.create(&near.root(), "u", &key).await;
    assert!(matches!(made, Err(control::ControlError::KeysUnavailable(_))), "{made:?}");
    assert_eq!(near.house.control.file_systems().len(), 1);
    drop(fs);
    near.close().await;
    far.close().await;
}

/// EFS user guide, "Encrypting data at rest": whoever chooses a key needs the right to; the provider's settings and the
/// service's answer decide, and nothing is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_elsewhere_needs_permission() {
    let (far, _way, near) = both("").await;
    let key = far.create_key().await;
    let stranger = CallContext { caller: Caller::root("000000000009", None), ..near.root() };
    let refused = near.create(&stranger, "a", &key).await;
    assert!(
        matches!(&refused, Err(control::ControlError::KeyRefused(why)) if why.contains("kms:CreateGrant")),
        "{refused:?}"
    );
    assert_eq!(near.records("DescribeKey").await[0]["errorCode"], "AccessDeniedException");

    far.disable(&key).await;
    let refused = near.create(&near.root(), "b", &key).await;
    assert!(
        matches!(&refused, Err(control::ControlError::KeyRefused(why)) if why.contains("is disabled.")),
        "{refused:?}"
    );
    let absent = key.replace(&key[key.len() - 4..], "0000");
    let refused = near.create(&near.root(), "c", &absent).await;
    assert!(matches!(&refused, Err(control::ControlError::KeyRefused(why)) if why.contains("NotFound")), "{refused:?}");
    // Of an account that no provider serves: it is looked for here.
    let nowhere = key.replace(ELSEWHERE, "000000000003");
    assert!(near.create(&near.root(), "d", &nowhere).await.is_err());
    assert!(near.house.control.file_systems().is_empty());
    near.close().await;
    far.close().await;
}

/// KMS developer guide, "Grants in AWS KMS": with `grant_to` each file system has a grant of its own there, bound to its
/// encryption context; revoked it seals, and with the file system it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_made_where_it_is_asked_for() {
    let grantee = format!("arn:aws:iam::{ELSEWHERE}:root");
    let (far, _way, near) = both(&format!("grant_to = {grantee:?}\n")).await;
    let key = far.create_key().await;
    let id = near.create(&near.root(), "t", &key).await.unwrap();
    let grants = async || {
        let input = model::ListGrantsRequest { key_id: key.clone(), ..Default::default() };
        let listed = kms::ops::list_grants::run(&far.house.kms, &far.root(), input).await.unwrap();
        listed.grants.unwrap_or_default()
    };
    let listed = grants().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].grantee_principal.as_deref(), Some(grantee.as_str()));
    let equals = listed[0].constraints.as_ref().and_then(|constraints| constraints.encryption_context_equals.as_ref());
    assert_eq!(equals.and_then(|pairs| pairs.get(control::CONTEXT_NAME)), Some(&id));
    let found = near.house.control.file_system(&id).unwrap();
    assert_eq!(found.data_grant.as_ref().unwrap().grant_id, listed[0].grant_id.clone().unwrap());

    let input = control::model::DeleteFileSystemRequest { file_system_id: id.clone() };
    control::ops::delete_file_system::run(&near.house.control, &near.root(), input).await.unwrap();
    near.until(|| near.house.control.file_system(&id).is_none()).await;
    assert!(grants().await.is_empty());
    assert_eq!(near.records("RetireGrant").await.len(), 2, "one there, and one of the service's own key");
    near.close().await;
    far.close().await;
}

/// docs/operations.md, "Before a key is taken away": what depends on a key elsewhere is known here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependents_of_a_key_elsewhere_are_known() {
    let (far, _way, near) = both("").await;
    let key = far.create_key().await;
    let id = near.create(&near.root(), "t", &key).await.unwrap();
    let dependents = near.house.keys.dependents.of_key(&key);
    assert_eq!(
        dependents.iter().map(|one| (one.id.as_str(), one.keys.as_slice())).collect::<Vec<_>>(),
        [(id.as_str(), ["data".to_owned()].as_slice())]
    );
    assert!(far.house.keys.dependents.of_key(&key).is_empty());
    // What KMS deletes of its own accord, when the day has come, is written down with what seals.
    let acts = KmsActs::new(near.house.audit.clone(), near.house.installation.env.clone(), REGION, HERE);
    let acts = acts.with_dependents(Arc::clone(&near.house.keys.dependents));
    let act = kms::Act { name: "DeleteKey", key: Some((key, ELSEWHERE.to_owned(), REGION.to_owned())) };
    kms::Observer::begin(&acts, &act).await.unwrap().finish(Ok(()));
    let deleted = near.records("DeleteKey").await;
    assert_eq!(deleted[0]["additionalEventData"]["dependentFileSystems"], serde_json::json!([id]));
    near.close().await;
    far.close().await;
}

/// RFC 9110 §4.3.4: over TLS, the server's certificate must come from the CA file and be of its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked() {
    let far = Open::new(ELSEWHERE, "").await;
    let key = far.create_key().await;
    let issued = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (right, wrong) = (issued("localhost"), issued("other.example"));
    let mut addresses = Vec::new();
    for certificate in [&right, &wrong] {
        let private = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config =
            config.with_no_client_auth().with_single_cert(vec![certificate.cert.der().clone()], private).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let (server, acceptor) = (far.house.api.clone(), tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move { server.serve_tls(listener, acceptor).await });
    }
    let bundle = far.directory.path().join("ca.pem");
    fs::write(&bundle, right.cert.pem() + &wrong.cert.pem()).unwrap();
    let profile = far.directory.path().join("profile");
    let text =
        format!("[p]\naws_access_key_id = {}\naws_secret_access_key = {}\n", far.key.id, far.key.secret.as_str());
    fs::write(&profile, text).unwrap();
    fs::set_permissions(&profile, Permissions::from_mode(0o600)).unwrap();
    let arn = aws_wire::Arn::parse(&key).unwrap();
    let described = async |address: SocketAddr, bundle: &Path| {
        let mut settings = super::settings::tests::settings(&format!("https://localhost:{}", address.port()));
        settings.credentials_file = Some(profile.clone());
        settings.profile = "p".to_owned();
        settings.ca_file = Some(bundle.to_owned());
        let provider = super::Provider::new(settings, env::Env::real()).unwrap();
        // Twice: the second call goes over the connection of the first.
        provider.describe_key(&arn).await?;
        provider.describe_key(&arn).await
    };
    assert_eq!(described(addresses[0], &bundle).await.unwrap(), arn);
    let other = described(addresses[1], &bundle).await.unwrap_err();
    assert!(!other.is_refusal() && other.to_string().contains("not valid for"), "{other}");
    let foreign = far.directory.path().join("foreign.pem");
    fs::write(&foreign, issued("localhost").cert.pem()).unwrap();
    let unknown = described(addresses[0], &foreign).await.unwrap_err();
    assert!(!unknown.is_refusal() && unknown.to_string().contains("invalid peer certificate"), "{unknown}");
    let missing = super::Provider::new(
        super::ProviderSettings {
            ca_file: Some("/nowhere/ca.pem".into()),
            ..super::settings::tests::settings("https://x")
        },
        env::Env::real(),
    );
    assert!(matches!(missing, Err(CofferError::Stopped(why)) if why.contains("/nowhere/ca.pem")));
    far.close().await;
}
