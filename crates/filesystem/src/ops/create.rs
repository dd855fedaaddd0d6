//! New objects: directories, files, symbolic links and the rest.

use std::sync::Arc;

use bytes::Bytes;
use env::WallTime;

use crate::{
    AccessMask, ChangeInfo, Context, Credentials, Device, FileSystem, FsError, Kind, Name, Node, Result, SetAttributes,
    SetTime,
    core::Core,
    directory::{Directory, NewEntry, Probe},
    file::File,
    handle::Identity,
    inode::Inode,
    operation::Operation,
    permission::{self, SET_GROUP},
    record::InodeRecord,
};

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewObject {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link to this.
    Symlink(Bytes),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device node.
    Block(Device),
    /// A character device node.
    Character(Device),
}

impl NewObject {
    const fn kind(&self) -> Kind {
        match self {
            Self::Regular => Kind::Regular,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
            Self::Block(_) => Kind::Block,
            Self::Character(_) => Kind::Character,
        }
    }
}

/// A new object.
#[derive(Clone, Debug)]
pub struct Created {
    /// The object.
    pub node: Node,
    /// The change attribute of its directory.
    pub change: ChangeInfo,
}

/// How to open a file that may not exist yet (RFC 8881 section 18.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateHow {
    /// Opens an existing file; size 0 then truncates it, and nothing else is set.
    Unchecked(SetAttributes),
    /// An existing file is an error.
    Guarded(SetAttributes),
    /// An existing file is an error unless it was made with this verifier.
    Exclusive {
        /// The client's verifier.
        verifier: [u8; 8],
        /// Attributes of EXCLUSIVE4_1.
        attributes: SetAttributes,
    },
}

impl CreateHow {
    const fn attributes(&self) -> &SetAttributes {
        match self {
            Self::Unchecked(set) | Self::Guarded(set) | Self::Exclusive { attributes: set, .. } => set,
        }
    }

    const fn verifier(&self) -> Option<[u8; 8]> {
        match self {
            Self::Exclusive { verifier, .. } => Some(*verifier),
            Self::Unchecked(_) | Self::Guarded(_) => None,
        }
    }
}

/// A file that was opened or made.
#[derive(Clone, Debug)]
pub struct OpenCreated {
    /// The file.
    pub node: Node,
    /// The change attribute of its directory.
    pub change: ChangeInfo,
    /// Whether the file is new.
    pub created: bool,
}

/// The outcome of one try.
enum Attempt {
    Made(Created),
    Exists(u64, ChangeInfo),
    Unknown(u64),
}

impl FileSystem {
    /// Makes an object.
    ///
    /// # Errors
    /// [`FsError::Exists`], [`FsError::Access`], [`FsError::NameTooLong`], [`FsError::NoSpace`] and others.
    pub async fn create_object(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        what: NewObject,
        set: &SetAttributes,
    ) -> Result<Created> {
        if let NewObject::Symlink(target) = &what {
            check_target(target, self.core.settings.symlink_bytes_max)?;
        }
        match self.core.make(cx, directory, name, &what, set, None).await? {
            Attempt::Made(created) => Ok(created),
            Attempt::Exists(..) | Attempt::Unknown(_) => Err(FsError::Exists),
        }
    }

    /// Makes a regular file, or finds the one there is. Whether the caller may open it is for
    /// [`check_open`](Self::check_open); a truncation that comes with it is checked here.
    ///
    /// # Errors
    /// As [`create_object`](Self::create_object); [`FsError::IsDirectory`], [`FsError::IsSymlink`],
    /// [`FsError::WrongType`] if the name is taken by another type.
    pub async fn open_create(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        how: CreateHow,
    ) -> Result<OpenCreated> {
        let made = self.core.make(cx, directory, name, &NewObject::Regular, how.attributes(), how.verifier()).await?;
        let (fileid, change) = match made {
            Attempt::Made(Created { node, change }) => return Ok(OpenCreated { node, change, created: true }),
            Attempt::Exists(fileid, change) => (fileid, change),
            Attempt::Unknown(_) => return Err(FsError::Delay),
        };
        let node = self.core.entry_node(fileid).await?;
        match &how {
            CreateHow::Guarded(_) => return Err(FsError::Exists),
            CreateHow::Exclusive { verifier, .. } => {
                let state = node.inode.lock();
                cx.watermark.raise(state.unsynced);
                if state.record()?.verifier != Some(*verifier) {
                    return Err(FsError::Exists);
                }
            }
            CreateHow::Unchecked(set) => {
                let access = if set.size == Some(0) { AccessMask::MODIFY } else { AccessMask::default() };
                self.check_open(cx, &node, access).await?;
                if set.size == Some(0) {
                    let truncate = SetAttributes { size: Some(0), ..SetAttributes::default() };
                    self.set_attributes(cx, &node, &truncate, true).await?;
                }
            }
        }
        Ok(OpenCreated { node, change, created: false })
    }
}

fn check_target(target: &[u8], bytes_max: usize) -> Result<()> {
    if target.is_empty() || target.contains(&0) {
        return Err(FsError::Invalid);
    }
    if target.len() > bytes_max { Err(FsError::NameTooLong) } else { Ok(()) }
}

impl Core {
    async fn make(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        what: &NewObject,
        set: &SetAttributes,
        verifier: Option<[u8; 8]>,
    ) -> Result<Attempt> {
        self.check_name(name)?;
        if let (Some(size), NewObject::Regular) = (set.size, what)
            && size > self.settings.file_bytes_max
        {
            return Err(FsError::FileTooBig);
        }
        let mut operation = Some(self.begin_create(cx, directory, name).await?);
        loop {
            self.load(&directory.inode).await?;
            match self.try_make(cx, &directory.inode, name, what, (set, verifier), &mut operation)? {
                Attempt::Unknown(cookie) => self.load_slot(&directory.inode, cookie).await?,
                done => return Ok(done),
            }
        }
    }

    /// A name that exists is found without room on the disk and with read-only rights.
    async fn begin_create(&self, cx: &Context<'_>, directory: &Node, name: &Name<'_>) -> Result<Operation> {
        match self.begin(cx, true).await {
            Err(error @ (FsError::ReadOnly | FsError::NoSpace)) => {
                self.enter()?;
                self.know_name(&directory.inode, name.bytes()).await?;
                let names = self.keys.names()?;
                let found = directory.inode.lock().directory.probe(&names, name.bytes());
                if matches!(found, Probe::Found { .. }) { Ok(Operation::new(None, None)) } else { Err(error) }
            }
            other => other,
        }
    }

    fn try_make(
        &self,
        cx: &Context<'_>,
        directory: &Arc<Inode>,
        name: &Name<'_>,
        what: &NewObject,
        (set, verifier): (&SetAttributes, Option<[u8; 8]>),
        operation: &mut Option<Operation>,
    ) -> Result<Attempt> {
        let names = self.keys.names()?;
        let mut state = directory.lock();
        let record = state.record()?;
        cx.watermark.raise(state.rights);
        permission::check_search(record, cx.credentials)?;
        let at = match state.directory.probe(&names, name.bytes()) {
            Probe::Unknown(cookie) => return Ok(Attempt::Unknown(cookie)),
            Probe::Found { entry, cookie } => {
                cx.watermark.raise(state.directory.unsynced(cookie));
                let change = ChangeInfo { before: record.change, after: record.change, atomic: true };
                return Ok(Attempt::Exists(entry.fileid, change));
            }
            Probe::Absent { free, base, .. } => (free, base),
        };
        cx.may_change()?;
        permission::check_change(record, cx.credentials)?;
        if what.kind() == Kind::Directory {
            if record.depth >= self.settings.depth_max {
                return Err(FsError::NameTooLong);
            }
            if record.links == u32::MAX {
                return Err(FsError::TooManyLinks);
            }
        }
        let now = self.env.wall();
        let new = self.new_record(cx.credentials, record, what, (set, verifier), now)?;
        let mut operation = operation.take().ok_or(FsError::Delay)?;
        // From here on nothing fails.
        let entry = NewEntry { name: name.bytes(), fileid: new.fileid, kind: new.kind };
        let used_before = record.space_used();
        let before = record.change;
        state.insert_entry(&names, at, entry, &mut operation)?;
        let record = state.record_mut()?;
        record.links += u32::from(new.kind == Kind::Directory);
        record.change = self.counters.change();
        record.mtime = now;
        record.ctime = now;
        let after = record.change;
        operation.usage.objects += 1;
        operation.usage.data += signed(record.space_used()) - signed(used_before) + signed(new.space_used());
        state.put_record(&self.counters, &names, &mut operation);
        // Its fileid is the highest there is, so its lock comes after the directory's.
        let inode = self.adopt(new);
        let mut child = inode.lock();
        child.put_record(&self.counters, &names, &mut operation);
        let position = self.enqueue(operation, cx);
        state.entered(position);
        child.entered(position);
        drop(child);
        drop(state);
        let node = Node::of(inode)?;
        Ok(Attempt::Made(Created { node, change: ChangeInfo { before, after, atomic: true } }))
    }

    /// The new object's inode, which nobody else can know yet.
    fn adopt(&self, record: InodeRecord) -> Arc<Inode> {
        let identity = Identity { fileid: record.fileid, generation: record.generation, kind: record.kind };
        let inode = self.cache.get(self, record.fileid);
        inode.set_identity(identity, self.handles.make(identity));
        let mut state = inode.lock();
        match record.kind {
            Kind::Directory => state.directory = Directory::new_empty(),
            Kind::Regular => state.file = File::new_empty(),
            _ => {}
        }
        state.file.flushed_size = record.size;
        state.record = Some(record);
        // Until its operation is in the queue it must not be evicted.
        state.unsynced = u64::MAX;
        drop(state);
        inode
    }

    fn new_record(
        &self,
        who: &Credentials,
        directory: &InodeRecord,
        what: &NewObject,
        (set, verifier): (&SetAttributes, Option<[u8; 8]>),
        now: WallTime,
    ) -> Result<InodeRecord> {
        let kind = what.kind();
        let inherits = directory.mode & SET_GROUP != 0;
        let gid = if inherits { directory.gid } else { who.gid };
        let default = if kind == Kind::Directory { 0o755 } else { 0o644 };
        let mut mode = u16::try_from(set.mode.unwrap_or(default) & 0o7777).unwrap_or(0);
        if kind == Kind::Directory && inherits {
            mode |= SET_GROUP;
        }
        let (uid, gid) = chosen_owner(who, (who.uid, gid), set)?;
        if kind != Kind::Directory && who.uid != 0 && !who.in_group(gid) {
            mode &= !SET_GROUP;
        }
        if kind == Kind::Symlink {
            mode = 0o777;
        }
        let time = |choice: Option<SetTime>| match choice {
            Some(SetTime::Client(time)) => time,
            Some(SetTime::Server) | None => now,
        };
        let (device, target): (Device, Box<[u8]>) = match what {
            NewObject::Block(device) | NewObject::Character(device) => (*device, Box::default()),
            NewObject::Symlink(target) => (Device::default(), target[..].into()),
            _ => (Device::default(), Box::default()),
        };
        let size = match kind {
            Kind::Regular => set.size.unwrap_or(0),
            _ => target.len() as u64,
        };
        Ok(InodeRecord {
            fileid: self.counters.fileid(),
            generation: self.counters.generation(),
            kind,
            mode,
            uid,
            gid,
            links: if kind == Kind::Directory { 2 } else { 1 },
            size,
            mapped: 0,
            atime: time(set.atime),
            mtime: time(set.mtime),
            ctime: now,
            btime: now,
            change: self.counters.change(),
            parent: if kind == Kind::Directory { directory.fileid } else { 0 },
            depth: if kind == Kind::Directory { directory.depth + 1 } else { 0 },
            entries: 0,
            set_hash: 0,
            name_bytes: 0,
            verifier,
            device,
            target,
        })
    }
}

/// An owner other than the caller is for uid 0 to choose; a group for whoever is in it.
fn chosen_owner(who: &Credentials, default: (u32, u32), set: &SetAttributes) -> Result<(u32, u32)> {
    let uid = set.uid.unwrap_or(default.0);
    let gid = set.gid.unwrap_or(default.1);
    let may_uid = who.uid == 0 || uid == who.uid;
    let may_gid = who.uid == 0 || gid == default.1 || who.in_group(gid);
    if may_uid && may_gid { Ok((uid, gid)) } else { Err(FsError::NotOwner) }
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
