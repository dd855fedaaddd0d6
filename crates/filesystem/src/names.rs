//! What the name key makes: cookies of directory entries, keys of protocol records, and set-hashes (Architecture section 3,
//! "Directory entry", and section 5, "Rollback").

use crypto::{Key, Prf};

use crate::{Kind, record::MapEntry};

/// Cookies below this have a meaning of their own in NFS.
pub(crate) const COOKIE_MIN: u64 = 3;

/// Cookies have 63 bits, since some clients keep them in a signed number.
pub(crate) const COOKIE_MAX: u64 = (1 << 63) - 1;

/// The keyed functions of one file system.
pub(crate) struct Names {
    cookies: Prf,
    sets: Prf,
    records: Prf,
    mask: u64,
}

impl Names {
    pub(crate) fn new(key: &Key, cookie_bits: u32) -> Self {
        let prf = |label| Prf::new(key.derive(label, &[]));
        Self {
            cookies: prf("filesystem/cookie"),
            sets: prf("filesystem/set-hash"),
            records: prf("filesystem/protocol-record"),
            mask: COOKIE_MAX >> (63 - cookie_bits.clamp(2, 63)),
        }
    }

    /// Where the search for a name begins.
    pub(crate) fn cookie(&self, name: &[u8]) -> u64 {
        (self.cookies.u64_of(name) & self.mask).max(COOKIE_MIN)
    }

    /// A directory entry's part of its directory's set-hash.
    pub(crate) fn entry_hash(&self, directory: u64, cookie: u64, name: &[u8], fileid: u64, kind: Kind) -> u128 {
        let mut head = [0; 26];
        let fields: [&[u8]; 5] =
            [b"e", &directory.to_be_bytes(), &cookie.to_be_bytes(), &fileid.to_be_bytes(), &[kind as u8]];
        for (place, byte) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *place = *byte;
        }
        u128::from_be_bytes(self.sets.mac16_of(&[&head, name]))
    }

    /// A map entry's part of its file's set-hash.
    pub(crate) fn map_hash(&self, fileid: u64, entry: &MapEntry) -> u128 {
        let mac = self.sets.mac16_of(&[b"m", &fileid.to_be_bytes(), &entry.start.to_be_bytes(), &entry.encode()]);
        u128::from_be_bytes(mac)
    }

    /// An inode record's part of the file system's set-hash.
    pub(crate) fn inode_hash(&self, record: &[u8]) -> u128 {
        u128::from_be_bytes(self.sets.mac16_of(&[b"i", record]))
    }

    /// The key of a record of the protocol server.
    pub(crate) fn record_key(&self, kind: u8, key: &[u8]) -> [u8; 16] {
        self.records.mac16_of(&[&[kind], key])
    }
}

/// The cookie that a search looks at after this one.
pub(crate) const fn next_cookie(cookie: u64) -> u64 {
    if cookie >= COOKIE_MAX { COOKIE_MIN } else { cookie + 1 }
}
