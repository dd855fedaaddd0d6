//! ONC RPC: record marks, call headers and reply headers. RFC 5531.

use bytes::Bytes;

use crate::bounded::Opaque;
use crate::nfs4::AuthsysParms;
use crate::xdr::{Decoder, Encoder, Malformed, Xdr, decode_all};

/// The only version of the RPC protocol.
pub const RPC_VERSION: u32 = 2;
/// The longest body of a credential or verifier. RFC 5531, section 8.2.
pub const AUTH_BYTES_MAX: usize = 400;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;

/// The four bytes before each fragment of a record on a stream. RFC 5531, section 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMark {
    /// Whether the record ends with this fragment.
    pub last: bool,
    /// The bytes of the fragment.
    pub bytes: u32,
}

impl RecordMark {
    const LAST: u32 = 1 << 31;

    /// The mark of a record that is one fragment.
    pub const fn whole(bytes: u32) -> Self {
        Self { last: true, bytes }
    }

    /// As on the wire.
    pub const fn to_wire(self) -> [u8; 4] {
        let last = if self.last { Self::LAST } else { 0 };
        (last | (self.bytes & !Self::LAST)).to_be_bytes()
    }

    /// From the wire.
    pub const fn from_wire(bytes: [u8; 4]) -> Self {
        let word = u32::from_be_bytes(bytes);
        Self { last: word & Self::LAST != 0, bytes: word & !Self::LAST }
    }
}

crate::xdr! {
    /// `opaque_auth`: a credential or verifier whose flavor is not looked into yet.
    pub struct OpaqueAuth { flavor: u32, body: Opaque<AUTH_BYTES_MAX> }

    /// `auth_stat`: why authentication failed.
    pub enum AuthStat {
        Ok = 0, Badcred = 1, Rejectedcred = 2, Badverf = 3, Rejectedverf = 4, Tooweak = 5, Invalidresp = 6, Failed = 7,
    }

    /// `mismatch_info`: the versions that there are.
    pub struct MismatchInfo { low: u32, high: u32 }

    /// `accepted_reply.reply_data`: what became of a call that was understood. The results follow `Success`.
    pub union Accepted {
        Success = 0, ProgUnavail = 1, ProgMismatch(MismatchInfo) = 2, ProcUnavail = 3, GarbageArgs = 4, SystemErr = 5,
    }

    /// `rejected_reply`: why a call was not even looked at.
    pub union Rejected { RpcMismatch(MismatchInfo) = 0, AuthError(AuthStat) = 1 }
}

impl OpaqueAuth {
    /// AUTH_NONE without a body.
    pub fn none() -> Self {
        Self { flavor: AUTH_NONE, body: Opaque::default() }
    }
}

/// AUTH_NONE.
pub const AUTH_NONE: u32 = 0;
/// AUTH_SYS.
pub const AUTH_SYS: u32 = 1;
/// RPCSEC_GSS.
pub const RPCSEC_GSS: u32 = 6;
/// AUTH_TLS. RFC 9289.
pub const AUTH_TLS: u32 = 7;

/// A credential that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nobody in particular.
    None,
    /// A Unix user and groups, as the client says.
    Sys(AuthsysParms),
}

/// The header of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of the RFC")]
pub struct Call {
    pub xid: u32,
    pub program: u32,
    pub version: u32,
    pub procedure: u32,
    pub credential: Credential,
}

/// Why a record is no call that could be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallTrouble {
    /// Not even an answer can be addressed: close the connection.
    Close(Malformed),
    /// The record is a reply.
    IsReply,
    /// A call that gets this answer.
    Refuse(u32, Rejected),
}

impl Call {
    /// Takes the header of a call from the front of a record.
    pub fn decode(decoder: &mut Decoder) -> Result<Self, CallTrouble> {
        let xid = decoder.u32().map_err(CallTrouble::Close)?;
        match decoder.u32().map_err(CallTrouble::Close)? {
            CALL => {}
            REPLY => return Err(CallTrouble::IsReply),
            _ => return Err(CallTrouble::Close(Malformed::UnknownValue)),
        }
        if decoder.u32().map_err(CallTrouble::Close)? != RPC_VERSION {
            let versions = MismatchInfo { low: RPC_VERSION, high: RPC_VERSION };
            return Err(CallTrouble::Refuse(xid, Rejected::RpcMismatch(versions)));
        }
        let mut word = || decoder.u32().map_err(CallTrouble::Close);
        let (program, version, procedure) = (word()?, word()?, word()?);
        let refuse = |stat| CallTrouble::Refuse(xid, Rejected::AuthError(stat));
        let credential = OpaqueAuth::decode(decoder).map_err(|_| refuse(AuthStat::Badcred))?;
        let verifier = OpaqueAuth::decode(decoder).map_err(|_| refuse(AuthStat::Badverf))?;
        let credential = Credential::read(credential).ok_or_else(|| refuse(AuthStat::Badcred))?;
        if verifier.flavor != AUTH_NONE || !verifier.body.is_empty() {
            return Err(refuse(AuthStat::Badverf));
        }
        Ok(Self { xid, program, version, procedure, credential })
    }

    /// Appends the header, for a client.
    pub fn encode(&self, encoder: &mut Encoder) {
        for word in [self.xid, CALL, RPC_VERSION, self.program, self.version, self.procedure] {
            encoder.u32(word);
        }
        self.credential.encode(encoder);
        OpaqueAuth::none().encode(encoder);
    }
}

impl Credential {
    /// Reads a credential of a flavor that is understood.
    fn read(auth: OpaqueAuth) -> Option<Self> {
        match auth.flavor {
            AUTH_NONE if auth.body.is_empty() => Some(Self::None),
            AUTH_SYS => decode_all(auth.body.into_bytes()).ok().map(Self::Sys),
            _ => None,
        }
    }

    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::None => OpaqueAuth::none().encode(encoder),
            Self::Sys(parms) => {
                encoder.u32(AUTH_SYS);
                encoder.opaque(&crate::xdr::encode_all(parms));
            }
        }
    }
}

/// Appends the header of a reply to a call that was understood. After [`Accepted::Success`] the results follow.
pub fn accepted(encoder: &mut Encoder, xid: u32, outcome: &Accepted) {
    encoder.u32(xid);
    encoder.u32(REPLY);
    encoder.u32(MSG_ACCEPTED);
    OpaqueAuth::none().encode(encoder);
    outcome.encode(encoder);
}

/// Appends a reply to a call that is refused.
pub fn rejected(encoder: &mut Encoder, xid: u32, why: &Rejected) {
    encoder.u32(xid);
    encoder.u32(REPLY);
    encoder.u32(MSG_DENIED);
    why.encode(encoder);
}

/// A reply, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The call was understood; the results follow `Success`.
    Accepted(Accepted),
    /// It was refused.
    Rejected(Rejected),
}

/// The header of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of the RFC")]
pub struct ReplyHeader {
    pub xid: u32,
    pub outcome: Outcome,
}

impl ReplyHeader {
    /// Takes the header of a reply from the front of a record.
    pub fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let xid = decoder.u32()?;
        if decoder.u32()? != REPLY {
            return Err(Malformed::UnknownValue);
        }
        let outcome = match decoder.u32()? {
            MSG_ACCEPTED => {
                OpaqueAuth::decode(decoder)?;
                Outcome::Accepted(Accepted::decode(decoder)?)
            }
            MSG_DENIED => Outcome::Rejected(Rejected::decode(decoder)?),
            _ => return Err(Malformed::UnknownValue),
        };
        Ok(Self { xid, outcome })
    }
}

/// A whole reply that carries no results.
pub fn bare_reply(xid: u32, outcome: &Outcome) -> Bytes {
    let mut encoder = Encoder::with_capacity(32);
    match outcome {
        Outcome::Accepted(outcome) => accepted(&mut encoder, xid, outcome),
        Outcome::Rejected(why) => rejected(&mut encoder, xid, why),
    }
    encoder.into_bytes()
}
