//! Room on the disk: changes that need space are refused while the engine still has what it needs itself.
#![expect(unsafe_code, reason = "statvfs has no safe interface in std")]

use std::{
    ffi::CString,
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use env::{Env, Instant};

use crate::Space;

/// How old a look at the file system may be.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct SpaceWatch {
    path: CString,
    reserve: u64,
    free: AtomicU64,
    looked: AtomicU64,
    /// The opening has not been noted yet: nothing may be written under its epoch.
    barred: AtomicBool,
}

/// What noting an opening may take.
const OPENING_BYTES: usize = 64 << 10;

impl SpaceWatch {
    pub(crate) fn new(dir: &Path, reserve: u64) -> Self {
        // A path with a NUL byte could not have been opened; an empty one makes every look fail, which means "full".
        let path = CString::new(dir.as_os_str().as_bytes()).unwrap_or_default();
        let watch =
            Self { path, reserve, free: AtomicU64::new(0), looked: AtomicU64::new(0), barred: AtomicBool::new(true) };
        watch.look();
        watch
    }

    /// Whether there is room to note the opening itself.
    pub(crate) fn allows_opening(&self, env: &Env) -> bool {
        self.fits(OPENING_BYTES, true, env)
    }

    /// The opening is noted: its epoch may be written under from now on.
    pub(crate) fn admit(&self) {
        self.barred.store(false, Ordering::Release);
    }

    /// Whether `bytes` more may be written. Deletions get on until an eighth of the reserve is left.
    pub(crate) fn allows(&self, bytes: usize, may_use_reserve: bool, env: &Env) -> bool {
        !self.barred.load(Ordering::Acquire) && self.fits(bytes, may_use_reserve, env)
    }

    fn fits(&self, bytes: usize, may_use_reserve: bool, env: &Env) -> bool {
        self.refresh(env);
        let kept = if may_use_reserve { self.reserve / 8 } else { self.reserve };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.free.load(Ordering::Relaxed) >= kept.saturating_add(bytes)
    }

    /// Counts bytes written since the last look.
    pub(crate) fn used(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| Some(free.saturating_sub(bytes)));
    }

    pub(crate) fn space(&self, env: &Env) -> Space {
        self.refresh(env);
        let free = self.free.load(Ordering::Relaxed);
        let barred = self.barred.load(Ordering::Acquire);
        Space {
            free_bytes: free.saturating_sub(self.reserve),
            reserve_reached: barred || free < self.reserve,
            // Said a while before the last eighth is reached, so that what has begun by then still fits.
            reserve_used: barred || free < self.reserve / 4,
        }
    }

    fn refresh(&self, env: &Env) {
        let now = env.now();
        let looked = Instant::from_nanoseconds(self.looked.load(Ordering::Relaxed));
        if now.since(looked) >= LOOK_EVERY || looked > now {
            self.looked.store(now.nanoseconds(), Ordering::Relaxed);
            self.look();
        }
    }

    fn look(&self) {
        let mut found = MaybeUninit::<libc::statvfs>::zeroed();
        // SAFETY: the path is a C string and `found` is writable and large enough.
        let result = unsafe { libc::statvfs(self.path.as_ptr(), found.as_mut_ptr()) };
        let free = if result == 0 {
            // SAFETY: zeroed bytes are a valid statvfs, and the call has filled them.
            let found = unsafe { found.assume_init() };
            found.f_bavail.saturating_mul(found.f_frsize)
        } else {
            0
        };
        self.free.store(free, Ordering::Relaxed);
    }
}
