//! What travels between this machine and the agent inside a client: one TCP connection is one script.

use std::io::{self, Read, Write};

/// The agent's port inside the client.
pub(crate) const PORT: u16 = 7077;

/// A first word that asks the agent to power the client off when this connection ends.
pub(crate) const KEEP: &[u8] = b"keep";

/// No script and no piece of output is longer than this.
const PIECE_BYTES_MAX: usize = 4 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The exit status, four bytes.
    Exit,
    /// A piece of standard output.
    Output,
    /// A piece of standard error.
    Error,
}

/// Writes one frame.
pub(crate) fn send(to: &mut impl Write, stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let tag = match stream {
        Stream::Exit => 0,
        Stream::Output => 1,
        Stream::Error => 2,
    };
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(bytes.len() + 5);
    frame.push(tag);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame.
pub(crate) fn receive(from: &mut impl Read) -> io::Result<(Stream, Vec<u8>)> {
    let mut tag = [0; 1];
    from.read_exact(&mut tag)?;
    let stream = match tag {
        [0] => Stream::Exit,
        [1] => Stream::Output,
        [2] => Stream::Error,
        _ => return Err(io::Error::other("an unknown frame")),
    };
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > PIECE_BYTES_MAX {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok((stream, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// linux-client: what the agent sends arrives as it was sent.
    #[test]
    fn a_frame_survives_the_wire() {
        let mut wire = Vec::new();
        send(&mut wire, Stream::Error, b"some text").unwrap();
        assert_eq!(receive(&mut wire.as_slice()).unwrap(), (Stream::Error, b"some text".to_vec()));
    }

    /// linux-client: a length from the wire is checked before memory is taken for it.
    #[test]
    fn a_frame_that_claims_too_much_is_refused() {
        assert!(receive(&mut [1, 255, 255, 255, 255].as_slice()).is_err());
    }
}
