//! The administration socket: one JSON line asks, one JSON line answers. Only root and the server's own user may open it.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kms::root::Secret;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use zeroize::{Zeroize as _, Zeroizing};

use crate::CofferError;
use crate::key_dependents::KeyDependents;
use crate::simulate::{Question, Simulated};
use crate::status::Status;

/// The longest request line, in bytes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How many administrators are heard at once.
const CONNECTIONS_MAX: usize = 16;
/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// What an administrator may ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// File systems, keys, leases and clients.
    Status,
    /// Every mount target's name and address.
    Hosts,
    /// The file systems that depend on a KMS key.
    KeyDependents {
        /// Key id, key ARN, alias name or alias ARN.
        key: String,
    },
    /// Make a further account.
    CreateAccount {
        /// Its twelve digits.
        account: String,
    },
    /// May somebody do something, and why?
    Simulate(Question),
    /// Opens the root key of a sealed server.
    Unseal {
        /// The passphrase or PIN.
        secret: Handed,
    },
}

/// A secret on its way through the socket: not printed, wiped, and in hexadecimal, so that no reader of JSON has to copy it
/// to unescape it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Handed(String);

impl Handed {
    pub(crate) fn new(secret: &Secret) -> Self {
        let mut text = String::with_capacity(2 * secret.len());
        for byte in secret.bytes() {
            text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
        }
        Self(text)
    }

    /// The secret, unless this is none.
    pub(crate) fn open(&self) -> Option<Secret> {
        let mut bytes = Zeroizing::new(vec![0; self.0.len() / 2]);
        for (to, pair) in bytes.iter_mut().zip(self.0.as_bytes().chunks(2)) {
            *to = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
    }
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Handed")
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What the server answers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Hosts`].
    Hosts {
        /// Rows of a hosts file.
        hosts: Vec<Host>,
    },
    /// To [`Request::KeyDependents`].
    KeyDependents(KeyDependents),
    /// To [`Request::CreateAccount`]; the secret is shown once.
    Account {
        /// The root's access key.
        access_key_id: String,
        /// Its secret.
        secret: String,
    },
    /// To [`Request::Simulate`].
    Simulated {
        /// One for each action.
        results: Vec<Simulated>,
    },
    /// To [`Request::Unseal`].
    Unsealed,
    /// The request was not understood or could not be answered.
    Refused {
        /// Why.
        why: String,
    },
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // By kind only: a secret may be in it.
        formatter.write_str(match self {
            Self::Status(_) => "Status",
            Self::Hosts { .. } => "Hosts",
            Self::KeyDependents(_) => "KeyDependents",
            Self::Simulated { .. } => "Simulated",
            Self::Unsealed => "Unsealed",
            Self::Account { .. } => "Account",
            Self::Refused { .. } => "Refused",
        })
    }
}

/// One row of a hosts file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Host {
    /// The mount target's address.
    pub(crate) address: String,
    /// The file system's name, and the zone's name of it.
    pub(crate) names: Vec<String>,
}

/// Answers administrators; implemented by the running server.
pub(crate) trait Administer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request) -> storage::BoxFuture<'_, Answer>;
}

/// Binds the socket with mode 0600. Only a socket that nobody listens on any more is replaced.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, CofferError> {
    let io = |error: std::io::Error| CofferError::io(path, &error);
    let taken = |why: &str| CofferError::File { path: path.to_owned(), why: format!("{why}, or change admin_socket") };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
        Ok(about) if !about.file_type().is_socket() => return Err(taken("something else than a socket; move it away")),
        Ok(_) => match BlockingStream::connect(path) {
            Ok(_) => return Err(taken("another server answers there; stop that one")),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(io)?,
            Err(error) => return Err(io(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
    Ok(listener)
}

/// Serves the socket for as long as the server runs.
pub(crate) async fn serve(listener: UnixListener, administer: Arc<dyn Administer>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "administration socket");
                continue;
            }
        };
        let administer = Arc::clone(&administer);
        tokio::spawn(async move {
            if let Ok(Err(error)) = tokio::time::timeout(EXCHANGE_MAX, exchange(stream, &*administer)).await {
                tracing::debug!(%error, "administration exchange");
            }
            drop(place);
        });
    }
}

async fn exchange(mut stream: UnixStream, administer: &dyn Administer) -> std::io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let own = own_uid();
    let answer = if peer == 0 || peer == own {
        // One buffer from the first to the last byte, since it may hold a secret.
        let mut line = Zeroizing::new(vec![0; REQUEST_BYTES_MAX]);
        let mut length = 0;
        while let Some(room) = line.get_mut(length..).filter(|room| !room.is_empty()) {
            let read = stream.read(room).await?;
            length += read;
            if read == 0 || line.get(..length).is_some_and(|line| line.ends_with(b"\n")) {
                break;
            }
        }
        match serde_json::from_slice(line.get(..length).unwrap_or_default()) {
            Ok(request) => administer.answer(request).await,
            Err(error) => Answer::Refused { why: format!("not a request: {error}") },
        }
    } else {
        Answer::Refused { why: format!("user {peer} may not administer this server; root may") }
    };
    // Wiped afterwards: the root credentials of a new account pass through here.
    let mut text = Zeroizing::new(serde_json::to_vec(&answer)?);
    text.push(b'\n');
    stream.write_all(&text).await
}

fn own_uid() -> u32 {
    #[expect(unsafe_code, reason = "geteuid has no wrapper in std")]
    // SAFETY: geteuid takes no argument and cannot fail.
    unsafe {
        libc::geteuid()
    }
}

/// Asks the server behind `path`.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Answer, CofferError> {
    let mut stream = BlockingStream::connect(path).map_err(|error| CofferError::File {
        path: path.to_owned(),
        why: format!("{error}; is the server running, and are you root?"),
    })?;
    let io = |error: std::io::Error| CofferError::io(path, &error);
    stream.set_read_timeout(Some(EXCHANGE_MAX)).map_err(io)?;
    // Room enough, so that nothing of a secret is left behind where it grew.
    let mut line = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES_MAX));
    serde_json::to_writer(&mut *line, request).map_err(CofferError::stopped)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(io)?;
    let mut text = Zeroizing::new(String::new());
    let silent = || CofferError::File {
        path: path.to_owned(),
        why: format!("no answer in {} s; the server is busy, starting or stopping: try again", EXCHANGE_MAX.as_secs()),
    };
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut text).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => silent(),
        _ => io(error),
    })?;
    if text.is_empty() {
        return Err(silent());
    }
    match serde_json::from_str(&text).map_err(CofferError::stopped)? {
        Answer::Refused { why } => Err(CofferError::Stopped(why)),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Administer for Fixed {
        fn answer(&self, request: Request) -> storage::BoxFuture<'_, Answer> {
            Box::pin(async move {
                match request {
                    Request::Hosts => Answer::Hosts {
                        hosts: vec![Host { address: "127.77.0.4".to_owned(), names: vec!["a.example".to_owned()] }],
                    },
                    Request::Unseal { secret } if secret.open().is_some_and(|secret| *secret == "open \"sesame\"") => {
                        Answer::Unsealed
                    }
                    Request::Unseal { .. } => Answer::Refused { why: "wrong".to_owned() },
                    Request::Status
                    | Request::KeyDependents { .. }
                    | Request::CreateAccount { .. }
                    | Request::Simulate(_) => Answer::Refused { why: "not now".to_owned() },
                }
            })
        }
    }

    fn served(test: impl FnOnce(&Path) + Send + 'static) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let task = tokio::spawn(serve(bind(&path).unwrap(), Arc::new(Fixed)));
            let asked = path.clone();
            tokio::task::spawn_blocking(move || test(&asked)).await.unwrap();
            task.abort();
        });
    }

    /// docs/operations.md: `coffer hosts` asks the running server.
    #[test]
    fn a_request_is_answered() {
        served(|path| {
            let Answer::Hosts { hosts } = ask(path, &Request::Hosts).unwrap() else { panic!("another answer") };
            assert_eq!(hosts[0].address, "127.77.0.4");
        });
    }

    /// docs/operations.md, "A sealed server": a secret arrives as it was given and is never printed.
    #[test]
    fn a_secret_arrives_and_is_not_printed() {
        served(|path| {
            let request = |secret: &str| Request::Unseal { secret: Handed::new(&Secret::new(secret.to_owned())) };
            assert!(matches!(ask(path, &request("open \"sesame\"")).unwrap(), Answer::Unsealed));
            assert!(ask(path, &request("öffne dich")).unwrap_err().to_string().contains("wrong"));
            assert!(!format!("{:?}", request("sesame")).contains("736573616d65"));
        });
    }

    /// docs/operations.md: the socket is for root alone, and rubbish is refused, not fatal.
    #[test]
    fn rubbish_is_refused_and_the_mode_is_0600() {
        served(|path| {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            let mut stream = BlockingStream::connect(path).unwrap();
            stream.write_all(b"rubbish\n").unwrap();
            let mut text = String::new();
            BufReader::new(stream).read_line(&mut text).unwrap();
            assert!(text.contains("refused"), "{text}");
            assert!(ask(path, &Request::Status).unwrap_err().to_string().contains("not now"));
        });
    }

    /// docs/operations.md: what stands at the socket's path is replaced only if it is a socket that nobody answers on.
    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        std::fs::write(&path, b"somebody's file").unwrap();
        assert!(bind(&path).unwrap_err().to_string().contains("something else than a socket"));
        std::fs::remove_file(&path).unwrap();
        let first = bind(&path).unwrap();
        assert!(bind(&path).unwrap_err().to_string().contains("another server answers there"));
        drop(first);
        bind(&path).unwrap();
    }
}
