//! Reads a request's body whole, within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use aws_wire::ApiError;
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

impl BodyError {
    /// What the caller is told.
    pub(crate) fn api_error(self) -> ApiError {
        let (code, status, text) = match self {
            Self::TooLarge => ("RequestEntityTooLargeException", 413, "The request is larger than one mebibyte."),
            Self::TooSlow => ("RequestTimeoutException", 408, "The request did not arrive in time."),
            Self::NoRoom => ("ServiceUnavailableException", 503, "Too many requests are being served. Try again."),
            Self::Broken => ("SerializationException", 400, "The request's body is malformed."),
        };
        ApiError::new(code, status, text)
    }
}

/// Memory for bodies is counted in pieces of this size.
pub(crate) const PIECE: usize = 16 * 1024;

/// A body that would take more than this once parsed is refused: no call needs so many members.
const PARSED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A body with its share of the memory for bodies.
pub(crate) struct Read {
    bytes: Zeroizing<Vec<u8>>,
    held: Option<OwnedSemaphorePermit>,
    room: Arc<Semaphore>,
}

/// The memory that a body and what was parsed from it take. Kept until both are gone.
pub(crate) struct Room(#[expect(dead_code, reason = "it is held, not looked at")] Option<OwnedSemaphorePermit>);

impl Read {
    /// Takes room for parsing: parsed JSON takes many times the memory of its text. `None` for a body with more parts
    /// than any call needs.
    pub(crate) fn room_to_parse(&mut self) -> Result<Option<Room>, BodyError> {
        let parsed = parsed_bytes(&self.bytes);
        if parsed > PARSED_BYTES_MAX {
            return Ok(None);
        }
        let more = parsed.div_ceil(PIECE).saturating_sub(self.bytes.len().div_ceil(PIECE));
        take(&self.room, more, &mut self.held)?;
        Ok(Some(Room(self.held.take())))
    }
}

/// About how much memory a body takes as parsed JSON: a value is 32 bytes, the first of a list takes room for four, the
/// first of an object a whole tree node, and each further member a share of one. Counted in texts, too, which makes it
/// more, never less.
fn parsed_bytes(bytes: &[u8]) -> usize {
    let each = |byte: &u8| match byte {
        b'{' => 768,
        b'[' => 160,
        b',' => 128,
        _ => 1,
    };
    bytes.iter().map(each).sum()
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
        let (mut bytes, mut held) = (Zeroizing::new(Vec::new()), None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(BodyError::TooLarge);
            }
            let pieces = (bytes.len() + data.len()).div_ceil(PIECE) - bytes.len().div_ceil(PIECE);
            take(room, pieces, &mut held)?;
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, held, room: room.clone() })
    };
    tokio::select! {
        outcome = all => outcome,
        () = env.sleep(time) => Err(BodyError::TooSlow),
    }
}

/// Takes so many more pieces of the memory for bodies.
fn take(room: &Arc<Semaphore>, pieces: usize, held: &mut Option<OwnedSemaphorePermit>) -> Result<(), BodyError> {
    if pieces == 0 {
        return Ok(());
    }
    let more = u32::try_from(pieces).map_err(|_| BodyError::NoRoom)?;
    let permit = room.clone().try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
    match held {
        None => *held = Some(permit),
        Some(held) => held.merge(permit),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{PARSED_BYTES_MAX, parsed_bytes};

    /// What a value and all within it take, by the sizes of the standard library's containers.
    fn taken(value: &Value) -> usize {
        let own = size_of::<Value>();
        match value {
            Value::Array(items) => {
                own + items.capacity() * own + items.iter().map(|item| taken(item) - own).sum::<usize>()
            }
            // A leaf of a B-tree has room for eleven keys and values, and one that was split is at least half full.
            Value::Object(members) => {
                let leaf = 11 * (size_of::<String>() + own) + 16;
                let leaves = 1 + members.len() / 6;
                own + leaves * leaf + members.iter().map(|(key, item)| key.len() + taken(item) - own).sum::<usize>()
            }
            Value::String(text) => own + text.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) => own,
        }
    }

    /// House rule: what a peer can make grow is counted, parsed JSON included.
    #[test]
    fn what_is_parsed_is_counted() {
        let mut texts: Vec<String> = Vec::new();
        texts.push(format!("{{{}\"\":0}}", (0..2000).map(|number| format!("\"{number}\":0,")).collect::<String>()));
        for part in ["[0],", "{\"\":0},", "0,", "[[[[]]]],", "{\"a\":{\"b\":{}}},", "\"text\","] {
            texts.push(format!("[{}0]", part.repeat(2000)));
        }
        for text in texts {
            let value: Value = serde_json::from_str(&text).unwrap();
            let (counted, found) = (parsed_bytes(text.as_bytes()), taken(&value));
            assert!(counted >= found, "{}: {counted} counted, {found} taken", text.get(..20).unwrap());
        }
        assert!(parsed_bytes("{\"\":0},".repeat(150_000).as_bytes()) > PARSED_BYTES_MAX);
    }
}
