//! What is to be done with one tunnel: a function of its state file and of one look at the machine.

use crate::{
    config::WatchdogSettings,
    state_file::{Progress, State},
};

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
    /// Seconds since the kernel was last seen to have a connection through the tunnel.
    pub(super) unused: f64,
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
pub(super) fn decide(state: &mut State, progress: Progress, look: Look, settings: &WatchdogSettings) -> Step {
    match (progress, look.mounted) {
        (Progress::OnItsWay, _) => return Step::Leave,
        (Progress::Abandoned, true) => return Step::Settle,
        (Progress::Abandoned, false) => return Step::Reap,
        (Progress::Settled, _) => {}
    }
    let mut step = note(state, look, settings);
    if step == Step::Reap && look.unused < settings.grace.as_secs_f64() {
        // An unmount by `umount -l`, or a mount in another namespace: files are still open. A kernel that has no
        // connection right now, because the tunnel or the server has just died, is about to make a new one.
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

    const THERE: Look = Look { now: 1000.0, regular: true, mounted: true, alive: true, unused: 900.0 };

    fn mounted_at(mount_time: f64) -> State {
        State { mount_time, ..state() }
    }

    /// aws/efs-utils, watchdog: a mount that is there keeps its tunnel; a dead tunnel starts again.
    #[test]
    fn a_dead_tunnel_of_a_mount_starts_again() {
        let mut state = mounted_at(0.0);
        assert_eq!(decide(&mut state, Progress::Settled, THERE, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, Progress::Settled, Look { alive: false, ..THERE }, &SETTINGS), Step::Restart);
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
            decide(state, Progress::Settled, Look { now: second, mounted: false, ..THERE }, &SETTINGS)
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
        assert_eq!(decide(&mut state, Progress::Settled, Look { regular: false, ..gone }, &SETTINGS), Step::Leave);
        assert_eq!(decide(&mut state, Progress::Settled, gone, &SETTINGS), Step::Note);
        assert_eq!(decide(&mut state, Progress::Settled, THERE, &SETTINGS), Step::Note);
        assert_eq!((state.unmount_count, state.unmount_time), (None, None));
    }

    /// umount(8), -l: as long as the kernel uses the tunnel it is kept, and kept alive: a dead tunnel, which nobody can
    /// be connected to, starts again, and a kernel that is just connecting anew gets its time. Then it is reaped.
    #[test]
    fn a_lazy_unmount_keeps_its_tunnel() {
        let mut state = mounted_at(0.0);
        state.unmount_time = Some(100.0);
        let used = Look { mounted: false, unused: 0.0, ..THERE };
        let dead = Look { alive: false, unused: 1.0, ..used };
        let between = Look { unused: 29.0, ..used };
        let mut next = |look| decide(&mut state, Progress::Settled, look, &SETTINGS);
        assert_eq!([used, dead, between, used].map(&mut next), [Step::Leave, Step::Restart, Step::Leave, Step::Leave]);
        assert_eq!(next(Look { unused: 30.0, ..used }), Step::Reap);
        assert_eq!(next(Look { unused: 30.0, ..dead }), Step::Reap);
    }

    /// aws/efs-utils, state files: a mount on its way is its mount.efs's business, until that is gone.
    #[test]
    fn a_mount_on_its_way_is_left_to_its_mount_efs() {
        let mut state = mounted_at(1000.0);
        let look = Look { mounted: false, alive: false, ..THERE };
        let mut next = |progress, look| decide(&mut state, progress, look, &SETTINGS);
        assert_eq!(next(Progress::OnItsWay, look), Step::Leave);
        assert_eq!(next(Progress::Abandoned, look), Step::Reap);
        assert_eq!(next(Progress::Abandoned, Look { mounted: true, ..look }), Step::Settle);
    }
}
