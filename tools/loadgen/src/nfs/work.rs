//! The kinds of work, each in a file of its own.

mod getattr;
mod lookup;
mod make;
mod overwrite;
mod read;
mod read_small;
mod readdir;
mod remove;
mod small;
mod stretch;
mod visit;
mod write;

pub(crate) use getattr::Getattr;
pub(crate) use lookup::Lookup;
pub(crate) use make::{Made, Make};
pub(crate) use overwrite::Overwrite;
pub(crate) use read::{Order, Read};
pub(crate) use read_small::ReadSmall;
pub(crate) use readdir::Readdir;
pub(crate) use remove::Remove;
pub(crate) use small::Small;
pub(crate) use stretch::{ReadStretches, WriteStretches};
pub(crate) use visit::Visit;
pub(crate) use write::{PIECE, Write};

/// The name of a client's nth file or directory. Clients differ, so that they can share a directory.
pub(crate) fn name(client: u32, nth: u64) -> String {
    format!("{}{nth:08}", prefix(client))
}

/// What all of a client's names begin with.
fn prefix(client: u32) -> String {
    format!("c{client:03}-")
}
