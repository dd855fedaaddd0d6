//! Basic types and the operations on files, directories and attributes. RFC 8881, sections 3.2, 3.3 and 18.

use super::FILEHANDLE_BYTES_MAX;
use crate::attributes::{Bitmap4, Fattr4};
use crate::bounded::{List, Opaque, Payload};
use crate::status::{NfsStat4, Reply};
use crate::xdr::{Decoder, Encoder, Malformed, Xdr, padding_of};

/// The longest name or link text that is decoded. The file system's own limits are lower and have errors of their own
/// (NFS4ERR_NAMETOOLONG); a longer one is malformed.
pub const NAME_BYTES_MAX: usize = 64 * 1024;

/// `nfs_fh4`.
pub type NfsFh4 = Opaque<FILEHANDLE_BYTES_MAX>;
/// `component4`: one name, not checked yet.
pub type Component4 = Opaque<NAME_BYTES_MAX>;
/// `linktext4`: the target of a symbolic link.
pub type Linktext4 = Opaque<NAME_BYTES_MAX>;
/// `utf8str_mixed`, as owners have it.
pub type Utf8Mixed = Opaque<1024>;
/// `verifier4`.
pub type Verifier4 = [u8; 8];

crate::xdr! {
    /// `nfs_ftype4`: kinds of objects.
    pub enum NfsFtype4 {
        Reg = 1, Dir = 2, Blk = 3, Chr = 4, Lnk = 5, Sock = 6, Fifo = 7, Attrdir = 8, Namedattr = 9,
    }

    /// `nfstime4`.
    pub struct Nfstime4 { seconds: i64, nseconds: u32 }

    /// `settime4`.
    pub union Settime4 { ServerTime = 0, ClientTime(Nfstime4) = 1 }

    /// `fsid4`.
    pub struct Fsid4 { major: u64, minor: u64 }

    /// `specdata4`: major and minor number of a device.
    pub struct Specdata4 { specdata1: u32, specdata2: u32 }

    /// `mode_masked4`.
    pub struct ModeMasked4 { value_to_set: u32, mask_bits: u32 }

    /// `change_info4`: a directory's change attribute around an operation.
    pub struct ChangeInfo4 { atomic: bool, before: u64, after: u64 }

    /// `ACCESS4args`.
    pub struct Access4Args { access: u32 }
    /// `ACCESS4resok`.
    pub struct Access4Resok { supported: u32, access: u32 }

    /// `COMMIT4args`; the reply is the write verifier.
    pub struct Commit4Args { offset: u64, count: u32 }

    /// `createtype4`. The last three are NFS4ERR_BADTYPE.
    pub union Createtype4 {
        Lnk(Linktext4) = 5, Blk(Specdata4) = 3, Chr(Specdata4) = 4, Sock = 6, Fifo = 7, Dir = 2,
        Reg = 1, Attrdir = 8, Namedattr = 9,
    }
    /// `CREATE4args`.
    pub struct Create4Args { objtype: Createtype4, objname: Component4, createattrs: Fattr4 }
    /// `CREATE4resok`.
    pub struct Create4Resok { cinfo: ChangeInfo4, attrset: Bitmap4 }

    /// `GETATTR4args`.
    pub struct Getattr4Args { attr_request: Bitmap4 }
    /// `LINK4args`.
    pub struct Link4Args { newname: Component4 }
    /// `LOOKUP4args`.
    pub struct Lookup4Args { objname: Component4 }
    /// `VERIFY4args`.
    pub struct Verify4Args { obj_attributes: Fattr4 }
    /// `NVERIFY4args`.
    pub struct Nverify4Args { obj_attributes: Fattr4 }
    /// `PUTFH4args`.
    pub struct Putfh4Args { object: NfsFh4 }

    /// `READ4args`.
    pub struct Read4Args { stateid: Stateid4, offset: u64, count: u32 }
    /// `READ4resok`.
    pub struct Read4Resok { eof: bool, data: Payload }

    /// `READDIR4args`.
    pub struct Readdir4Args { cookie: u64, cookieverf: Verifier4, dircount: u32, maxcount: u32, attr_request: Bitmap4 }
    /// `READDIR4resok`.
    pub struct Readdir4Resok { cookieverf: Verifier4, reply: Dirlist4 }

    /// `REMOVE4args`.
    pub struct Remove4Args { target: Component4 }
    /// `RENAME4args`.
    pub struct Rename4Args { oldname: Component4, newname: Component4 }
    /// `RENAME4resok`.
    pub struct Rename4Resok { source_cinfo: ChangeInfo4, target_cinfo: ChangeInfo4 }

    /// `SECINFO4args`.
    pub struct Secinfo4Args { name: Component4 }
    /// `secinfo_style4`.
    pub enum SecinfoStyle4 { CurrentFh = 0, Parent = 1 }
    /// `SECINFO_NO_NAME4args`.
    pub struct SecinfoNoName4Args { style: SecinfoStyle4 }
    /// `rpcsec_gss_info`.
    pub struct RpcsecGssInfo { oid: Opaque<256>, qop: u32, service: u32 }
    /// `secinfo4`: a security flavor.
    pub union Secinfo4 { None = 0, Sys = 1, Gss(RpcsecGssInfo) = 6 }

    /// `SETATTR4args`.
    pub struct Setattr4Args { stateid: Stateid4, obj_attributes: Fattr4 }
    /// `SETATTR4res`: says what was set even when it failed.
    pub struct Setattr4Res { status: NfsStat4, attrsset: Bitmap4 }

    /// `stable_how4`.
    pub enum StableHow4 { Unstable = 0, DataSync = 1, FileSync = 2 }
    /// `WRITE4args`.
    pub struct Write4Args { stateid: Stateid4, offset: u64, stable: StableHow4, data: Payload }
    /// `WRITE4resok`.
    pub struct Write4Resok { count: u32, committed: StableHow4, writeverf: Verifier4 }
}

/// `SECINFO4resok`, also of SECINFO_NO_NAME.
pub type Secinfo4Resok = List<Secinfo4, 16>;

impl Reply for Setattr4Res {
    fn status(&self) -> NfsStat4 {
        self.status
    }
    fn failure(status: NfsStat4) -> Self {
        Self { status, attrsset: Bitmap4::EMPTY }
    }
}

/// `stateid4`. RFC 8881, section 8.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "fields of the RFC")]
pub struct Stateid4 {
    pub seqid: u32,
    pub other: [u8; 12],
}

impl Stateid4 {
    /// No open and no lock: READ and WRITE obey share reservations. RFC 8881, section 8.2.3.
    pub const ANONYMOUS: Self = Self { seqid: 0, other: [0; 12] };
    /// READ that ignores share reservations; for everything else as the anonymous one.
    pub const READ_BYPASS: Self = Self { seqid: u32::MAX, other: [0xff; 12] };
    /// Stands for the current stateid of the compound.
    pub const CURRENT: Self = Self { seqid: 1, other: [0; 12] };
    /// What the server uses for "no stateid"; a client never may.
    pub const INVALID: Self = Self { seqid: u32::MAX, other: [0; 12] };
}

impl Xdr for Stateid4 {
    const WIRE_BYTES_MIN: usize = 16;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u32(self.seqid);
        encoder.array(&self.other);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        Ok(Self { seqid: decoder.u32()?, other: decoder.array()? })
    }
}

crate::xdr! {
    /// `entry4`, without its link to the next.
    pub struct Entry4 { cookie: u64, name: Component4, attrs: Fattr4 }
}

impl Entry4 {
    /// How many bytes the entry takes in a `dirlist4`, its "value follows" included.
    pub fn wire_bytes(&self) -> usize {
        4 + 8 + 4 + self.name.len() + padding_of(self.name.len()) + self.attrs.wire_bytes()
    }
}

/// `dirlist4`: on the wire the entries are a linked list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "fields of the RFC")]
pub struct Dirlist4 {
    pub entries: Vec<Entry4>,
    pub eof: bool,
}

impl Dirlist4 {
    /// The bytes that a list without entries takes in a READDIR reply: verifier, end of list, eof.
    pub const EMPTY_REPLY_BYTES: usize = 16;
}

impl Xdr for Dirlist4 {
    const WIRE_BYTES_MIN: usize = 8;
    fn encode(&self, encoder: &mut Encoder) {
        for entry in &self.entries {
            true.encode(encoder);
            entry.encode(encoder);
        }
        false.encode(encoder);
        self.eof.encode(encoder);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        // The list grows one entry at a time, each read from the record before it is kept.
        let mut entries = Vec::new();
        while bool::decode(decoder)? {
            entries.push(Entry4::decode(decoder)?);
        }
        Ok(Self { entries, eof: bool::decode(decoder)? })
    }
}
