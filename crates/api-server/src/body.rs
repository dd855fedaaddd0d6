//! Reads a request's body whole, within bounds of size, time and memory.

use std::time::Duration;

use env::Env;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
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
pub(crate) struct Read<'a> {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    _room: Option<SemaphorePermit<'a>>,
}

/// Reads a body. Memory is taken as bytes arrive, never by what a peer announces.
pub(crate) async fn read<'a>(
    mut body: Incoming,
    bytes_max: usize,
    time: Duration,
    room: &'a Semaphore,
    env: &Env,
) -> Result<Read<'a>, BodyError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let all = async {
        let mut bytes = Zeroizing::new(Vec::new());
        let mut held: Option<SemaphorePermit<'a>> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            let pieces = (bytes.len() + data.len()).div_ceil(PIECE) - bytes.len().div_ceil(PIECE);
            if pieces > 0 {
                let more = u32::try_from(pieces).map_err(|_| BodyError::NoRoom)?;
                let permit = room.try_acquire_many(more).map_err(|_| BodyError::NoRoom)?;
                match &mut held {
                    None => held = Some(permit),
                    Some(held) => held.merge(permit),
                }
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, _room: held })
    };
    tokio::select! {
        outcome = all => outcome,
        () = env.sleep(time) => Err(BodyError::TooSlow),
    }
}
