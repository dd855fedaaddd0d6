//! KMS keys, their versions, aliases, grants, policies and data keys, and the key hierarchy above them.
//!
//! [`root`] gives the root key and the epoch secret, [`KeyRing`] the domain keys under both, [`Kms`] everything else. The
//! actions are in [`ops`], one file each. Nothing here knows of file systems: a service that needs a data key asks by
//! [`Kms::grant_to_service`], [`Kms::make_data_key`] and [`Kms::open_data_key`], and hears of changes by [`Kms::events`]. What happens
//! without a call is told to an [`Observer`].

mod access;
mod algorithm;
mod aws_error;
pub mod backup;
mod blob;
mod context;
mod custody;
mod erasure;
mod error;
mod facts;
mod foreign;
mod grant_index;
mod grants;
mod import;
mod imported;
mod keyring;
mod kind;
mod kms;
mod look;
mod managed;
mod material;
mod metadata;
pub mod model;
mod observer;
pub mod ops;
mod page;
mod policy_document;
mod record;
mod resolve;
pub mod root;
mod state;
mod state_table;
mod tags;
mod uuid;
mod wrapped;

pub use access::KeyRuling;
pub use context::EncryptionContext;
pub use custody::{SERVICE_OPERATIONS, ServiceGrant};
pub use error::KmsError;
pub use keyring::{KeyRing, KeyRingError, sealed_key_ring_parts};
pub use kms::{KeyChange, KeyNotice, Kms};
pub use observer::{Act, Finish, Observer};
pub use record::KeyState;
