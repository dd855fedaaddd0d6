//! File handles: version, file system, fileid, generation, type, and a MAC over them (Architecture section 3).
//!
//! The MAC key is made once per file system and kept where a sealed file system still finds it, so a sealed file system
//! can tell its own handles from forged ones without opening a record.

use crypto::Prf;

use crate::{FsError, Kind, Result};

/// Bytes of a handle.
pub const HANDLE_BYTES: usize = 1 + 8 + 8 + 8 + 1 + 16;

const VERSION: u8 = 1;
const BODY: usize = HANDLE_BYTES - 16;

/// A file handle, stable across restarts and nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHandle([u8; HANDLE_BYTES]);

impl FileHandle {
    /// The handle's bytes, as they go over the wire.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for FileHandle {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileHandle(..)")
    }
}

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) fileid: u64,
    pub(crate) generation: u64,
    pub(crate) kind: Kind,
}

/// Makes and checks the handles of one file system.
pub(crate) struct Handles {
    prf: Prf,
    file_system: [u8; 8],
}

impl Handles {
    pub(crate) fn new(prf: Prf, id: &str) -> Self {
        let file_system = prf.u64_of(id.as_bytes()).to_be_bytes();
        Self { prf, file_system }
    }

    pub(crate) fn make(&self, identity: Identity) -> FileHandle {
        let mut bytes = [0; HANDLE_BYTES];
        let (body, mac) = bytes.split_at_mut(BODY);
        let parts: [&[u8]; 5] = [
            &[VERSION],
            &self.file_system,
            &identity.fileid.to_be_bytes(),
            &identity.generation.to_be_bytes(),
            &[identity.kind as u8],
        ];
        let mut rest = &mut *body;
        for part in parts {
            let (head, tail) = rest.split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        }
        mac.copy_from_slice(&self.prf.mac16(body));
        FileHandle(bytes)
    }

    /// What the handle names, if it is one of this file system's.
    pub(crate) fn open(&self, handle: &[u8]) -> Result<Identity> {
        let (body, mac) = handle.split_at_checked(BODY).ok_or(FsError::BadHandle)?;
        if !crypto::equal(&self.prf.mac16(body), mac) {
            return Err(FsError::BadHandle);
        }
        let (&[version], rest) = body.split_first_chunk::<1>().ok_or(FsError::BadHandle)?;
        let (file_system, rest) = rest.split_first_chunk::<8>().ok_or(FsError::BadHandle)?;
        let (fileid, rest) = rest.split_first_chunk::<8>().ok_or(FsError::BadHandle)?;
        let (generation, rest) = rest.split_first_chunk::<8>().ok_or(FsError::BadHandle)?;
        let kind = rest.first().copied().and_then(Kind::from_u8).ok_or(FsError::BadHandle)?;
        if version != VERSION || *file_system != self.file_system {
            return Err(FsError::BadHandle);
        }
        Ok(Identity { fileid: u64::from_be_bytes(*fileid), generation: u64::from_be_bytes(*generation), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::Key;

    /// Architecture section 3, "File handle": only handles of this file system, unchanged, are taken.
    #[test]
    fn a_handle_opens_only_unchanged_and_only_here() {
        let handles = |byte: u8, id: &str| Handles::new(Prf::new(Key::take(&mut [byte; 32]).unwrap()), id);
        let identity = Identity { fileid: 7, generation: 9, kind: Kind::Fifo };
        let here = handles(1, "fs-1");
        let handle = here.make(identity);
        assert!(handle.bytes().len() <= 64);
        assert_eq!(here.open(handle.bytes()), Ok(identity));
        assert_eq!(handles(2, "fs-1").open(handle.bytes()), Err(FsError::BadHandle));
        assert_eq!(handles(1, "fs-2").open(handle.bytes()), Err(FsError::BadHandle));
        for at in 0..HANDLE_BYTES {
            let mut forged = handle.0;
            forged[at] ^= 1;
            assert_eq!(here.open(&forged), Err(FsError::BadHandle));
        }
        assert_eq!(here.open(&handle.bytes()[..20]), Err(FsError::BadHandle));
        assert_eq!(here.open(&[]), Err(FsError::BadHandle));
    }
}
