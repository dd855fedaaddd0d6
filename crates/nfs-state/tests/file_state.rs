//! Opens, share reservations, stateids, locks, grace and recovery, rule by rule.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod scene;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nfs_state::{
    Client, Durable, Effects, FileState, GraceStatus, IoAccess, Limits, LockTest, Locker, OpenRequest, Share,
    StateError, Ticket, VirtualServer, Want,
};
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{NfsLockType4, OpenDelegation4, OpenNoneDelegation4, Stateid4};
use scene::{LEASE, at, client_of, config, files, lock, open, ready_client, reclaim, server, share};

const FILE: u64 = 42;
const READ: (u32, u32) = (1, 0);
const WRITE: (u32, u32) = (2, 0);
const BOTH: (u32, u32) = (3, 0);

fn with_seqid(stateid: Stateid4, seqid: u32) -> Stateid4 {
    Stateid4 { seqid, ..stateid }
}

fn from_open(stateid: Stateid4, owner: &[u8]) -> Locker<'_> {
    Locker::FromOpen { stateid, owner }
}

fn close(files: &mut FileState, client: &Client, stateid: Stateid4) -> Result<Effects, StateError> {
    let mut effects = Effects::default();
    files.close(client, FILE, &stateid, &mut effects).map(|_| effects)
}

fn check(files: &mut FileState, client: &Arc<Client>, stateid: Stateid4, access: IoAccess) -> Result<(), StateError> {
    files.check_io(at(0), client, FILE, &stateid, access, &mut Effects::default())
}

/// RFC 8881 §8.2.2: a stateid's seqid begins at one and goes up with every OPEN of the owner (pynfs OPEN1, OPEN2).
#[test]
fn an_open_counts_its_changes() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let first = open(&mut files, at(0), &client, "o", FILE, WRITE).unwrap();
    let second = open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    assert_eq!((first.seqid, second.seqid, first.other), (1, 2, second.other));
    assert_eq!(client.states(), 1);
    let other_owner = open(&mut files, at(0), &client, "p", FILE, READ).unwrap();
    assert_ne!(other_owner.other, first.other);
}

/// RFC 8881 §8.2.2, §8.2.4: the seqid of a stateid may be the newest or zero (pynfs OPEN8); older is old, newer is bad.
#[test]
fn the_seqid_of_a_stateid_is_checked() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    let newest = open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    assert_eq!(files.test_stateid(&client, &with_seqid(newest, 0)), NfsStat4::Ok);
    assert_eq!(files.test_stateid(&client, &newest), NfsStat4::Ok);
    assert_eq!(files.test_stateid(&client, &with_seqid(newest, 1)), NfsStat4::OldStateid);
    assert_eq!(files.test_stateid(&client, &with_seqid(newest, 3)), NfsStat4::BadStateid);
    assert!(close(&mut files, &client, with_seqid(newest, 0)).is_ok());
    assert_eq!(files.test_stateid(&client, &newest), NfsStat4::BadStateid);
}

/// RFC 8881 §8.2.3, §8.2.4: special stateids, those of others, of other files and of earlier instances name no state.
#[test]
fn a_stateid_names_state_of_its_client_file_and_instance() {
    let (mut server, mut files) = (server(), files());
    let (a, b) = (ready_client(&mut server, at(0), "a"), ready_client(&mut server, at(0), "b"));
    let stateid = open(&mut files, at(0), &a, "o", FILE, READ).unwrap();
    assert_eq!(files.test_stateid(&b, &stateid), NfsStat4::BadStateid);
    for special in [Stateid4::ANONYMOUS, Stateid4::READ_BYPASS, Stateid4::CURRENT, Stateid4::INVALID] {
        assert_eq!(files.test_stateid(&a, &special), NfsStat4::BadStateid);
    }
    let mut effects = Effects::default();
    assert_eq!(files.close(&a, FILE + 1, &stateid, &mut effects), Err(StateError::BadStateid));
    let mut after = FileState::new(10, LEASE, Limits::default());
    after.begin_grace(at(0), Vec::new()).unwrap();
    assert_eq!(after.test_stateid(&a, &stateid), NfsStat4::BadStateid);
}

/// RFC 8881 §9.7: access and denial conflict both ways, whoever opens (pynfs COUR3, COUR4).
#[test]
fn share_reservations_conflict_both_ways() {
    for access in 1..=3_u32 {
        for deny in 0..=3_u32 {
            for other_access in 1..=3_u32 {
                for other_deny in 0..=3_u32 {
                    let (mut server, mut files) = (server(), files());
                    let a = ready_client(&mut server, at(0), "a");
                    let b = ready_client(&mut server, at(0), "b");
                    open(&mut files, at(0), &a, "o", FILE, (access, deny)).unwrap();
                    let denied = access & other_deny != 0 || deny & other_access != 0;
                    let expected = if denied { Err(StateError::ShareDenied) } else { Ok(()) };
                    let wanted = share(other_access, other_deny);
                    assert_eq!(files.check_share(at(0), FILE, wanted), expected);
                    for (client, owner) in [(&b, "o"), (&a, "p")] {
                        let outcome = open(&mut files, at(0), client, owner, FILE, (other_access, other_deny));
                        assert_eq!(outcome.is_err(), denied, "{access}/{deny} against {other_access}/{other_deny}");
                        if let Ok(stateid) = outcome {
                            let _ = close(&mut files, client, stateid).unwrap();
                        }
                    }
                }
            }
        }
    }
}

/// RFC 8881 §18.16.3: what share_access and share_deny may say.
#[test]
fn share_bits_are_checked() {
    for (access, deny) in [(0, 0), (4, 0), (1, 4), (0x0601, 0), (0x8000_0001, 0), (0x0400, 0)] {
        assert_eq!(Share::of_open(access, deny), Err(StateError::Invalid), "{access:#x}/{deny}");
    }
    assert_eq!(Share::of_open(0x0003_0103, 3), Ok((share(3, 3), Want::Some)));
    assert_eq!(Share::of_downgrade(0x0401, 0), Err(StateError::Invalid));
}

/// RFC 8881 §18.16.3: who asked for no delegation is told that it was not wanted (pynfs DELEG4).
#[test]
fn the_reason_for_no_delegation_fits_the_wish() {
    let refusal = |access| Share::of_open(access, 0).unwrap().1.refusal();
    assert_eq!(refusal(0x0001), OpenDelegation4::None);
    assert_eq!(refusal(0x0401), OpenDelegation4::NoneExt(OpenNoneDelegation4::NotWanted));
    assert_eq!(refusal(0x0101), OpenDelegation4::NoneExt(OpenNoneDelegation4::Resource(false)));
    assert_eq!(refusal(0x0501), OpenDelegation4::NoneExt(OpenNoneDelegation4::Cancelled));
}

/// RFC 8881 §18.18.3: a downgrade is the union of some of the opens that it is made of.
#[test]
fn a_downgrade_goes_back_to_what_was_opened() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    assert_eq!(files.open_downgrade(&client, FILE, &opened, share(1, 0)), Err(StateError::Invalid));
    let opened = open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    let less = files.open_downgrade(&client, FILE, &opened, share(1, 0)).unwrap();
    assert_eq!(less.seqid, 3);
    assert_eq!(check(&mut files, &client, less, IoAccess::Write), Err(StateError::OpenMode));
    // What was given up cannot be had back by another downgrade.
    assert_eq!(files.open_downgrade(&client, FILE, &less, share(3, 0)), Err(StateError::Invalid));
    assert_eq!(files.open_downgrade(&client, FILE, &less, share(1, 1)), Err(StateError::Invalid));
}

/// RFC 8881 §9.1.2, §8.2.5: WRITE needs an open for writing; READ is allowed on any open; a lock stateid has its open's access.
#[test]
fn input_and_output_need_the_right_open() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let reading = open(&mut files, at(0), &client, "r", FILE, READ).unwrap();
    let writing = open(&mut files, at(0), &client, "w", FILE, WRITE).unwrap();
    let locked = (NfsLockType4::Read, 0, 1);
    let lock = lock(&mut files, at(0), &client, FILE, locked, from_open(reading, b"l")).unwrap();
    for (stateid, access, expected) in [
        (reading, IoAccess::Read, Ok(())),
        (reading, IoAccess::Write, Err(StateError::OpenMode)),
        (lock, IoAccess::Read, Ok(())),
        (lock, IoAccess::Write, Err(StateError::OpenMode)),
        (writing, IoAccess::Write, Ok(())),
        (writing, IoAccess::Read, Ok(())),
        (with_seqid(writing, 0), IoAccess::Write, Ok(())),
    ] {
        assert_eq!(check(&mut files, &client, stateid, access), expected);
    }
}

/// RFC 8881 §8.2.3, §9.7: without an open, share reservations decide; the bypass stateid ignores them for READ only.
#[test]
fn special_stateids_obey_share_reservations() {
    let (mut server, mut files) = (server(), files());
    let (a, b) = (ready_client(&mut server, at(0), "a"), ready_client(&mut server, at(0), "b"));
    assert_eq!(check(&mut files, &b, Stateid4::ANONYMOUS, IoAccess::Write), Ok(()));
    open(&mut files, at(0), &a, "o", FILE, (3, 3)).unwrap();
    for (stateid, access, expected) in [
        (Stateid4::ANONYMOUS, IoAccess::Read, Err(StateError::Locked)),
        (Stateid4::ANONYMOUS, IoAccess::Write, Err(StateError::Locked)),
        (Stateid4::READ_BYPASS, IoAccess::Read, Ok(())),
        (Stateid4::READ_BYPASS, IoAccess::Write, Err(StateError::Locked)),
    ] {
        assert_eq!(check(&mut files, &b, stateid, access), expected);
    }
}

/// RFC 8881 §18.2.3: CLOSE frees what came from the open, and the last open releases the file.
#[test]
fn the_last_close_releases_the_file() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let one = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    let two = open(&mut files, at(0), &client, "p", FILE, BOTH).unwrap();
    let whole = (NfsLockType4::Write, 0, u64::MAX);
    let locked = lock(&mut files, at(0), &client, FILE, whole, from_open(one, b"l")).unwrap();
    assert!(close(&mut files, &client, one).unwrap().released.is_empty());
    assert_eq!(files.test_stateid(&client, &locked), NfsStat4::BadStateid);
    assert!(files.is_open(FILE));
    lock_ok(&mut files, &client, two, b"m");
    assert_eq!(close(&mut files, &client, two).unwrap().released, [FILE]);
    assert!(!files.is_open(FILE));
    assert_eq!((files.counts(), client.states()), ((0, 0), 0));
}

fn lock_ok(files: &mut FileState, client: &Arc<Client>, stateid: Stateid4, owner: &[u8]) -> Stateid4 {
    lock(files, at(0), client, FILE, (NfsLockType4::Write, 0, u64::MAX), from_open(stateid, owner)).unwrap()
}

/// RFC 8881 §18.38.3: only a lock stateid that holds nothing can be freed (pynfs CSID9).
#[test]
fn stateids_with_locks_are_not_freed() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    assert_eq!(files.free_stateid(&client, &opened), Err(StateError::LocksHeld));
    let locked = lock_ok(&mut files, &client, opened, b"l");
    assert_eq!(files.free_stateid(&client, &locked), Err(StateError::LocksHeld));
    let unlocked = files.locku(&client, FILE, &locked, (0, u64::MAX)).unwrap();
    assert_eq!((locked.seqid, unlocked.seqid), (1, 2));
    assert_eq!(files.free_stateid(&client, &locked), Err(StateError::OldStateid));
    assert_eq!(files.free_stateid(&client, &unlocked), Ok(()));
    assert_eq!(files.free_stateid(&client, &unlocked), Err(StateError::BadStateid));
    assert!(close(&mut files, &client, opened).is_ok());
}

/// RFC 8881 §18.10.3: a range has bytes and an end, and a lock an open with its access.
#[test]
fn locks_need_a_range_and_an_open() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let reading = open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    for (offset, length) in [(0, 0), (1, u64::MAX - 1), (u64::MAX, 2)] {
        let range = (NfsLockType4::Read, offset, length);
        let outcome = lock(&mut files, at(0), &client, FILE, range, from_open(reading, b"l"));
        let expected =
            if length == 0 || offset.checked_add(length - 1).is_none() { Err(StateError::Invalid) } else { Ok(()) };
        assert_eq!(outcome.map(|_| ()), expected, "{offset} {length}");
    }
    let range = (NfsLockType4::Writew, 0, 1);
    assert_eq!(lock(&mut files, at(0), &client, FILE, range, from_open(reading, b"l")), Err(StateError::OpenMode));
    assert_eq!(
        lock(&mut files, at(0), &client, FILE, range, from_open(Stateid4::ANONYMOUS, b"l")),
        Err(StateError::BadStateid)
    );
}

/// RFC 8881 §18.10.4, §18.11: a denial says whose lock is in the way and where; virtual servers do not matter.
#[test]
fn a_denial_says_what_is_in_the_way() {
    let (mut one, mut files) = (server(), files());
    let mut two = VirtualServer::new(config(2, 7));
    let (a, b) = (ready_client(&mut one, at(0), "a"), ready_client(&mut two, at(0), "a"));
    let opened = open(&mut files, at(0), &a, "o", FILE, BOTH).unwrap();
    lock(&mut files, at(0), &a, FILE, (NfsLockType4::Write, 10, u64::MAX), from_open(opened, b"alpha")).unwrap();
    let other = open(&mut files, at(0), &b, "o", FILE, BOTH).unwrap();
    let range = (NfsLockType4::Read, 0, 100);
    let Err(StateError::Denied(denied)) = lock(&mut files, at(0), &b, FILE, range, from_open(other, b"beta")) else {
        panic!("not denied");
    };
    assert_eq!((denied.offset, denied.length, denied.locktype), (10, u64::MAX, NfsLockType4::Write));
    assert_eq!(denied.owner.owner.as_slice(), b"alpha");
    let test = |offset, length, owner| LockTest { file: FILE, kind: NfsLockType4::Read, offset, length, owner };
    let mut lockt = |client: &Arc<Client>, test| files.lockt(at(0), client, &test, &mut Effects::default());
    assert!(matches!(lockt(&b, test(0, 100, b"beta")), Err(StateError::Denied(_))));
    assert_eq!(lockt(&b, test(0, 10, b"beta")), Ok(()));
    assert_eq!(lockt(&a, test(0, 100, b"alpha")), Ok(()));
    assert!(matches!(lockt(&a, test(0, 100, b"gamma")), Err(StateError::Denied(_))));
}

/// EFS quotas: opens and locks per client, locks per file; the error shows as "Disk quota exceeded".
#[test]
fn opens_and_locks_are_bounded() {
    let limits =
        Limits { opens_per_client_max: 2, locks_per_client_max: 3, locks_per_file_max: 2, ..Limits::default() };
    let mut server = server();
    let mut files = FileState::new(9, LEASE, limits);
    files.begin_grace(at(0), Vec::new()).unwrap();
    let client = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    let other = open(&mut files, at(0), &client, "o", FILE + 1, BOTH).unwrap();
    assert_eq!(open(&mut files, at(0), &client, "o", FILE + 2, BOTH), Err(StateError::Quota));
    assert_eq!(StateError::Quota.status(), NfsStat4::Dquot);
    let mut byte = |file, stateid, offset| {
        let range = (NfsLockType4::Write, offset, 1);
        lock(&mut files, at(0), &client, file, range, from_open(stateid, b"l")).map(|_| ())
    };
    assert_eq!((byte(FILE, opened, 0), byte(FILE, opened, 2)), (Ok(()), Ok(())));
    assert_eq!(byte(FILE, opened, 4), Err(StateError::Quota));
    assert_eq!(byte(FILE + 1, other, 0), Ok(()));
    assert_eq!(byte(FILE + 1, other, 2), Err(StateError::Quota));
}

/// RFC 8881 §8.3, §9.7: an expired client keeps its state until another wants it (pynfs COUR2, COUR3, COUR5, COUR6).
#[test]
fn an_expired_client_gives_way() {
    let (mut server, mut files) = (server(), files());
    let a = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &a, "o", FILE, (3, 2)).unwrap();
    lock_ok(&mut files, &a, opened, b"l");
    let b = ready_client(&mut server, at(61), "b");
    let mut effects = Effects::default();
    let request = OpenRequest { file: FILE, owner: b"o", share: share(3, 0), reclaim: false };
    // While the lease runs there is no way.
    assert_eq!(files.open(at(60), &b, &request, &mut effects), Err(StateError::ShareDenied));
    assert!(effects.expired.is_empty());
    files.open(at(61), &b, &request, &mut effects).unwrap();
    assert_eq!((effects.expired, effects.released), (vec![a.key()], vec![FILE]));
    assert!(effects.durable > files.durable());
    assert_eq!((files.test_stateid(&a, &opened), a.states()), (NfsStat4::BadStateid, 0));
}

/// RFC 8881 §8.3: nothing is taken from an expired client if that would not be enough.
#[test]
fn an_expired_client_loses_nothing_in_vain() {
    let (mut server, mut files) = (server(), files());
    let a = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &a, "o", FILE, (3, 0)).unwrap();
    let live = ready_client(&mut server, at(50), "live");
    let living = open(&mut files, at(50), &live, "o", FILE, (3, 0)).unwrap();
    for (client, stateid, offset) in [(&a, opened, 0), (&live, living, 5)] {
        let range = (NfsLockType4::Write, offset, 1);
        lock(&mut files, at(50), client, FILE, range, from_open(stateid, b"l")).unwrap();
    }
    let b = ready_client(&mut server, at(70), "b");
    assert_eq!(open(&mut files, at(70), &b, "o", FILE, (1, 2)), Err(StateError::ShareDenied));
    let mine = open(&mut files, at(70), &b, "o", FILE, (3, 0)).unwrap();
    let whole = (NfsLockType4::Write, 0, u64::MAX);
    assert!(matches!(lock(&mut files, at(70), &b, FILE, whole, from_open(mine, b"l")), Err(StateError::Denied(_))));
    assert_eq!(files.test_stateid(&a, &opened), NfsStat4::Ok);
    let first = (NfsLockType4::Write, 0, 1);
    lock(&mut files, at(70), &b, FILE, first, from_open(mine, b"l")).unwrap();
    assert_eq!(files.test_stateid(&a, &opened), NfsStat4::BadStateid);
}

/// RFC 8881 §18.51.3: a new client gets nothing before RECLAIM_COMPLETE (pynfs RECC3), and reclaims nothing after (RECC2).
#[test]
fn reclaim_complete_divides_reclaims_from_the_rest() {
    let (mut server, mut files) = (server(), files());
    let (client, _) = client_of(&mut server, at(0), "a", 1);
    assert_eq!(open(&mut files, at(0), &client, "o", FILE, READ), Err(StateError::Grace));
    assert_eq!(reclaim(&mut files, at(0), &client, FILE), Err(StateError::NoGrace));
    server.reclaim_complete(&client, false).unwrap();
    open(&mut files, at(0), &client, "o", FILE, READ).unwrap();
    assert_eq!(reclaim(&mut files, at(0), &client, FILE), Err(StateError::NoGrace));
}

/// What is stored of recovery records, as the caller would store it.
#[derive(Default, Clone)]
struct Disk(BTreeMap<Bytes, Bytes>);

impl Disk {
    fn write(&mut self, files: &mut FileState) {
        let (ticket, records) = files.pending();
        for record in records {
            match record {
                Durable::Put { key, value } => drop(self.0.insert(key, value)),
                Durable::Delete { key } => drop(self.0.remove(&key)),
            }
        }
        files.made_durable(ticket);
        assert_eq!(files.durable(), ticket);
        assert!(files.pending().1.is_empty());
    }

    fn restart(&self, instance: u32, seconds: u64) -> FileState {
        let mut files = FileState::new(instance, LEASE, Limits::default());
        let records = self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        files.begin_grace(at(seconds), records).unwrap();
        files
    }
}

/// RFC 8881 §8.4.2.1: the record comes before the first state is told of, and only then.
#[test]
fn the_first_state_waits_for_its_record() {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    let mut effects = Effects::default();
    let request = OpenRequest { file: FILE, owner: b"o", share: share(1, 0), reclaim: false };
    files.open(at(0), &client, &request, &mut effects).unwrap();
    assert_eq!((effects.durable, files.durable()), (Ticket(1), Ticket(0)));
    // Another open on the strength of the same record waits for it, too.
    let mut effects = Effects::default();
    files.open(at(0), &client, &OpenRequest { file: 7, ..request }, &mut effects).unwrap();
    assert_eq!(effects.durable, Ticket(1));
    let mut disk = Disk::default();
    disk.write(&mut files);
    assert_eq!((disk.0.len(), files.durable()), (1, Ticket(1)));
    files.open(at(0), &client, &OpenRequest { file: 8, ..request }, &mut effects).unwrap();
    assert!(files.pending().1.is_empty());
}

/// A file system on which "a" has an open, on disk; and its virtual server after a restart, where "a" has a client id again.
fn restarted() -> (Disk, VirtualServer, Arc<Client>) {
    let (mut server, mut files) = (server(), files());
    let client = ready_client(&mut server, at(0), "a");
    open(&mut files, at(0), &client, "owner", FILE, BOTH).unwrap();
    let mut disk = Disk::default();
    disk.write(&mut files);
    let mut server = VirtualServer::new(config(1, 8));
    let (client, _) = client_of(&mut server, at(100), "a", 1);
    (disk, server, client)
}

/// RFC 8881 §8.4.2.1: in grace the recorded client reclaims and nobody gets anything new; it ends when all have reclaimed.
#[test]
fn grace_is_for_reclaims() {
    let (disk, mut server, client) = restarted();
    let mut files = disk.restart(10, 100);
    assert!(matches!(files.grace_status(at(100)), GraceStatus::Running { waiting: 1, .. }));
    let b = ready_client(&mut server, at(100), "b");
    assert_eq!(open(&mut files, at(100), &b, "o", FILE, READ), Err(StateError::Grace));
    assert_eq!(open(&mut files, at(100), &client, "o", FILE, READ), Err(StateError::Grace));
    let anonymous = files.check_io(at(100), &b, FILE, &Stateid4::ANONYMOUS, IoAccess::Write, &mut Effects::default());
    assert_eq!(anonymous, Err(StateError::Grace));
    let (stranger, _) = client_of(&mut server, at(100), "stranger", 1);
    assert_eq!(reclaim(&mut files, at(100), &stranger, FILE), Err(StateError::ReclaimBad));
    let opened = reclaim(&mut files, at(100), &client, FILE).unwrap();
    let request = nfs_state::LockRequest {
        file: FILE,
        kind: NfsLockType4::Write,
        offset: 0,
        length: 9,
        reclaim: true,
        locker: from_open(opened, b"l"),
    };
    files.lock(at(100), &client, &request, &mut Effects::default()).unwrap();
    server.reclaim_complete(&client, false).unwrap();
    files.reclaim_complete(at(101), &client, &mut Effects::default());
    assert_eq!(files.grace_status(at(101)), GraceStatus::Over);
    open(&mut files, at(101), &b, "o", FILE, READ).unwrap();
}

/// RFC 8881 §8.4.2.1: grace lasts a lease at most, and whoever missed it may not reclaim at the next restart either: others may
/// have had its locks meanwhile. Nobody is told of anything new before that is on disk.
#[test]
fn who_misses_grace_loses_the_right() {
    let (mut disk, mut server, client) = restarted();
    let mut files = disk.restart(10, 100);
    let b = ready_client(&mut server, at(100), "b");
    assert_eq!(open(&mut files, at(159), &b, "o", FILE, READ), Err(StateError::Grace));
    let mut effects = Effects::default();
    files
        .open(at(160), &b, &OpenRequest { file: FILE, owner: b"o", share: share(1, 0), reclaim: false }, &mut effects)
        .unwrap();
    assert_eq!(effects.durable, Ticket(2));
    assert_eq!(reclaim(&mut files, at(160), &client, FILE), Err(StateError::NoGrace));
    disk.write(&mut files);
    assert_eq!(disk.0.len(), 1, "only b's record");
    let mut server = VirtualServer::new(config(1, 11));
    let (client, _) = client_of(&mut server, at(200), "a", 1);
    let mut files = disk.restart(11, 200);
    assert_eq!(reclaim(&mut files, at(200), &client, FILE), Err(StateError::ReclaimBad));
}

/// RFC 8881 §8.4.2.1: a restart within grace goes on with everybody who could or did reclaim.
#[test]
fn a_restart_within_grace_goes_on_with_the_union() {
    let (mut server, mut files) = (server(), files());
    let mut disk = Disk::default();
    for name in ["a", "b"] {
        let client = ready_client(&mut server, at(0), name);
        open(&mut files, at(0), &client, "owner", FILE, BOTH).unwrap();
    }
    disk.write(&mut files);
    // a reclaims in the first grace and b does not; then the server is killed again.
    let mut server = VirtualServer::new(config(1, 8));
    let (a, _) = client_of(&mut server, at(100), "a", 1);
    let mut files = disk.restart(10, 100);
    reclaim(&mut files, at(100), &a, FILE).unwrap();
    server.reclaim_complete(&a, false).unwrap();
    files.reclaim_complete(at(100), &a, &mut Effects::default());
    disk.write(&mut files);
    let mut server = VirtualServer::new(config(1, 9));
    let mut files = disk.restart(11, 120);
    for name in ["a", "b"] {
        let (client, _) = client_of(&mut server, at(120), name, 1);
        reclaim(&mut files, at(120), &client, FILE).unwrap();
        server.reclaim_complete(&client, false).unwrap();
        files.reclaim_complete(at(120), &client, &mut Effects::default());
    }
    assert_eq!(files.grace_status(at(120)), GraceStatus::Over);
    disk.write(&mut files);
    assert_eq!(disk.0.len(), 2);
}

/// RFC 8881 §8.4.2.1: another incarnation or principal does not reclaim, and nobody waits for what it was before.
#[test]
fn another_incarnation_does_not_reclaim() {
    let (mut disk, _, _) = restarted();
    let mut server = VirtualServer::new(config(1, 8));
    let (client, _) = client_of(&mut server, at(100), "a", 2);
    let mut files = disk.restart(10, 100);
    assert_eq!(reclaim(&mut files, at(100), &client, FILE), Err(StateError::ReclaimBad));
    server.reclaim_complete(&client, false).unwrap();
    files.reclaim_complete(at(100), &client, &mut Effects::default());
    assert_eq!(files.grace_status(at(100)), GraceStatus::Over);
    disk.write(&mut files);
    assert!(disk.0.is_empty());
}

/// RFC 8881 §18.51.3: who completes without having reclaimed leaves no record behind.
#[test]
fn completing_without_reclaiming_ends_the_record() {
    let (mut disk, mut server, client) = restarted();
    let mut files = disk.restart(10, 100);
    server.reclaim_complete(&client, false).unwrap();
    files.reclaim_complete(at(100), &client, &mut Effects::default());
    disk.write(&mut files);
    assert!(disk.0.is_empty());
    open(&mut files, at(100), &client, "o", FILE, READ).unwrap();
    disk.write(&mut files);
    assert_eq!(disk.0.len(), 1);
}

/// RFC 8881 §8.4.2.1: a client whose state was given away after its lease ran out cannot reclaim it after a crash.
#[test]
fn what_was_given_away_is_not_reclaimed() {
    let (mut server, mut files) = (server(), files());
    let mut disk = Disk::default();
    let a = ready_client(&mut server, at(0), "a");
    open(&mut files, at(0), &a, "owner", FILE, (3, 3)).unwrap();
    disk.write(&mut files);
    let b = ready_client(&mut server, at(61), "b");
    open(&mut files, at(61), &b, "owner", FILE, BOTH).unwrap();
    disk.write(&mut files);
    let mut server = VirtualServer::new(config(1, 8));
    let (a, _) = client_of(&mut server, at(100), "a", 1);
    let (b, _) = client_of(&mut server, at(100), "b", 1);
    let mut files = disk.restart(10, 100);
    assert_eq!(reclaim(&mut files, at(100), &a, FILE), Err(StateError::ReclaimBad));
    reclaim(&mut files, at(100), &b, FILE).unwrap();
}

/// RFC 8881 §18.35.4 case 5: a restarted client's old state and record go, and its new state has a record of its own.
#[test]
fn a_restarted_clients_state_is_forgotten() {
    let (mut server, mut files) = (server(), files());
    let mut disk = Disk::default();
    let (old, _) = client_of(&mut server, at(0), "a", 1);
    server.reclaim_complete(&old, false).unwrap();
    open(&mut files, at(0), &old, "o", FILE, (3, 3)).unwrap();
    let (new, _) = client_of(&mut server, at(1), "a", 2);
    assert!(old.is_gone());
    let mut effects = Effects::default();
    files.forget_client(old.key(), &mut effects);
    assert_eq!(effects.released, [FILE]);
    server.reclaim_complete(&new, false).unwrap();
    open(&mut files, at(1), &new, "o", FILE, (3, 3)).unwrap();
    assert_eq!(open(&mut files, at(1), &old, "o", 7, BOTH), Err(StateError::BadSession));
    disk.write(&mut files);
    assert_eq!(disk.0.len(), 1);
    let mut files = disk.restart(10, 100);
    let mut server = VirtualServer::new(config(1, 8));
    let (again, _) = client_of(&mut server, at(100), "a", 2);
    reclaim(&mut files, at(100), &again, FILE).unwrap();
}

/// RFC 8881 §8.4.2.1: a later incarnation's record is not taken down with the earlier one's state, however late that is.
#[test]
fn forgetting_late_spares_the_new_record() {
    let (mut server, mut files) = (server(), files());
    let mut disk = Disk::default();
    let old = ready_client(&mut server, at(0), "a");
    open(&mut files, at(0), &old, "o", FILE, BOTH).unwrap();
    let (new, _) = client_of(&mut server, at(1), "a", 2);
    server.reclaim_complete(&new, false).unwrap();
    open(&mut files, at(1), &new, "o", FILE, BOTH).unwrap();
    files.forget_client(old.key(), &mut Effects::default());
    disk.write(&mut files);
    assert_eq!((disk.0.len(), files.is_open(FILE)), (1, true));
    let mut server = VirtualServer::new(config(1, 8));
    let (again, _) = client_of(&mut server, at(100), "a", 2);
    let mut files = disk.restart(10, 100);
    reclaim(&mut files, at(100), &again, FILE).unwrap();
}

/// While a file system is sealed nobody can reclaim: grace stands still, and before its records are known nothing is granted.
#[test]
fn a_seal_postpones_grace() {
    let (disk, mut server, client) = restarted();
    let b = ready_client(&mut server, at(100), "b");
    let mut sealed = FileState::new(10, LEASE, Limits::default());
    assert_eq!(open(&mut sealed, at(500), &b, "o", FILE, READ), Err(StateError::Delay));
    assert_eq!(reclaim(&mut sealed, at(500), &client, FILE), Err(StateError::Delay));
    let mut files = disk.restart(10, 100);
    files.pause_grace(at(130));
    assert!(files.in_grace(at(10_000)));
    files.resume_grace(at(1000));
    assert!(files.in_grace(at(1029)));
    reclaim(&mut files, at(1029), &client, FILE).unwrap();
    assert!(!files.in_grace(at(1030)));
}

/// RFC 8881 §8.4.3: a client that was cut off before it had reclaimed all, with grace ended since, may not reclaim after the next
/// restart: others may have had what it did not reclaim. A restart within grace is another matter, and so is a client that
/// still says RECLAIM_COMPLETE.
#[test]
fn a_partial_reclaim_is_remembered() {
    enum Then {
        GraceEnds,
        RestartsAtOnce,
        Completes,
    }
    for (then, outcome) in
        [(Then::GraceEnds, Err(StateError::NoGrace)), (Then::RestartsAtOnce, Ok(())), (Then::Completes, Ok(()))]
    {
        let (mut disk, mut server, client) = restarted();
        let mut files = disk.restart(10, 100);
        reclaim(&mut files, at(100), &client, FILE).unwrap();
        disk.write(&mut files);
        match then {
            Then::RestartsAtOnce => {}
            Then::GraceEnds | Then::Completes => {
                let mut effects = Effects::default();
                files.settle_grace(at(161), &mut effects);
                assert_eq!(effects.durable, files.pending().0);
                assert!(files.durable() < effects.durable);
            }
        }
        if matches!(then, Then::Completes) {
            server.reclaim_complete(&client, false).unwrap();
            files.reclaim_complete(at(162), &client, &mut Effects::default());
        }
        disk.write(&mut files);
        assert_eq!(disk.0.len(), 1);

        let mut server = VirtualServer::new(config(1, 9));
        let (again, _) = client_of(&mut server, at(200), "a", 1);
        let mut files = disk.restart(11, 200);
        assert_eq!(reclaim(&mut files, at(200), &again, FILE).map(|_| ()), outcome);
        if outcome.is_err() {
            // It is waited for no more, and what it may not use goes.
            assert_eq!(files.grace_status(at(200)), GraceStatus::Over);
            disk.write(&mut files);
            assert!(disk.0.is_empty());
            server.reclaim_complete(&again, false).unwrap();
            open(&mut files, at(200), &again, "owner", FILE, BOTH).unwrap();
            disk.write(&mut files);
            assert_eq!(disk.0.len(), 1);
        }
    }
}

/// What gives nobody a right can be told apart before grace begins.
#[test]
fn damaged_records_are_told_from_good_ones() {
    let (disk, ..) = restarted();
    let (key, value) = disk.0.first_key_value().unwrap();
    assert!(nfs_state::is_readable_record(key, value));
    assert!(!nfs_state::is_readable_record(&Bytes::from_static(b"key"), value));
    assert!(!nfs_state::is_readable_record(key, &value.slice(..value.len() - 1)));
}

/// A record that cannot be read is not skipped: its client's locks could be given away while it may reclaim them.
#[test]
fn a_damaged_record_is_an_error() {
    let mut files = FileState::new(10, LEASE, Limits::default());
    let records = vec![(Bytes::from_static(b"key"), Bytes::from_static(b"value"))];
    assert!(files.begin_grace(at(0), records).is_err());
    assert_eq!(files.grace_status(at(0)), GraceStatus::NotBegun);
}

/// RFC 8881 §18.12: unlocking the middle makes two locks of one, so it counts; what only shrinks or removes always succeeds.
#[test]
fn unlocking_the_middle_is_bounded() {
    let limits = Limits { locks_per_file_max: 4, ..Limits::default() };
    let (mut server, mut files) = (server(), FileState::new(9, LEASE, limits));
    files.begin_grace(at(0), Vec::new()).unwrap();
    let client = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    let whole = (NfsLockType4::Write, 0, u64::MAX);
    let mut stateid = lock(&mut files, at(0), &client, FILE, whole, from_open(opened, b"l")).unwrap();
    let mut unlock = |offset, length| {
        let unlocked = files.locku(&client, FILE, &stateid, (offset, length))?;
        stateid = unlocked;
        Ok(files.counts().1)
    };
    assert_eq!((unlock(1, 1), unlock(3, 1), unlock(5, 1)), (Ok(2), Ok(3), Ok(4)));
    assert_eq!(unlock(7, 1), Err(StateError::Quota));
    assert_eq!(unlock(6, 10), Ok(4));
    assert_eq!(unlock(0, 3), Ok(2));
    assert_eq!(unlock(0, u64::MAX), Ok(0));
}

/// RFC 8881 §18.38: a client that never frees its lock stateids cannot pile them up; those that hold locks stay.
#[test]
fn lock_stateids_are_bounded() {
    let limits = Limits { locks_per_client_max: 3, ..Limits::default() };
    let (mut server, mut files) = (server(), FileState::new(9, LEASE, limits));
    files.begin_grace(at(0), Vec::new()).unwrap();
    let client = ready_client(&mut server, at(0), "a");
    let opened = open(&mut files, at(0), &client, "o", FILE, BOTH).unwrap();
    let kept = lock(&mut files, at(0), &client, FILE, (NfsLockType4::Write, 0, 1), from_open(opened, b"kept")).unwrap();
    for round in 0..20_u64 {
        let owner = format!("owner {round}");
        let range = (NfsLockType4::Write, 10 + round, 1);
        let locked = lock(&mut files, at(0), &client, FILE, range, from_open(opened, owner.as_bytes())).unwrap();
        files.locku(&client, FILE, &locked, (10 + round, 1)).unwrap();
        assert!(client.states() <= 4, "{}", client.states());
    }
    assert_eq!(files.test_stateid(&client, &kept), NfsStat4::Ok);
    assert_eq!(files.counts(), (1, 1));
}

/// RFC 8881 §18.22.3: reading through an open for writing is allowed unless another open denies it; its own denial is for others.
#[test]
fn an_open_does_not_deny_itself() {
    let (mut server, mut files) = (server(), files());
    let (a, b) = (ready_client(&mut server, at(0), "a"), ready_client(&mut server, at(0), "b"));
    let opened = open(&mut files, at(0), &a, "o", FILE, (2, 1)).unwrap();
    let mut read = |client: &Arc<Client>, stateid: &Stateid4| {
        files.check_io(at(0), client, FILE, stateid, IoAccess::Read, &mut Effects::default())
    };
    assert_eq!(read(&a, &opened), Ok(()));
    assert_eq!(read(&b, &Stateid4::ANONYMOUS), Err(StateError::Locked));
    let mut files = self::files();
    let writing = open(&mut files, at(0), &a, "o", FILE, (2, 0)).unwrap();
    open(&mut files, at(0), &b, "o", FILE, (2, 1)).unwrap();
    let denied = files.check_io(at(0), &a, FILE, &writing, IoAccess::Read, &mut Effects::default());
    assert_eq!(denied, Err(StateError::Locked));
}

/// RFC 8881 §9.7: a reclaim that conflicts says so.
#[test]
fn a_conflicting_reclaim_is_told_apart() {
    let (mut server, mut files) = (server(), files());
    let mut disk = Disk::default();
    for name in ["a", "b"] {
        let client = ready_client(&mut server, at(0), name);
        open(&mut files, at(0), &client, "owner", FILE, BOTH).unwrap();
    }
    disk.write(&mut files);
    let mut files = disk.restart(10, 100);
    let mut server = VirtualServer::new(config(1, 8));
    let (a, _) = client_of(&mut server, at(100), "a", 1);
    let (b, _) = client_of(&mut server, at(100), "b", 1);
    reclaim(&mut files, at(100), &a, FILE).unwrap();
    let request = OpenRequest { file: FILE, owner: b"owner", share: share(1, 2), reclaim: true };
    assert_eq!(files.open(at(100), &b, &request, &mut Effects::default()), Err(StateError::ReclaimConflict));
}
