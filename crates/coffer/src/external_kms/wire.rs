//! One HTTP/1.1 exchange over a connection, bounded, into memory that is wiped: answers hold plaintext data keys, and the
//! buffers of an HTTP library are not wiped. RFC 9112.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// Head and body of an answer together; those of KMS are a few KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Interim answers before the one that counts.
const INTERIM_MAX: usize = 4;

/// A connection, in the clear or over TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// `x-amzn-errortype`.
    pub(super) error_type: Option<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Whether the connection is good for another exchange.
    pub(super) keep: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection ended before the first byte: a peer that closed an idle one.
    Closed,
    /// Anything else.
    Broken(String),
}

/// Sends a request and reads the whole answer.
pub(super) async fn exchange(stream: &mut dyn Stream, request: &[u8]) -> Result<Answer, Failure> {
    // A peer may answer, and close, before it has read everything; what it said is in the answer.
    let sent = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    if sent.await.is_err() {
        return Err(Failure::Closed);
    }
    let mut reader = Reader { stream, bytes: Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX)), at: 0 };
    for _ in 0..INTERIM_MAX {
        let head = reader.head().await?;
        if (100..200).contains(&head.status) {
            continue;
        }
        let (body, whole) = match head.length {
            Length::Bytes(count) => (reader.take(count).await?, true),
            Length::Chunked => (reader.in_pieces().await?, true),
            Length::UntilClosed => (reader.rest().await?, false),
        };
        let keep = whole && !head.close && reader.at == reader.bytes.len();
        return Ok(Answer { status: head.status, error_type: head.error_type, body, keep });
    }
    Err(broken("only interim answers"))
}

fn broken(why: &str) -> Failure {
    Failure::Broken(why.to_owned())
}

struct Head {
    status: u16,
    length: Length,
    close: bool,
    error_type: Option<String>,
}

enum Length {
    Bytes(usize),
    Chunked,
    UntilClosed,
}

struct Reader<'a> {
    stream: &'a mut dyn Stream,
    /// Never grows, so that no copy of it is left behind.
    bytes: Zeroizing<Vec<u8>>,
    at: usize,
}

impl Reader<'_> {
    /// Reads more; false at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        if self.bytes.len() == self.bytes.capacity() {
            return Err(broken("the answer is too long"));
        }
        match self.stream.read_buf(&mut *self.bytes).await {
            Ok(count) => Ok(count > 0),
            Err(_) if self.bytes.is_empty() => Ok(false),
            Err(error) => Err(Failure::Broken(error.to_string())),
        }
    }

    async fn needed(&mut self) -> Result<(), Failure> {
        match self.more().await? {
            true => Ok(()),
            false if self.bytes.is_empty() => Err(Failure::Closed),
            false => Err(broken("the connection ended within the answer")),
        }
    }

    /// What is unread up to `end` and beyond it, once it is there.
    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Failure> {
        loop {
            let unread = self.bytes.get(self.at..).unwrap_or_default();
            if let Some(length) = unread.windows(end.len()).position(|window| window == end) {
                let found = unread.get(..length).unwrap_or_default().to_vec();
                self.at += length + end.len();
                return Ok(found);
            }
            self.needed().await?;
        }
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        let text = self.until(b"\r\n\r\n").await?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let mut words = line.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse().ok()).filter(|status| (100..600).contains(status));
        let (Some(status), true) = (status, version.starts_with("HTTP/1.")) else {
            return Err(broken("not an HTTP answer"));
        };
        let mut head = Head { status, length: Length::UntilClosed, close: version == "HTTP/1.0", error_type: None };
        let mut bytes = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "content-length" => bytes = Some(value.parse().map_err(|_| broken("a malformed Content-Length"))?),
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => head.length = Length::Chunked,
                "transfer-encoding" => return Err(broken("a Transfer-Encoding that is not known here")),
                "connection" => head.close |= value.to_ascii_lowercase().contains("close"),
                "x-amzn-errortype" => head.error_type = Some(value.to_owned()),
                _ => {}
            }
        }
        // RFC 9112 §6.3: chunks count, whatever a length says beside them.
        if let (Length::UntilClosed, Some(count)) = (&head.length, bytes) {
            head.length = Length::Bytes(count);
        }
        Ok(head)
    }

    async fn take(&mut self, count: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if count > ANSWER_BYTES_MAX {
            return Err(broken("the answer is too long"));
        }
        loop {
            if let Some(found) = self.bytes.get(self.at..self.at + count) {
                let found = Zeroizing::new(found.to_vec());
                self.at += count;
                return Ok(found);
            }
            self.needed().await?;
        }
    }

    async fn in_pieces(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        loop {
            let line = self.until(b"\r\n").await?;
            let line = String::from_utf8_lossy(&line);
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| broken("a malformed chunk"))?;
            if size == 0 {
                // Trailers, up to an empty line.
                while !self.until(b"\r\n").await?.is_empty() {}
                return Ok(body);
            }
            // All chunks come through one buffer that does not grow, so they fit the body's.
            body.extend_from_slice(&self.take(size).await?);
            if !self.until(b"\r\n").await?.is_empty() {
                return Err(broken("a malformed chunk"));
            }
        }
    }

    async fn rest(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        while self.more().await? {}
        let found = self.bytes.get(self.at..).unwrap_or_default().to_vec();
        self.at = self.bytes.len();
        Ok(Zeroizing::new(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(text: &str) -> Result<Answer, Failure> {
        let (mut ours, mut theirs) = tokio::io::duplex(ANSWER_BYTES_MAX * 4);
        theirs.write_all(text.as_bytes()).await.unwrap();
        theirs.shutdown().await.unwrap();
        exchange(&mut ours, b"POST / HTTP/1.1\r\n\r\n").await
    }

    /// RFC 9112 §6: a body is as long as Content-Length says, or in chunks, or ends with the connection.
    #[tokio::test]
    async fn bodies_end_where_they_should() {
        let told =
            answered("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
        assert_eq!((told.status, told.body.as_slice(), told.keep), (200, b"abc".as_slice(), true));
        let told = answered("HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\nx-amzn-ErrorType: E\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: u\r\n\r\n")
            .await
            .unwrap();
        assert_eq!((told.body.as_slice(), told.keep, told.error_type.as_deref()), (b"abc".as_slice(), true, Some("E")));
        let told = answered("HTTP/1.0 200 OK\r\n\r\nabc").await.unwrap();
        assert_eq!((told.body.as_slice(), told.keep), (b"abc".as_slice(), false));
        let told = answered("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        assert!(!told.keep);
        // More than was asked for: nobody knows what that is.
        assert!(!answered("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc").await.unwrap().keep);
    }

    /// House rule: every length from a peer is bounded, and what is not HTTP is an error.
    #[tokio::test]
    async fn garbage_is_an_error() {
        assert!(matches!(answered("").await, Err(Failure::Closed)));
        for text in [
            "SSH-2.0\r\n\r\n".to_owned(),
            "HTTP/1.1 9 x\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n".to_owned(),
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(9),
            format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(ANSWER_BYTES_MAX)),
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "y".repeat(ANSWER_BYTES_MAX)),
        ] {
            let start: String = text.chars().take(60).collect();
            assert!(matches!(answered(&text).await, Err(Failure::Broken(_))), "{start}");
        }
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn reading_never_panics(text in "(HTTP/1\\.1 [0-9 ]{0,5}\r\n)?.{0,200}(\r\n\r\n)?.{0,50}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            drop(runtime.block_on(answered(&text)));
        }
    }
}
