//! A control plane over memory, with key management, file service and network played by the test.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_wire::{ApiError, CallContext, Caller, Timestamp};
use control::{
    Control, ControlError, DataKeys, DataKeysError, FileSystem, KeyChoice, KeyGrant, KeyPurpose, MountTarget, Network,
    Parts, Provision, ProvisionError, Scope, Size, Subnet, Subnets, Zone, model, ops,
};
use crypto::Key;
use env::{Env, Simulation};
use parking_lot::Mutex;
use storage::memory::Memory;
use storage::{BoxFuture, SealedRecords};

pub(crate) const ACCOUNT: &str = "000000000001";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const SERVICE_KEY: &str = "arn:aws:kms:us-east-1:000000000001:key/service";

/// What the outside does, and what it was asked to do.
#[derive(Default)]
pub(crate) struct Outside {
    /// Every call, in order.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Calls that begin so fail.
    pub(crate) failing: Mutex<BTreeSet<String>>,
    /// Calls that begin so never return: the server dies in them.
    pub(crate) hanging: Mutex<BTreeSet<String>>,
    /// A failure of key management is no answer at all.
    pub(crate) unavailable: AtomicBool,
}

impl Outside {
    pub(crate) fn fail(&self, call: &str) {
        self.failing.lock().insert(call.to_owned());
    }

    pub(crate) fn hang(&self, call: &str) {
        self.hanging.lock().insert(call.to_owned());
    }

    pub(crate) fn heal(&self) {
        self.failing.lock().clear();
        self.hanging.lock().clear();
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.lock().iter().filter(|made| made.starts_with(call)).count()
    }

    async fn called(&self, call: String) -> bool {
        self.calls.lock().push(call.clone());
        let hangs = self.hanging.lock().iter().any(|start| call.starts_with(start));
        if hangs {
            std::future::pending::<()>().await;
        }
        !self.failing.lock().iter().any(|start| call.starts_with(start))
    }

    async fn keys(&self, call: String) -> Result<(), DataKeysError> {
        if self.called(call).await {
            return Ok(());
        }
        Err(if self.unavailable.load(Ordering::SeqCst) {
            DataKeysError::Unavailable("no answer".to_owned())
        } else {
            DataKeysError::Refused("arn:key is disabled.".to_owned())
        })
    }

    async fn service(&self, call: String) -> Result<(), ProvisionError> {
        if self.called(call).await { Ok(()) } else { Err(ProvisionError("does not work".to_owned())) }
    }
}

impl DataKeys for Outside {
    fn grant<'a>(
        &'a self,
        _cx: &'a CallContext,
        file_system: &'a str,
        choice: KeyChoice<'a>,
    ) -> BoxFuture<'a, Result<KeyGrant, DataKeysError>> {
        Box::pin(async move {
            let (word, key_arn) = match choice {
                KeyChoice::Service => ("service", SERVICE_KEY.to_owned()),
                KeyChoice::Chosen(key) => ("chosen", format!("arn:aws:kms:us-east-1:000000000001:key/of-{key}")),
            };
            self.keys(format!("grant {word} {file_system}")).await?;
            Ok(KeyGrant { key_arn, grant_id: format!("grant-{word}"), provider: None })
        })
    }

    fn make<'a>(
        &'a self,
        _scope: Scope<'a>,
        file_system: &'a str,
        purpose: KeyPurpose,
        _grant: &'a KeyGrant,
    ) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(self.keys(format!("make {}", purpose.name(file_system))))
    }

    fn destroy<'a>(&'a self, _scope: Scope<'a>, file_system: &'a str) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(self.keys(format!("destroy keys {file_system}")))
    }
}

impl Provision for Outside {
    fn create<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.service(format!("create {}", file_system.id)))
    }
    fn destroy<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.service(format!("destroy {}", file_system.id)))
    }
    fn size<'a>(&'a self, _file_system: &'a str) -> BoxFuture<'a, Option<Size>> {
        Box::pin(async { Some(Size { bytes: 10_240, seconds: 7 }) })
    }
}

impl Network for Outside {
    fn attach<'a>(&'a self, target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.service(format!("attach {}", target.address)))
    }
    fn detach<'a>(&'a self, target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.service(format!("detach {}", target.address)))
    }
}

/// One installation.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) env: Env,
    pub(crate) simulation: Simulation,
    pub(crate) outside: Arc<Outside>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (env, simulation) = Env::simulated(seed);
        Self { memory: Memory::new(), env, simulation, outside: Arc::default() }
    }

    /// Starts the control plane, as after a crash.
    pub(crate) async fn open(&self) -> Control {
        let control_key = || Key::take(&mut [7; 32]).unwrap();
        let (shard, _) = self.memory.open();
        let records = SealedRecords::open(shard, &control_key(), self.env.clone()).await.unwrap();
        let parts = Parts {
            records: Arc::new(records),
            handle_wrapping: control_key().derive("handles", b""),
            keys: self.outside.clone(),
            provision: self.outside.clone(),
            network: self.outside.clone(),
            subnets: subnets(),
            env: self.env.clone(),
        };
        let control = Control::open(parts).await.unwrap();
        control.resume().await;
        settle().await;
        control
    }
}

pub(crate) fn zone(letter: char) -> Zone {
    Zone { name: format!("us-east-1{letter}"), id: format!("use1-az-{letter}") }
}

/// Two zones of one VPC, a second subnet in the first zone, and another VPC.
fn subnets() -> Subnets {
    let subnet = |id: &str, vpc: &str, letter, cidr: &str| Subnet::new(id, vpc, zone(letter), cidr).unwrap();
    Subnets::new(vec![
        subnet("subnet-00000000", "vpc-0000000a", 'a', "127.77.0.0/16"),
        subnet("subnet-00000001", "vpc-0000000a", 'b', "127.78.0.0/30"),
        subnet("subnet-00000002", "vpc-0000000a", 'a', "127.79.0.0/24"),
        subnet("subnet-00000003", "vpc-0000000b", 'c', "127.80.0.0/24"),
    ])
    .unwrap()
}

/// Lets every task run until all of them wait.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn root() -> CallContext {
    CallContext {
        caller: Caller::root(ACCOUNT, None),
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        request_id: "test".to_owned(),
        source_ip: None,
        user_agent: None,
        secure: false,
        time: Timestamp::from_unix(0, 0),
    }
}

pub(crate) fn request(token: &str) -> model::CreateFileSystemRequest {
    model::CreateFileSystemRequest { creation_token: token.to_owned(), ..Default::default() }
}

pub(crate) async fn create(control: &Control, token: &str) -> String {
    let made = ops::create_file_system::run(control, &root(), request(token)).await.unwrap();
    settle().await;
    made.file_system_id
}

pub(crate) async fn describe(control: &Control, id: &str) -> Result<model::FileSystemDescription, ControlError> {
    let input = model::DescribeFileSystemsRequest { file_system_id: Some(id.to_owned()), ..Default::default() };
    let found = ops::describe_file_systems::run(control, &root(), input).await?;
    Ok(found.file_systems.unwrap().remove(0))
}

pub(crate) async fn delete(control: &Control, id: &str) -> Result<(), ControlError> {
    let input = model::DeleteFileSystemRequest { file_system_id: id.to_owned() };
    ops::delete_file_system::run(control, &root(), input).await
}

pub(crate) async fn mount_target(
    control: &Control,
    file_system: &str,
    subnet: &str,
) -> Result<model::MountTargetDescription, ControlError> {
    let input = model::CreateMountTargetRequest {
        file_system_id: file_system.to_owned(),
        subnet_id: subnet.to_owned(),
        ..Default::default()
    };
    let made = ops::create_mount_target::run(control, &root(), input).await;
    settle().await;
    made
}

/// Code and HTTP status of an error, as a caller gets them.
pub(crate) fn code<T>(outcome: Result<T, ControlError>) -> String {
    outcome.map_or_else(|error| ApiError::from(error).code.to_owned(), |_| "ok".to_owned())
}
