//! Opens, byte-range locks, stateids, sessions and the small operations around them.

use crate::harness::client::{Client, Connection, at, component, getattr, lookup, mkdir, mode, putfh};
use crate::harness::server::Rig;
use nfs_wire::nfs4::{
    BackchannelCtl4Args, BindConnToSession4Args, ChannelDirFromClient4, ChannelDirFromServer4, Delegreturn4Args,
    DestroyClientid4Args, DestroySession4Args, ExistLockOwner4, FreeStateid4Args, Lock4Args, Lock4Res, Locker4,
    Lockt4Args, Lockt4Res, Locku4Args, NfsFh4, NfsLockType4, Nverify4Args, Open4Args, OpenClaim4, OpenDowngrade4Args,
    OpenToLockOwner4, Openflag4, Remove4Args, Secinfo4, Secinfo4Args, SecinfoNoName4Args, SecinfoStyle4, Setattr4Args,
    StableHow4, StateOwner4, Stateid4, TestStateid4Args, Verify4Args, share,
};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Fattr4, List, NfsStat4, Opaque, ResOp};

async fn client(rig: &Rig, owner: &'static str) -> Client {
    Client::mount(Connection::clear(rig.address).await, owner).await
}

fn owner(name: &'static [u8]) -> StateOwner4 {
    StateOwner4 { clientid: 0, owner: Opaque::copied(name).unwrap() }
}

fn lock(open_stateid: Stateid4, offset: u64, length: u64, reclaim: bool) -> ArgOp {
    let new = OpenToLockOwner4 { open_seqid: 0, open_stateid, lock_seqid: 0, lock_owner: owner(b"locker") };
    ArgOp::Lock(Lock4Args {
        locktype: NfsLockType4::Write,
        reclaim,
        offset,
        length,
        locker: Locker4::NewLockOwner(new),
    })
}

async fn locked(client: &mut Client, handle: &NfsFh4, operation: ArgOp) -> Stateid4 {
    match client.ok(vec![putfh(handle), operation]).await.pop() {
        Some(ResOp::Lock(Lock4Res::Ok(stateid))) => stateid,
        other => panic!("{other:?}"),
    }
}

fn size(size: u64) -> Fattr4 {
    Fattr4 { attrmask: Bitmap4::of(&[Attribute::Size]), attr_vals: Opaque::copied(&size.to_be_bytes()).unwrap() }
}

/// RFC 8881 sections 18.10 to 18.12, 18.38 and 18.48: a range belongs to one owner at a time, and who is refused learns whose it is.
#[tokio::test]
async fn byte_ranges_are_locked_tested_and_unlocked() {
    let rig = Rig::start().await;
    let (mut one, mut two) = (client(&rig, "one").await, client(&rig, "two").await);
    let (handle, opened) = one.open("/", "file").await;
    let stateid = locked(&mut one, &handle, lock(opened.stateid, 10, 20, false)).await;

    let (_, others) = two.open("/", "file").await;
    let result = two.call(vec![putfh(&handle), lock(others.stateid, 15, 1, false)]).await;
    let Some(ResOp::Lock(Lock4Res::Denied(denied))) = result.resarray.last() else { panic!("{result:?}") };
    assert_eq!((denied.offset, denied.length, &denied.owner.owner[..]), (10, 20, &b"locker"[..]));
    let test = |offset| {
        let locktype = NfsLockType4::Read;
        ArgOp::Lockt(Lockt4Args { locktype, offset, length: 1, owner: owner(b"locker") })
    };
    let result = two.call(vec![putfh(&handle), test(29)]).await;
    assert!(matches!(result.resarray.last(), Some(ResOp::Lockt(Lockt4Res::Denied(_)))));
    two.ok(vec![putfh(&handle), test(30)]).await;

    let free = ArgOp::FreeStateid(FreeStateid4Args { stateid });
    assert_eq!(one.status(vec![free.clone()]).await, NfsStat4::LocksHeld);
    let unlock = ArgOp::Locku(Locku4Args {
        locktype: NfsLockType4::Write,
        seqid: 0,
        lock_stateid: stateid,
        offset: 0,
        length: u64::MAX,
    });
    one.ok(vec![putfh(&handle), unlock]).await;
    two.ok(vec![putfh(&handle), test(15)]).await;
    let tested = ArgOp::TestStateid(TestStateid4Args {
        stateids: List::new(vec![opened.stateid, Stateid4 { seqid: 0, ..stateid }, others.stateid]).unwrap(),
    });
    let results = one.ok(vec![tested.clone()]).await;
    let Some(ResOp::TestStateid(Ok(statuses))) = results.last() else { panic!("{results:?}") };
    assert_eq!(statuses[..], [NfsStat4::Ok, NfsStat4::Ok, NfsStat4::BadStateid]);
    let unlocked = Stateid4 { seqid: 0, ..stateid };
    one.ok(vec![ArgOp::FreeStateid(FreeStateid4Args { stateid: unlocked })]).await;
    assert_eq!(one.status(vec![free]).await, NfsStat4::BadStateid);

    let existing = ArgOp::Lock(Lock4Args {
        locktype: NfsLockType4::Write,
        reclaim: false,
        offset: 0,
        length: 1,
        locker: Locker4::ExistingLockOwner(ExistLockOwner4 { lock_stateid: stateid, lock_seqid: 0 }),
    });
    assert_eq!(one.status(vec![putfh(&handle), existing]).await, NfsStat4::BadStateid);
    assert_eq!(one.status(vec![ArgOp::Putrootfh(()), test(0)]).await, NfsStat4::Isdir);
}

/// RFC 8881 sections 9.7 and 18.18: share reservations bind others until they are downgraded.
#[tokio::test]
async fn share_reservations_bind_others_until_downgraded() {
    let rig = Rig::start().await;
    let (mut one, mut two) = (client(&rig, "one").await, client(&rig, "two").await);
    let (handle, opened) = one.open("/", "file").await;
    one.close(&handle, opened.stateid).await;
    let open = |share_access, share_deny| {
        ArgOp::Open(Open4Args {
            seqid: 0,
            share_access,
            share_deny,
            owner: owner(b"denier"),
            openhow: Openflag4::Nocreate,
            claim: OpenClaim4::Fh,
        })
    };
    let results = one.ok(vec![putfh(&handle), open(share::ACCESS_READ, share::DENY_NONE)]).await;
    let results2 = one.ok(vec![putfh(&handle), open(share::ACCESS_BOTH, share::DENY_WRITE)]).await;
    assert!(matches!(results.last(), Some(ResOp::Open(Ok(_)))));
    let Some(ResOp::Open(Ok(opened))) = results2.last() else { panic!("{results2:?}") };
    let write = open(share::ACCESS_WRITE, share::DENY_NONE);
    assert_eq!(two.status(vec![putfh(&handle), write.clone()]).await, NfsStat4::ShareDenied);
    let write_anonymous = ArgOp::Write(nfs_wire::nfs4::Write4Args {
        stateid: Stateid4::ANONYMOUS,
        offset: 0,
        stable: StableHow4::FileSync,
        data: nfs_wire::Payload("x".into()),
    });
    assert_eq!(two.status(vec![putfh(&handle), write_anonymous]).await, NfsStat4::Locked);
    let downgrade = ArgOp::OpenDowngrade(OpenDowngrade4Args {
        open_stateid: opened.stateid,
        seqid: 0,
        share_access: share::ACCESS_READ,
        share_deny: share::DENY_NONE,
    });
    one.ok(vec![putfh(&handle), downgrade]).await;
    two.ok(vec![putfh(&handle), write]).await;
}

/// RFC 8881 section 16.2.3.1.2: the current stateid stands for the one that an operation before it set.
#[tokio::test]
async fn the_current_stateid_is_carried_through_a_compound() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "current").await;
    let how = Openflag4::Create(nfs_wire::nfs4::Createhow4::Guarded(mode(0o600)));
    let open = client.open_op("file", how);
    let set = ArgOp::Setattr(Setattr4Args { stateid: Stateid4::CURRENT, obj_attributes: size(100) });
    let close = ArgOp::Close(nfs_wire::nfs4::Close4Args { seqid: 0, open_stateid: Stateid4::CURRENT });
    client.ok([at("/"), vec![open.clone(), set.clone(), close]].concat()).await;
    let got: u64 = client.attribute("/file", Attribute::Size).await;
    assert_eq!(got, 100);
    assert_eq!(client.status([at("/file"), vec![set]].concat()).await, NfsStat4::BadStateid);
    assert_eq!(client.status([at("/"), vec![open]].concat()).await, NfsStat4::Exist);
}

/// RFC 8881 sections 18.15, 18.30 and 18.31: attributes are set, and compounds go on or stop by them.
#[tokio::test]
async fn attributes_are_set_and_verified() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "attributes").await;
    client.open("/", "file").await;
    let set = |obj_attributes| ArgOp::Setattr(Setattr4Args { stateid: Stateid4::ANONYMOUS, obj_attributes });
    client.ok([at("/file"), vec![set(mode(0o604)), set(size(5000))]].concat()).await;
    let verify = |fattr| ArgOp::Verify(Verify4Args { obj_attributes: fattr });
    let nverify = |fattr| ArgOp::Nverify(Nverify4Args { obj_attributes: fattr });
    client.ok([at("/file"), vec![verify(mode(0o604)), nverify(size(4999))]].concat()).await;
    assert_eq!(client.status([at("/file"), vec![verify(size(1))]].concat()).await, NfsStat4::NotSame);
    assert_eq!(client.status([at("/file"), vec![nverify(size(5000))]].concat()).await, NfsStat4::Same);
    assert_eq!(client.status([at("/"), vec![set(size(1))]].concat()).await, NfsStat4::Isdir);
    let read_only = Fattr4 { attrmask: Bitmap4::of(&[Attribute::Type]), ..Fattr4::empty() };
    assert_eq!(client.status([at("/file"), vec![set(read_only)]].concat()).await, NfsStat4::Inval);
    let write_only = getattr(&[Attribute::TimeModifySet]);
    assert_eq!(client.status([at("/file"), vec![write_only]].concat()).await, NfsStat4::Inval);
}

/// RFC 8881 sections 18.20, 18.27 to 18.29, 18.45: filehandles are kept and given back; SECINFO consumes its own.
#[tokio::test]
async fn filehandles_are_saved_restored_and_consumed() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "handles").await;
    client.ok(vec![ArgOp::Putpubfh(()), mkdir("d"), ArgOp::Savefh(()), ArgOp::Putrootfh(()), lookup("d")]).await;
    let there_and_back =
        vec![ArgOp::Putrootfh(()), ArgOp::Savefh(()), lookup("d"), ArgOp::Restorefh(()), lookup("d"), ArgOp::Getfh(())];
    client.ok(there_and_back).await;
    let secinfo = ArgOp::Secinfo(Secinfo4Args { name: component("d") });
    let results = client.ok(vec![ArgOp::Putrootfh(()), secinfo.clone()]).await;
    let Some(ResOp::Secinfo(Ok(flavors))) = results.last() else { panic!("{results:?}") };
    assert_eq!(flavors.first(), Some(&Secinfo4::Sys));
    let consumed = vec![ArgOp::Putrootfh(()), secinfo, ArgOp::Getfh(())];
    assert_eq!(client.status(consumed).await, NfsStat4::Nofilehandle);
    let no_name = |style| ArgOp::SecinfoNoName(SecinfoNoName4Args { style });
    client.ok([at("/d"), vec![no_name(SecinfoStyle4::Parent)]].concat()).await;
    let above = [at("/"), vec![no_name(SecinfoStyle4::Parent)]].concat();
    assert_eq!(client.status(above).await, NfsStat4::Noent);
    let current = [at("/d"), vec![no_name(SecinfoStyle4::CurrentFh), ArgOp::Getfh(())]].concat();
    assert_eq!(client.status(current).await, NfsStat4::Nofilehandle);
}

/// RFC 8881 sections 18.6, 18.33: no delegations are given and no callbacks made; both are answered in kind.
#[tokio::test]
async fn delegations_and_callbacks_are_answered_in_kind() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "callbacks").await;
    let (handle, opened) = client.open("/", "file").await;
    let give_back = ArgOp::Delegreturn(Delegreturn4Args { deleg_stateid: opened.stateid });
    assert_eq!(client.status(vec![putfh(&handle), give_back]).await, NfsStat4::BadStateid);
    let control = BackchannelCtl4Args { cb_program: 1, sec_parms: List::empty() };
    client.ok(vec![ArgOp::BackchannelCtl(control)]).await;
}

/// RFC 8881 sections 18.34, 18.37 and 18.50: connections join a session; sessions and clients end.
#[tokio::test]
async fn sessions_are_bound_and_ended() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "sessions").await;
    let mut second = Connection::clear(rig.address).await;
    let bind = ArgOp::BindConnToSession(BindConnToSession4Args {
        sessid: client.session,
        dir: ChannelDirFromClient4::ForeOrBoth,
        use_conn_in_rdma_mode: false,
    });
    let result = second.compound(vec![bind.clone()]).await;
    let Some(ResOp::BindConnToSession(Ok(bound))) = result.resarray.last() else { panic!("{result:?}") };
    assert_eq!((bound.sessid, bound.dir), (client.session, ChannelDirFromServer4::Both));
    assert_eq!(client.status(vec![bind.clone()]).await, NfsStat4::NotOnlyOp);
    let end_client = ArgOp::DestroyClientid(DestroyClientid4Args { clientid: client.clientid });
    assert_eq!(second.compound(vec![end_client.clone()]).await.status, NfsStat4::ClientidBusy);
    let end_session = ArgOp::DestroySession(DestroySession4Args { sessionid: client.session });
    assert_eq!(second.compound(vec![end_session]).await.status, NfsStat4::Ok);
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Badsession);
    assert_eq!(second.compound(vec![bind]).await.status, NfsStat4::Badsession);
    assert_eq!(second.compound(vec![end_client.clone()]).await.status, NfsStat4::Ok);
    assert_eq!(second.compound(vec![end_client]).await.status, NfsStat4::StaleClientid);
}

/// RFC 8881 section 8.4.3: whoever is silent for longer than its lease loses its locks to who wants them, and learns of it.
#[tokio::test]
async fn an_expired_client_gives_way() {
    let rig = Rig::start().await;
    let mut one = client(&rig, "one").await;
    let (handle, opened) = one.open("/", "file").await;
    locked(&mut one, &handle, lock(opened.stateid, 0, u64::MAX, false)).await;
    let mut two = client(&rig, "two").await;
    let (_, others) = two.open("/", "file").await;
    let attempt = vec![putfh(&handle), lock(others.stateid, 0, 1, false)];
    assert_eq!(two.status(attempt.clone()).await, NfsStat4::Denied);
    for _ in 0..30 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        two.ok(vec![ArgOp::Putrootfh(())]).await;
    }
    two.ok(attempt).await;
    assert_eq!(one.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Badsession);
    let remove = ArgOp::Remove(Remove4Args { target: component("file") });
    two.ok(vec![ArgOp::Putrootfh(()), remove]).await;
}

/// RFC 8881 section 2.10.6.1.3.1: a client that sends a request again after a reconnect tells of the slots in use then, and
/// under another tag; it gets the reply, and the change does not run twice. Other operations are a false retry.
#[tokio::test]
async fn a_retry_may_tell_of_other_slots() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "resends").await;
    let make = |highest, tag: &[u8], operations: &[ArgOp], sequence: &ArgOp| {
        let mut sequence = sequence.clone();
        if let ArgOp::Sequence(sequence) = &mut sequence {
            sequence.highest_slotid = highest;
        }
        let operations = [std::slice::from_ref(&sequence), operations].concat();
        nfs_wire::nfs4::Compound4Args::new(Opaque::copied(tag).unwrap(), operations)
    };
    let sequence = client.sequence(0, true);
    let operations = [ArgOp::Putrootfh(()), mkdir("once")];
    let first = client.connection.compound_args(&make(3, b"", &operations, &sequence)).await.unwrap();
    assert_eq!(first.status, NfsStat4::Ok);
    client.connection = Connection::clear(rig.address).await;
    let again = client.connection.compound_args(&make(9, b"later", &operations, &sequence)).await.unwrap();
    assert_eq!(again.resarray, first.resarray);
    let other = [ArgOp::Putrootfh(()), mkdir("more")];
    let refused = client.connection.compound_args(&make(3, b"", &other, &sequence)).await.unwrap();
    assert_eq!(refused.status, NfsStat4::SeqFalseRetry);
}

/// RFC 8881 section 2.10.6.4: what has no room for its result in the reply, or in the reply cache, does not run.
#[tokio::test]
async fn a_change_without_room_for_its_result_does_not_run() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "tight").await;
    client.channel.maxresponsesize_cached = 100;
    client.renew_identity().await;
    let kept = vec![client.sequence(1, true), ArgOp::Putrootfh(()), mkdir("d")];
    let result = client.connection.compound(kept).await;
    assert_eq!((result.status, result.resarray.len()), (NfsStat4::RepTooBigToCache, 3));
    assert_eq!(client.status(at("/d")).await, NfsStat4::Noent);
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("d")]).await;

    client.channel.maxresponsesize = 128;
    client.renew_identity().await;
    let operations = [at("/d"), vec![mkdir("e")]].concat();
    assert_eq!(client.status(operations).await, NfsStat4::RepTooBig);
    assert_eq!(client.status(at("/d/e")).await, NfsStat4::Noent);
}

/// RFC 8881 section 18.37.3: a session that is destroyed from within is destroyed by the last operation.
#[tokio::test]
async fn a_session_destroys_itself_last() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "last").await;
    let destroy = ArgOp::DestroySession(DestroySession4Args { sessionid: client.session });
    assert_eq!(client.status(vec![destroy.clone(), ArgOp::Putrootfh(())]).await, NfsStat4::NotOnlyOp);
    client.ok(vec![ArgOp::Putrootfh(()), destroy]).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Badsession);
}

/// RFC 8881 section 18.3.3: a COMMIT beyond the largest offset is invalid.
#[tokio::test]
async fn a_commit_ends_within_what_an_offset_can_say() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "commits").await;
    let (handle, _) = client.open("/", "file").await;
    let commit = |offset, count| ArgOp::Commit(nfs_wire::nfs4::Commit4Args { offset, count });
    client.ok(vec![putfh(&handle), commit(u64::MAX - 1, 1)]).await;
    assert_eq!(client.status(vec![putfh(&handle), commit(u64::MAX, 1)]).await, NfsStat4::Inval);
}
