//! The compounds that the client sends, encoded once and sent as often as needed; SEQUENCE is put before them. RFC 8881,
//! section 18.

use bytes::Bytes;
use nfs_wire::nfs4::{
    Close4Args, Commit4Args, Component4, Create4Args, Createhow4, Createtype4, Getattr4Args, Lookup4Args, NfsFh4,
    Open4Args, OpenClaim4, Openflag4, Putfh4Args, Read4Args, Readdir4Args, Remove4Args, Setattr4Args, StableHow4,
    StateOwner4, Stateid4, Verifier4, Write4Args, share,
};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Encoder, Fattr4, Opaque, Payload, Rules};

/// What Linux asks for when it looks at a file.
const STAT: Bitmap4 = Bitmap4::of(&[
    Attribute::Type,
    Attribute::Change,
    Attribute::Size,
    Attribute::Fsid,
    Attribute::Fileid,
    Attribute::Mode,
    Attribute::Numlinks,
    Attribute::Owner,
    Attribute::OwnerGroup,
    Attribute::Rawdev,
    Attribute::SpaceUsed,
    Attribute::TimeAccess,
    Attribute::TimeMetadata,
    Attribute::TimeModify,
    Attribute::MountedOnFileid,
]);
/// How much one READDIR may bring.
const READDIR_BYTES: u32 = 64 * 1024;

/// A compound without its SEQUENCE.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// How many operations it has.
    pub(crate) operations: u32,
    /// The operations on the wire.
    pub(crate) parts: Vec<Bytes>,
    /// Whether the server shall keep the reply: as Linux asks for what must not happen twice.
    pub(crate) keep_reply: bool,
}

impl Step {
    /// Of these operations.
    pub(crate) fn new(operations: &[ArgOp]) -> Self {
        let mut encoder = Encoder::with_capacity(256);
        operations.iter().for_each(|operation| operation.encode(&mut encoder));
        Self {
            operations: u32::try_from(operations.len()).unwrap_or(u32::MAX),
            parts: encoder.into_parts(),
            keep_reply: operations.iter().any(keeps_reply),
        }
    }

    /// The bytes of its operations.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

fn keeps_reply(operation: &ArgOp) -> bool {
    match operation {
        ArgOp::Write(_) => false,
        ArgOp::Close(_) => true,
        other => other.rules().contains(Rules::MODIFIES),
    }
}

/// A name, which is one of ours and short, or a part of the path that was asked for.
fn component(name: &str) -> Component4 {
    Opaque::copied(name.as_bytes()).unwrap_or_default()
}

fn at(object: &NfsFh4) -> ArgOp {
    ArgOp::Putfh(Putfh4Args { object: object.clone() })
}

fn mode(mode: u32) -> Fattr4 {
    let attr_vals = Opaque::copied(&mode.to_be_bytes()).unwrap_or_default();
    Fattr4 { attrmask: Bitmap4::of(&[Attribute::Mode]), attr_vals }
}

/// A file's size, as SETATTR takes it and GETATTR gives it.
pub(crate) fn size(bytes: u64) -> Fattr4 {
    let attr_vals = Opaque::copied(&bytes.to_be_bytes()).unwrap_or_default();
    Fattr4 { attrmask: Bitmap4::of(&[Attribute::Size]), attr_vals }
}

fn open(owner: &StateOwner4, name: &str) -> ArgOp {
    ArgOp::Open(Open4Args {
        seqid: 0,
        share_access: share::ACCESS_BOTH | share::WANT_NO_DELEG,
        share_deny: share::DENY_NONE,
        owner: owner.clone(),
        openhow: Openflag4::Create(Createhow4::Unchecked(mode(0o644))),
        claim: OpenClaim4::Null(component(name)),
    })
}

/// The handle of a directory by its path from the root.
pub(crate) fn find(path: &str) -> Step {
    let names = path.split('/').filter(|name| !name.is_empty());
    let lookups = names.map(|name| ArgOp::Lookup(Lookup4Args { objname: component(name) }));
    let operations: Vec<_> =
        std::iter::once(ArgOp::Putrootfh(())).chain(lookups).chain(std::iter::once(ArgOp::Getfh(()))).collect();
    Step::new(&operations)
}

/// The server's lease time.
pub(crate) fn lease_time() -> Step {
    let attr_request = Bitmap4::of(&[Attribute::LeaseTime]);
    Step::new(&[ArgOp::Putrootfh(()), ArgOp::Getattr(Getattr4Args { attr_request })])
}

/// A new directory and its handle.
pub(crate) fn make_directory(directory: &NfsFh4, name: &str) -> Step {
    let create = Create4Args { objtype: Createtype4::Dir, objname: component(name), createattrs: mode(0o755) };
    Step::new(&[at(directory), ArgOp::Create(create), ArgOp::Getfh(())])
}

/// A file is made if it is missing, and opened.
pub(crate) fn open_file(directory: &NfsFh4, owner: &StateOwner4, name: &str) -> Step {
    Step::new(&[at(directory), open(owner, name), ArgOp::Getfh(())])
}

/// The same with its close in the same compound.
pub(crate) fn make_file(directory: &NfsFh4, owner: &StateOwner4, name: &str) -> Step {
    let close = Close4Args { seqid: 0, open_stateid: Stateid4::CURRENT };
    Step::new(&[at(directory), open(owner, name), ArgOp::Getfh(()), ArgOp::Close(close)])
}

/// The end of an open.
pub(crate) fn close(file: &NfsFh4, open_stateid: Stateid4) -> Step {
    Step::new(&[at(file), ArgOp::Close(Close4Args { seqid: 0, open_stateid })])
}

/// A name is removed.
pub(crate) fn remove(directory: &NfsFh4, name: &str) -> Step {
    Step::new(&[at(directory), ArgOp::Remove(Remove4Args { target: component(name) })])
}

/// Data is written, as durable as asked.
pub(crate) fn write(file: &NfsFh4, stateid: Stateid4, offset: u64, data: Bytes, stable: StableHow4) -> Step {
    Step::new(&[at(file), ArgOp::Write(Write4Args { stateid, offset, stable, data: Payload(data) })])
}

/// Data is written and made durable in one compound of two operations.
pub(crate) fn write_and_commit(file: &NfsFh4, stateid: Stateid4, offset: u64, data: Bytes) -> Step {
    let count = u32::try_from(data.len()).unwrap_or(0);
    let write = Write4Args { stateid, offset, stable: StableHow4::Unstable, data: Payload(data) };
    Step::new(&[at(file), ArgOp::Write(write), ArgOp::Commit(Commit4Args { offset, count })])
}

/// All that was written to the file is made durable.
pub(crate) fn commit(file: &NfsFh4) -> Step {
    Step::new(&[at(file), ArgOp::Commit(Commit4Args { offset: 0, count: 0 })])
}

/// The file gets another size, and is asked for it.
pub(crate) fn resize(file: &NfsFh4, stateid: Stateid4, bytes: u64) -> Step {
    let setattr = Setattr4Args { stateid, obj_attributes: size(bytes) };
    let attr_request = Bitmap4::of(&[Attribute::Size]);
    Step::new(&[at(file), ArgOp::Setattr(setattr), ArgOp::Getattr(Getattr4Args { attr_request })])
}

/// Data is read.
pub(crate) fn read(file: &NfsFh4, stateid: Stateid4, offset: u64, count: u32) -> Step {
    Step::new(&[at(file), ArgOp::Read(Read4Args { stateid, offset, count })])
}

/// The beginning of a file is read by its name, without an open.
pub(crate) fn read_name(directory: &NfsFh4, name: &str, count: u32) -> Step {
    let read = Read4Args { stateid: Stateid4::ANONYMOUS, offset: 0, count };
    Step::new(&[at(directory), ArgOp::Lookup(Lookup4Args { objname: component(name) }), ArgOp::Read(read)])
}

/// A name is looked up: its handle and attributes.
pub(crate) fn lookup(directory: &NfsFh4, name: &str) -> Step {
    let lookup = ArgOp::Lookup(Lookup4Args { objname: component(name) });
    Step::new(&[at(directory), lookup, ArgOp::Getfh(()), ArgOp::Getattr(Getattr4Args { attr_request: STAT })])
}

/// An object's attributes.
pub(crate) fn getattr(object: &NfsFh4) -> Step {
    Step::new(&[at(object), ArgOp::Getattr(Getattr4Args { attr_request: STAT })])
}

/// A part of a directory, with handles and attributes as Linux asks for them.
pub(crate) fn readdir(directory: &NfsFh4, cookie: u64, cookieverf: Verifier4) -> Step {
    let attr_request = STAT.union(&Bitmap4::of(&[Attribute::RdattrError, Attribute::Filehandle]));
    let readdir =
        Readdir4Args { cookie, cookieverf, dircount: READDIR_BYTES / 2, maxcount: READDIR_BYTES, attr_request };
    Step::new(&[at(directory), ArgOp::Readdir(readdir)])
}
