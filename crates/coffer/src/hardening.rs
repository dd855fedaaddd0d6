//! What the process denies itself before it holds a key: core dumps, tracing by others, and too few file descriptors.

#![expect(unsafe_code, reason = "prctl and setrlimit have no wrapper in std")]

use std::sync::OnceLock;

/// What could not be done, for the log that is not there yet when the process hardens itself.
static TROUBLE: OnceLock<Vec<String>> = OnceLock::new();

/// Sets the limits. Call it before any key is read. What fails weakens the defence, not the service; see [`report`].
pub(crate) fn apply() {
    let mut trouble = Vec::new();
    let mut note = |what: &str| trouble.push(format!("{what}: {}", std::io::Error::last_os_error()));
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which setrlimit only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) } != 0 {
        note("core dumps could not be switched off");
    }
    // SAFETY: PR_SET_DUMPABLE takes one integer and touches no memory of ours.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        note("the process stays dumpable");
    }
    raise_open_files(&mut note);
    // Called once, by `main`.
    let _ = TROUBLE.set(trouble);
}

/// Says in the log what could not be done.
pub(crate) fn report() {
    for what in TROUBLE.get().into_iter().flatten() {
        tracing::warn!("{what}");
    }
}

/// Says in the log if keys are in memory that may reach a swap device.
pub(crate) fn report_memory() {
    if !crypto::memory_is_locked() {
        tracing::warn!(
            "keys could not be locked in memory and may reach swap: raise the limit (LimitMEMLOCK, ulimit -l)"
        );
    }
}

fn raise_open_files(note: &mut impl FnMut(&str)) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which getrlimit only writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live rlimit, which setrlimit only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        note("the limit of open files could not be raised");
    }
}
