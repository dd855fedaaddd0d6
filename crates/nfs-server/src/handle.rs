//! Filehandles on the wire. A connection to one file system uses that file system's own handles. On the pseudo-root each is
//! preceded by a code for its file system, and the pseudo-root has one of its own.

use nfs_wire::nfs4::NfsFh4;
use nfs_wire::{NfsStat4, Opaque};

/// Versions of file systems' own handles are small numbers, so the first byte tells these apart.
const PSEUDO_ROOT: u8 = 0xc0;
const WITH_CODE: u8 = 0xc1;

/// A file system in the handles of the pseudo-root.
pub(crate) type Code = [u8; 8];

/// A handle of the pseudo-root's connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handle<'a> {
    PseudoRoot,
    Of(Code, &'a [u8]),
}

/// Takes a handle of the pseudo-root's connections apart.
pub(crate) fn decode(handle: &[u8]) -> Result<Handle<'_>, NfsStat4> {
    match handle {
        [PSEUDO_ROOT] => Ok(Handle::PseudoRoot),
        [WITH_CODE, rest @ ..] => {
            let (code, inner) = rest.split_first_chunk().ok_or(NfsStat4::Badhandle)?;
            Ok(Handle::Of(*code, inner))
        }
        _ => Err(NfsStat4::Badhandle),
    }
}

/// The pseudo-root's own handle.
pub(crate) fn pseudo_root() -> NfsFh4 {
    Opaque::copied(&[PSEUDO_ROOT]).unwrap_or_default()
}

/// A file system's handle as the pseudo-root's connections see it.
pub(crate) fn with_code(code: Code, inner: &[u8]) -> Result<NfsFh4, NfsStat4> {
    let mut bytes = Vec::with_capacity(1 + code.len() + inner.len());
    bytes.push(WITH_CODE);
    bytes.extend_from_slice(&code);
    bytes.extend_from_slice(inner);
    Opaque::new(bytes).map_err(|_| NfsStat4::Serverfault)
}

#[cfg(test)]
mod tests {
    use super::{Handle, decode, pseudo_root, with_code};
    use nfs_wire::NfsStat4;

    /// RFC 8881 section 4.2: a handle that was never given out is NFS4ERR_BADHANDLE.
    #[test]
    fn handles_of_the_pseudo_root_are_told_apart() {
        assert_eq!(decode(&pseudo_root()), Ok(Handle::PseudoRoot));
        let wire = with_code([7; 8], b"inner").unwrap();
        assert_eq!(decode(&wire), Ok(Handle::Of([7; 8], b"inner")));
        for bad in [&b""[..], &[0xc1], &[0xc1, 1, 2], &[0xc0, 0], &[1; 40]] {
            assert_eq!(decode(bad), Err(NfsStat4::Badhandle));
        }
    }
}
