//! PKCS#11: the root key wrapped by an AES-256 key that never leaves its token (CKM_AES_GCM). Which key is said by a URI of
//! RFC 7512 with a token, an object and a module.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crypto::Key;
use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use env::Env;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::Secret;

const IV_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
const URI_BYTES_MAX: usize = 1024;
/// RFC 7512, section 2.3: what stands for itself in an attribute.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A module is one library for the whole process: one conversation with any at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Why a token did not serve.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a URI of the kind that is needed.
    #[error("{0}: not a URI of the form pkcs11:token=LABEL;object=LABEL?module-path=/FILE (RFC 7512)")]
    Uri(String),
    /// The module cannot be used.
    #[error("{module}: {cause}; install the token's PKCS#11 module, or correct module-path")]
    Module {
        /// The library.
        module: String,
        /// What it said.
        cause: String,
    },
    /// No such token is in a slot.
    #[error("the token {0} is not there; put it in")]
    Absent(String),
    /// It refused the PIN.
    #[error("the token {0} refuses the PIN; give the right one before it locks")]
    Pin(String),
    /// It has no such key.
    #[error("the token {token} has no AES key {object}; put the right token in, or remove this recipient")]
    NoKey {
        /// The token's label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// What was wrapped does not open with its key.
    #[error("the token's key does not open it")]
    Closed,
    /// Something else failed.
    #[error("the token {token}: {cause}")]
    Failed {
        /// The token's label.
        token: String,
        /// What it said.
        cause: String,
    },
}

/// Which key of which token, through which module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    token: String,
    object: String,
    module: PathBuf,
}

impl fmt::Display for TokenUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let (token, object) = (escaped(&self.token), escaped(&self.object));
        write!(
            formatter,
            "pkcs11:token={token};object={object}?module-path={}",
            escaped(&self.module.to_string_lossy())
        )
    }
}

impl FromStr for TokenUri {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::parse(text).ok_or_else(|| TokenError::Uri(text.chars().take(120).collect()))
    }
}

impl TokenUri {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkcs11:").filter(|_| text.len() <= URI_BYTES_MAX)?;
        let (path, query) = rest.split_once('?')?;
        let plain = |text: &str| -> Option<String> {
            let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
            (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
        };
        let (mut token, mut object, mut module) = (None, None, None);
        for part in path.split(';') {
            match part.split_once('=')? {
                ("token", value) if token.is_none() => token = Some(plain(value)?),
                ("object", value) if object.is_none() => object = Some(plain(value)?),
                _ => return None,
            }
        }
        for part in query.split('&') {
            match part.split_once('=')? {
                ("module-path", value) if module.is_none() => module = Some(PathBuf::from(plain(value)?)),
                _ => return None,
            }
        }
        // A name without a directory would be looked for wherever the loader likes.
        let module = module.filter(|module: &PathBuf| module.is_absolute())?;
        Some(Self { token: token?, object: object?, module })
    }
}

/// Wraps a key inside the token; the token makes the wrapping key if it has none of that name.
pub(super) fn wrap(uri: &TokenUri, pin: &Secret, key: &Key, aad: &[u8], env: &Env) -> Result<Vec<u8>, TokenError> {
    converse(uri, pin, true, |session| {
        let object = match find(uri, session)? {
            Some(object) => object,
            None => make(uri, session)?,
        };
        let iv: [u8; IV_BYTES] = env.random();
        let mut used = iv;
        let parameters = GcmParams::new(&mut used, aad, TAG_BITS.into()).map_err(|cause| failed(uri, &cause))?;
        let sealed = session.encrypt(&Mechanism::AesGcm(parameters), object, key.expose());
        let sealed = sealed.map_err(|cause| failed(uri, &cause))?;
        Ok([iv.as_slice(), &sealed].concat())
    })
}

/// Unwraps inside the token what [`wrap`] made.
pub(super) fn unwrap(uri: &TokenUri, pin: &Secret, wrapped: &[u8], aad: &[u8]) -> Result<Key, TokenError> {
    let (iv, sealed) = wrapped.split_first_chunk::<IV_BYTES>().ok_or(TokenError::Closed)?;
    converse(uri, pin, false, |session| {
        let missing = || TokenError::NoKey { token: uri.token.clone(), object: uri.object.clone() };
        let object = find(uri, session)?.ok_or_else(missing)?;
        let mut iv = *iv;
        let parameters = GcmParams::new(&mut iv, aad, TAG_BITS.into()).map_err(|cause| failed(uri, &cause))?;
        let opened = session.decrypt(&Mechanism::AesGcm(parameters), object, sealed);
        let mut opened = Zeroizing::new(opened.map_err(|_| TokenError::Closed)?);
        Key::take(&mut opened).map_err(|_| TokenError::Closed)
    })
}

/// One conversation: the module is loaded, the token found, the PIN given, and everything closed again, so that a token
/// that comes later is seen.
fn converse<T>(
    uri: &TokenUri,
    pin: &Secret,
    write: bool,
    work: impl FnOnce(&Session) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let _turn = TURN.lock();
    let module = |cause: &Error| module_error(&uri.module, cause);
    let library = Pkcs11::new(&uri.module).map_err(|cause| module(&cause))?;
    library.initialize(CInitializeArgs::OsThreads).map_err(|cause| module(&cause))?;
    let outcome = within(&library, uri, pin, write, work);
    library.finalize();
    outcome
}

fn within<T>(
    library: &Pkcs11,
    uri: &TokenUri,
    pin: &Secret,
    write: bool,
    work: impl FnOnce(&Session) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let slots = library.get_slots_with_initialized_token().map_err(|cause| module_error(&uri.module, &cause))?;
    let has_token = |slot: &cryptoki::slot::Slot| {
        library.get_token_info(*slot).is_ok_and(|token| token.label().trim_end() == uri.token)
    };
    let slot = slots.into_iter().find(has_token).ok_or_else(|| TokenError::Absent(uri.token.clone()))?;
    let session = if write { library.open_rw_session(slot) } else { library.open_ro_session(slot) };
    let session = session.map_err(|cause| failed(uri, &cause))?;
    session.login(UserType::User, Some(&AuthPin::new(pin.to_string()))).map_err(|cause| match cause {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked, _) => {
            TokenError::Pin(uri.token.clone())
        }
        other => failed(uri, &other),
    })?;
    work(&session)
}

fn find(uri: &TokenUri, session: &Session) -> Result<Option<ObjectHandle>, TokenError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(uri.object.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template).map_err(|cause| failed(uri, &cause))?;
    Ok(found.first().copied())
}

fn make(uri: &TokenUri, session: &Session) -> Result<ObjectHandle, TokenError> {
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(uri.object.as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).map_err(|cause| failed(uri, &cause))
}

fn failed(uri: &TokenUri, cause: &Error) -> TokenError {
    TokenError::Failed { token: uri.token.clone(), cause: cause.to_string() }
}

fn module_error(module: &Path, cause: &Error) -> TokenError {
    TokenError::Module { module: module.display().to_string(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7512, section 2: a URI is read, and written in the form that is read.
    #[test]
    fn a_uri_is_read_and_written() {
        let text = "pkcs11:token=The%20Token;object=coffer-root?module-path=/usr/lib/softhsm/libsofthsm2.so";
        let uri: TokenUri = text.parse().unwrap();
        assert_eq!((uri.token.as_str(), uri.object.as_str()), ("The Token", "coffer-root"));
        assert_eq!(uri.to_string(), text);
        for wrong in [
            "",
            "pkcs11:",
            "pkcs11:token=a;object=b",
            "pkcs11:token=a?module-path=/m",
            "pkcs11:token=a;object=b?module-path=m",
            "pkcs11:token=a;token=b;object=c?module-path=/m",
            "pkcs11:token=a;object=%00?module-path=/m",
            "pkcs11:token=a;object=b?module-path=/m&pin-value=1234",
        ] {
            assert!(wrong.parse::<TokenUri>().is_err(), "{wrong}");
        }
    }

    /// Bad input, key files: a module that is not there is named with its cure.
    #[test]
    fn a_missing_module_is_named() {
        let uri: TokenUri = "pkcs11:token=a;object=b?module-path=/nowhere/module.so".parse().unwrap();
        let pin = Secret::new("1234".to_owned());
        let why = unwrap(&uri, &pin, &[0; 60], b"").err().unwrap().to_string();
        assert!(why.contains("/nowhere/module.so") && why.contains("module-path"), "{why}");
    }
}
