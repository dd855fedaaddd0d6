//! The API over real HTTP: signatures, protocols, errors, the audit trail, bounds and the graceful stop.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests may panic")]

mod audited;
mod ciphertexts;
mod file_systems;
mod hostile;
mod house;
mod identities;
mod joined;
mod managed;
mod protocols;
mod secure;
mod throttled;
mod web_identity;
