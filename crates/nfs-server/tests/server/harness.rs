//! A whole server in this process over storage in memory, and a small NFSv4.1 client that speaks to it over a real socket.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "harness/client.rs"]
pub mod client;
#[path = "harness/server.rs"]
pub mod server;
