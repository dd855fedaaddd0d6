//! The root key file: the root key once for each recipient. docs/on-disk-format.md, "Root key file".
//!
//! ```text
//! coffer-root-key-1 HEX                       the key in the clear, for the one recipient `file`
//!
//! coffer-root-key-2 CHECK                     several recipients, or one that is not `file`
//! 1 file HEX
//! 2 passphrase BASE64                         an age file
//! 3 x25519 age1… BASE64                       an age file
//! 4 pkcs11 pkcs11:token=…;object=…?module-path=… BASE64
//! ```

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Key;
use env::Env;
use zeroize::Zeroizing;

use super::token::{self, TokenUri};
use super::{CHECK_BYTES, Openers, RootError, age_file, check_value, name, parse_key, push_hex, read_up_to};

const MARK_1: &str = "coffer-root-key-1";
const MARK_2: &str = "coffer-root-key-2";
/// How many recipients a root key may have.
pub const RECIPIENTS_MAX: usize = 16;
/// A wrapped root key of any kind is some hundred bytes.
const WRAPPED_BYTES_MAX: usize = 4096;
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// A secret that an administrator gives: a passphrase or a token's PIN.
pub type Secret = Zeroizing<String>;

/// Whom the root key is wrapped for.
#[derive(Clone)]
pub enum Recipient {
    /// Whoever can read the file: the key is in the clear.
    File,
    /// Whoever knows the passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: Secret,
        /// What guessing costs; [`age_file::WORK_FACTOR`] unless a test is in a hurry.
        work_factor: u8,
    },
    /// The holder of an age identity, by its public half.
    X25519(String),
    /// A PKCS#11 token, in which the wrapping key stays.
    Token {
        /// Which key of which token.
        uri: TokenUri,
        /// The user PIN.
        pin: Secret,
    },
}

/// Which recipients a root key has, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In the clear.
    File,
    /// A passphrase.
    Passphrase,
    /// An age identity, by its public half.
    X25519(String),
    /// A key of a PKCS#11 token.
    Token(TokenUri),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => write!(formatter, "file"),
            Self::Passphrase => write!(formatter, "passphrase"),
            Self::X25519(recipient) => write!(formatter, "x25519 {recipient}"),
            Self::Token(uri) => write!(formatter, "pkcs11 {uri}"),
        }
    }
}

enum Copy {
    Plain(Arc<Key>),
    Wrapped(Vec<u8>),
}

struct Slot {
    number: u32,
    holder: Holder,
    copy: Copy,
}

/// A root key file, as read or about to be written.
pub(super) struct RootFile {
    pub(super) check: [u8; CHECK_BYTES],
    slots: Vec<Slot>,
}

impl RootFile {
    /// A new one for these recipients.
    pub(super) fn new(root: &Arc<Key>, recipients: &[Recipient], env: &Env) -> Result<Self, RootError> {
        let mut file = Self { check: check_value(root), slots: Vec::new() };
        for recipient in recipients {
            file.add(root, recipient, env)?;
        }
        if file.slots.is_empty() {
            return Err(RootError::Recipient("a root key without a recipient would be lost; name one".to_owned()));
        }
        Ok(file)
    }

    /// Reads the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, RootError> {
        let text = read_up_to(path, FILE_BYTES_MAX)?;
        let text = std::str::from_utf8(&text).ok();
        text.and_then(Self::parse).ok_or_else(|| RootError::Malformed { file: name(path), what: "root key" })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut head = lines.next()?.split_ascii_whitespace();
        let (mark, value) = (head.next()?, head.next()?);
        if head.next().is_some() {
            return None;
        }
        if mark == MARK_1 {
            let root = Arc::new(parse_key(value)?);
            let check = check_value(&root);
            return Some(Self {
                check,
                slots: vec![Slot { number: 1, holder: Holder::File, copy: Copy::Plain(root) }],
            });
        }
        let mut check = [0; CHECK_BYTES];
        hex::decode_to_slice(value, &mut check).ok()?;
        let slots: Vec<Slot> = lines.map(parse_slot).collect::<Option<_>>()?;
        let numbers = slots.iter().map(|slot| slot.number);
        let rising = numbers.clone().zip(numbers.skip(1)).all(|(one, next)| one < next);
        (mark == MARK_2 && (1..=RECIPIENTS_MAX).contains(&slots.len()) && rising).then_some(Self { check, slots })
    }

    /// The file's text.
    pub(super) fn text(&self) -> Zeroizing<String> {
        // Room enough, so that nothing of it is left behind where it grew.
        let mut text = Zeroizing::new(String::with_capacity(1024 + self.slots.len() * 2 * WRAPPED_BYTES_MAX));
        text.push_str(
            "# Coffer root key. Without this file and the epoch secret nothing can be read. Keep a copy apart.\n",
        );
        if let [Slot { number: 1, copy: Copy::Plain(root), .. }] = self.slots.as_slice() {
            text.push_str(MARK_1);
            text.push(' ');
            push_hex(&mut text, root.expose());
            text.push('\n');
            return text;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{MARK_2} {}", hex::encode(self.check));
        for Slot { number, holder, copy } in &self.slots {
            let _ = write!(text, "{number} {holder} ");
            match copy {
                Copy::Plain(root) => push_hex(&mut text, root.expose()),
                Copy::Wrapped(bytes) => text.push_str(&STANDARD.encode(bytes)),
            }
            text.push('\n');
        }
        text
    }

    /// Whom it is for.
    pub(super) fn holders(&self) -> impl Iterator<Item = (u32, &Holder)> {
        self.slots.iter().map(|slot| (slot.number, &slot.holder))
    }

    /// Wraps the root key for one more.
    pub(super) fn add(&mut self, root: &Arc<Key>, recipient: &Recipient, env: &Env) -> Result<u32, RootError> {
        if self.slots.len() >= RECIPIENTS_MAX {
            return Err(RootError::Recipient(format!(
                "a root key has at most {RECIPIENTS_MAX} recipients; remove one"
            )));
        }
        let told = |cause: &dyn std::fmt::Display| RootError::Recipient(cause.to_string());
        let (holder, copy) = match recipient {
            Recipient::File => (Holder::File, Copy::Plain(Arc::clone(root))),
            Recipient::Passphrase { passphrase, work_factor } => {
                let sealed = age_file::seal_for_passphrase(root.expose(), passphrase, *work_factor);
                (Holder::Passphrase, Copy::Wrapped(sealed.map_err(|cause| told(&cause))?))
            }
            Recipient::X25519(recipient) => {
                let sealed = age_file::seal_for_recipient(root.expose(), recipient).map_err(|cause| told(&cause))?;
                (Holder::X25519(recipient.clone()), Copy::Wrapped(sealed))
            }
            Recipient::Token { uri, pin } => {
                let wrapped = token::wrap(uri, pin, root, &self.check, env).map_err(|cause| told(&cause))?;
                (Holder::Token(uri.clone()), Copy::Wrapped(wrapped))
            }
        };
        let number = self.slots.last().map_or(1, |last| last.number.saturating_add(1));
        self.slots.push(Slot { number, holder, copy });
        Ok(number)
    }

    /// Takes one away; never the last.
    pub(super) fn remove(&mut self, number: u32) -> Result<Holder, RootError> {
        let Some(at) = self.slots.iter().position(|slot| slot.number == number) else {
            return Err(RootError::Recipient(format!(
                "there is no recipient {number}; `coffer key recipients list` shows them"
            )));
        };
        if self.slots.len() == 1 {
            return Err(RootError::Recipient(format!(
                "recipient {number} is the only one: without it the root key would be lost; add another first"
            )));
        }
        Ok(self.slots.remove(at).holder)
    }

    /// Opens the root key with what is at hand; if nothing does, says of each recipient why.
    pub(super) fn open(&self, path: &Path, openers: &Openers, given: Option<&Secret>) -> Result<Arc<Key>, RootError> {
        let mut whys = Vec::new();
        for Slot { number, holder, copy } in &self.slots {
            let opened = match (holder, copy) {
                (_, Copy::Plain(root)) => Ok(Arc::clone(root)),
                (Holder::Passphrase, Copy::Wrapped(sealed)) => match given {
                    Some(passphrase) => open_passphrase(sealed, passphrase).map(Arc::new),
                    None => Err("waits for its passphrase: `coffer key unseal`".to_owned()),
                },
                (Holder::X25519(_), Copy::Wrapped(sealed)) => {
                    open_identities(sealed, &openers.identities).map(Arc::new)
                }
                (Holder::Token(uri), Copy::Wrapped(wrapped)) => match openers.pin(given) {
                    Ok(pin) => {
                        token::unwrap(uri, &pin, wrapped, &self.check).map(Arc::new).map_err(|cause| cause.to_string())
                    }
                    Err(why) => Err(why),
                },
                (Holder::File, Copy::Wrapped(_)) => Err("damaged".to_owned()),
            };
            match opened {
                Ok(root) if check_value(&root) == self.check => return Ok(root),
                Ok(_) => whys.push(format!("recipient {number} ({holder}) holds another key")),
                Err(why) => whys.push(format!("recipient {number} ({holder}): {why}")),
            }
        }
        Err(RootError::Sealed { file: name(path), why: whys.join("; ") })
    }
}

fn open_passphrase(sealed: &[u8], passphrase: &str) -> Result<Key, String> {
    let mut bytes = age_file::open_with_passphrase(sealed, passphrase).map_err(|cause| cause.to_string())?;
    Key::take(&mut bytes).map_err(|cause| cause.to_string())
}

fn open_identities(sealed: &[u8], files: &[std::path::PathBuf]) -> Result<Key, String> {
    let mut why = "root.identities in the configuration names no identity file".to_owned();
    for file in files {
        match age_file::open_with_identity_file(sealed, file) {
            Ok(mut bytes) => return Key::take(&mut bytes).map_err(|cause| cause.to_string()),
            Err(cause) => why = cause.to_string(),
        }
    }
    Err(why)
}

fn parse_slot(line: &str) -> Option<Slot> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let holder = match words.next()? {
        "file" => Holder::File,
        "passphrase" => Holder::Passphrase,
        "x25519" => {
            let recipient = words.next()?;
            age_file::check_recipient(recipient).ok()?;
            Holder::X25519(recipient.to_owned())
        }
        "pkcs11" => Holder::Token(words.next()?.parse().ok()?),
        _ => return None,
    };
    let value = words.next().filter(|value| value.len() <= 2 * WRAPPED_BYTES_MAX)?;
    if words.next().is_some() {
        return None;
    }
    let copy = match holder {
        Holder::File => Copy::Plain(Arc::new(parse_key(value)?)),
        _ => Copy::Wrapped(STANDARD.decode(value).ok()?),
    };
    Some(Slot { number, holder, copy })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quick(passphrase: &str) -> Recipient {
        Recipient::Passphrase { passphrase: Secret::new(passphrase.to_owned()), work_factor: 2 }
    }

    fn open(file: &RootFile, given: Option<&str>) -> Result<Arc<Key>, RootError> {
        let given = given.map(|given| Secret::new(given.to_owned()));
        file.open(Path::new("root.key"), &Openers::default(), given.as_ref())
    }

    /// docs/on-disk-format.md, "Root key file": each recipient alone opens it, written and read again.
    #[test]
    fn every_recipient_opens_the_file() {
        let env = Env::simulated(41).0;
        let root = Arc::new(Key::random(&env));
        let file = RootFile::new(&root, &[quick("one"), quick("two")], &env).unwrap();
        let mut read = RootFile::parse(&file.text()).unwrap();
        assert_eq!(read.text(), file.text());
        for passphrase in ["one", "two"] {
            assert_eq!(open(&read, Some(passphrase)).unwrap().expose(), root.expose());
        }
        assert!(!file.text().contains(&hex::encode(root.expose())));
        // One that is lost is taken away; the last one stays.
        assert_eq!(read.remove(1).unwrap(), Holder::Passphrase);
        assert!(open(&read, Some("one")).is_err());
        assert!(read.remove(2).unwrap_err().to_string().contains("the only one"));
        assert!(read.remove(9).unwrap_err().to_string().contains("no recipient 9"));
        assert_eq!(read.add(&root, &Recipient::File, &env).unwrap(), 3);
        assert_eq!(open(&read, None).unwrap().expose(), root.expose());
    }

    /// docs/on-disk-format.md, "Root key file": one recipient `file` is format 1, which every version reads.
    #[test]
    fn a_plain_key_is_format_1() {
        let env = Env::simulated(42).0;
        let root = Arc::new(Key::random(&env));
        let text = RootFile::new(&root, &[Recipient::File], &env).unwrap().text();
        assert!(text.lines().nth(1).unwrap().starts_with("coffer-root-key-1 "));
        let read = RootFile::parse(&text).unwrap();
        assert_eq!((read.check, read.slots.len()), (check_value(&root), 1));
    }

    /// Architecture section 5, level 0: a root key that is not to be had says of every recipient why.
    #[test]
    fn a_sealed_key_says_what_it_waits_for() {
        let env = Env::simulated(43).0;
        let identity = age::x25519::Identity::generate().to_public().to_string();
        let recipients = [quick("one"), Recipient::X25519(identity)];
        let file = RootFile::new(&Arc::new(Key::random(&env)), &recipients, &env).unwrap();
        let why = open(&file, None).err().unwrap().to_string();
        assert!(why.contains("recipient 1 (passphrase): waits for its passphrase: `coffer key unseal`"), "{why}");
        assert!(why.contains("recipient 2 (x25519 age1") && why.contains("root.identities"), "{why}");
        let wrong = open(&file, Some("two")).err().unwrap().to_string();
        assert!(wrong.contains("recipient 1 (passphrase): it does not open with this secret"), "{wrong}");
        assert!(RootFile::new(&Arc::new(Key::random(&env)), &[], &env).is_err());
        let many = vec![Recipient::File; RECIPIENTS_MAX + 1];
        assert!(RootFile::new(&Arc::new(Key::random(&env)), &many, &env).is_err());
    }

    proptest! {
        /// Architecture section 1, "Input": whatever the file holds, reading it answers and never panics.
        #[test]
        fn noise_is_no_root_file(text in ".{0,200}", lines in prop::collection::vec("[0-9]{1,2} (file|passphrase|x25519|pkcs11) .{0,60}", 0..4)) {
            prop_assert!(RootFile::parse(&text).is_none());
            let text = format!("{MARK_2} 0011223344556677\n{}", lines.join("\n"));
            if let Some(file) = RootFile::parse(&text) {
                prop_assert!(open(&file, Some("x")).is_err());
            }
        }
    }
}
