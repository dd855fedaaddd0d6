//! Client ids and sessions, rule by rule. The pynfs codes name the case of that suite which checks the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod scene;

use std::time::Duration;

use bytes::Bytes;
use nfs_state::{ConnectionId, Dropped, RequestFacts, StateError, Verdict, VirtualServer};
use nfs_wire::nfs4::{
    BindConnToSession4Args, ChannelDirFromClient4, ChannelDirFromServer4, SsvSpParms4, StateProtect4A,
    StateProtectOps4, create_session_flags, exchange_id_flags,
};
use nfs_wire::{Bitmap4, List, NfsStat4};
use scene::{
    ALICE, BOB, CONNECTION, LEASE, at, channel, client_of, config, create, create_args, exchange, exchange_args, facts,
    ready_client, refusal, runs, sequence, sequence_args, server,
};

const OTHER_CONNECTION: ConnectionId = ConnectionId(2);

/// RFC 8881 §18.35.3: the server says which role it has (pynfs EID1).
#[test]
fn a_new_owner_gets_an_unconfirmed_client_id() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    assert_eq!(id.flags, exchange_id_flags::USE_NON_PNFS);
    assert_eq!(id.server_owner.major_id, server.config().major_id);
    assert_eq!((id.clientid >> 32, id.sequenceid), (7, 1));
}

/// RFC 8881 §18.35.3: undefined bits and bits of replies are refused (pynfs EID4, EID7).
#[test]
fn bits_that_a_client_may_not_set_are_invalid() {
    let mut server = server();
    for flags in [4, exchange_id_flags::CONFIRMED_R] {
        let outcome = server.exchange_id(at(0), &exchange_args("a", 1, flags), ALICE, &mut Dropped::default());
        assert_eq!(outcome, Err(StateError::Invalid));
    }
}

/// RFC 8881 §18.35.3: protection that needs RPCSEC_GSS is not promised without it.
#[test]
fn state_protection_is_not_promised() {
    let mut server = server();
    let ops = StateProtectOps4 { must_enforce: Bitmap4::EMPTY, must_allow: Bitmap4::EMPTY };
    let ssv = SsvSpParms4 {
        ops: ops.clone(),
        hash_algs: List::empty(),
        encr_algs: List::empty(),
        window: 1,
        num_gss_handles: 0,
    };
    for (protect, expected) in [
        (StateProtect4A::MachCred(ops), StateError::Invalid),
        (StateProtect4A::Ssv(Box::new(ssv)), StateError::ProtectionUnsupported),
    ] {
        let args = nfs_wire::nfs4::ExchangeId4Args { state_protect: protect, ..exchange_args("a", 1, 0) };
        assert_eq!(server.exchange_id(at(0), &args, ALICE, &mut Dropped::default()), Err(expected));
    }
}

/// RFC 8881 §18.35.4 case 4: an unconfirmed record is replaced whatever came (pynfs EID5a to EID5d).
#[test]
fn an_unconfirmed_record_is_replaced() {
    for (verifier, principal) in [(1, ALICE), (1, BOB), (2, ALICE), (2, BOB)] {
        let mut server = server();
        let first = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
        let second = exchange(&mut server, at(0), "a", verifier, principal).unwrap();
        assert_ne!(first.clientid, second.clientid);
        assert_eq!(create(&mut server, at(0), first.clientid, 1, ALICE), Err(StateError::StaleClientId));
        create(&mut server, at(0), second.clientid, 1, principal).unwrap();
    }
}

/// RFC 8881 §18.35.4 case 2: the same incarnation is told the same again (pynfs EID5h).
#[test]
fn a_confirmed_record_is_found_again() {
    let mut server = server();
    let (client, _) = client_of(&mut server, at(0), "a", 1);
    let again = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    assert_eq!(again.clientid, client.key().clientid);
    assert_ne!(again.flags & exchange_id_flags::CONFIRMED_R, 0);
    create(&mut server, at(0), again.clientid, again.sequenceid, ALICE).unwrap();
}

/// RFC 8881 §18.35.4 case 3: another principal takes an owner over only when nothing is left of the first (pynfs EID5e, EID5g).
#[test]
fn an_owner_in_use_is_not_given_to_another_principal() {
    let mut server = server();
    let (client, session) = client_of(&mut server, at(0), "a", 1);
    assert_eq!(exchange(&mut server, at(0), "a", 2, BOB), Err(StateError::ClientInUse));
    server.destroy_session(&session, CONNECTION, &mut Dropped::default()).unwrap();
    let other = exchange(&mut server, at(0), "a", 2, BOB).unwrap();
    assert_ne!(other.clientid, client.key().clientid);
    assert!(client.is_gone());
    assert_eq!(create(&mut server, at(0), client.key().clientid, 2, ALICE), Err(StateError::StaleClientId));
}

/// RFC 8881 §18.35.4 case 3: an expired lease protects nobody.
#[test]
fn an_expired_owner_is_given_to_another_principal() {
    let mut server = server();
    let (client, _) = client_of(&mut server, at(0), "a", 1);
    let mut dropped = Dropped::default();
    let late = at(61);
    server.exchange_id(late, &exchange_args("a", 1, 0), BOB, &mut dropped).unwrap();
    assert_eq!(dropped.clients, [client.key()]);
}

/// RFC 8881 §18.35.4 case 5: a restarted client's old state lives until the new record is confirmed (pynfs EID5f, EID5fb).
#[test]
fn a_restarted_client_replaces_itself_when_it_confirms() {
    let mut server = server();
    let (old, session) = client_of(&mut server, at(0), "a", 1);
    let new = exchange(&mut server, at(0), "a", 2, ALICE).unwrap();
    assert_ne!(new.clientid, old.key().clientid);
    let admitted = runs(sequence(&mut server, at(0), session, 0, 2));
    server.finish(&admitted.token, None);
    let mut dropped = Dropped::default();
    let args = create_args(new.clientid, new.sequenceid);
    server.create_session(at(0), &args, ALICE, CONNECTION, [0; 4], &mut dropped).unwrap();
    assert_eq!((dropped.clients, dropped.sessions), (vec![old.key()], vec![session]));
    assert_eq!(refusal(sequence(&mut server, at(0), session, 0, 3)), NfsStat4::Badsession);
}

/// RFC 8881 §18.35.4 cases 6 to 9: updates (pynfs EID6, EID6a to EID6h).
#[test]
fn only_the_same_incarnation_and_principal_update_a_record() {
    let update = exchange_id_flags::UPD_CONFIRMED_REC_A;
    let mut server = server();
    let try_update = |server: &mut VirtualServer, verifier, principal| {
        server.exchange_id(at(0), &exchange_args("a", verifier, update), principal, &mut Dropped::default())
    };
    assert_eq!(try_update(&mut server, 1, ALICE), Err(StateError::NoRecord));
    exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    for (verifier, principal) in [(1, ALICE), (1, BOB), (2, ALICE), (2, BOB)] {
        assert_eq!(try_update(&mut server, verifier, principal), Err(StateError::NoRecord));
    }
    let (client, _) = client_of(&mut server, at(0), "a", 1);
    assert_eq!(try_update(&mut server, 2, BOB), Err(StateError::OtherIncarnation));
    assert_eq!(try_update(&mut server, 2, ALICE), Err(StateError::OtherIncarnation));
    assert_eq!(try_update(&mut server, 1, BOB), Err(StateError::OtherPrincipal));
    assert_eq!(try_update(&mut server, 1, ALICE).unwrap().clientid, client.key().clientid);
}

/// RFC 8881 §18.35.4: what is not confirmed within a lease is removed (pynfs EID9).
#[test]
fn an_unconfirmed_record_lives_for_a_lease() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    assert_eq!(create(&mut server, at(61), id.clientid, 1, ALICE), Err(StateError::StaleClientId));
    server.sweep(at(61), &mut Dropped::default());
    assert!(server.status(at(61)).is_empty());
}

/// RFC 8881 §18.36.4 phase 1: no record, no session (pynfs CSESS3).
#[test]
fn an_unknown_client_id_is_stale() {
    assert_eq!(create(&mut server(), at(0), 99, 1, ALICE), Err(StateError::StaleClientId));
}

/// RFC 8881 §18.36.4 phase 2: retries, contrived replies and misordered requests (pynfs CSESS4, 5, 7, 8, 24).
#[test]
fn create_session_has_a_slot_of_its_own() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    assert_eq!(create(&mut server, at(0), id.clientid, 0, ALICE), Err(StateError::SequenceMisordered));
    assert_eq!(create(&mut server, at(0), id.clientid, 2, ALICE), Err(StateError::SequenceMisordered));
    let first = create(&mut server, at(0), id.clientid, 1, ALICE).unwrap();
    assert_eq!(first.sequence, 1);
    assert_eq!(create(&mut server, at(0), id.clientid, 1, ALICE).unwrap(), first);
    assert_eq!(create(&mut server, at(0), id.clientid, 3, ALICE), Err(StateError::SequenceMisordered));
    assert_eq!(create(&mut server, at(0), id.clientid, 0, ALICE), Err(StateError::SequenceMisordered));
    let second = create(&mut server, at(0), id.clientid, 2, ALICE).unwrap();
    assert_ne!(first.sessionid, second.sessionid);
}

/// RFC 8881 §18.36.4 phase 3: who confirms must be who asked; afterwards anybody may add a session (pynfs CSESS6, 9, 10).
#[test]
fn another_principal_may_not_confirm() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    for _ in 0..2 {
        assert_eq!(create(&mut server, at(0), id.clientid, 1, BOB), Err(StateError::ClientInUse));
    }
    create(&mut server, at(0), id.clientid, 1, ALICE).unwrap();
    create(&mut server, at(0), id.clientid, 2, BOB).unwrap();
}

/// RFC 8881 §18.36.3: undefined flags are refused, and only what the server does is granted (pynfs CSESS15).
#[test]
fn session_flags_are_granted_as_far_as_they_hold() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    let mut args = create_args(id.clientid, 1);
    let mut try_flags = |server: &mut VirtualServer, flags| {
        args.flags = flags;
        server.create_session(at(0), &args, ALICE, CONNECTION, [0; 4], &mut Dropped::default())
    };
    assert_eq!(try_flags(&mut server, 0xf), Err(StateError::Invalid));
    let granted = try_flags(&mut server, create_session_flags::MASK).unwrap().flags;
    assert_eq!(granted, create_session_flags::PERSIST | create_session_flags::CONN_BACK_CHAN);
}

/// RFC 8881 §18.36.3: channels too small for any message are refused and leave nothing behind (pynfs CSESS25, 28, 29).
#[test]
fn channels_too_small_are_refused_and_cost_nothing() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    let mut tiny = create_args(id.clientid, 1);
    tiny.back_chan_attrs.maxrequestsize = 10;
    tiny.back_chan_attrs.maxoperations = 1;
    for _ in 0..10_000 {
        let outcome = server.create_session(at(0), &tiny, ALICE, CONNECTION, [0; 4], &mut Dropped::default());
        assert_eq!(outcome, Err(StateError::TooSmall));
    }
    for (request, response) in [(8192, 0), (20, 8192)] {
        let mut args = create_args(id.clientid, 1);
        args.fore_chan_attrs.maxrequestsize = request;
        args.fore_chan_attrs.maxresponsesize = response;
        let outcome = server.create_session(at(0), &args, ALICE, CONNECTION, [0; 4], &mut Dropped::default());
        assert_eq!(outcome, Err(StateError::TooSmall));
    }
    create(&mut server, at(0), id.clientid, 1, ALICE).unwrap();
}

/// RFC 8881 §18.36.3: nothing grows beyond what was asked for, and slots are bounded (pynfs CSESS22).
#[test]
fn channels_are_cut_to_the_limits() {
    let mut server = server();
    let limits = server.config().limits;
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    let mut args = create_args(id.clientid, 1);
    args.fore_chan_attrs = nfs_wire::nfs4::ChannelAttrs4 {
        headerpadsize: 100,
        maxrequestsize: u32::MAX,
        maxresponsesize: u32::MAX,
        maxresponsesize_cached: u32::MAX,
        maxoperations: u32::MAX,
        maxrequests: 2049,
        rdma_ird: List::new(vec![57]).unwrap(),
    };
    let fore = server
        .create_session(at(0), &args, ALICE, CONNECTION, [0; 4], &mut Dropped::default())
        .unwrap()
        .fore_chan_attrs;
    assert_eq!((fore.maxrequests, fore.maxoperations), (limits.slots_max, limits.operations_max));
    assert_eq!((fore.maxrequestsize, fore.maxresponsesize), (limits.message_bytes_max, limits.message_bytes_max));
    assert_eq!((fore.headerpadsize, fore.rdma_ird.len()), (0, 0));
    assert!(limits.message_bytes_max > 1024 * 1024 + 4096, "a whole WRITE of 1 MiB fits");
}

/// RFC 8881 §18.36.4: sessions of one client, and the memory that all may reserve, are bounded (NFS4ERR_NOSPC).
#[test]
fn sessions_are_bounded() {
    let mut config = config(1, 7);
    config.limits.sessions_per_client_max = 3;
    let mut server = VirtualServer::new(config.clone());
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    for number in 1..=3 {
        create(&mut server, at(0), id.clientid, number, ALICE).unwrap();
    }
    assert_eq!(create(&mut server, at(0), id.clientid, 4, ALICE), Err(StateError::NoRoom));

    config.limits.reply_cache_bytes_max = 100_000;
    config.limits.sessions_per_client_max = 1000;
    let mut server = VirtualServer::new(config);
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    let mut number = 0;
    let mut slots = Vec::new();
    let refused = loop {
        number += 1;
        match create(&mut server, at(0), id.clientid, number, ALICE) {
            Ok(resok) => slots.push(resok.fore_chan_attrs.maxrequests),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StateError::NoRoom);
    assert!(slots.is_sorted_by(|earlier, later| earlier >= later) && slots.len() > 5, "{slots:?}");
    // What is destroyed makes room again.
    let session = server.status(at(0))[0].sessions;
    assert_eq!(session, slots.len());
}

/// RFC 8881 §2.4: client records are bounded; the ones missed least go first, and then nobody is let in.
#[test]
fn client_records_are_bounded() {
    let mut config = config(1, 7);
    config.limits.clients_max = 2;
    let mut server = VirtualServer::new(config);
    let (kept, _) = client_of(&mut server, at(0), "a", 1);
    exchange(&mut server, at(0), "b", 1, ALICE).unwrap();
    let (confirmed, _) = client_of(&mut server, at(1), "c", 1);
    assert!(!kept.is_gone() && !confirmed.is_gone());
    assert_eq!(exchange(&mut server, at(2), "d", 1, ALICE), Err(StateError::Delay));
    exchange(&mut server, at(61), "d", 1, ALICE).unwrap();
    assert!(kept.is_gone() && !confirmed.is_gone());
}

/// RFC 8881 §18.46.3: the reply repeats session, slot and sequence (pynfs SEQ1, SEQ12).
#[test]
fn a_sequence_is_answered_with_what_it_said() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let admitted = runs(sequence(&mut server, at(0), session, 2, 1));
    let resok = &admitted.resok;
    assert_eq!((resok.sessionid, resok.slotid, resok.sequenceid, resok.status_flags), (session, 2, 1, 0));
    assert_eq!((resok.highest_slotid, resok.target_highest_slotid), (7, 7));
    server.finish(&admitted.token, None);
}

/// RFC 8881 §18.46.3: unknown sessions and slots (pynfs SEQ5, SEQ8), and a highest slot below the slot.
#[test]
fn sessions_and_slots_must_exist() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    assert_eq!(refusal(sequence(&mut server, at(0), [0xee; 16], 0, 1)), NfsStat4::Badsession);
    assert_eq!(refusal(sequence(&mut server, at(0), session, 8, 1)), NfsStat4::Badslot);
    let mut args = sequence_args(session, 3, 1);
    args.highest_slotid = 2;
    assert_eq!(refusal(server.sequence(at(0), &args, facts(1), CONNECTION)), NfsStat4::BadHighSlot);
}

/// RFC 8881 §18.46.3: a slot's numbers go up by one (pynfs SEQ13), the first is 1, and they wrap around.
#[test]
fn a_slot_counts_by_one() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    for number in [0, 2, u32::MAX] {
        assert_eq!(refusal(sequence(&mut server, at(0), session, 1, number)), NfsStat4::SeqMisordered);
    }
    let first = runs(sequence(&mut server, at(0), session, 1, 1));
    server.finish(&first.token, None);
    for number in [0, 3] {
        assert_eq!(refusal(sequence(&mut server, at(0), session, 1, number)), NfsStat4::SeqMisordered);
    }
    let second = runs(sequence(&mut server, at(0), session, 1, 2));
    server.finish(&second.token, None);
}

/// RFC 8881 §2.10.6.1: a retry gets the same reply, byte for byte (pynfs SEQ9a to SEQ9f).
#[test]
fn a_retry_gets_the_reply_again() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let admitted = runs(sequence(&mut server, at(0), session, 0, 2));
    server.finish(&admitted.token, Some(Bytes::from_static(b"the reply")));
    for _ in 0..2 {
        match sequence(&mut server, at(0), session, 0, 2) {
            Verdict::Replay(reply) => assert_eq!(reply, "the reply"),
            other => panic!("{other:?}"),
        }
    }
}

/// RFC 8881 §2.10.6.1.3.1: a retry of what still runs waits; a new request on that slot is misordered.
#[test]
fn a_busy_slot_takes_nothing() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let running = runs(sequence(&mut server, at(0), session, 0, 2));
    assert!(matches!(sequence(&mut server, at(0), session, 0, 2), Verdict::InProgress));
    let other = server.sequence(at(0), &sequence_args(session, 0, 2), facts(2), CONNECTION);
    assert_eq!(refusal(other), NfsStat4::SeqFalseRetry);
    assert_eq!(refusal(sequence(&mut server, at(0), session, 0, 3)), NfsStat4::SeqMisordered);
    server.finish(&running.token, None);
}

/// Architecture section 3, "Operations and the committer": a request whose outcome is not known to be durable has no reply for a
/// retry, not even the reply that was ready; the slot goes on with the next request.
#[test]
fn a_lost_outcome_is_not_acknowledged_to_a_retry() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let admitted = runs(sequence(&mut server, at(1), session, 0, 2));
    server.finish_lost(&admitted.token);
    assert!(matches!(sequence(&mut server, at(2), session, 0, 2), Verdict::ReplyLost));
    let mut facts = facts(1);
    facts.repeatable = true;
    let again = server.sequence(at(2), &sequence_args(session, 0, 2), facts, CONNECTION);
    assert!(matches!(again, Verdict::ReplyLost));
    runs(sequence(&mut server, at(3), session, 0, 3));
}

/// RFC 8881 §2.10.6.1.3.1: the same number on another request is a false retry.
#[test]
fn a_false_retry_is_seen() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let admitted = runs(sequence(&mut server, at(0), session, 0, 2));
    server.finish(&admitted.token, Some(Bytes::from_static(b"the reply")));
    let other = server.sequence(at(0), &sequence_args(session, 0, 2), facts(2), CONNECTION);
    assert_eq!(refusal(other), NfsStat4::SeqFalseRetry);
}

/// RFC 8881 §2.10.6.1.3: what was not kept is known to have run (pynfs SEQ10b); small replies are kept anyway.
#[test]
fn a_reply_that_was_not_kept_is_not_made_up() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let mut args = sequence_args(session, 0, 2);
    args.cachethis = false;
    let admitted = runs(server.sequence(at(0), &args, facts(1), CONNECTION));
    assert_eq!(admitted.limits.cached_bytes_max, None);
    server.finish(&admitted.token, Some(vec![0; 3000].into()));
    assert!(matches!(server.sequence(at(0), &args, facts(1), CONNECTION), Verdict::ReplayUncached(_)));
    args.sequenceid = 3;
    let admitted = runs(server.sequence(at(0), &args, facts(1), CONNECTION));
    server.finish(&admitted.token, Some(vec![0; 100].into()));
    assert!(matches!(server.sequence(at(0), &args, facts(1), CONNECTION), Verdict::Replay(_)));
}

/// RFC 8881 §2.10.6.1.3: a request that only reads runs again when its reply was not kept (pynfs SEQ10b takes either).
#[test]
fn a_reading_request_runs_again() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let reading = RequestFacts { repeatable: true, ..facts(1) };
    for _ in 0..3 {
        let admitted = runs(server.sequence(at(0), &sequence_args(session, 0, 2), reading, CONNECTION));
        server.finish(&admitted.token, None);
    }
    let small = runs(server.sequence(at(0), &sequence_args(session, 0, 2), reading, CONNECTION));
    server.finish(&small.token, Some(Bytes::from_static(b"kept")));
    let again = server.sequence(at(0), &sequence_args(session, 0, 2), reading, CONNECTION);
    assert!(matches!(again, Verdict::Replay(_)));
}

/// RFC 8881 §2.10.6.4: requests and operations above the channel's limits do not run (pynfs SEQ6, SEQ7), and the slot is as it
/// was; nor do those whose reply could never be kept (pynfs CSESS27).
#[test]
fn requests_above_the_limits_are_refused() {
    let mut server = server();
    let id = exchange(&mut server, at(0), "a", 1, ALICE).unwrap();
    let mut args = create_args(id.clientid, 1);
    args.fore_chan_attrs.maxresponsesize_cached = 10;
    let resok = server.create_session(at(0), &args, ALICE, CONNECTION, [0; 4], &mut Dropped::default()).unwrap();
    let mut args = sequence_args(resok.sessionid, 0, 1);
    assert_eq!(refusal(server.sequence(at(0), &args, facts(1), CONNECTION)), NfsStat4::RepTooBigToCache);
    args.cachethis = false;
    let big = RequestFacts { bytes: 8193, ..facts(1) };
    assert_eq!(refusal(server.sequence(at(0), &args, big, CONNECTION)), NfsStat4::ReqTooBig);
    let many = RequestFacts { operations: 101, ..facts(1) };
    assert_eq!(refusal(server.sequence(at(0), &args, many, CONNECTION)), NfsStat4::TooManyOps);
    let admitted = runs(server.sequence(at(0), &args, facts(1), CONNECTION));
    assert_eq!(admitted.limits.bytes_max, 8192);
    server.finish(&admitted.token, None);
}

/// RFC 8881 §8.3: SEQUENCE renews the lease, even long after it ran out, as long as nobody wanted the client's state.
#[test]
fn a_courtesy_client_comes_back() {
    let mut server = server();
    let (client, session) = client_of(&mut server, at(0), "a", 1);
    assert!(client.expired(at(61), LEASE));
    server.sweep(at(100), &mut Dropped::default());
    let admitted = runs(sequence(&mut server, at(110), session, 0, 2));
    server.finish(&admitted.token, None);
    assert!(!client.expired(at(111), LEASE));
}

/// RFC 8881 §8.3: what is gone for good is removed in the end.
#[test]
fn a_silent_client_without_state_is_removed() {
    let mut server = server();
    let (client, session) = client_of(&mut server, at(0), "a", 1);
    let mut dropped = Dropped::default();
    server.sweep(at(121), &mut dropped);
    assert_eq!((dropped.clients, dropped.sessions), (vec![client.key()], vec![session]));
    assert_eq!(refusal(sequence(&mut server, at(121), session, 0, 2)), NfsStat4::Badsession);
}

/// RFC 8881 §15.1.11.5: a persistent session of an earlier instance is dead, any other was never there; nor was one of another
/// virtual server (pynfs REBT1 to REBT5).
#[test]
fn a_persistent_session_of_an_earlier_instance_is_dead() {
    let mut before = server();
    let id = exchange(&mut before, at(0), "a", 1, ALICE).unwrap();
    let mut sessions = [0, create_session_flags::PERSIST].map(|flags| {
        let mut args = create_args(id.clientid, 1 + flags);
        args.flags = flags;
        before.create_session(at(0), &args, ALICE, CONNECTION, [0xff; 4], &mut Dropped::default()).unwrap().sessionid
    });
    let mut after = VirtualServer::new(config(1, 8));
    assert_eq!(create(&mut after, at(0), id.clientid, 3, ALICE), Err(StateError::StaleClientId));
    let mut other = VirtualServer::new(config(2, 8));
    let [plain, persistent] = &mut sessions;
    assert_eq!(refusal(sequence(&mut after, at(0), *plain, 0, 1)), NfsStat4::Badsession);
    assert!(matches!(sequence(&mut after, at(0), *persistent, 0, 1), Verdict::EarlierInstance));
    assert_eq!(refusal(sequence(&mut other, at(0), *persistent, 0, 1)), NfsStat4::Badsession);
    let mut destroy = |session: &_| after.destroy_session(session, CONNECTION, &mut Dropped::default());
    assert_eq!(destroy(plain), Err(StateError::BadSession));
    assert_eq!(destroy(persistent), Err(StateError::DeadSession));
}

/// RFC 8881 §18.37.3: a session is destroyed over a connection bound to it (pynfs DSESS1, DSESS9001, TRUNK2).
#[test]
fn a_session_is_destroyed_over_its_own_connection() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let destroy =
        |server: &mut VirtualServer, connection| server.destroy_session(&session, connection, &mut Dropped::default());
    assert_eq!(destroy(&mut server, OTHER_CONNECTION), Err(StateError::ConnectionNotBound));
    // SEQUENCE binds the connection that it comes over (pynfs SEQ4).
    let admitted = runs(server.sequence(at(0), &sequence_args(session, 0, 2), facts(1), OTHER_CONNECTION));
    server.finish(&admitted.token, None);
    assert_eq!(destroy(&mut server, OTHER_CONNECTION), Ok(()));
    assert_eq!(destroy(&mut server, OTHER_CONNECTION), Err(StateError::BadSession));
}

/// RFC 8881 §18.37.3: after a reconnect nothing is bound, and the session can still be destroyed.
#[test]
fn a_session_without_connections_can_be_destroyed() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    server.connection_closed(CONNECTION);
    assert_eq!(server.destroy_session(&session, OTHER_CONNECTION, &mut Dropped::default()), Ok(()));
}

/// RFC 8881 §18.34.3: what each direction is answered with.
#[test]
fn connections_are_bound_in_the_direction_asked_for() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    for (asked, granted) in [
        (ChannelDirFromClient4::Fore, ChannelDirFromServer4::Fore),
        (ChannelDirFromClient4::Back, ChannelDirFromServer4::Back),
        (ChannelDirFromClient4::ForeOrBoth, ChannelDirFromServer4::Both),
        (ChannelDirFromClient4::BackOrBoth, ChannelDirFromServer4::Both),
    ] {
        let args = BindConnToSession4Args { sessid: session, dir: asked, use_conn_in_rdma_mode: false };
        assert_eq!(server.bind_conn_to_session(at(0), &args, OTHER_CONNECTION).unwrap().dir, granted);
    }
    assert_eq!(server.status(at(0))[0].connections, [CONNECTION, OTHER_CONNECTION]);
    let args =
        BindConnToSession4Args { sessid: [3; 16], dir: ChannelDirFromClient4::Fore, use_conn_in_rdma_mode: false };
    assert_eq!(server.bind_conn_to_session(at(0), &args, CONNECTION), Err(StateError::BadSession));
}

/// RFC 8881 §18.50: a client id goes when nothing hangs on it (pynfs DESCID1 to DESCID8).
#[test]
fn a_client_id_with_sessions_is_busy() {
    let mut server = server();
    let destroy = |server: &mut VirtualServer, clientid| server.destroy_clientid(clientid, &mut Dropped::default());
    assert_eq!(destroy(&mut server, 0), Err(StateError::StaleClientId));
    let unconfirmed = exchange(&mut server, at(0), "a", 1, ALICE).unwrap().clientid;
    assert_eq!(destroy(&mut server, unconfirmed), Ok(()));
    assert_eq!(destroy(&mut server, unconfirmed), Err(StateError::StaleClientId));
    let (client, session) = client_of(&mut server, at(0), "b", 1);
    assert_eq!(destroy(&mut server, client.key().clientid), Err(StateError::ClientBusy));
    server.destroy_session(&session, CONNECTION, &mut Dropped::default()).unwrap();
    assert_eq!(destroy(&mut server, client.key().clientid), Ok(()));
    assert!(client.is_gone());
}

/// RFC 8881 §18.51.4: once is enough (pynfs RECC1, RECC4).
#[test]
fn reclaiming_is_completed_once() {
    let mut server = server();
    let (client, _) = client_of(&mut server, at(0), "a", 1);
    assert_eq!(server.reclaim_complete(&client, true), Ok(()));
    assert_eq!(server.reclaim_complete(&client, false), Ok(()));
    assert_eq!(server.reclaim_complete(&client, false), Err(StateError::AlreadyComplete));
}

/// A request that outlives its session is answered, and its reply kept nowhere.
#[test]
fn a_reply_for_a_destroyed_session_is_dropped() {
    let mut server = server();
    let (_, session) = client_of(&mut server, at(0), "a", 1);
    let admitted = runs(sequence(&mut server, at(0), session, 0, 2));
    server.destroy_session(&session, CONNECTION, &mut Dropped::default()).unwrap();
    server.finish(&admitted.token, Some(Bytes::from_static(b"late")));
    assert_eq!(refusal(sequence(&mut server, at(0), session, 0, 2)), NfsStat4::Badsession);
}

/// The list of clients that `status` shows.
#[test]
fn clients_are_listed() {
    let mut server = server();
    let client = ready_client(&mut server, at(0), "a");
    let listed = &server.status(at(0) + Duration::from_secs(61))[0];
    assert_eq!((listed.clientid, listed.owner.as_slice()), (client.key().clientid, b"a".as_slice()));
    assert!(listed.confirmed && listed.expired);
    assert_eq!((listed.sessions, listed.states), (1, 0));
    let _ = channel(1);
}
