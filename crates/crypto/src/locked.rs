//! Memory for keys: pages that are locked, left out of core dumps, and wiped when a key goes.
//!
//! Keys take 32-byte slots of whole pages that hold nothing else, so locking and unlocking never touches a neighbour of
//! another kind. Pages are kept for the life of the process; a few thousand keys fit the usual 8 MiB lock limit.
#![expect(unsafe_code, reason = "mlock and madvise have no safe interface in std")]

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use zeroize::Zeroize as _;

pub(crate) const SLOT_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;

static FREE: Mutex<Vec<FreeSlot>> = Mutex::new(Vec::new());
static LOCK_FAILED: AtomicBool = AtomicBool::new(false);

/// Whether every page of keys so far could be locked. If not (RLIMIT_MEMLOCK), keys may reach swap, and the server
/// should say so at its start.
#[must_use]
pub fn memory_is_locked() -> bool {
    !LOCK_FAILED.load(Ordering::Relaxed)
}

struct FreeSlot(NonNull<[u8; SLOT_BYTES]>);

// SAFETY: a free slot is a plain address that one owner at a time holds; the memory behind it lives for ever.
unsafe impl Send for FreeSlot {}

/// 32 bytes of locked memory; zero when taken, wiped when given back.
pub(crate) struct Slot(NonNull<[u8; SLOT_BYTES]>);

// SAFETY: the slot owns its bytes exclusively, as a Box would.
unsafe impl Send for Slot {}
// SAFETY: shared access only reads.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) fn new() -> Self {
        let mut free = FREE.lock();
        if free.is_empty() {
            add_page(&mut free);
        }
        // A fresh page gave 128 slots or the process has ended in `add_page`.
        let slot = free.pop();
        assert!(slot.is_some(), "a page of key memory has slots");
        slot.map_or_else(|| unreachable!("checked above"), |slot| Self(slot.0))
    }

    pub(crate) fn bytes(&self) -> &[u8; SLOT_BYTES] {
        // SAFETY: the address points to 32 initialised bytes of a page that is never unmapped, owned by this slot.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; SLOT_BYTES] {
        // SAFETY: as in `bytes`, and `&mut self` makes the access exclusive.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        FREE.lock().push(FreeSlot(self.0));
    }
}

fn add_page(free: &mut Vec<FreeSlot>) {
    // SAFETY: an anonymous private mapping of one page at an address of the kernel's choice touches nothing of ours.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert!(page != libc::MAP_FAILED, "the kernel gives a page for keys");
    // SAFETY: `page` is the start of the mapping just made, PAGE_BYTES long.
    let locked = unsafe { libc::mlock(page, PAGE_BYTES) == 0 };
    // SAFETY: as above.
    let undumped = unsafe { libc::madvise(page, PAGE_BYTES, libc::MADV_DONTDUMP) == 0 };
    if !locked || !undumped {
        LOCK_FAILED.store(true, Ordering::Relaxed);
    }
    let Some(start) = NonNull::new(page.cast::<[u8; SLOT_BYTES]>()) else { return };
    for index in 0..PAGE_BYTES / SLOT_BYTES {
        // SAFETY: the index stays within the page.
        free.push(FreeSlot(unsafe { start.add(index) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 5: keys are wiped; a slot that comes back is zero.
    #[test]
    fn a_slot_is_zero_when_taken_again() {
        let mut slot = Slot::new();
        slot.bytes_mut().fill(0xaa);
        let address = slot.0;
        drop(slot);
        // SAFETY: pages of keys are never unmapped.
        assert_eq!(unsafe { address.as_ref() }, &[0; SLOT_BYTES]);
    }

    /// Architecture section 5: more keys than one page holds are distinct.
    #[test]
    fn slots_do_not_overlap() {
        let mut slots: Vec<Slot> = (0..300).map(|_| Slot::new()).collect();
        for (number, slot) in slots.iter_mut().enumerate() {
            slot.bytes_mut()[..2].copy_from_slice(&u16::try_from(number).unwrap().to_le_bytes());
        }
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(slot.bytes()[..2], u16::try_from(number).unwrap().to_le_bytes());
        }
    }
}
