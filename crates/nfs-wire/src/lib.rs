//! The wire: XDR (RFC 4506), ONC RPC (RFC 5531) and the types of NFSv4.1 (RFC 8881, RFC 5662). No I/O, no state.
//!
//! Each type is written once, in the notation of [`xdr!`]; its limits are part of it. A server decodes [`nfs4::Compound4Args`]
//! and writes its reply with [`nfs4::CompoundEncoder`]; a client does the reverse with the same types. The list of operations and
//! their rules is [`operations!`], that of attributes is [`attributes!`].

pub mod attributes;
pub mod bounded;
pub mod nfs4;
mod notation;
pub mod operations;
pub mod rpc;
pub mod status;
pub mod xdr;

pub use attributes::{Attribute, Bitmap4, Fattr4};
pub use bounded::{List, Opaque, Payload};
pub use operations::{ArgOp, ResOp, Rules};
pub use status::{NfsStat4, Reply, Status};
pub use xdr::{Decoder, Encoder, Malformed, Xdr};
