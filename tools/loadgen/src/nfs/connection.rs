//! Records over a connection. RFC 5531, section 11. Bulk data is sent from where it lies and read to where it stays.

use std::io::IoSlice;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use nfs_wire::rpc::RecordMark;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::door::Stream;

const MARK: usize = 4;
/// Room for many small replies; long ones get what they take.
const INBOX_BYTES: usize = 64 * 1024;
/// A longer reply than any that was asked for.
const RECORD_BYTES_MAX: usize = 4 << 20;
/// Requests up to this are copied into one piece: one system call, and under TLS one record.
const COPIED_BYTES_MAX: usize = 8 * 1024;

/// One connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    inbox: BytesMut,
}

impl Connection {
    /// Over an open stream.
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: BytesMut::with_capacity(INBOX_BYTES) }
    }

    /// Sends the head, which begins with the record's mark, and the parts behind it.
    pub(crate) async fn send(&mut self, head: &[u8], parts: &[Bytes]) -> Result<(), String> {
        let lost = |error: std::io::Error| format!("the connection is lost: {error}");
        let bytes = parts.iter().map(Bytes::len).sum::<usize>() + head.len();
        if bytes <= COPIED_BYTES_MAX {
            let mut whole = Vec::with_capacity(bytes);
            whole.extend_from_slice(head);
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            self.stream.write_all(&whole).await.map_err(lost)?;
        } else {
            let mut slices: Vec<_> =
                std::iter::once(head).chain(parts.iter().map(|part| &**part)).map(IoSlice::new).collect();
            let mut rest = &mut *slices;
            while !rest.is_empty() {
                let written = self.stream.write_vectored(rest).await.map_err(lost)?;
                if written == 0 {
                    return Err("the connection takes no more".to_owned());
                }
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        self.stream.flush().await.map_err(lost)
    }

    /// Waits for the next record. Its memory is used again once nobody holds the bytes any more.
    pub(crate) async fn receive(&mut self) -> Result<Bytes, String> {
        loop {
            let mut missing = 0;
            if let Some(mark) = self.inbox.first_chunk::<MARK>() {
                let mark = RecordMark::from_wire(*mark);
                let bytes = usize::try_from(mark.bytes).unwrap_or(usize::MAX);
                if !mark.last || bytes > RECORD_BYTES_MAX {
                    return Err(format!("the server sends a record of {bytes} bytes or in several fragments"));
                }
                if let Some(more) = (MARK + bytes).checked_sub(self.inbox.len()).filter(|more| *more > 0) {
                    missing = more;
                } else {
                    let mut record = self.inbox.split_to(MARK + bytes).freeze();
                    record.advance(MARK);
                    return Ok(record);
                }
            }
            self.fill(missing).await?;
        }
    }

    /// Reads what is there; of a long record no more than its rest, so that nothing has to be moved for the next one.
    async fn fill(&mut self, missing: usize) -> Result<(), String> {
        self.inbox.reserve(missing.max(INBOX_BYTES / 4));
        let count = if missing > INBOX_BYTES {
            self.stream.read_buf(&mut (&mut self.inbox).limit(missing)).await
        } else {
            self.stream.read_buf(&mut self.inbox).await
        };
        match count {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the connection is lost: {error}")),
        }
    }
}
