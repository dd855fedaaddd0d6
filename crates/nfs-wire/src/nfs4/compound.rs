//! The COMPOUND procedure. RFC 8881, section 16.2.

use bytes::Bytes;

use crate::bounded::Opaque;
use crate::operations::{ArgOp, ResOp};
use crate::status::NfsStat4;
use crate::xdr::{Decoder, Encoder, Malformed, Mark, Xdr, length_of};

/// The longest tag.
pub const TAG_BYTES_MAX: usize = 1024;
/// The most operations that are decoded of one compound. A session's `maxoperations` is lower or equal.
pub const OPERATIONS_MAX: usize = 128;

/// `OP_SEQUENCE`.
const SEQUENCE: u32 = 53;
/// What `SEQUENCE4args` always takes.
const SEQUENCE_ARGS_BYTES: usize = 16 + 4 * 4;
/// The only minor version whose operations are decoded.
const MINOR_VERSION: u32 = 1;

/// `COMPOUND4args`, decoded as far as a server needs.
///
/// A compound stops at its first error, so decoding stops there, too: behind an operation that has no meaning
/// ([`ArgOp::Illegal`]), whose arguments are malformed ([`ArgOp::Malformed`]) or that is never supported
/// ([`ArgOp::Unsupported`]) nothing is read. Operations of another minor version are not decoded at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compound4Args {
    /// Echoed in the reply.
    pub tag: Opaque<TAG_BYTES_MAX>,
    /// 1, or the server answers NFS4ERR_MINOR_VERS_MISMATCH.
    pub minorversion: u32,
    /// How many operations the compound says it has; above what the session allows the answer is NFS4ERR_TOO_MANY_OPS.
    pub declared: u32,
    /// The operations, at most [`OPERATIONS_MAX`].
    pub operations: Vec<ArgOp>,
}

impl Compound4Args {
    /// A compound of this minor version.
    pub fn new(tag: Opaque<TAG_BYTES_MAX>, operations: Vec<ArgOp>) -> Self {
        Self { tag, minorversion: MINOR_VERSION, declared: length_of(operations.len()), operations }
    }
}

impl Compound4Args {
    /// Decodes the arguments from the rest of a record. An error is GARBAGE_ARGS of RPC.
    pub fn decode_rest(mut decoder: Decoder) -> Result<Self, Malformed> {
        let tag = Xdr::decode(&mut decoder)?;
        let minorversion = decoder.u32()?;
        let count = decoder.count(usize::MAX, 4)?;
        let mut operations = Vec::new();
        let mut whole = false;
        if minorversion == MINOR_VERSION {
            operations.reserve(count.min(OPERATIONS_MAX));
            whole = count <= OPERATIONS_MAX;
            for _ in 0..count.min(OPERATIONS_MAX) {
                let operation = ArgOp::decode_next(&mut decoder)?;
                let ends = operation.ends_decoding();
                operations.push(operation);
                if ends {
                    whole = false;
                    break;
                }
            }
        }
        if whole {
            decoder.finish()?;
        }
        Ok(Self { tag, minorversion, declared: length_of(count), operations })
    }

    /// What follows SEQUENCE in encoded arguments: where a retry is the same as the request. SEQUENCE itself need not be: a
    /// client that sends a request again after a reconnect says which slots are in use then. None without SEQUENCE first.
    pub fn behind_sequence(arguments: &[u8]) -> Option<&[u8]> {
        let word = |at: usize| arguments.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
        let tag = usize::try_from(word(0)?).ok().filter(|length| *length <= TAG_BYTES_MAX)?;
        // The tag with its length and padding, the minor version, the count.
        let first = 4_usize.checked_add(tag.checked_next_multiple_of(4)?)?.checked_add(8)?;
        if word(first)? != SEQUENCE {
            return None;
        }
        arguments.get(first.checked_add(4 + SEQUENCE_ARGS_BYTES)?..)
    }

    /// Appends the arguments, for a client.
    pub fn encode(&self, encoder: &mut Encoder) {
        self.tag.encode(encoder);
        encoder.u32(self.minorversion);
        encoder.u32(self.declared);
        for operation in &self.operations {
            operation.encode(encoder);
        }
    }
}

/// `COMPOUND4res`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields of the RFC")]
pub struct Compound4Res {
    pub status: NfsStat4,
    pub tag: Opaque<TAG_BYTES_MAX>,
    pub resarray: Vec<ResOp>,
}

impl Xdr for Compound4Res {
    const WIRE_BYTES_MIN: usize = 12;
    fn encode(&self, encoder: &mut Encoder) {
        self.status.encode(encoder);
        self.tag.encode(encoder);
        encoder.u32(length_of(self.resarray.len()));
        for result in &self.resarray {
            result.encode(encoder);
        }
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let status = Xdr::decode(decoder)?;
        let tag = Xdr::decode(decoder)?;
        let count = decoder.count(OPERATIONS_MAX, 8)?;
        let mut resarray = Vec::with_capacity(count);
        for _ in 0..count {
            resarray.push(ResOp::decode(decoder)?);
        }
        Ok(Self { status, tag, resarray })
    }
}

/// A place between two results of a COMPOUND reply.
#[derive(Debug, Clone, Copy)]
pub struct ResultPlace {
    encoder: Mark,
    results: u32,
}

/// Writes a COMPOUND reply one result at a time, so that its size is known before the next operation runs.
#[derive(Debug, Clone)]
pub struct CompoundEncoder {
    encoder: Encoder,
    status: Mark,
    count: Mark,
    results: u32,
    before_last: Mark,
}

impl CompoundEncoder {
    /// Starts behind whatever the encoder holds already (the RPC reply header).
    pub fn new(mut encoder: Encoder, tag: &Opaque<TAG_BYTES_MAX>) -> Self {
        let status = encoder.mark();
        NfsStat4::Ok.encode(&mut encoder);
        tag.encode(&mut encoder);
        let count = encoder.mark();
        encoder.u32(0);
        let before_last = encoder.mark();
        Self { encoder, status, count, results: 0, before_last }
    }

    /// Appends a result. Its status becomes the compound's.
    pub fn push(&mut self, result: &ResOp) {
        self.before_last = self.encoder.mark();
        result.encode(&mut self.encoder);
        self.results = self.results.saturating_add(1);
        self.settle(result.status());
    }

    /// Puts another result in the place of the last one, such as NFS4ERR_REP_TOO_BIG for one that did not fit.
    pub fn replace_last(&mut self, result: &ResOp) {
        self.encoder.rewind(self.before_last);
        result.encode(&mut self.encoder);
        self.settle(result.status());
    }

    /// The place behind the last result.
    pub fn place(&self) -> ResultPlace {
        ResultPlace { encoder: self.encoder.mark(), results: self.results }
    }

    /// Takes back every result from the place on and ends with this one.
    pub fn end_at(&mut self, place: ResultPlace, result: &ResOp) {
        self.encoder.rewind(place.encoder);
        self.results = place.results;
        self.push(result);
    }

    /// Sets the status where no operation has a result (NFS4ERR_MINOR_VERS_MISMATCH).
    pub fn fail(&mut self, status: NfsStat4) {
        self.encoder.overwrite_u32(self.status, status.number());
    }

    /// The bytes of the record so far, what was there before the COMPOUND reply included.
    pub fn len(&self) -> usize {
        self.encoder.len()
    }

    /// Whether no result was written.
    pub const fn is_empty(&self) -> bool {
        self.results == 0
    }

    /// The finished record.
    pub fn into_encoder(self) -> Encoder {
        self.encoder
    }

    /// The finished record as parts.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.encoder.into_parts()
    }

    fn settle(&mut self, status: NfsStat4) {
        self.encoder.overwrite_u32(self.status, status.number());
        self.encoder.overwrite_u32(self.count, self.results);
    }
}
