//! The AWS protocols on the wire: SigV4, REST-JSON, JSON 1.1 and Query; ARNs, model validation, paging, error shape.
//!
//! No I/O and no clock: bytes and times come in, bytes and verdicts go out. Services describe themselves with the
//! tables of [`shape`], which `cargo xtask generate` writes from the public service models.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")
)]

mod arn;
mod blob;
mod caller;
mod error;
mod pattern;
mod timestamp;

pub mod form;
pub mod json;
pub mod paging;
pub mod query;
pub mod shape;
pub mod sigv4;
pub mod validate;

pub use arn::Arn;
pub use blob::{Blob, SecretBlob};
pub use caller::{CallContext, Caller, CallerKind, Session, SessionDetails, WebIdentity};
pub use error::{ApiError, ErrorShape};
pub use pattern::Pattern;
pub use timestamp::Timestamp;
