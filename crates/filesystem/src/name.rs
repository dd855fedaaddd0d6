//! Names of directory entries: bytes, 1 to 255, no slash, no NUL, not `.` or `..` (Architecture section 3).

use crate::{FsError, Result};

/// The longest name that any file system here may allow.
pub const NAME_BYTES_MAX: usize = 255;

/// A name that an entry may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks the bytes of a name.
    ///
    /// # Errors
    /// [`FsError::BadName`] or [`FsError::NameTooLong`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            b"" | b"." | b".." => Err(FsError::BadName),
            _ if bytes.len() > NAME_BYTES_MAX => Err(FsError::NameTooLong),
            _ if bytes.contains(&b'/') || bytes.contains(&0) => Err(FsError::BadName),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes of the name.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 3: names are bytes, 1 to 255, with neither slash nor NUL.
    #[test]
    fn names_are_checked() {
        assert_eq!(Name::new(b"a\xff\n").unwrap().bytes(), b"a\xff\n");
        assert_eq!(Name::new(&[b'x'; 255]).unwrap().bytes().len(), 255);
        assert_eq!(Name::new(&[b'x'; 256]), Err(FsError::NameTooLong));
        for bad in [b"".as_slice(), b".", b"..", b"a/b", b"a\0b"] {
            assert_eq!(Name::new(bad), Err(FsError::BadName));
        }
    }
}
