//! Everything `control` knows, in memory, and the edits that change it. An edit is durable before it is seen.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use storage::{Change, SealedRecords};

use crate::ControlError;
use crate::record::{AccessPoint, FileSystem, Lifecycle, MountTarget, SubnetRecord, decode, encode};

/// The tables, by id.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) file_systems: BTreeMap<String, Arc<FileSystem>>,
    pub(crate) mount_targets: BTreeMap<String, Arc<MountTarget>>,
    pub(crate) access_points: BTreeMap<String, Arc<AccessPoint>>,
    /// The last address given out, by subnet.
    pub(crate) last_addresses: BTreeMap<String, Ipv4Addr>,
}

/// One change of one record.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    PutFileSystem(FileSystem),
    PutMountTarget(MountTarget),
    PutAccessPoint(AccessPoint),
    PutLastAddress(String, Ipv4Addr),
    DeleteFileSystem(String),
    DeleteMountTarget(String),
    DeleteAccessPoint(String),
}

const FILE_SYSTEM: &str = "control/file-system/";
const MOUNT_TARGET: &str = "control/mount-target/";
const ACCESS_POINT: &str = "control/access-point/";
const SUBNET: &str = "control/subnet/";

impl State {
    /// Reads all records.
    pub(crate) async fn load(records: &SealedRecords) -> Result<Self, ControlError> {
        let mut state = Self::default();
        for (name, bytes) in records.load("control/").await? {
            read(&name, &bytes)?.apply(&mut state);
        }
        Ok(state)
    }

    /// The mount targets of a file system.
    pub(crate) fn mount_targets_of(&self, file_system: &str) -> impl Iterator<Item = &Arc<MountTarget>> {
        self.mount_targets.values().filter(move |target| target.file_system == file_system)
    }

    /// The access points of a file system.
    pub(crate) fn access_points_of(&self, file_system: &str) -> impl Iterator<Item = &Arc<AccessPoint>> {
        self.access_points.values().filter(move |point| point.file_system == file_system)
    }

    /// The file systems of an account and region that anybody has seen.
    pub(crate) fn file_systems_of(&self, account: &str, region: &str) -> impl Iterator<Item = &Arc<FileSystem>> {
        self.file_systems.values().filter(move |file_system| {
            file_system.account == account && file_system.region == region && file_system.state != Lifecycle::Preparing
        })
    }
}

fn read(name: &str, bytes: &[u8]) -> Result<Edit, ControlError> {
    Ok(if name.starts_with(FILE_SYSTEM) {
        Edit::PutFileSystem(decode(name, bytes)?)
    } else if name.starts_with(MOUNT_TARGET) {
        Edit::PutMountTarget(decode(name, bytes)?)
    } else if name.starts_with(ACCESS_POINT) {
        Edit::PutAccessPoint(decode(name, bytes)?)
    } else if let Some(subnet) = name.strip_prefix(SUBNET) {
        let record: SubnetRecord = decode(name, bytes)?;
        Edit::PutLastAddress(subnet.to_owned(), record.last)
    } else {
        return Err(ControlError::Damaged(format!(
            "{name}: a record of a kind this version does not know; start the version that wrote it"
        )));
    })
}

impl Edit {
    /// The edit as the sealed records take it.
    pub(crate) fn change(&self) -> Result<Change, ControlError> {
        Ok(match self {
            Self::PutFileSystem(record) => Change::Put(format!("{FILE_SYSTEM}{}", record.id), encode(record)?),
            Self::PutMountTarget(record) => Change::Put(format!("{MOUNT_TARGET}{}", record.id), encode(record)?),
            Self::PutAccessPoint(record) => Change::Put(format!("{ACCESS_POINT}{}", record.id), encode(record)?),
            Self::PutLastAddress(subnet, last) => {
                Change::Put(format!("{SUBNET}{subnet}"), encode(&SubnetRecord { last: *last })?)
            }
            Self::DeleteFileSystem(id) => Change::Delete(format!("{FILE_SYSTEM}{id}")),
            Self::DeleteMountTarget(id) => Change::Delete(format!("{MOUNT_TARGET}{id}")),
            Self::DeleteAccessPoint(id) => Change::Delete(format!("{ACCESS_POINT}{id}")),
        })
    }

    /// The edit in memory.
    pub(crate) fn apply(self, state: &mut State) {
        match self {
            Self::PutFileSystem(record) => {
                state.file_systems.insert(record.id.clone(), Arc::new(record));
            }
            Self::PutMountTarget(record) => {
                state.mount_targets.insert(record.id.clone(), Arc::new(record));
            }
            Self::PutAccessPoint(record) => {
                state.access_points.insert(record.id.clone(), Arc::new(record));
            }
            Self::PutLastAddress(subnet, last) => {
                state.last_addresses.insert(subnet, last);
            }
            Self::DeleteFileSystem(id) => {
                state.file_systems.remove(&id);
            }
            Self::DeleteMountTarget(id) => {
                state.mount_targets.remove(&id);
            }
            Self::DeleteAccessPoint(id) => {
                state.access_points.remove(&id);
            }
        }
    }
}
