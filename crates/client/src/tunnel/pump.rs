//! Carries bytes between the kernel's connection and the server's, both ways at once, in bounded memory.
//!
//! What was taken from one side and could not be given to the other is never forgotten silently: the side that waits
//! for it sees its connection break, and the kernel sends its requests again on a new one. An orderly end of one
//! direction is passed on as such, after the bytes before it.

use std::{
    io::{self, IoSlice, Read as _, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::ClientConnection;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use super::buffer::Buffer;

/// One read from a socket; several TLS records fit, and it stays within a core's second cache.
const BUFFER_BYTES: usize = 128 * 1024;
/// RFC 8446 section 5.1: the plaintext of one record.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Sealed bytes that wait for the server before no more are taken from the kernel.
const SEALED_BYTES_MAX: usize = 256 * 1024;

/// Why a connection did not end in order.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The kernel's side failed: nobody is left to serve.
    #[error("local connection: {0}")]
    Local(io::Error),
    /// The server's side failed.
    #[error("connection to the server: {0}")]
    Server(io::Error),
    /// The server broke the rules of TLS or sent an alert.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The server's connection ended without the end of TLS: bytes may be missing.
    #[error("the server's connection was cut")]
    Cut,
}

/// Both connections and what is between them.
pub(super) struct Pump {
    local: TcpStream,
    server: TcpStream,
    tls: ClientConnection,
    /// From the server, sealed.
    arriving: Buffer,
    /// Opened, for the kernel.
    opened: Buffer,
    /// From the kernel, to be sealed.
    outgoing: Buffer,
    local_end: End,
    server_end: End,
    trouble: Option<Broken>,
}

/// How far one side's orderly end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The side still sends.
    Open,
    /// It has said that it is done; bytes before that may still be here.
    Said,
    /// The other side has been told.
    PassedOn,
}

impl Pump {
    /// Takes over after the handshake.
    pub(super) fn new(local: TcpStream, server: TcpStream, mut tls: ClientConnection) -> Self {
        tls.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Self {
            local,
            server,
            tls,
            arriving: Buffer::new(BUFFER_BYTES),
            opened: Buffer::new(BUFFER_BYTES),
            outgoing: Buffer::new(BUFFER_BYTES),
            local_end: End::Open,
            server_end: End::Open,
            trouble: None,
        }
    }

    /// The kernel's connection, for its last rites.
    pub(super) fn into_local(self) -> TcpStream {
        self.local
    }

    /// Whether the kernel has ended its side: from then on the server gets only so long to finish.
    pub(super) fn local_has_ended(&self) -> bool {
        self.local_end == End::PassedOn
    }

    /// Moves bytes until both sides have ended, the kernel's end was passed on (so that the caller may start a
    /// clock; call again), or something broke. After trouble with the server what has been opened is still delivered.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let local_had_ended = self.local_has_ended();
        loop {
            let mut moved = self.write_local(cx)?;
            if self.trouble.is_none() {
                match self.serve_server(cx) {
                    Ok(more) => moved |= more,
                    Err(trouble @ Broken::Local(_)) => return Poll::Ready(Err(trouble)),
                    // Bytes may have been opened before it: they are delivered first.
                    Err(trouble) => (self.trouble, moved) = (Some(trouble), true),
                }
            }
            if self.opened.is_empty()
                && let Some(trouble) = self.trouble.take()
            {
                return Poll::Ready(Err(trouble));
            }
            let ended = self.local_end == End::PassedOn && self.server_end == End::PassedOn;
            if ended || (!local_had_ended && self.local_has_ended()) {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Whether both directions have come to their end.
    pub(super) fn is_done(&self) -> bool {
        self.local_end == End::PassedOn && self.server_end == End::PassedOn
    }

    fn serve_server(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = self.read_server(cx)?;
        moved |= self.open()?;
        moved |= self.read_local(cx)?;
        moved |= self.seal()?;
        moved |= self.write_server(cx)?;
        Ok(moved)
    }

    fn read_server(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        if self.server_end != End::Open || !self.arriving.is_empty() {
            return Ok(false);
        }
        match read_into(&mut self.server, &mut self.arriving, cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(Broken::Server(error)),
            Poll::Ready(Ok(0)) => Err(Broken::Cut),
            Poll::Ready(Ok(_)) => Ok(true),
        }
    }

    /// Opens arrived records into the buffer for the kernel, as far as it has room.
    fn open(&mut self) -> Result<bool, Broken> {
        let mut moved = false;
        while self.opened.free() >= RECORD_BYTES_MAX {
            let mut fed = 0;
            if !self.arriving.is_empty() && self.tls.wants_read() {
                fed = self.tls.read_tls(&mut self.arriving.filled()).map_err(Broken::Server)?;
                self.arriving.consume(fed);
            }
            let state = self.tls.process_new_packets()?;
            let mut waiting = state.plaintext_bytes_to_read();
            let taken = waiting;
            while waiting > 0 {
                let space = self.opened.space(waiting);
                let read = self.tls.reader().read(space).map_err(Broken::Server)?;
                if read == 0 {
                    break;
                }
                self.opened.produce(read);
                waiting = waiting.saturating_sub(read);
            }
            if state.peer_has_closed() && waiting == 0 && self.server_end == End::Open {
                self.server_end = End::Said;
                moved = true;
            }
            if fed == 0 && taken == 0 {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    fn write_local(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        while !self.opened.is_empty() {
            match Pin::new(&mut self.local).poll_write(cx, self.opened.filled()) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Err(error)) => return Err(Broken::Local(error)),
                Poll::Ready(Ok(count)) => self.opened.consume(count),
            }
            moved = true;
        }
        if self.server_end == End::Said {
            match Pin::new(&mut self.local).poll_shutdown(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(outcome) => outcome.map_err(Broken::Local)?,
            }
            self.server_end = End::PassedOn;
            moved = true;
        }
        Ok(moved)
    }

    fn read_local(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        if self.local_end != End::Open || !self.outgoing.is_empty() {
            return Ok(false);
        }
        match read_into(&mut self.local, &mut self.outgoing, cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(Broken::Local(error)),
            Poll::Ready(Ok(0)) => self.local_end = End::Said,
            Poll::Ready(Ok(_)) => {}
        }
        Ok(true)
    }

    fn seal(&mut self) -> Result<bool, Broken> {
        if self.outgoing.is_empty() {
            return Ok(false);
        }
        let taken = self.tls.writer().write(self.outgoing.filled()).map_err(Broken::Server)?;
        self.outgoing.consume(taken);
        Ok(taken > 0)
    }

    fn write_server(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let mut moved = false;
        if self.local_end == End::Said && self.outgoing.is_empty() {
            self.tls.send_close_notify();
        }
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut SocketWriter { socket: &mut self.server, cx }) {
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => return Err(Broken::Server(error)),
            }
        }
        if self.local_end == End::Said && self.outgoing.is_empty() {
            match Pin::new(&mut self.server).poll_shutdown(cx) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(outcome) => outcome.map_err(Broken::Server)?,
            }
            self.local_end = End::PassedOn;
            moved = true;
        }
        Ok(moved)
    }
}

fn read_into(socket: &mut TcpStream, buffer: &mut Buffer, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut space = ReadBuf::new(buffer.space(1));
    ready!(Pin::new(socket).poll_read(cx, &mut space))?;
    let count = space.filled().len();
    buffer.produce(count);
    Poll::Ready(Ok(count))
}

/// Gives TLS the socket to write its records to, many in one call.
struct SocketWriter<'a, 'b> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

fn or_would_block(outcome: Poll<io::Result<usize>>) -> io::Result<usize> {
    match outcome {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Write for SocketWriter<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
