//! What is to be done with one tunnel: a function of its state file and of one look at the machine.

use crate::{config::WatchdogSettings, state_file::State};

/// One look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Seconds since 1970.
    pub(super) now: f64,
    /// Whether this look is a regular one; those between, called by a death, count no misses.
    pub(super) regular: bool,
    /// The mount is in the kernel's table.
    pub(super) mounted: bool,
    /// The tunnel's process lives.
    pub(super) alive: bool,
    /// The `mount.efs` of a mount on its way lives.
    pub(super) mounting: bool,
    /// The kernel still has a connection through the tunnel.
    pub(super) in_use: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Leave,
    /// The state was changed: write it.
    Note,
    /// Start the tunnel again.
    Restart,
    /// The mount is there although nobody said so: give its state file its name.
    Settle,
    /// End the tunnel and remove its files.
    Reap,
}

/// Decides; what is remembered goes into `state`.
pub(super) fn decide(state: &mut State, temporary: bool, look: Look, settings: &WatchdogSettings) -> Step {
    if temporary {
        return match (look.mounting, look.mounted) {
            (true, _) => Step::Leave,
            (false, true) => Step::Settle,
            (false, false) => Step::Reap,
        };
    }
    let mut step = note(state, look, settings);
    if step == Step::Reap && look.in_use {
        // An unmount by `umount -l`, or a mount in another namespace: files are still open.
        step = Step::Leave;
    }
    // A tunnel that may still be needed is kept alive, whatever else is to be written.
    if step != Step::Reap && !look.alive { Step::Restart } else { step }
}

fn note(state: &mut State, look: Look, settings: &WatchdogSettings) -> Step {
    if look.mounted {
        let had_missed = state.unmount_count.take().is_some() | state.unmount_time.take().is_some();
        return if had_missed { Step::Note } else { Step::Leave };
    }
    let grace = settings.grace.as_secs_f64();
    if let Some(unmounted) = state.unmount_time {
        return if look.now - unmounted >= grace { Step::Reap } else { Step::Leave };
    }
    if !look.regular || look.now - state.mount_time < grace {
        return Step::Leave;
    }
    let misses = state.unmount_count.unwrap_or(0) + 1;
    state.unmount_count = Some(misses);
    if misses > settings.unmount_count {
        state.unmount_time = Some(look.now);
    }
    Step::Note
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;
    use std::time::Duration;

    const SETTINGS: WatchdogSettings = WatchdogSettings {
        enabled: true,
        poll_interval: Duration::from_secs(1),
        unmount_count: 5,
        grace: Duration::from_secs(30),
    };

    const THERE: Look = Look { now: 1000.0, regular: true, mounted: true, alive: true, mounting: false, in_use: false };

    fn mounted_at(mount_time: f64) -> State {
        State { mount_time, ..state() }
    }

    /// aws/efs-utils, watchdog: a mount that is there keeps its tunnel; a dead tunnel starts again.
    #[test]
    fn a_dead_tunnel_of_a_mount_starts_again() {
        let mut state = mounted_at(0.0);
        assert_eq!(decide(&mut state, false, THERE, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, false, Look { alive: false, ..THERE }, &SETTINGS), Step::Restart);
        assert_eq!(state, mounted_at(0.0));
    }

    /// aws/efs-utils, watchdog: missed for 30 s after the mount: ignored; then more than five misses; then 30 s of
    /// grace; then gone.
    #[test]
    fn an_unmounted_tunnel_is_reaped_after_the_documented_times() {
        let mut state = mounted_at(1000.0);
        let mut second = 1000.0;
        let mut next = |state: &mut State| {
            second += 1.0;
            decide(state, false, Look { now: second, mounted: false, ..THERE }, &SETTINGS)
        };
        for _ in 0..29 {
            assert_eq!(next(&mut state), Step::Leave);
        }
        for misses in 1..=6 {
            assert_eq!(state.unmount_time, None);
            assert_eq!(next(&mut state), Step::Note);
            assert_eq!(state.unmount_count, Some(misses));
        }
        assert!(state.unmount_time.is_some());
        for _ in 0..29 {
            assert_eq!(next(&mut state), Step::Leave);
        }
        assert_eq!(next(&mut state), Step::Reap);
    }

    /// aws/efs-utils#374: only regular looks count; a mount that shows again is no longer missed.
    #[test]
    fn a_mount_that_shows_again_is_not_missed() {
        let mut state = mounted_at(0.0);
        let gone = Look { mounted: false, ..THERE };
        assert_eq!(decide(&mut state, false, Look { regular: false, ..gone }, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, false, gone, &SETTINGS), Step::Note);
        assert_eq!(decide(&mut state, false, THERE, &SETTINGS), Step::Note);
        assert_eq!((state.unmount_count, state.unmount_time), (None, None));
    }

    /// umount(8), -l: as long as the kernel uses the tunnel it is kept, and kept alive.
    #[test]
    fn a_lazy_unmount_keeps_its_tunnel() {
        let mut state = mounted_at(0.0);
        state.unmount_time = Some(0.0);
        let gone = Look { mounted: false, in_use: true, ..THERE };
        assert_eq!(decide(&mut state, false, gone, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, false, Look { in_use: false, ..gone }, &SETTINGS), Step::Reap);
        state.unmount_time = Some(999.0);
        assert_eq!(decide(&mut state, false, Look { alive: false, ..gone }, &SETTINGS), Step::Restart);
    }

    /// aws/efs-utils, state files: a mount on its way is its mount.efs's business, until that is gone.
    #[test]
    fn a_mount_on_its_way_is_left_to_its_mount_efs() {
        let mut state = mounted_at(1000.0);
        let look = Look { mounted: false, alive: false, mounting: true, ..THERE };
        assert_eq!(decide(&mut state, true, look, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, true, Look { mounting: false, ..look }, &SETTINGS), Step::Reap);
        assert_eq!(decide(&mut state, true, Look { mounting: false, mounted: true, ..look }, &SETTINGS), Step::Settle);
    }
}
