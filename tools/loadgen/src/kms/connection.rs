//! An HTTP/1.1 connection that is kept: one request, one answer with a length, again and again. RFC 9112.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer of KMS is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The connection, and what was read of the next answer.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(server: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(server).await.map_err(|error| format!("http://{server}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("http://{server}: {error}"))?;
        Ok(Self { stream, buffer: Vec::with_capacity(ANSWER_BYTES_MAX) })
    }

    /// Sends a request and waits for its answer's body; anything but 200 is an error.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| format!("the connection broke: {error}");
        self.stream.write_all(request).await.map_err(failed)?;
        self.buffer.clear();
        loop {
            if let Some((status, body)) = answer(&self.buffer)? {
                if status != 200 {
                    return Err(format!("HTTP {status}: {}", String::from_utf8_lossy(body)));
                }
                return Ok(body.to_vec());
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err("the answer is too long".to_owned());
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(failed)? == 0 {
                return Err("the server closed the connection".to_owned());
            }
        }
    }
}

/// Status and body of a whole answer; none while some of it is missing.
fn answer(bytes: &[u8]) -> Result<Option<(u16, &[u8])>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let (Some(status), Some(length)) = (status, length) else { return Err(format!("no HTTP answer: {head}")) };
    let body = bytes.get(end + 4..).unwrap_or_default();
    Ok(body.get(..length).map(|body| (status, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9112 §6.3: an answer is whole when its length has come; what is no answer is an error.
    #[test]
    fn an_answer_is_whole_by_its_length() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answer(whole).unwrap(), Some((200, &b"hello"[..])));
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(answer(b"HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n").unwrap(), Some((400, &b""[..])));
        assert!(answer(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
