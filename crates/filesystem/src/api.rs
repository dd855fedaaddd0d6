//! Signatures first, bodies follow within the hour (each goes to `ops/`).
#![allow(unused_variables, missing_docs, reason = "signatures first")]

use crate::lease::*;
use crate::*;
use bytes::Bytes;
use crypto::Prf;
use env::Env;
use std::sync::Arc;
use std::time::Duration;
use storage::{Segments, Shard};
use tokio::sync::watch;

#[derive(Clone)]
pub struct FileSystem(Arc<()>);
#[derive(Clone)]
pub struct Node {
    pub(crate) fileid: u64,
    pub(crate) kind: Kind,
    pub(crate) handle: FileHandle,
}
impl Node {
    pub fn fileid(&self) -> u64 {
        self.fileid
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn handle(&self) -> FileHandle {
        self.handle
    }
}
pub struct OpenHold(());
pub struct ReplyHold(());
/// Under which a reply is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyKey {
    pub session: [u8; 16],
    pub slot: u32,
    pub sequence: u32,
}
impl ReplyHold {
    /// The compound's encoded reply: goes into the same durable batch as the operation. Call before `durable`. Dropping the hold instead = no stored reply.
    pub fn finish(self, reply: Bytes, watermark: &Watermark) {}
}
/// Process-wide budgets shared by all file systems.
pub struct Budget {
    pub inodes_max: usize,
    pub entries_max: usize,
    pub dirty_bytes_max: usize,
    pub plaintext_bytes_max: usize,
}
impl Default for Budget {
    fn default() -> Self {
        Self { inodes_max: 100_000, entries_max: 400_000, dirty_bytes_max: 64 << 20, plaintext_bytes_max: 64 << 20 }
    }
}
pub struct Parts {
    pub id: String,
    pub shard: Arc<dyn Shard>,
    pub segments: Arc<dyn Segments>,
    pub env: Env,
    pub budget: Arc<Budget>,
    pub keys: Arc<dyn KeySource>,
    pub handle_key: Prf,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewObject {
    Regular,
    Directory,
    Symlink(Bytes),
    Fifo,
    Socket,
    Block(Device),
    Character(Device),
}
pub struct Created {
    pub node: Node,
    pub change: ChangeInfo,
}
pub enum CreateHow {
    /** an existing file is opened; size 0 truncates it */
    Unchecked(SetAttributes),
    Guarded(SetAttributes),
    Exclusive {
        verifier: [u8; 8],
        attributes: SetAttributes,
    },
}
pub struct OpenCreated {
    pub node: Node,
    pub change: ChangeInfo,
    pub created: bool,
}
pub struct Removed {
    pub node: Node,
    pub change: ChangeInfo,
}
pub struct Renamed {
    pub from: ChangeInfo,
    pub to: ChangeInfo,
    pub replaced: Option<Node>,
}
pub struct ReadData {
    pub data: Bytes,
    pub eof: bool,
    /** pass to `lease_valid` before queueing the reply */
    pub lease: u64,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    Unstable,
    DataSync,
    FileSync,
}
pub struct Written {
    pub count: u32,
    pub committed: Stability,
}
pub struct Entry {
    pub name: Bytes,
    pub cookie: u64,
    pub fileid: u64,
    pub kind: Kind,
    /** when asked for with `nodes` */
    pub node: Option<Node>,
}
pub struct DirectoryPage {
    pub entries: Vec<Entry>,
    pub eof: bool,
}
/// `files_*` and bytes as statfs shows them
pub struct Statistics {
    pub bytes_total: u64,
    pub bytes_free: u64,
    pub bytes_available: u64,
    pub files_total: u64,
    pub files_free: u64,
    pub metered_bytes: u64,
    pub objects: u64,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    Open,
    Sealed { which: Which, cause: SealCause, reason: String },
}
pub struct LeaseStatus {
    pub state: LeaseState,
    /** since the last successful unwrap's start: metadata, data */
    pub ages: [Option<Duration>; 2],
    pub generation: u64,
}
pub enum RemoveWhat {
    Any,
    Directory,
    NotDirectory,
}

impl FileSystem {
    /// Makes a file system in an empty shard. `root`: owner and mode of the root directory (EFS: 0:0 755).
    pub async fn create(parts: Parts, settings: Settings) -> Result<Self> {
        Err(FsError::Delay)
    }
    /// Opens; with a withheld key it opens sealed (and unseals by itself when the key is back).
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self> {
        Err(FsError::Delay)
    }
    /// Flushes, commits, ends the tasks, closes the shard.
    pub async fn close(&self) -> Result<()> {
        Err(FsError::Delay)
    }
    /// Turns true when the shard failed: every call answers `Failed`; drop this and open again (as after a restart).
    pub fn failed(&self) -> watch::Receiver<bool> {
        watch::channel(false).1
    }
    pub fn id(&self) -> &str {
        ""
    }
    pub fn settings(&self) -> &Settings {
        unreachable!()
    }

    pub async fn root(&self) -> Result<Node> {
        Err(FsError::Delay)
    }
    /// Sealed: a node of any handle with a right MAC (operations on it then fail `Sealed`).
    pub async fn resolve(&self, handle: &[u8]) -> Result<Node> {
        Err(FsError::Delay)
    }
    /// Waits until all the compound wrote or read is durable. `Failed`: do not answer, close the connection.
    pub async fn durable(&self, watermark: &Watermark) -> Result<()> {
        Err(FsError::Delay)
    }

    pub async fn lookup(&self, cx: &Context<'_>, directory: &Node, name: &Name<'_>) -> Result<Node> {
        Err(FsError::Delay)
    }
    /// `NotFound` at the root.
    pub async fn lookup_parent(&self, cx: &Context<'_>, directory: &Node) -> Result<Node> {
        Err(FsError::Delay)
    }
    pub async fn attributes(&self, cx: &Context<'_>, node: &Node) -> Result<Attributes> {
        Err(FsError::Delay)
    }
    pub async fn access(&self, cx: &Context<'_>, node: &Node, asked: AccessMask) -> Result<AccessMask> {
        Err(FsError::Delay)
    }
    /// OPEN's check: type (IsDirectory, IsSymlink, WrongType) and mode bits. `AccessMask` READ and/or MODIFY.
    pub async fn check_open(&self, cx: &Context<'_>, node: &Node, access: AccessMask) -> Result<()> {
        Err(FsError::Delay)
    }
    /// READ/WRITE without an open (special stateids): as `check_open`, but the owner passes. read()/write() themselves check only type and `read_only`.
    pub async fn check_io(&self, cx: &Context<'_>, node: &Node, access: AccessMask) -> Result<()> {
        Err(FsError::Delay)
    }
    /// A size set through a write open (`by_open`) needs no write permission bit.
    pub async fn set_attributes(
        &self,
        cx: &Context<'_>,
        node: &Node,
        set: &SetAttributes,
        by_open: bool,
    ) -> Result<()> {
        Err(FsError::Delay)
    }
    pub async fn create_object(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        what: NewObject,
        set: &SetAttributes,
    ) -> Result<Created> {
        Err(FsError::Delay)
    }
    /// Checks for existing files (permission to open) are the caller's, by `check_open`.
    pub async fn open_create(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        how: CreateHow,
    ) -> Result<OpenCreated> {
        Err(FsError::Delay)
    }
    pub async fn remove(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        what: RemoveWhat,
    ) -> Result<Removed> {
        Err(FsError::Delay)
    }
    pub async fn rename(
        &self,
        cx: &Context<'_>,
        from: &Node,
        old: &Name<'_>,
        to: &Node,
        new: &Name<'_>,
    ) -> Result<Renamed> {
        Err(FsError::Delay)
    }
    pub async fn link(&self, cx: &Context<'_>, node: &Node, directory: &Node, name: &Name<'_>) -> Result<ChangeInfo> {
        Err(FsError::Delay)
    }
    pub async fn readlink(&self, cx: &Context<'_>, node: &Node) -> Result<Bytes> {
        Err(FsError::Delay)
    }
    pub async fn read(&self, cx: &Context<'_>, node: &Node, offset: u64, count: u32) -> Result<ReadData> {
        Err(FsError::Delay)
    }
    pub async fn write(
        &self,
        cx: &Context<'_>,
        node: &Node,
        offset: u64,
        data: Bytes,
        stability: Stability,
    ) -> Result<Written> {
        Err(FsError::Delay)
    }
    pub async fn commit(&self, cx: &Context<'_>, node: &Node, offset: u64, count: u32) -> Result<[u8; 8]> {
        Err(FsError::Delay)
    }
    pub fn write_verifier(&self) -> [u8; 8] {
        [0; 8]
    }
    /// Entries after `cookie` (0 = from the start); `.` and `..` are not among them. At most `entries_max`, and name bytes + 24 each at most `bytes_max`.
    pub async fn read_directory(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        cookie: u64,
        entries_max: usize,
        bytes_max: usize,
        nodes: bool,
    ) -> Result<DirectoryPage> {
        Err(FsError::Delay)
    }
    pub fn statistics(&self) -> Statistics {
        unreachable!()
    }

    /// Keeps an unlinked file alive (durable orphan record from its last unlink on); one per open.
    pub fn hold_open(&self, node: &Node) -> OpenHold {
        OpenHold(())
    }
    /// Call once when grace has ended: removes orphans that nobody reclaimed.
    pub fn collect_orphans(&self) {}

    pub fn hold_reply(&self, key: ReplyKey) -> ReplyHold {
        ReplyHold(())
    }
    pub async fn stored_reply(&self, key: &ReplyKey) -> Result<Option<Bytes>> {
        Ok(None)
    }
    pub async fn forget_session(&self, session: &[u8; 16]) -> Result<()> {
        Ok(())
    }
    /// Sessions of which replies are stored (to forget old ones).
    pub async fn reply_sessions(&self) -> Result<Vec<[u8; 16]>> {
        Ok(Vec::new())
    }

    /// Records of the protocol server: durable on return, sealed under the metadata key; key at most 1 KiB, value at most 64 KiB.
    pub async fn put_record(&self, kind: u8, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(())
    }
    pub async fn delete_record(&self, kind: u8, key: &[u8]) -> Result<()> {
        Ok(())
    }
    pub async fn list_records(&self, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(Vec::new())
    }

    /// Something about a key changed: ask again now; seals at once if refused.
    pub fn key_notice(&self) {}
    pub fn lease_status(&self) -> LeaseStatus {
        unreachable!()
    }
    pub fn lease_watch(&self) -> watch::Receiver<LeaseState> {
        watch::channel(LeaseState::Open).1
    }
    /// Whether data read under `lease` may still be sent.
    pub fn lease_valid(&self, lease: u64) -> bool {
        true
    }
}
