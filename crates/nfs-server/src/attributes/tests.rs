//! The table against the rules of RFC 8881 section 5.

use super::{Constants, SETTABLE, SUPPORTED, Subject, TABLE, equal, read, settings};
use env::WallTime;
use filesystem::{Attributes, Device, Kind, SetTime, Statistics};
use nfs_wire::nfs4::{Fsid4, NfsFtype4, Nfstime4, Settime4};
use nfs_wire::xdr::{Encoder, Xdr};
use nfs_wire::{Attribute, Bitmap4, Fattr4, NfsStat4, Opaque};

fn with_subject<T>(f: impl FnOnce(&Subject<'_>) -> T) -> T {
    let time = |seconds| WallTime { seconds, nanoseconds: 5 };
    let attributes = Attributes {
        kind: Kind::Regular,
        mode: 0o640,
        uid: 1000,
        gid: 0,
        links: 2,
        size: 4097,
        space_used: 8192,
        atime: time(1),
        mtime: time(2),
        ctime: time(3),
        btime: time(4),
        change: 77,
        fileid: 42,
        generation: 1,
        device: Device::default(),
    };
    let constants = Constants {
        fsid: Fsid4 { major: 1, minor: 2 },
        lease_seconds: 60,
        file_bytes_max: 1 << 40,
        links_max: 177,
        name_bytes_max: 255,
        io_bytes_max: 1 << 20,
    };
    let statistics = || Statistics {
        bytes_total: 10,
        bytes_free: 9,
        bytes_available: 8,
        files_total: 7,
        files_free: 6,
        metered_bytes: 5,
        objects: 4,
    };
    f(&Subject {
        attributes: &attributes,
        handle: b"handle",
        constants: &constants,
        statistics: &statistics,
        mounted_on: 42,
    })
}

fn fattr(mask: &[Attribute], encode: impl FnOnce(&mut Encoder)) -> Fattr4 {
    let mut values = Encoder::new();
    encode(&mut values);
    Fattr4 { attrmask: Bitmap4::of(mask), attr_vals: Opaque::new(values.into_bytes()).unwrap() }
}

/// RFC 8881 section 3.3.7: values stand in the order of their numbers.
#[test]
fn rows_are_in_the_order_of_numbers_and_fit_the_access_of_the_rfc() {
    assert!(TABLE.windows(2).all(|rows| rows[0].attribute.number() < rows[1].attribute.number()));
    for row in TABLE {
        assert!(row.get.is_none() || row.attribute.readable(), "{:?}", row.attribute);
        assert!(row.set.is_none() || row.attribute.settable(), "{:?}", row.attribute);
        assert!(row.get.is_some() || row.set.is_some());
    }
}

/// RFC 8881 section 5.6: the REQUIRED attributes are supported.
#[test]
fn the_required_attributes_are_supported() {
    use Attribute::{
        Change, FhExpireType, Filehandle, Fsid, LeaseTime, LinkSupport, NamedAttr, RdattrError, Size,
        SuppattrExclcreat, SupportedAttrs, SymlinkSupport, Type, UniqueHandles,
    };
    let required = [
        SupportedAttrs,
        Type,
        FhExpireType,
        Change,
        Size,
        LinkSupport,
        SymlinkSupport,
        NamedAttr,
        Fsid,
        UniqueHandles,
        LeaseTime,
        RdattrError,
        Filehandle,
        SuppattrExclcreat,
    ];
    assert!(Bitmap4::of(&required).is_subset_of(&SUPPORTED));
    assert!(SETTABLE.is_subset_of(&SUPPORTED));
}

/// RFC 8881 section 18.7.3: what is asked for and not supported is left out without an error.
#[test]
fn reading_leaves_out_what_is_not_supported() {
    let asked =
        Bitmap4::of(&[Attribute::Type, Attribute::Acl, Attribute::Size, Attribute::Owner, Attribute::OwnerGroup]);
    let got = with_subject(|subject| read(&asked, subject));
    assert_eq!(got.attrmask, Bitmap4::of(&[Attribute::Type, Attribute::Size, Attribute::Owner, Attribute::OwnerGroup]));
    let mut values = got.values();
    assert_eq!(NfsFtype4::decode(&mut values).unwrap(), NfsFtype4::Reg);
    assert_eq!(values.u64().unwrap(), 4097);
    assert_eq!(values.opaque(16).unwrap(), "1000");
    assert_eq!(values.opaque(16).unwrap(), "0");
    values.finish().unwrap();
}

/// RFC 8881 section 18.30.3: the errors of SETATTR by kind of attribute.
#[test]
fn setting_tells_unsupported_from_read_only_from_malformed() {
    let status = |mask: &[Attribute], bytes: &[u8]| {
        let fattr = Fattr4 { attrmask: Bitmap4::of(mask), attr_vals: Opaque::copied(bytes).unwrap() };
        settings(&fattr).unwrap_err()
    };
    assert_eq!(status(&[Attribute::Acl], &[0; 4]), NfsStat4::Attrnotsupp);
    assert_eq!(status(&[Attribute::Change], &[0; 8]), NfsStat4::Inval);
    assert_eq!(status(&[Attribute::Size], &[0; 4]), NfsStat4::Badxdr);
    assert_eq!(status(&[Attribute::Size], &[0; 12]), NfsStat4::Badxdr);
    assert_eq!(status(&[Attribute::Mode], &0o10000_u32.to_be_bytes()), NfsStat4::Inval);
    let owner = |text: &[u8]| {
        let mut values = Encoder::new();
        values.opaque(text);
        status(&[Attribute::Owner], &values.into_bytes())
    };
    assert_eq!(owner(b"someone@example.org"), NfsStat4::Badowner);
    assert_eq!(owner(b"4294967295"), NfsStat4::Badowner);
    assert_eq!(owner(b""), NfsStat4::Inval);
    let mut unknown = Bitmap4::EMPTY;
    unknown.insert_number(100);
    assert_eq!(settings(&Fattr4 { attrmask: unknown, ..Fattr4::empty() }), Err(NfsStat4::Attrnotsupp));
}

/// RFC 8881 section 5.8.2.38: times are set to the client's or the server's.
#[test]
fn times_and_numbers_are_set() {
    let wanted =
        fattr(&[Attribute::Mode, Attribute::Owner, Attribute::TimeAccessSet, Attribute::TimeModifySet], |out| {
            out.u32(0o755);
            out.opaque(b"12");
            Settime4::ServerTime.encode(out);
            Settime4::ClientTime(Nfstime4 { seconds: -1, nseconds: 9 }).encode(out);
        });
    let (set, mask) = settings(&wanted).unwrap();
    assert_eq!((set.mode, set.uid, set.gid, set.size), (Some(0o755), Some(12), None, None));
    assert_eq!(set.atime, Some(SetTime::Server));
    assert_eq!(set.mtime, Some(SetTime::Client(WallTime { seconds: -1, nanoseconds: 9 })));
    assert_eq!(mask, wanted.attrmask);
}

/// RFC 8881 section 18.30 and 18.14: VERIFY compares values and refuses what cannot be compared.
#[test]
fn comparing_is_exact() {
    with_subject(|subject| {
        let same = fattr(&[Attribute::Size, Attribute::Mode], |out| {
            out.u64(4097);
            out.u32(0o640);
        });
        assert_eq!(equal(&same, subject), Ok(true));
        assert_eq!(equal(&fattr(&[Attribute::Size], |out| out.u64(1)), subject), Ok(false));
        assert_eq!(equal(&fattr(&[Attribute::Acl], |_| {}), subject), Err(NfsStat4::Attrnotsupp));
        assert_eq!(equal(&fattr(&[Attribute::TimeAccessSet], |_| {}), subject), Err(NfsStat4::Inval));
        assert_eq!(equal(&fattr(&[Attribute::RdattrError], |out| out.u32(0)), subject), Err(NfsStat4::Inval));
    });
}
