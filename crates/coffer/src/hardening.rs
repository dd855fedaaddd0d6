//! What the process denies itself before it holds a key: core dumps, tracing by others, and too few file descriptors.

#![expect(unsafe_code, reason = "prctl and setrlimit have no wrapper in std")]

/// Sets the limits. A limit that cannot be set is logged: it weakens the defence, not the service.
pub(crate) fn apply() {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which setrlimit only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) } != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "core dumps could not be switched off");
    }
    // SAFETY: PR_SET_DUMPABLE takes one integer and touches no memory of ours.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "the process stays dumpable");
    }
    raise_open_files();
}

fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which getrlimit only writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live rlimit, which setrlimit only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "the limit of open files could not be raised");
    }
}
