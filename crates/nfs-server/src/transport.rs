//! A connection's bytes: clear or TLS, in and out. Nothing here waits; the connection's loop does. What is read goes
//! straight into the record it belongs to (through TLS: rustls opens it into a buffer of its own first); replies are gathered into
//! full TLS records, or written as they are with one vectored call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::buffers::Window;
use crate::record::{RecordTooLong, Records};
use crate::tls::{Progress, SEAL_BYTES_MAX, TlsError, TlsSession};

/// How much one call reads from the socket for TLS, or for small clear records.
const READ_BYTES: usize = 128 * 1024;
/// How much is read in one turn of the loop before requests are answered.
const TURN_BYTES: usize = 512 * 1024;
/// Parts of replies below this size are gathered into one TLS record.
const GATHER_BYTES: usize = 16 * 1024;
/// How many parts one vectored write takes.
const SLICES_MAX: usize = 64;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Record(#[from] RecordTooLong),
    #[error("the peer took no replies for too long")]
    Stuck,
    #[error("the peer did not finish a request in time")]
    Unfinished,
}

/// What one turn of reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// All there was, or as much as one turn takes.
    Some,
    /// The end of the stream.
    End,
}

/// One connection's socket with its buffers.
pub(crate) struct Transport {
    stream: TcpStream,
    tls: Option<Box<TlsSession>>,
    incoming: Window,
    outgoing: Window,
    gathered: Vec<u8>,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
}

impl Transport {
    pub(crate) fn new(stream: TcpStream, tls: Option<TlsSession>) -> Self {
        Self {
            stream,
            tls: tls.map(Box::new),
            incoming: Window::default(),
            outgoing: Window::default(),
            gathered: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    pub(crate) fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_deref()
    }

    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.stream.peer_addr()?, self.stream.local_addr()?))
    }

    /// Waits until the socket may be read or written, as asked.
    pub(crate) async fn ready(&self, read: bool, write: bool) -> io::Result<()> {
        let interest = match (read, write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (false, true) => Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, false) => return std::future::pending().await,
        };
        self.stream.ready(interest).await.map(|_| ())
    }

    /// Runs the TLS handshake to its end.
    pub(crate) async fn handshake(&mut self, records: &mut Records) -> Result<(), TransportError> {
        loop {
            let Some(tls) = &mut self.tls else { return Ok(()) };
            let mut fed = Ok(());
            // The client's first request may come in the same flight as the end of its handshake.
            let progress = tls.receive(&mut self.outgoing, |plaintext| {
                if fed.is_ok() {
                    fed = records.feed(plaintext);
                }
            });
            let held = tls.incoming().len();
            fed?;
            while !self.outgoing.is_empty() {
                self.stream.writable().await?;
                self.write_outgoing()?;
            }
            match progress? {
                Progress::Established => return Ok(()),
                Progress::Closed => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Progress::Hungry => {}
            }
            // A handshake takes a few KiB; a certificate that is far too large never gets complete in this room.
            if held > 2 * GATHER_BYTES + 512 {
                return Err(TlsError::Unexpected.into());
            }
            self.stream.readable().await?;
            if self.read_incoming()? == Some(0) {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Reads what there is, up to one turn's worth, into records.
    pub(crate) fn fill(&mut self, records: &mut Records) -> Result<Filled, TransportError> {
        let mut left = TURN_BYTES;
        while left > 0 {
            let read = if self.tls.is_some() { self.fill_tls(records)? } else { self.fill_clear(records)? };
            match read {
                None => return Ok(Filled::Some),
                Some(0) => return Ok(Filled::End),
                Some(bytes) => left = left.saturating_sub(bytes),
            }
        }
        Ok(Filled::Some)
    }

    fn fill_clear(&mut self, records: &mut Records) -> Result<Option<usize>, TransportError> {
        if let Some(mut body) = records.direct() {
            let read = would_block(self.stream.try_read_buf(&mut body))?;
            records.took(read.unwrap_or(0));
            return Ok(read);
        }
        let read = self.read_incoming()?;
        records.feed(self.incoming.held())?;
        self.incoming.consume(self.incoming.len());
        Ok(read)
    }

    fn fill_tls(&mut self, records: &mut Records) -> Result<Option<usize>, TransportError> {
        let read = self.read_incoming()?;
        let closed = self.open(records)?;
        Ok(if closed { Some(0) } else { read })
    }

    /// Opens the TLS records that are already here. Says whether the peer closed.
    fn open(&mut self, records: &mut Records) -> Result<bool, TransportError> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let mut fed = Ok(());
        let progress = tls.receive(&mut self.outgoing, |plaintext| {
            if fed.is_ok() {
                fed = records.feed(plaintext);
            }
        });
        fed?;
        Ok(progress? == Progress::Closed)
    }

    /// Reads once into the incoming buffer. `None`: nothing there now.
    fn read_incoming(&mut self) -> io::Result<Option<usize>> {
        let incoming = self.tls.as_mut().map_or(&mut self.incoming, |tls| tls.incoming());
        let read = would_block(self.stream.try_read(incoming.room(READ_BYTES)))?;
        incoming.commit(read.unwrap_or(0));
        Ok(read)
    }

    /// Queues one reply.
    pub(crate) fn send(&mut self, parts: impl IntoIterator<Item = Bytes>) {
        for part in parts {
            if !part.is_empty() {
                self.queued_bytes += part.len();
                self.queue.push_back(part);
            }
        }
    }

    /// Bytes of replies that the peer has not taken.
    pub(crate) fn pending(&self) -> usize {
        self.queued_bytes + self.outgoing.len()
    }

    /// Writes as much as the socket takes. Returns how much it took.
    pub(crate) fn flush(&mut self) -> Result<usize, TransportError> {
        let mut written = 0;
        loop {
            if self.tls.is_some() {
                self.seal_some()?;
                if self.outgoing.is_empty() {
                    return Ok(written);
                }
                match self.write_outgoing()? {
                    0 => return Ok(written),
                    wrote => written += wrote,
                }
            } else {
                if self.queue.is_empty() {
                    return Ok(written);
                }
                match self.write_queue()? {
                    0 => return Ok(written),
                    wrote => written += wrote,
                }
            }
        }
    }

    /// Seals queued parts until there is a good write's worth.
    fn seal_some(&mut self) -> Result<(), TlsError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while self.outgoing.len() < SEAL_BYTES_MAX
            && let Some(first) = self.queue.front_mut()
        {
            if first.len() >= GATHER_BYTES {
                let piece = first.split_to(first.len().min(SEAL_BYTES_MAX));
                self.queued_bytes -= piece.len();
                tls.seal(&piece, &mut self.outgoing)?;
                if first.is_empty() {
                    self.queue.pop_front();
                }
                continue;
            }
            self.gathered.clear();
            while let Some(part) = self.queue.front_mut() {
                // A large part fills the record up; the rest of it is sealed from where it is.
                let take = part.len().min(GATHER_BYTES - self.gathered.len());
                self.gathered.extend_from_slice(&part.split_to(take));
                if part.is_empty() {
                    self.queue.pop_front();
                }
                if self.gathered.len() == GATHER_BYTES {
                    break;
                }
            }
            self.queued_bytes -= self.gathered.len();
            tls.seal(&self.gathered, &mut self.outgoing)?;
        }
        Ok(())
    }

    fn write_outgoing(&mut self) -> io::Result<usize> {
        let wrote = would_block(self.stream.try_write(self.outgoing.held()))?.unwrap_or(0);
        self.outgoing.consume(wrote);
        Ok(wrote)
    }

    fn write_queue(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let wrote = would_block(self.stream.try_write_vectored(slices))?.unwrap_or(0);
        self.queued_bytes -= wrote;
        let mut left = wrote;
        while left > 0
            && let Some(part) = self.queue.front_mut()
        {
            let take = part.len().min(left);
            part.advance(take);
            left -= take;
            if part.is_empty() {
                self.queue.pop_front();
            }
        }
        Ok(wrote)
    }

    /// Gives memory back while the connection is idle.
    pub(crate) fn rest(&mut self) {
        self.tls.as_mut().map_or(&mut self.incoming, |tls| tls.incoming()).release();
        self.outgoing.release();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
            self.gathered = Vec::new();
        }
    }

    /// Says goodbye as far as the socket takes it at once.
    pub(crate) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.outgoing);
        }
        let _ = self.write_outgoing();
    }
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}
