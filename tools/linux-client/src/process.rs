//! Signals to process groups: the only thing here that the standard library does not offer.
#![expect(unsafe_code, reason = "kill(2) has no safe form in the standard library")]

/// Ends every process of a group at once.
pub fn end_group(group: u32) {
    if let Ok(group) = i32::try_from(group)
        && group > 1
    {
        // SAFETY: kill takes plain numbers and touches no memory of ours.
        let _ = unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// Whether a process of this id exists.
#[must_use]
pub fn is_alive(process: u32) -> bool {
    let Ok(process) = i32::try_from(process) else { return false };
    // SAFETY: signal 0 only asks.
    unsafe { libc::kill(process, 0) == 0 }
}
