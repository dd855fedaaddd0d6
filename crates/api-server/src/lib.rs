//! The API's HTTP side: a listener, the signature, one action table, authorisation and audit around every handler.
//!
//! A call's way: bytes -> route -> signature -> input by the model -> decision -> audit begin -> handler -> audit
//! complete -> bytes. Handlers live in the services; this crate knows their names only from its table.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic"))]

mod action;
mod body;
mod call;
mod ec2;
mod efs_actions;
mod kms_actions;
mod listener;
mod reply;
mod route;
mod sealed;
mod sts;
mod watched;

pub use action::{Action, Answer, Answering, Class, Handler, ServiceActions};
pub use ec2::Zone;
pub use efs_actions::efs;
pub use kms_actions::kms;
pub use listener::{Limits, Parts, Server};
pub use sealed::serve_sealed;
