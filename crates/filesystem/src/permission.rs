//! Who may do what: mode bits, the sticky bit, set-group-ID directories, restricted chown (POSIX.1-2024, 4.7; EFS).

use crate::{AccessMask, Credentials, FsError, Kind, Result, record::InodeRecord};

pub(crate) const READ: u16 = 4;
pub(crate) const WRITE: u16 = 2;
pub(crate) const EXECUTE: u16 = 1;

pub(crate) const SET_USER: u16 = 0o4000;
pub(crate) const SET_GROUP: u16 = 0o2000;
pub(crate) const STICKY: u16 = 0o1000;

/// Whether all of `bits` are given. uid 0 passes, but executes files only that anyone may execute.
pub(crate) fn permits(record: &InodeRecord, who: &Credentials, bits: u16) -> bool {
    if who.uid == 0 {
        return bits & EXECUTE == 0 || record.kind == Kind::Directory || record.mode & 0o111 != 0;
    }
    let class = if who.uid == record.uid {
        record.mode >> 6
    } else if who.in_group(record.gid) {
        record.mode >> 3
    } else {
        record.mode
    };
    class & bits == bits
}

pub(crate) fn check(record: &InodeRecord, who: &Credentials, bits: u16) -> Result<()> {
    if permits(record, who, bits) { Ok(()) } else { Err(FsError::Access) }
}

/// A directory that names are looked up in.
pub(crate) fn check_search(record: &InodeRecord, who: &Credentials) -> Result<()> {
    check_directory(record)?;
    check(record, who, EXECUTE)
}

/// A directory whose entries change. One without a name can get no more.
pub(crate) fn check_change(record: &InodeRecord, who: &Credentials) -> Result<()> {
    check_directory(record)?;
    check(record, who, WRITE | EXECUTE)
}

pub(crate) fn check_directory(record: &InodeRecord) -> Result<()> {
    match record.kind {
        Kind::Directory => Ok(()),
        Kind::Symlink => Err(FsError::IsSymlink),
        _ => Err(FsError::NotDirectory),
    }
}

/// In a sticky directory only the owner of the entry's object or of the directory removes or renames.
pub(crate) fn check_sticky(directory: &InodeRecord, child: &InodeRecord, who: &Credentials) -> Result<()> {
    let free = directory.mode & STICKY == 0 || who.uid == 0 || who.uid == directory.uid || who.uid == child.uid;
    if free { Ok(()) } else { Err(FsError::NotOwner) }
}

pub(crate) fn owns(record: &InodeRecord, who: &Credentials) -> bool {
    who.uid == 0 || who.uid == record.uid
}

/// The rights of `asked` that the caller has.
pub(crate) fn access(record: &InodeRecord, who: &Credentials, asked: AccessMask, read_only: bool) -> AccessMask {
    let directory = record.kind == Kind::Directory;
    let rules: [(AccessMask, u16, bool); 6] = [
        (AccessMask::READ, READ, true),
        (AccessMask::LOOKUP, EXECUTE, directory),
        (AccessMask::MODIFY, if directory { WRITE | EXECUTE } else { WRITE }, !read_only),
        (AccessMask::EXTEND, if directory { WRITE | EXECUTE } else { WRITE }, !read_only),
        (AccessMask::DELETE, WRITE | EXECUTE, directory && !read_only),
        (AccessMask::EXECUTE, EXECUTE, !directory),
    ];
    let mut given = AccessMask::default();
    for (right, bits, applies) in rules {
        if applies && asked.has(right) && permits(record, who, bits) {
            given = given.or(right);
        }
    }
    given
}

/// A write or a chown by somebody without privilege takes the set-ID bits away.
pub(crate) const fn without_set_id(mode: u16) -> u16 {
    // Set-group-ID without group execute means something else and stays.
    let group = if mode & 0o010 != 0 { SET_GROUP } else { 0 };
    mode & !(SET_USER | group)
}
