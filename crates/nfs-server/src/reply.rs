//! Replies as they leave: record mark, RPC header and the COMPOUND reply, as few parts as the data allows.

use bytes::Bytes;
use nfs_wire::nfs4::CompoundEncoder;
use nfs_wire::rpc::{Accepted, Outcome, RecordMark, accepted, bare_reply};
use nfs_wire::xdr::Encoder;

/// The header of the reply to a call that was understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyHeader {
    pub(crate) xid: u32,
}

/// A whole reply, record mark first.
#[derive(Debug)]
pub(crate) struct Reply {
    parts: Vec<Bytes>,
}

impl ReplyHeader {
    /// The record mark.
    pub(crate) const MARK_BYTES: usize = 4;
    /// The record mark and the RPC header.
    const BYTES: usize = Self::MARK_BYTES + 24;

    /// An encoder that holds the header, with a place for the record mark before it.
    pub(crate) fn encoder(self) -> Encoder {
        let mut encoder = Encoder::with_capacity(512);
        encoder.u32(0);
        accepted(&mut encoder, self.xid, &Accepted::Success);
        encoder
    }

    /// The reply whose encoder began with [`ReplyHeader::encoder`].
    pub(crate) fn whole(self, out: CompoundEncoder) -> Reply {
        let start = Encoder::new().mark();
        let mut encoder = out.into_encoder();
        let length = encoder.len().saturating_sub(Self::MARK_BYTES);
        encoder.overwrite_u32(start, mark(length));
        Reply { parts: encoder.into_parts() }
    }

    /// The reply with a COMPOUND reply that was encoded before.
    pub(crate) fn with_body(self, body: Bytes) -> Reply {
        let mut encoder = self.encoder();
        let length = encoder.len().saturating_sub(Self::MARK_BYTES).saturating_add(body.len());
        encoder.overwrite_u32(Encoder::new().mark(), mark(length));
        Reply { parts: vec![encoder.into_bytes(), body] }
    }

    /// The reply to NULL.
    pub(crate) fn empty(self) -> Reply {
        self.with_body(Bytes::new())
    }
}

impl Reply {
    /// A reply that carries no results.
    pub(crate) fn bare(xid: u32, outcome: &Outcome) -> Self {
        let body = bare_reply(xid, outcome);
        let mark = Bytes::copy_from_slice(&mark(body.len()).to_be_bytes());
        Self { parts: vec![mark, body] }
    }

    /// The COMPOUND reply behind the RPC header, in one piece.
    pub(crate) fn body(&self) -> Bytes {
        match self.parts.as_slice() {
            [whole] => whole.slice(ReplyHeader::BYTES.min(whole.len())..),
            parts => {
                let whole = parts.concat();
                Bytes::from(whole).slice(ReplyHeader::BYTES..)
            }
        }
    }

    pub(crate) fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

fn mark(length: usize) -> u32 {
    u32::from_be_bytes(RecordMark::whole(u32::try_from(length).unwrap_or(u32::MAX)).to_wire())
}
