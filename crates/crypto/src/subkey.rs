//! Subkeys: HKDF-Expand(key, label, salt) used with AES-256-GCM and counters as IVs (Architecture section 5, level 4).

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use parking_lot::Mutex;

use crate::{Key, Label, OpenFailed};

/// 128 fresh random bits that make a subkey: `env.random()`. Never used for two things.
pub type Salt = [u8; 16];

/// What proves that sealed bytes are whole and in their place.
pub type Tag = [u8; TAG_BYTES];

/// Bytes of a [`Tag`].
pub const TAG_BYTES: usize = 16;

/// An expanded AES-256-GCM key. AWS-LC wipes it when it is dropped.
pub struct Subkey(LessSafeKey);

impl Subkey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes);
        assert!(key.is_ok(), "AES-256-GCM takes any 32 bytes");
        key.map_or_else(|_| unreachable!("checked above"), |key| Self(LessSafeKey::new(key)))
    }

    /// Seals `bytes` in place as piece number `counter`. **One counter seals one thing, once.**
    #[must_use]
    pub fn seal_in_place(&self, counter: u64, aad: &[u8], bytes: &mut [u8]) -> Tag {
        let sealed = self.0.seal_in_place_separate_tag(iv(counter), Aad::from(aad), bytes);
        let tag = sealed.ok().and_then(|tag| Tag::try_from(tag.as_ref()).ok());
        assert!(tag.is_some(), "AES-GCM seals any piece below 64 GiB with a 16-byte tag");
        tag.unwrap_or_default()
    }

    /// Seals `plaintext` into `out` (of the same length) as piece number `counter`: one pass, no second copy.
    #[must_use]
    pub fn seal_into(&self, counter: u64, aad: &[u8], plaintext: &[u8], out: &mut [u8]) -> Tag {
        let mut tag = Tag::default();
        let done = self.0.seal_out_of_place_scatter(iv(counter), Aad::from(aad), plaintext, out, &[], &mut tag);
        assert!(done.is_ok(), "AES-GCM seals any piece into a buffer of its length");
        tag
    }

    /// Opens `bytes` in place; on failure their content is of no use.
    ///
    /// # Errors
    /// [`OpenFailed`] if key, counter, `aad`, `bytes` or `tag` is not the one of the seal.
    pub fn open_in_place(&self, counter: u64, aad: &[u8], bytes: &mut [u8], tag: &Tag) -> Result<(), OpenFailed> {
        match self.0.open_in_place_separate_tag(iv(counter), Aad::from(aad), tag, bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(OpenFailed),
        }
    }

    /// Opens `sealed` into `out` (of the same length): one pass, no second copy.
    ///
    /// # Errors
    /// [`OpenFailed`] as for [`Subkey::open_in_place`], or if the lengths differ.
    pub fn open_into(
        &self,
        counter: u64,
        aad: &[u8],
        sealed: &[u8],
        tag: &Tag,
        out: &mut [u8],
    ) -> Result<(), OpenFailed> {
        if sealed.len() != out.len() {
            return Err(OpenFailed);
        }
        self.0.open_separate_gather(iv(counter), Aad::from(aad), sealed, tag, out).map_err(|_| OpenFailed)
    }
}

fn iv(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Expanded subkeys of **one** key, by label and salt, so that reading an extent again costs no key set-up.
///
/// Bounded: it keeps two generations, and when the younger is full it becomes the older, whose entries go unless they
/// were asked for again.
pub struct SubkeyCache {
    half: usize,
    generations: Mutex<Generations>,
}

type Entries = HashMap<(Label, Salt), Arc<Subkey>>;

#[derive(Default)]
struct Generations {
    young: Entries,
    old: Entries,
}

impl SubkeyCache {
    /// A cache of at most `capacity` subkeys (some 700 bytes each).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), generations: Mutex::default() }
    }

    /// The subkey of (`label`, `salt`) under `key`, which must be the cache's one key.
    #[must_use]
    pub fn subkey(&self, key: &Key, label: Label, salt: &Salt) -> Arc<Subkey> {
        let wanted = (label, *salt);
        {
            let mut generations = self.generations.lock();
            if let Some(found) = generations.young.get(&wanted) {
                return found.clone();
            }
            if let Some(found) = generations.old.remove(&wanted) {
                self.insert(&mut generations, wanted, found.clone());
                return found;
            }
        }
        // Expanded outside the lock: two may do it at once, and one result is kept.
        let made = Arc::new(key.subkey(label, salt));
        self.insert(&mut self.generations.lock(), wanted, made.clone());
        made
    }

    /// Forgets, and so wipes, every subkey that nobody else holds.
    pub fn clear(&self) {
        *self.generations.lock() = Generations::default();
    }

    fn insert(&self, generations: &mut Generations, wanted: (Label, Salt), subkey: Arc<Subkey>) {
        if generations.young.len() >= self.half {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(wanted, subkey);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label::new("test/subkey");

    fn key() -> Key {
        Key::take(&mut [9; 32]).unwrap()
    }

    /// Architecture section 5: a seal opens only with its own key, label, salt, counter and AAD, and only unchanged.
    #[test]
    fn a_seal_opens_only_in_its_place() {
        let subkey = key().subkey(LABEL, &[1; 16]);
        let mut bytes = *b"a piece of a file";
        let tag = subkey.seal_in_place(5, b"place", &mut bytes);
        assert_ne!(&bytes, b"a piece of a file");

        let opens = |subkey: &Subkey, counter, aad: &[u8], change: Option<usize>| {
            let mut copy = bytes;
            if let Some(at) = change {
                copy[at] ^= 1;
            }
            subkey.open_in_place(counter, aad, &mut copy, &tag).is_ok_and(|()| &copy == b"a piece of a file")
        };
        assert!(opens(&subkey, 5, b"place", None));
        assert!(!opens(&subkey, 6, b"place", None));
        assert!(!opens(&subkey, 5, b"other", None));
        assert!(!opens(&subkey, 5, b"place", Some(3)));
        assert!(!opens(&key().subkey(LABEL, &[2; 16]), 5, b"place", None));
        assert!(!opens(&key().subkey(Label::new("test/other"), &[1; 16]), 5, b"place", None));
        assert!(opens(&key().subkey(LABEL, &[1; 16]), 5, b"place", None));
    }

    /// Architecture section 5: sealing out of place is the same seal.
    #[test]
    fn sealing_into_a_buffer_gives_the_same_bytes() {
        let subkey = key().subkey(LABEL, &[1; 16]);
        let mut in_place = [0x55; 100];
        let one = subkey.seal_in_place(1, b"x", &mut in_place);
        let mut out = [0; 100];
        assert_eq!(subkey.seal_into(1, b"x", &[0x55; 100], &mut out), one);
        assert_eq!(in_place, out);
        let mut opened = [0; 100];
        subkey.open_into(1, b"x", &out, &one, &mut opened).unwrap();
        assert_eq!(opened, [0x55; 100]);
        assert_eq!(subkey.open_into(1, b"x", &out, &one, &mut opened[..99]), Err(OpenFailed));
    }

    /// Architecture section 5: expanded subkeys are cached by salt, and the cache is bounded.
    #[test]
    fn the_cache_keeps_what_is_used_and_stays_bounded() {
        let key = key();
        let cache = SubkeyCache::new(8);
        let kept = cache.subkey(&key, LABEL, &[0; 16]);
        for round in 1..100_u8 {
            let _ = cache.subkey(&key, LABEL, &[round; 16]);
            assert!(Arc::ptr_eq(&kept, &cache.subkey(&key, LABEL, &[0; 16])));
            let generations = cache.generations.lock();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        cache.clear();
        assert!(!Arc::ptr_eq(&kept, &cache.subkey(&key, LABEL, &[0; 16])));
    }
}
