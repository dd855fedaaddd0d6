//! Reads a request's body whole, within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use env::Env;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is larger than a request may be.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// All memory for bodies is in use.
    NoRoom,
    /// The connection broke or its framing is wrong.
    Broken,
}

/// Memory for bodies is counted in pieces of this size.
pub(crate) const PIECE: usize = 16 * 1024;

/// A body with its share of the memory for bodies.
#[derive(Default)]
pub(crate) struct Read {
    bytes: Zeroizing<Vec<u8>>,
    room: Option<OwnedSemaphorePermit>,
}

impl std::ops::Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body. Memory is taken as bytes arrive, never by what a peer announces.
pub(crate) async fn read(
    mut body: Incoming,
    bytes_max: usize,
    time: Duration,
    room: &Arc<Semaphore>,
    env: &Env,
) -> Result<Read, BodyError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let all = async {
        let Read { mut bytes, room: mut held } = Read::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            let pieces = (bytes.len() + data.len()).div_ceil(PIECE) - bytes.len().div_ceil(PIECE);
            if pieces > 0 {
                let more = u32::try_from(pieces).map_err(|_| BodyError::NoRoom)?;
                let permit = room.clone().try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
                match &mut held {
                    None => held = Some(permit),
                    Some(held) => held.merge(permit),
                }
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, room: held })
    };
    tokio::select! {
        outcome = all => outcome,
        () = env.sleep(time) => Err(BodyError::TooSlow),
    }
}
