//! A virtual server, clients on it and time that the test moves, for the tests of this crate.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use env::Instant;
use nfs_state::{
    Admitted, Client, ConnectionId, Dropped, Effects, FileState, Limits, LockRequest, Locker, OpenRequest, Principal,
    RequestFacts, ServerConfig, Share, StateError, Verdict, VirtualServer, VirtualServerId,
};
use nfs_wire::nfs4::{
    ChannelAttrs4, ClientOwner4, CreateSession4Args, CreateSession4Resok, ExchangeId4Args, ExchangeId4Resok,
    NfsLockType4, Sequence4Args, SessionId4, StateProtect4A, Stateid4,
};
use nfs_wire::{List, NfsStat4, Opaque};

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const CONNECTION: ConnectionId = ConnectionId(1);
pub(crate) const ALICE: Principal = Principal::Unix(1);
pub(crate) const BOB: Principal = Principal::Unix(2);

pub(crate) fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

pub(crate) fn config(name: u8, instance: u32) -> ServerConfig {
    ServerConfig {
        id: VirtualServerId([name; 16]),
        instance,
        major_id: Opaque::copied(&[name; 16]).unwrap(),
        scope: Opaque::copied(&[name; 16]).unwrap(),
        persistent: true,
        lease: LEASE,
        limits: Limits::default(),
    }
}

pub(crate) fn server() -> VirtualServer {
    VirtualServer::new(config(1, 7))
}

pub(crate) fn channel(maxrequests: u32) -> ChannelAttrs4 {
    ChannelAttrs4 {
        headerpadsize: 0,
        maxrequestsize: 8192,
        maxresponsesize: 8192,
        maxresponsesize_cached: 8192,
        maxoperations: 100,
        maxrequests,
        rdma_ird: List::empty(),
    }
}

pub(crate) fn exchange_args(owner: &str, verifier: u8, flags: u32) -> ExchangeId4Args {
    let ownerid = Opaque::copied(owner.as_bytes()).unwrap();
    ExchangeId4Args {
        clientowner: ClientOwner4 { verifier: [verifier; 8], ownerid },
        flags,
        state_protect: StateProtect4A::None,
        client_impl_id: List::empty(),
    }
}

pub(crate) fn exchange(
    server: &mut VirtualServer,
    now: Instant,
    owner: &str,
    verifier: u8,
    principal: Principal,
) -> Result<ExchangeId4Resok, StateError> {
    server.exchange_id(now, &exchange_args(owner, verifier, 0), principal, &mut Dropped::default())
}

pub(crate) fn create_args(clientid: u64, sequence: u32) -> CreateSession4Args {
    CreateSession4Args {
        clientid,
        sequence,
        flags: 0,
        fore_chan_attrs: channel(8),
        back_chan_attrs: channel(8),
        cb_program: 123,
        sec_parms: List::empty(),
    }
}

pub(crate) fn create(
    server: &mut VirtualServer,
    now: Instant,
    clientid: u64,
    sequence: u32,
    principal: Principal,
) -> Result<CreateSession4Resok, StateError> {
    let args = create_args(clientid, sequence);
    server.create_session(now, &args, principal, CONNECTION, [5; 4], &mut Dropped::default())
}

pub(crate) fn facts(fingerprint: u64) -> RequestFacts {
    RequestFacts { bytes: 200, operations: 2, fingerprint, repeatable: false }
}

pub(crate) fn sequence_args(sessionid: SessionId4, slotid: u32, sequenceid: u32) -> Sequence4Args {
    Sequence4Args { sessionid, sequenceid, slotid, highest_slotid: 7, cachethis: true }
}

pub(crate) fn sequence(
    server: &mut VirtualServer,
    now: Instant,
    session: SessionId4,
    slot: u32,
    number: u32,
) -> Verdict {
    server.sequence(now, &sequence_args(session, slot, number), facts(1), CONNECTION)
}

pub(crate) fn runs(verdict: Verdict) -> Admitted {
    match verdict {
        Verdict::Run(admitted) => *admitted,
        other => panic!("does not run: {other:?}"),
    }
}

pub(crate) fn refusal(verdict: Verdict) -> NfsStat4 {
    match verdict {
        Verdict::Refuse(status) => status,
        other => panic!("is not refused: {other:?}"),
    }
}

/// A client with a session, and one request of it finished.
pub(crate) fn client_of(
    server: &mut VirtualServer,
    now: Instant,
    owner: &str,
    verifier: u8,
) -> (Arc<Client>, SessionId4) {
    let id = exchange(server, now, owner, verifier, ALICE).unwrap();
    let session = create(server, now, id.clientid, id.sequenceid, ALICE).unwrap().sessionid;
    let admitted = runs(sequence(server, now, session, 0, 1));
    server.finish(&admitted.token, None);
    (admitted.client, session)
}

/// The same, after RECLAIM_COMPLETE.
pub(crate) fn ready_client(server: &mut VirtualServer, now: Instant, owner: &str) -> Arc<Client> {
    let (client, _) = client_of(server, now, owner, 1);
    server.reclaim_complete(&client, false).unwrap();
    client
}

/// A file system's state that is not in grace.
pub(crate) fn files() -> FileState {
    let mut files = FileState::new(9, LEASE, Limits::default());
    files.begin_grace(at(0), Vec::new()).unwrap();
    files
}

pub(crate) fn share(access: u32, deny: u32) -> Share {
    Share { access, deny }
}

pub(crate) fn open(
    files: &mut FileState,
    now: Instant,
    client: &Arc<Client>,
    owner: &str,
    file: u64,
    (access, deny): (u32, u32),
) -> Result<Stateid4, StateError> {
    let request = OpenRequest { file, owner: owner.as_bytes(), share: share(access, deny), reclaim: false };
    files.open(now, client, &request, &mut Effects::default())
}

pub(crate) fn reclaim(
    files: &mut FileState,
    now: Instant,
    client: &Arc<Client>,
    file: u64,
) -> Result<Stateid4, StateError> {
    let request = OpenRequest { file, owner: b"owner", share: share(3, 0), reclaim: true };
    files.open(now, client, &request, &mut Effects::default())
}

pub(crate) fn lock(
    files: &mut FileState,
    now: Instant,
    client: &Arc<Client>,
    file: u64,
    (kind, offset, length): (NfsLockType4, u64, u64),
    locker: Locker<'_>,
) -> Result<Stateid4, StateError> {
    let request = LockRequest { file, kind, offset, length, reclaim: false, locker };
    files.lock(now, client, &request, &mut Effects::default())
}
