//! The server as its clients meet it: over real sockets, with file systems in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "tests make bytes of numbers")]
#![allow(clippy::disallowed_methods, reason = "tests of sockets work in real time")]

mod harness;
mod hostile;
mod idle;
mod mount;
mod open;
mod restart;
mod seal;
mod state;
mod views;
