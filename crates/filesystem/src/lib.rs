//! Inodes, directories, extents, attributes, quota: POSIX meaning over `storage` (DESIGN sections 3 and 5).

mod api;
mod attributes;
mod context;
mod error;
mod handle;
pub mod lease;
mod name;
mod settings;

pub use api::*;
pub use attributes::{AccessMask, Attributes, ChangeInfo, Device, Kind, SetAttributes, SetTime};
pub use context::{Context, Credentials, Watermark};
pub use env::WallTime;
pub use error::{FsError, Result, SealCause};
pub use handle::{FileHandle, HANDLE_BYTES};
pub use name::{NAME_BYTES_MAX, Name};
pub use settings::Settings;
