//! Attributes of objects as callers see and set them (Architecture section 3, "Inode").

use env::WallTime;

/// The type of an object. The numbers are those of the stored records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A socket.
    Socket = 5,
    /// A block device node.
    Block = 6,
    /// A character device node.
    Character = 7,
}

impl Kind {
    pub(crate) const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Regular,
            2 => Self::Directory,
            3 => Self::Symlink,
            4 => Self::Fifo,
            5 => Self::Socket,
            6 => Self::Block,
            7 => Self::Character,
            _ => return None,
        })
    }
}

/// Major and minor number of a device node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// specdata1 of RFC 8881.
    pub major: u32,
    /// specdata2 of RFC 8881.
    pub minor: u32,
}

/// All attributes of an object at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The object's type.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that lead here; of a directory 2 and its subdirectories.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Metered data bytes, in 4 KiB steps, as EFS shows them.
    pub space_used: u64,
    /// Last access, as set; reads do not change it (as at EFS).
    pub atime: WallTime,
    /// Last change of the content.
    pub mtime: WallTime,
    /// Last change of content or attributes.
    pub ctime: WallTime,
    /// Creation.
    pub btime: WallTime,
    /// The change attribute: never twice the same for different content, crashes included.
    pub change: u64,
    /// The object's number, never used again.
    pub fileid: u64,
    /// Told apart with the fileid in file handles.
    pub generation: u64,
    /// Of device nodes.
    pub device: Device,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The server's time now.
    Server,
    /// A time the client gives.
    Client(WallTime),
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// New size; of regular files only.
    pub size: Option<u64>,
    /// New permission bits.
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New access time.
    pub atime: Option<SetTime>,
    /// New modification time.
    pub mtime: Option<SetTime>,
}

impl SetAttributes {
    /// Nothing to set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The change attribute of a directory around an operation (RFC 8881, change_info4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeInfo {
    /// Before the operation.
    pub before: u64,
    /// After it.
    pub after: u64,
    /// Whether nothing else changed the directory in between.
    pub atomic: bool,
}

/// Rights asked for and given by ACCESS; the bits are those of RFC 8881 section 18.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessMask(pub u32);

impl AccessMask {
    /// Read data or a directory.
    pub const READ: Self = Self(0x01);
    /// Look up a name in a directory.
    pub const LOOKUP: Self = Self(0x02);
    /// Rewrite data, or change entries.
    pub const MODIFY: Self = Self(0x04);
    /// Write new data, or add entries.
    pub const EXTEND: Self = Self(0x08);
    /// Delete an entry.
    pub const DELETE: Self = Self(0x10);
    /// Execute a file.
    pub const EXECUTE: Self = Self(0x20);

    /// The rights in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The rights in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any right of `other` is in this one.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
