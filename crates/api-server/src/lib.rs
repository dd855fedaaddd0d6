//! The API's HTTP side: a listener, the signature, one action table, authorisation and audit around every handler.
//!
//! A call's way: bytes -> route -> signature -> input by the model -> rate -> decision -> audit begin -> handler -> audit
//! complete -> bytes. Handlers live in the services; this crate knows their names only from its table.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic"))]

mod action;
mod annotate;
mod body;
mod call;
mod ec2;
mod efs_actions;
mod iam_actions;
mod kms_actions;
mod listener;
mod query_rows;
mod rates;
mod reply;
mod route;
mod sealed;
mod sts_actions;
mod watched;
mod web_keys;
mod xml;

pub use action::{Action, Answer, Answering, Class, Handler, Judged, Locate, ServiceActions};
pub use annotate::Annotate;
pub use ec2::Zone;
pub use efs_actions::efs;
pub use kms_actions::kms;
pub use listener::{Limits, Parts, Server};
pub use rates::Rates;
pub use sealed::serve_sealed;
