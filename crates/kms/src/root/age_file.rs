//! Small age files (age-encryption.org/v1) in memory: bytes for whoever knows a passphrase (scrypt), or holds the
//! identity of an X25519 recipient.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::str::FromStr as _;

use age::secrecy::SecretString;
use zeroize::Zeroizing;

/// What a passphrase costs who guesses it: 2^18 blocks of scrypt, 256 MiB and about a second, as the age tool takes.
pub const WORK_FACTOR: u8 = 18;
/// A file may not ask for more than 1 GiB of memory.
const WORK_FACTOR_MAX: u8 = 20;
/// An identity file is a few lines.
const IDENTITY_BYTES_MAX: u64 = 64 * 1024;

/// Why bytes were not sealed or did not open. Nothing says which part of a file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// Not a recipient of age's kind X25519.
    #[error("{0}: not an age recipient (age1…); make one with `age-keygen`")]
    Recipient(String),
    /// The passphrase is empty.
    #[error("an empty passphrase protects nothing; give one with characters in it")]
    EmptyPassphrase,
    /// The secret is not the one that the bytes were sealed for, or the bytes are damaged.
    #[error("it does not open with this secret")]
    Closed,
    /// An identity file cannot be read.
    #[error("{file}: {cause}; put the identity file there, or take it out of root.identities")]
    Identity {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The sealing itself failed.
    #[error("cannot be sealed: {0}")]
    Seal(String),
}

/// Seals bytes for whoever knows the passphrase.
pub fn seal_for_passphrase(plaintext: &[u8], passphrase: &str, work_factor: u8) -> Result<Vec<u8>, AgeError> {
    if passphrase.is_empty() {
        return Err(AgeError::EmptyPassphrase);
    }
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(work_factor.clamp(1, WORK_FACTOR_MAX));
    seal(plaintext, &recipient)
}

/// Seals bytes for the holder of an X25519 identity; `recipient` is its public half, `age1…`.
pub fn seal_for_recipient(plaintext: &[u8], recipient: &str) -> Result<Vec<u8>, AgeError> {
    seal(plaintext, &parse_recipient(recipient)?)
}

/// Whether this is a recipient that something can be sealed for.
pub fn check_recipient(recipient: &str) -> Result<(), AgeError> {
    parse_recipient(recipient).map(|_| ())
}

fn parse_recipient(recipient: &str) -> Result<age::x25519::Recipient, AgeError> {
    age::x25519::Recipient::from_str(recipient).map_err(|_| AgeError::Recipient(recipient.chars().take(80).collect()))
}

fn seal(plaintext: &[u8], recipient: &dyn age::Recipient) -> Result<Vec<u8>, AgeError> {
    let failed = |cause: &dyn std::fmt::Display| AgeError::Seal(cause.to_string());
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient)).map_err(|cause| failed(&cause))?;
    let mut sealed = Vec::with_capacity(plaintext.len() + 1024);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|cause| failed(&cause))?;
    writer.write_all(plaintext).map_err(|cause| failed(&cause))?;
    writer.finish().map_err(|cause| failed(&cause))?;
    Ok(sealed)
}

/// Opens what was sealed for a passphrase.
pub fn open_with_passphrase(sealed: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let mut identity = age::scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    open(sealed, std::iter::once(&identity as &dyn age::Identity))
}

/// Opens what was sealed for the recipient of one of the identities in a file, as `age-keygen` writes it.
pub fn open_with_identity_file(sealed: &[u8], file: &Path) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let identities = identities(file)?;
    open(sealed, identities.iter().map(|identity| identity as &dyn age::Identity))
}

fn open<'a>(
    sealed: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let decryptor = age::Decryptor::new(sealed).map_err(|_| AgeError::Closed)?;
    let mut reader = decryptor.decrypt(identities).map_err(|_| AgeError::Closed)?;
    // Room for all of it at once, so that no copy is left behind where it grew.
    let mut plaintext = Zeroizing::new(vec![0; sealed.len()]);
    let mut length = 0;
    while let Some(room) = plaintext.get_mut(length..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => return Err(AgeError::Closed),
        }
    }
    plaintext.truncate(length);
    Ok(plaintext)
}

fn identities(file: &Path) -> Result<Vec<age::x25519::Identity>, AgeError> {
    let failed = |cause: String| AgeError::Identity { file: file.display().to_string(), cause };
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let open = super::open_private(file).map_err(|cause| failed(cause.to_string()))?;
    open.take(IDENTITY_BYTES_MAX).read_to_string(&mut text).map_err(|cause| failed(cause.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed: Result<Vec<_>, _> = lines.map(age::x25519::Identity::from_str).collect();
    let parsed = parsed.map_err(|_| failed("not an age identity file".to_owned()))?;
    if parsed.is_empty() { Err(failed("holds no identity".to_owned())) } else { Ok(parsed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: u8 = 2;

    /// age-encryption.org/v1, "scrypt": what a passphrase sealed opens with that passphrase and no other.
    #[test]
    fn a_passphrase_opens_what_it_sealed() {
        let sealed = seal_for_passphrase(b"thirty-two bytes of a root key..", "correct horse", QUICK).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n-> scrypt "));
        assert_eq!(&**open_with_passphrase(&sealed, "correct horse").unwrap(), b"thirty-two bytes of a root key..");
        assert_eq!(open_with_passphrase(&sealed, "battery staple").err(), Some(AgeError::Closed));
        assert_eq!(seal_for_passphrase(b"x", "", QUICK).err(), Some(AgeError::EmptyPassphrase));
    }

    /// Bad input, key files: a changed byte anywhere is a closed file, never a panic and never other bytes.
    #[test]
    fn a_changed_byte_does_not_open() {
        let sealed = seal_for_passphrase(b"secret", "word", QUICK).unwrap();
        // The work factor's own digits may ask for more work, which is bounded; they are not turned here.
        for at in (0..sealed.len()).step_by(7) {
            let mut changed = sealed.clone();
            changed[at] ^= 0x80;
            assert_eq!(open_with_passphrase(&changed, "word").err(), Some(AgeError::Closed), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(open_with_passphrase(&sealed[..length], "word").is_err(), "{length} bytes");
        }
    }

    /// age-encryption.org/v1, "X25519": an identity file opens what was sealed for its recipient.
    #[test]
    fn an_identity_file_opens_what_was_sealed_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("identity");
        let identity = age::x25519::Identity::generate();
        let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
        std::fs::write(&file, format!("# made for a test\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let sealed = seal_for_recipient(b"secret", &identity.to_public().to_string()).unwrap();
        assert_eq!(&**open_with_identity_file(&sealed, &file).unwrap(), b"secret");
        let other = seal_for_recipient(b"secret", &age::x25519::Identity::generate().to_public().to_string()).unwrap();
        assert_eq!(open_with_identity_file(&other, &file).err(), Some(AgeError::Closed));
        assert!(matches!(seal_for_recipient(b"x", "age1nonsense"), Err(AgeError::Recipient(_))));
        std::fs::write(&file, "nonsense").unwrap();
        assert!(matches!(open_with_identity_file(&sealed, &file), Err(AgeError::Identity { .. })));
    }
}
