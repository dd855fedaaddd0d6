//! The table of attributes: how each is read and set, and so which are supported. GETATTR, READDIR, VERIFY, NVERIFY, SETATTR,
//! CREATE and OPEN all go by it. RFC 8881 section 5. Owners are numbers, there are no ACLs, as at EFS.

use std::sync::LazyLock;

use env::WallTime;
use filesystem::{Attributes, Kind, SetAttributes, SetTime, Statistics};
use nfs_wire::nfs4::{Fsid4, NfsFtype4, Nfstime4, Settime4, Specdata4, Utf8Mixed};
use nfs_wire::xdr::{Decoder, Encoder, Xdr};
use nfs_wire::{Attribute, Bitmap4, Fattr4, NfsStat4, Opaque};

/// What the attributes of a whole file system are made of.
#[derive(Debug, Clone)]
pub(crate) struct Constants {
    pub(crate) fsid: Fsid4,
    pub(crate) lease_seconds: u32,
    pub(crate) file_bytes_max: u64,
    pub(crate) links_max: u32,
    pub(crate) name_bytes_max: u32,
    pub(crate) io_bytes_max: u32,
}

/// One object, as its attributes are read.
pub(crate) struct Subject<'a> {
    pub(crate) attributes: &'a Attributes,
    pub(crate) handle: &'a [u8],
    pub(crate) constants: &'a Constants,
    /// Asked only when an attribute needs it.
    pub(crate) statistics: &'a (dyn Fn() -> Statistics + Send + Sync),
    /// The fileid of the directory entry under which a file system's root hangs.
    pub(crate) mounted_on: u64,
}

type Get = fn(&Subject<'_>, &mut Encoder);
type Set = fn(&mut Decoder, &mut SetAttributes) -> Result<(), NfsStat4>;

/// How one attribute is read and set. An attribute without either is not supported.
struct Row {
    attribute: Attribute,
    get: Option<Get>,
    set: Option<Set>,
}

const fn row(attribute: Attribute, get: Get) -> Row {
    Row { attribute, get: Some(get), set: None }
}

const fn both(attribute: Attribute, get: Get, set: Set) -> Row {
    Row { attribute, get: Some(get), set: Some(set) }
}

const fn set_only(attribute: Attribute, set: Set) -> Row {
    Row { attribute, get: None, set: Some(set) }
}

/// The supported attributes, in the order of their numbers.
static TABLE: &[Row] = &[
    row(Attribute::SupportedAttrs, |_, out| SUPPORTED.encode(out)),
    row(Attribute::Type, |of, out| file_type(of.attributes.kind).encode(out)),
    row(Attribute::FhExpireType, |_, out| out.u32(0)),
    row(Attribute::Change, |of, out| out.u64(of.attributes.change)),
    both(Attribute::Size, |of, out| out.u64(of.attributes.size), set_size),
    row(Attribute::LinkSupport, |_, out| true.encode(out)),
    row(Attribute::SymlinkSupport, |_, out| true.encode(out)),
    row(Attribute::NamedAttr, |_, out| false.encode(out)),
    row(Attribute::Fsid, |of, out| of.constants.fsid.encode(out)),
    row(Attribute::UniqueHandles, |_, out| true.encode(out)),
    row(Attribute::LeaseTime, |of, out| out.u32(of.constants.lease_seconds)),
    row(Attribute::RdattrError, |_, out| NfsStat4::Ok.encode(out)),
    row(Attribute::Aclsupport, |_, out| out.u32(0)),
    row(Attribute::Cansettime, |_, out| true.encode(out)),
    row(Attribute::CaseInsensitive, |_, out| false.encode(out)),
    row(Attribute::CasePreserving, |_, out| true.encode(out)),
    row(Attribute::ChownRestricted, |_, out| true.encode(out)),
    row(Attribute::Filehandle, |of, out| out.opaque(of.handle)),
    row(Attribute::Fileid, |of, out| out.u64(of.attributes.fileid)),
    row(Attribute::FilesAvail, |of, out| out.u64((of.statistics)().files_free)),
    row(Attribute::FilesFree, |of, out| out.u64((of.statistics)().files_free)),
    row(Attribute::FilesTotal, |of, out| out.u64((of.statistics)().files_total)),
    row(Attribute::Homogeneous, |_, out| true.encode(out)),
    row(Attribute::Maxfilesize, |of, out| out.u64(of.constants.file_bytes_max)),
    row(Attribute::Maxlink, |of, out| out.u32(of.constants.links_max)),
    row(Attribute::Maxname, |of, out| out.u32(of.constants.name_bytes_max)),
    row(Attribute::Maxread, |of, out| out.u64(u64::from(of.constants.io_bytes_max))),
    row(Attribute::Maxwrite, |of, out| out.u64(u64::from(of.constants.io_bytes_max))),
    both(Attribute::Mode, |of, out| out.u32(of.attributes.mode), set_mode),
    row(Attribute::NoTrunc, |_, out| true.encode(out)),
    row(Attribute::Numlinks, |of, out| out.u32(of.attributes.links)),
    both(Attribute::Owner, |of, out| number(of.attributes.uid, out), set_owner),
    both(Attribute::OwnerGroup, |of, out| number(of.attributes.gid, out), set_owner_group),
    row(Attribute::Rawdev, |of, out| rawdev(of.attributes).encode(out)),
    row(Attribute::SpaceAvail, |of, out| out.u64((of.statistics)().bytes_available)),
    row(Attribute::SpaceFree, |of, out| out.u64((of.statistics)().bytes_free)),
    row(Attribute::SpaceTotal, |of, out| out.u64((of.statistics)().bytes_total)),
    row(Attribute::SpaceUsed, |of, out| out.u64(of.attributes.space_used)),
    row(Attribute::TimeAccess, |of, out| time(of.attributes.atime).encode(out)),
    set_only(Attribute::TimeAccessSet, set_atime),
    row(Attribute::TimeCreate, |of, out| time(of.attributes.btime).encode(out)),
    row(Attribute::TimeDelta, |_, out| Nfstime4 { seconds: 0, nseconds: 1 }.encode(out)),
    row(Attribute::TimeMetadata, |of, out| time(of.attributes.ctime).encode(out)),
    row(Attribute::TimeModify, |of, out| time(of.attributes.mtime).encode(out)),
    set_only(Attribute::TimeModifySet, set_mtime),
    row(Attribute::MountedOnFileid, |of, out| out.u64(of.mounted_on)),
    row(Attribute::SuppattrExclcreat, |_, out| SETTABLE.encode(out)),
    // Names are bytes: FSCHARSET_CAP4_CONTAINS_NON_UTF8.
    row(Attribute::FsCharsetCap, |_, out| out.u32(1)),
];

/// Rows by attribute number.
static ROWS: LazyLock<[Option<&'static Row>; 128]> = LazyLock::new(|| {
    let mut rows = [None; 128];
    for row in TABLE {
        if let Some(place) = rows.get_mut(row.attribute.number() as usize) {
            *place = Some(row);
        }
    }
    rows
});

/// Every supported attribute.
pub(crate) static SUPPORTED: LazyLock<Bitmap4> = LazyLock::new(|| TABLE.iter().map(|row| row.attribute).collect());

/// Every attribute that can be set; all of them also with an exclusive create, whose verifier has a place of its own.
static SETTABLE: LazyLock<Bitmap4> =
    LazyLock::new(|| TABLE.iter().filter(|row| row.set.is_some()).map(|row| row.attribute).collect());

fn find(number: u32) -> Option<&'static Row> {
    ROWS.get(number as usize).copied().flatten()
}

/// The attributes asked for, as far as they are supported and can be read.
pub(crate) fn read(asked: &Bitmap4, subject: &Subject<'_>) -> Fattr4 {
    let mut mask = Bitmap4::EMPTY;
    let mut values = Encoder::with_capacity(256);
    for number in asked.numbers() {
        if let Some(Row { attribute, get: Some(get), .. }) = find(number) {
            mask.insert(*attribute);
            get(subject, &mut values);
        }
    }
    // Each value is bounded, the longest are the filehandle and the owners.
    Fattr4 { attrmask: mask, attr_vals: Opaque::new(values.into_bytes()).unwrap_or_default() }
}

/// An entry whose attributes cannot be read says so in the one attribute made for that. RFC 8881 section 5.8.1.12.
pub(crate) fn read_error(status: NfsStat4) -> Fattr4 {
    let mut values = Encoder::with_capacity(4);
    status.encode(&mut values);
    Fattr4 {
        attrmask: Bitmap4::of(&[Attribute::RdattrError]),
        attr_vals: Opaque::new(values.into_bytes()).unwrap_or_default(),
    }
}

/// GETATTR and READDIR refuse attributes that can only be set. RFC 8881 section 18.7.3.
pub(crate) fn check_readable(asked: &Bitmap4) -> Result<(), NfsStat4> {
    let write_only = |number| matches!(find(number), Some(Row { get: None, .. }));
    if asked.numbers().any(write_only) { Err(NfsStat4::Inval) } else { Ok(()) }
}

/// What is to be set, and which attributes those are.
pub(crate) fn settings(wanted: &Fattr4) -> Result<(SetAttributes, Bitmap4), NfsStat4> {
    let mut set = SetAttributes::default();
    if wanted.attrmask.has_unknown() {
        return Err(NfsStat4::Attrnotsupp);
    }
    for number in wanted.attrmask.numbers() {
        match find(number) {
            None => return Err(NfsStat4::Attrnotsupp),
            Some(Row { set: None, .. }) => return Err(NfsStat4::Inval),
            Some(_) => {}
        }
    }
    let mut values = wanted.values();
    for number in wanted.attrmask.numbers() {
        if let Some(Row { set: Some(apply), .. }) = find(number) {
            apply(&mut values, &mut set)?;
        }
    }
    values.finish().map_err(|_| NfsStat4::Badxdr)?;
    Ok((set, wanted.attrmask))
}

/// Whether the object has exactly the attributes given. RFC 8881 sections 18.14 and 18.30.
pub(crate) fn equal(wanted: &Fattr4, subject: &Subject<'_>) -> Result<bool, NfsStat4> {
    if wanted.attrmask.has_unknown() || !wanted.attrmask.is_subset_of(&SUPPORTED) {
        return Err(NfsStat4::Attrnotsupp);
    }
    check_readable(&wanted.attrmask)?;
    if wanted.attrmask.contains(Attribute::RdattrError) {
        return Err(NfsStat4::Inval);
    }
    Ok(read(&wanted.attrmask, subject).attr_vals == wanted.attr_vals)
}

/// The type on the wire.
pub(crate) fn file_type(kind: Kind) -> NfsFtype4 {
    match kind {
        Kind::Regular => NfsFtype4::Reg,
        Kind::Directory => NfsFtype4::Dir,
        Kind::Symlink => NfsFtype4::Lnk,
        Kind::Fifo => NfsFtype4::Fifo,
        Kind::Socket => NfsFtype4::Sock,
        Kind::Block => NfsFtype4::Blk,
        Kind::Character => NfsFtype4::Chr,
    }
}

fn time(time: WallTime) -> Nfstime4 {
    Nfstime4 { seconds: time.seconds, nseconds: time.nanoseconds }
}

fn rawdev(attributes: &Attributes) -> Specdata4 {
    Specdata4 { specdata1: attributes.device.major, specdata2: attributes.device.minor }
}

/// A number as its decimal digits.
fn number(id: u32, out: &mut Encoder) {
    let mut digits = [0; 10];
    let mut start = digits.len();
    let mut rest = id;
    for (at, place) in digits.iter_mut().enumerate().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    out.opaque(digits.get(start..).unwrap_or_default());
}

fn value<T: Xdr>(values: &mut Decoder) -> Result<T, NfsStat4> {
    T::decode(values).map_err(|_| NfsStat4::Badxdr)
}

fn set_size(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    set.size = Some(value(values)?);
    Ok(())
}

fn set_mode(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    let mode: u32 = value(values)?;
    if mode > 0o7777 {
        return Err(NfsStat4::Inval);
    }
    set.mode = Some(mode);
    Ok(())
}

/// An owner: digits only, since nothing here knows names.
fn id(values: &mut Decoder) -> Result<u32, NfsStat4> {
    let owner: Utf8Mixed = value(values)?;
    if owner.is_empty() {
        return Err(NfsStat4::Inval);
    }
    let digits = std::str::from_utf8(&owner).map_err(|_| NfsStat4::Inval)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NfsStat4::Badowner);
    }
    // The highest number means "no change" to POSIX clients and belongs to nobody.
    digits.parse().ok().filter(|id| *id != u32::MAX).ok_or(NfsStat4::Badowner)
}

fn set_owner(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    set.uid = Some(id(values)?);
    Ok(())
}

fn set_owner_group(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    set.gid = Some(id(values)?);
    Ok(())
}

fn set_time(values: &mut Decoder) -> Result<SetTime, NfsStat4> {
    match value(values)? {
        Settime4::ServerTime => Ok(SetTime::Server),
        Settime4::ClientTime(time) if time.nseconds < 1_000_000_000 => {
            Ok(SetTime::Client(WallTime { seconds: time.seconds, nanoseconds: time.nseconds }))
        }
        Settime4::ClientTime(_) => Err(NfsStat4::Inval),
    }
}

fn set_atime(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    set.atime = Some(set_time(values)?);
    Ok(())
}

fn set_mtime(values: &mut Decoder, set: &mut SetAttributes) -> Result<(), NfsStat4> {
    set.mtime = Some(set_time(values)?);
    Ok(())
}

#[cfg(test)]
mod tests;
