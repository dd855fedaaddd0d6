//! The codec on whole values: what is written is read again, and only what could have been written is read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use bytes::Bytes;
use nfs_wire::nfs4::{
    self, ChangeInfo4, Compound4Args, Compound4Res, CompoundEncoder, CreateSession4Args, Dirlist4, Entry4,
    ExchangeId4Args, Lock4Denied, Lock4Res, Lockt4Res, NfsLockType4, Read4Args, Read4Resok, Readdir4Resok,
    Sequence4Args, Setattr4Res, StableHow4, StateOwner4, Stateid4, Write4Args, Write4Resok,
};
use nfs_wire::operations::{ROWS, UNSUPPORTED, name_of};
use nfs_wire::rpc::{self, Call, CallTrouble, Credential};
use nfs_wire::xdr::{decode_all, encode_all};
use nfs_wire::{
    ArgOp, Attribute, Bitmap4, Decoder, Encoder, Fattr4, Malformed, NfsStat4, Opaque, Payload, Reply, ResOp, Xdr,
};
use proptest::prelude::*;

/// Bytes in which decoders get far: mostly small words, so that lengths, counts and discriminants are often valid.
fn plausible_words(words_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => 0_u32..3,
        4 => 0_u32..9,
        1 => Just(u32::MAX),
        1 => any::<u32>(),
    ];
    prop::collection::vec(word, 0..words_max).prop_map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect())
}

fn operation_numbers() -> impl Strategy<Value = u32> {
    let supported: Vec<u32> = ROWS.iter().map(|(number, _, _)| *number).collect();
    prop::sample::select(supported)
}

fn read_back<T: Xdr + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(decode_all::<T>(encode_all(value)).as_ref(), Ok(value));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// RFC 4506: an argument that decodes is read the same again after encoding, and decoding never panics.
    #[test]
    fn arguments_survive_a_round_trip(number in operation_numbers(), body in plausible_words(40)) {
        let mut record = number.to_be_bytes().to_vec();
        record.extend(body);
        let mut decoder = Decoder::new(record.into());
        let operation = ArgOp::decode_next(&mut decoder).unwrap();
        if !operation.ends_decoding() {
            let mut encoder = Encoder::new();
            operation.encode(&mut encoder);
            let mut again = Decoder::new(encoder.into_bytes());
            prop_assert_eq!(ArgOp::decode_next(&mut again), Ok(operation));
            prop_assert_eq!(again.finish(), Ok(()));
        }
    }

    /// RFC 4506: a result that decodes is read the same again after encoding.
    #[test]
    fn results_survive_a_round_trip(number in operation_numbers(), body in plausible_words(40)) {
        let mut record = number.to_be_bytes().to_vec();
        record.extend(body);
        if let Ok(result) = ResOp::decode(&mut Decoder::new(record.into())) {
            read_back(&result);
        }
    }

    /// RFC 8881 §16.2: no bytes make the decoder of a compound panic.
    #[test]
    fn any_bytes_are_a_compound_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), words in plausible_words(60)) {
        let _ = Compound4Args::decode_rest(Decoder::new(bytes.into()));
        let _ = Compound4Args::decode_rest(Decoder::new(words.into()));
    }

    /// RFC 5531 §9: no bytes make the decoder of a call panic.
    #[test]
    fn any_bytes_are_a_call_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100), words in plausible_words(40)) {
        let _ = Call::decode(&mut Decoder::new(bytes.into()));
        let _ = Call::decode(&mut Decoder::new(words.into()));
    }

    /// RFC 8881 §3.3.7: a bitmap is a set; trailing words of zero say nothing.
    #[test]
    fn a_bitmap_is_a_set(numbers in prop::collection::btree_set(0_u32..128, 0..20)) {
        let mut set = Bitmap4::EMPTY;
        for number in &numbers {
            set.insert_number(*number);
        }
        prop_assert_eq!(set.numbers().collect::<Vec<_>>(), numbers.into_iter().collect::<Vec<_>>());
        read_back(&set);
    }

    /// RFC 8881 §18.22: the data of a READ comes out as it went in, in whatever parts it is sent.
    #[test]
    fn parts_are_the_record(head in 0_usize..50, length in 0_usize..5000) {
        let data: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let reply = Read4Resok { eof: true, data: Payload(data.into()) };
        let mut encoder = Encoder::new();
        for _ in 0..head {
            encoder.u32(7);
        }
        reply.encode(&mut encoder);
        reply.encode(&mut encoder);
        prop_assert_eq!(encoder.len() % 4, 0);
        let length = encoder.len();
        let joined: Vec<u8> = encoder.into_parts().concat();
        prop_assert_eq!(joined.len(), length);
        let mut decoder = Decoder::new(joined.into());
        for _ in 0..head {
            prop_assert_eq!(decoder.u32(), Ok(7));
        }
        prop_assert_eq!(Read4Resok::decode(&mut decoder), Ok(reply.clone()));
        prop_assert_eq!(Read4Resok::decode(&mut decoder), Ok(reply));
        prop_assert_eq!(decoder.finish(), Ok(()));
    }
}

/// RFC 5662: the fields of SEQUENCE stand in this order.
#[test]
fn sequence_looks_as_in_the_rfc() {
    let args = Sequence4Args { sessionid: [9; 16], sequenceid: 1, slotid: 2, highest_slotid: 3, cachethis: true };
    let mut expected = vec![9; 16];
    expected.extend([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1]);
    assert_eq!(encode_all(&args), expected);
}

/// RFC 5662: a WRITE's payload is padded, and is a slice of the record that it came in.
#[test]
fn a_payload_is_not_copied() {
    let args = Write4Args {
        stateid: Stateid4::ANONYMOUS,
        offset: 5,
        stable: StableHow4::FileSync,
        data: Payload(Bytes::from_static(b"12345")),
    };
    let record = encode_all(&args);
    assert_eq!(record.len(), 16 + 8 + 4 + 4 + 8);
    let within = record.as_ptr_range();
    let decoded: Write4Args = decode_all(record.clone()).unwrap();
    assert_eq!(decoded, args);
    assert!(within.contains(&decoded.data.as_ptr()));
}

/// RFC 8881 §18.22: data of a large READ is sent from where it lies.
#[test]
fn a_large_payload_is_a_part_of_its_own() {
    let data = Bytes::from(vec![1; 100_001]);
    let mut encoder = Encoder::new();
    Read4Resok { eof: false, data: Payload(data.clone()) }.encode(&mut encoder);
    let parts = encoder.into_parts();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [8, 100_001, 3]);
    assert_eq!(parts[1].as_ptr(), data.as_ptr());
}

/// RFC 5662: LOCK4res and LOCKT4res have a body for a denial.
#[test]
fn denials_survive_a_round_trip() {
    let denied = Lock4Denied {
        offset: 1,
        length: u64::MAX,
        locktype: NfsLockType4::Write,
        owner: StateOwner4 { clientid: 3, owner: Opaque::copied(b"owner").unwrap() },
    };
    read_back(&Lock4Res::Denied(denied.clone()));
    read_back(&Lockt4Res::Denied(denied));
    read_back(&Lock4Res::Ok(Stateid4 { seqid: 1, other: [4; 12] }));
    read_back(&Lockt4Res::Ok);
    read_back(&Lock4Res::failure(NfsStat4::Grace));
    read_back(&Lockt4Res::failure(NfsStat4::Grace));
    read_back(&Setattr4Res { status: NfsStat4::Perm, attrsset: Bitmap4::of(&[Attribute::Mode]) });
}

/// RFC 5662: dirlist4 is a linked list; the size that READDIR counts is what is written.
#[test]
fn directory_entries_are_a_list_of_known_size() {
    let entry = |name: &'static [u8]| Entry4 {
        cookie: 77,
        name: Opaque::new(name).unwrap(),
        attrs: Fattr4 { attrmask: Bitmap4::of(&[Attribute::Fileid]), attr_vals: Opaque::copied(&[1; 8]).unwrap() },
    };
    let entries = vec![entry(b"a"), entry(b"four"), entry(b"seven77")];
    let sum: usize = entries.iter().map(Entry4::wire_bytes).sum();
    let reply = Readdir4Resok { cookieverf: [1; 8], reply: Dirlist4 { entries, eof: true } };
    assert_eq!(encode_all(&reply).len(), Dirlist4::EMPTY_REPLY_BYTES + sum);
    read_back(&reply);
}

/// RFC 4506 §4.4, §4.9: a boolean is 0 or 1, padding is zero, an enumeration has its values, nothing is left over.
#[test]
fn what_nobody_writes_is_not_read() {
    assert_eq!(decode_all::<bool>(Bytes::from_static(&[0, 0, 0, 2])), Err(Malformed::BadBool));
    assert_eq!(decode_all::<Opaque<9>>(Bytes::from_static(&[0, 0, 0, 1, 5, 0, 1, 0])), Err(Malformed::BadPadding));
    assert_eq!(decode_all::<Opaque<9>>(Bytes::from_static(&[0, 0, 0, 1, 5])), Err(Malformed::Truncated));
    assert_eq!(decode_all::<NfsLockType4>(Bytes::from_static(&[0, 0, 0, 5])), Err(Malformed::UnknownValue));
    assert_eq!(decode_all::<u32>(Bytes::from_static(&[0; 8])), Err(Malformed::Trailing));
    assert_eq!(
        decode_all::<Opaque<4>>(Bytes::from_static(&[0, 0, 0, 5, 1, 1, 1, 1, 1, 0, 0, 0])),
        Err(Malformed::TooLong)
    );
}

fn compound(operations: &[&[u8]], minorversion: u32, trailing: &[u8]) -> Result<Compound4Args, Malformed> {
    let mut record = Encoder::new();
    record.opaque(b"tag");
    record.u32(minorversion);
    record.u32(u32::try_from(operations.len()).unwrap());
    for operation in operations {
        record.raw(operation);
    }
    record.raw(trailing);
    Compound4Args::decode_rest(Decoder::new(record.into_bytes()))
}

const PUTROOTFH: [u8; 4] = [0, 0, 0, 24];

/// RFC 8881 §16.2.3: an illegal number (pynfs COMP5), malformed arguments and unsupported operations end a compound where they
/// stand; operations before them run.
#[test]
fn a_compound_is_read_up_to_its_first_certain_error() {
    for (last, expected) in [
        ([0, 0, 0, 2], ArgOp::Illegal(2)),
        ([0, 0, 0, 59], ArgOp::Illegal(59)),
        ([0, 0, 39, 60], ArgOp::Illegal(10044)),
        ([0, 0, 0, 50], ArgOp::Unsupported(50)),
        ([0, 0, 0, 15], ArgOp::Malformed(15)),
    ] {
        let args = compound(&[&PUTROOTFH, &last, &PUTROOTFH], 1, b"").unwrap();
        assert_eq!(args.declared, 3);
        let read = &args.operations;
        // LOOKUP takes what follows for its argument: a name of 24 bytes that is not there.
        assert_eq!(read.as_slice(), [ArgOp::Putrootfh(()), expected]);
    }
}

/// RFC 5531 §9: bytes behind the last operation are no part of the call (GARBAGE_ARGS).
#[test]
fn bytes_behind_a_compound_are_an_error() {
    assert!(compound(&[&PUTROOTFH], 1, b"").is_ok());
    assert_eq!(compound(&[&PUTROOTFH], 1, &[0; 4]), Err(Malformed::Trailing));
}

/// RFC 8881 §16.2.3 (pynfs COMP4b): a compound of another minor version is not looked into.
#[test]
fn another_minor_version_is_not_decoded() {
    let args = compound(&[&[0, 0, 39, 60], &[9, 9, 9, 9]], 50, &[1, 2, 3, 4]).unwrap();
    assert_eq!((args.minorversion, args.declared, args.operations.len()), (50, 2, 0));
}

/// RFC 8881 §2.10.6.4: more operations than are decoded are still counted, for NFS4ERR_TOO_MANY_OPS.
#[test]
fn too_many_operations_are_counted_but_not_read() {
    let many: Vec<&[u8]> = vec![&PUTROOTFH; 1000];
    let args = compound(&many, 1, b"").unwrap();
    assert_eq!((args.declared, args.operations.len()), (1000, nfs4::OPERATIONS_MAX));
}

/// RFC 8881 §16.2: the reply has the status of its last result, and a result that is too big can be taken back.
#[test]
fn a_compound_reply_is_written_result_by_result() {
    let tag = Opaque::copied(b"tag").unwrap();
    let mut reply = CompoundEncoder::new(Encoder::new(), &tag);
    reply.push(&ResOp::Putrootfh(Ok(())));
    let before = reply.len();
    reply.push(&ResOp::Read(Ok(Read4Resok { eof: true, data: Payload(vec![0; 5000].into()) })));
    assert_eq!(reply.len(), before + 4 + 4 + 4 + 4 + 5000);
    reply.replace_last(&ResOp::failure(25, NfsStat4::RepTooBig));
    let decoded: Compound4Res = decode_all(reply.into_encoder().into_bytes()).unwrap();
    let resarray = vec![ResOp::Putrootfh(Ok(())), ResOp::Read(Err(NfsStat4::RepTooBig))];
    assert_eq!(decoded, Compound4Res { status: NfsStat4::RepTooBig, tag, resarray });
}

/// RFC 8881 §15.1.3.4: the reply to an illegal operation carries OP_ILLEGAL, not what was asked.
#[test]
fn an_illegal_operation_is_answered_as_illegal() {
    let illegal = ArgOp::Illegal(2).failure(NfsStat4::OpIllegal);
    assert_eq!(encode_all(&illegal), [0, 0, 39, 60, 0, 0, 39, 60].as_slice());
    assert_eq!(encode_all(&ArgOp::Unsupported(50).failure(NfsStat4::Notsupp)), [0, 0, 0, 50, 0, 0, 39, 20].as_slice());
    assert_eq!(encode_all(&ArgOp::Malformed(15).failure(NfsStat4::Badxdr)), [0, 0, 0, 15, 0, 0, 39, 52].as_slice());
}

/// RFC 8881 §17: numbers 3 to 58 are operations of 4.1, each once; beyond them is 4.2.
#[test]
fn the_table_and_the_unsupported_make_the_whole_of_the_rfc() {
    let mut numbers: Vec<u32> = ROWS.iter().map(|row| row.0).chain(UNSUPPORTED.iter().map(|row| row.0)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (3..=58).collect::<Vec<_>>());
    assert_eq!((name_of(53), name_of(50), name_of(59)), ("SEQUENCE", "LAYOUTGET", "ILLEGAL"));
}

/// RFC 8881 §15.1, §5.6, §5.7: some numbers that were looked up by hand, so that a slipped line in a table shows.
#[test]
fn known_numbers_have_their_names() {
    for (status, number) in [
        (NfsStat4::Nametoolong, 63),
        (NfsStat4::Denied, 10010),
        (NfsStat4::Grace, 10013),
        (NfsStat4::Badxdr, 10036),
        (NfsStat4::OpIllegal, 10044),
        (NfsStat4::Badsession, 10052),
        (NfsStat4::SeqMisordered, 10063),
        (NfsStat4::ClientidBusy, 10074),
        (NfsStat4::Deadsession, 10078),
        (NfsStat4::WrongType, 10083),
    ] {
        assert_eq!((status.number(), NfsStat4::from_number(number)), (number, Some(status)));
    }
    for (attribute, number) in [
        (Attribute::Size, 4),
        (Attribute::Fileid, 20),
        (Attribute::Mode, 33),
        (Attribute::TimeModifySet, 54),
        (Attribute::SuppattrExclcreat, 75),
    ] {
        assert_eq!(attribute.number(), number);
    }
    assert_eq!(Attribute::ALL.iter().map(|a| a.number()).collect::<Vec<_>>(), (0..=76).collect::<Vec<_>>());
    assert!(Attribute::TimeModifySet.settable() && !Attribute::TimeModifySet.readable());
    assert!(Attribute::Size.settable() && Attribute::Size.readable() && !Attribute::Fileid.settable());
}

/// RFC 8881 §18.35, §18.36 (pynfs EID3, CSESS19): arrays of at most one element have at most one.
#[test]
fn arrays_of_one_have_no_second() {
    let mut exchange = Encoder::new();
    exchange.raw(&[0; 8]); // verifier
    exchange.opaque(b"me");
    exchange.u32(0);
    exchange.u32(0);
    exchange.u32(2);
    exchange.raw(&[0; 40]);
    assert_eq!(decode_all::<ExchangeId4Args>(exchange.into_bytes()), Err(Malformed::TooLong));
    let mut create = Encoder::new();
    create.raw(&[0; 8 + 4 + 4 + 24]);
    create.u32(2);
    create.raw(&[0; 60]);
    assert_eq!(decode_all::<CreateSession4Args>(create.into_bytes()), Err(Malformed::TooLong));
}

/// RFC 8881 §8.2.3: the special stateids.
#[test]
fn special_stateids_have_their_bytes() {
    let args = Read4Args { stateid: Stateid4::READ_BYPASS, offset: 0, count: 0 };
    assert!(encode_all(&args).starts_with(&[0xff; 16]));
    assert_eq!(encode_all(&Stateid4::CURRENT), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].as_slice());
}

fn call(words: &[u32]) -> Result<Call, CallTrouble> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    Call::decode(&mut Decoder::new(bytes.into()))
}

/// RFC 5531 §9: the header of a call with each flavor that is understood.
#[test]
fn calls_carry_a_credential() {
    let none = call(&[5, 0, 2, 100_003, 4, 1, 0, 0, 0, 0]).unwrap();
    assert_eq!((none.xid, none.program, none.version, none.procedure), (5, 100_003, 4, 1));
    assert_eq!(none.credential, Credential::None);
    let sys = call(&[5, 0, 2, 100_003, 4, 1, 1, 28, 99, 0, 1000, 100, 2, 7, 8, 0, 0]).unwrap();
    let Credential::Sys(parms) = &sys.credential else { panic!("AUTH_SYS") };
    assert_eq!((parms.uid, parms.gid, &parms.gids[..]), (1000, 100, &[7, 8][..]));
    let mut encoder = Encoder::new();
    sys.encode(&mut encoder);
    assert_eq!(Call::decode(&mut Decoder::new(encoder.into_bytes())), Ok(sys));
}

/// RFC 5531 §9: each reason to refuse a call has its answer.
#[test]
fn calls_are_refused_with_the_reason() {
    use rpc::{AuthStat, MismatchInfo, Rejected};
    let refused = |words: &[u32]| match call(words) {
        Err(CallTrouble::Refuse(5, why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[5, 0, 3]), Rejected::RpcMismatch(MismatchInfo { low: 2, high: 2 }));
    // An unknown flavor, RPCSEC_GSS, seventeen groups, a body above 400 bytes, bytes behind the groups.
    assert_eq!(refused(&[5, 0, 2, 1, 1, 1, 99, 0, 0, 0]), Rejected::AuthError(AuthStat::Badcred));
    assert_eq!(refused(&[5, 0, 2, 1, 1, 1, 6, 0, 0, 0]), Rejected::AuthError(AuthStat::Badcred));
    let mut seventeen = vec![5, 0, 2, 1, 1, 1, 1, 88, 0, 0, 0, 0, 17];
    seventeen.extend([0; 19]);
    assert_eq!(refused(&seventeen), Rejected::AuthError(AuthStat::Badcred));
    assert_eq!(refused(&[5, 0, 2, 1, 1, 1, 1, 401]), Rejected::AuthError(AuthStat::Badcred));
    assert_eq!(refused(&[5, 0, 2, 1, 1, 1, 1, 24, 0, 0, 0, 0, 0, 0, 0, 0]), Rejected::AuthError(AuthStat::Badcred));
    assert_eq!(refused(&[5, 0, 2, 1, 1, 1, 0, 0, 1, 0]), Rejected::AuthError(AuthStat::Badverf));
    assert_eq!(call(&[5, 1, 0]), Err(CallTrouble::IsReply));
    assert_eq!(call(&[5, 2, 2]), Err(CallTrouble::Close(Malformed::UnknownValue)));
    assert_eq!(call(&[5]), Err(CallTrouble::Close(Malformed::Truncated)));
}

/// RFC 5531 §9: what a server writes a client reads.
#[test]
fn replies_are_read_as_they_were_written() {
    use rpc::{Accepted, AuthStat, MismatchInfo, Outcome, Rejected, ReplyHeader};
    for outcome in [
        Outcome::Accepted(Accepted::Success),
        Outcome::Accepted(Accepted::ProgUnavail),
        Outcome::Accepted(Accepted::ProgMismatch(MismatchInfo { low: 4, high: 4 })),
        Outcome::Accepted(Accepted::ProcUnavail),
        Outcome::Accepted(Accepted::GarbageArgs),
        Outcome::Rejected(Rejected::RpcMismatch(MismatchInfo { low: 2, high: 2 })),
        Outcome::Rejected(Rejected::AuthError(AuthStat::Tooweak)),
    ] {
        let mut decoder = Decoder::new(rpc::bare_reply(9, &outcome));
        assert_eq!(ReplyHeader::decode(&mut decoder), Ok(ReplyHeader { xid: 9, outcome }));
        assert_eq!(decoder.finish(), Ok(()));
    }
}

/// RFC 5531 §11: a record mark is a bit and a length.
#[test]
fn record_marks_carry_a_bit_and_a_length() {
    let mark = rpc::RecordMark::whole(0x1234);
    assert_eq!(mark.to_wire(), [0x80, 0, 0x12, 0x34]);
    assert_eq!(rpc::RecordMark::from_wire([0, 0, 0x12, 0x34]), rpc::RecordMark { last: false, bytes: 0x1234 });
}

/// RFC 8881 §3.3.7: bits beyond every known attribute are noticed, and zero words beyond are nothing.
#[test]
fn bits_beyond_the_table_are_noticed() {
    let words = |words: &[u32]| {
        let mut encoder = Encoder::new();
        encoder.u32(u32::try_from(words.len()).unwrap());
        words.iter().for_each(|word| encoder.u32(*word));
        decode_all::<Bitmap4>(encoder.into_bytes())
    };
    assert!(!words(&[1, 0, 0, 0, 0, 0]).unwrap().has_unknown());
    assert!(words(&[1, 0, 0, 0, 0, 8]).unwrap().has_unknown());
    assert!(words(&[0, 0, 1 << 20]).unwrap().has_unknown());
    assert!(words(&vec![0; 65]).is_err());
    assert_eq!(words(&[0x10]).unwrap(), Bitmap4::of(&[Attribute::Size]));
}

/// RFC 8881 §3.3.9: what change_info4 holds.
#[test]
fn change_info_survives_a_round_trip() {
    read_back(&ChangeInfo4 { atomic: true, before: 1, after: 2 });
}

/// RFC 8881 section 2.10.6.1.3.1: a retry is known by what follows SEQUENCE, wherever the tag lets that begin.
#[test]
fn what_follows_sequence_is_found_behind_any_tag() {
    let sequence = |highest_slotid| {
        ArgOp::Sequence(Sequence4Args { sessionid: [9; 16], sequenceid: 1, slotid: 0, highest_slotid, cachethis: true })
    };
    let encode = |tag: &[u8], operations: Vec<ArgOp>| {
        let mut encoder = Encoder::new();
        Compound4Args::new(Opaque::copied(tag).unwrap(), operations).encode(&mut encoder);
        encoder.into_bytes()
    };
    let body = [0, 0, 0, 24, 0, 0, 0, 10];
    for tag in [&b""[..], b"a", b"abcd", b"abcde", &[b'x'; 1024]] {
        for highest in [0, 7] {
            let with = encode(tag, vec![sequence(highest), ArgOp::Putrootfh(()), ArgOp::Getfh(())]);
            assert_eq!(Compound4Args::behind_sequence(&with), Some(&body[..]));
            for cut in 0..with.len() - body.len() {
                assert_eq!(Compound4Args::behind_sequence(&with[..cut]), None);
            }
        }
        assert_eq!(Compound4Args::behind_sequence(&encode(tag, vec![ArgOp::Putrootfh(())])), None);
    }
    assert_eq!(Compound4Args::behind_sequence(&[0xff; 64]), None);
}

/// RFC 8881 section 2.10.6.4: what changes something is refused when its success might not fit, so the bound must hold for the
/// longest success; and not be much above it, or clients that reserve little could do nothing.
#[test]
fn the_bound_of_a_change_is_its_longest_success() {
    let stateid = Stateid4 { seqid: u32::MAX, other: [0xff; 12] };
    let cinfo = || ChangeInfo4 { atomic: true, before: u64::MAX, after: u64::MAX };
    let all: Bitmap4 = Attribute::ALL.iter().copied().collect();
    let name = || Opaque::copied(b"name").unwrap();
    let opened = nfs4::Open4Resok {
        stateid,
        cinfo: cinfo(),
        rflags: u32::MAX,
        attrset: all,
        delegation: nfs4::OpenDelegation4::NoneExt(nfs4::OpenNoneDelegation4::Resource(true)),
    };
    let open = nfs4::Open4Args {
        seqid: 0,
        share_access: 1,
        share_deny: 0,
        owner: StateOwner4 { clientid: 0, owner: name_of_owner() },
        openhow: nfs4::Openflag4::Nocreate,
        claim: nfs4::OpenClaim4::Fh,
    };
    let write = Write4Args { stateid, offset: 0, stable: StableHow4::FileSync, data: Payload(Bytes::new()) };
    let written = Write4Resok { count: 0, committed: StableHow4::FileSync, writeverf: [0; 8] };
    let pairs = [
        (ArgOp::Open(open), ResOp::Open(Ok(opened))),
        (ArgOp::Remove(nfs4::Remove4Args { target: name() }), ResOp::Remove(Ok(cinfo()))),
        (
            ArgOp::Rename(nfs4::Rename4Args { oldname: name(), newname: name() }),
            ResOp::Rename(Ok(nfs4::Rename4Resok { source_cinfo: cinfo(), target_cinfo: cinfo() })),
        ),
        (ArgOp::Link(nfs4::Link4Args { newname: name() }), ResOp::Link(Ok(cinfo()))),
        (
            ArgOp::Setattr(nfs4::Setattr4Args { stateid, obj_attributes: Fattr4::empty() }),
            ResOp::Setattr(Setattr4Res { status: NfsStat4::Ok, attrsset: all }),
        ),
        (ArgOp::Write(write), ResOp::Write(Ok(written))),
        (ArgOp::Close(nfs4::Close4Args { seqid: 0, open_stateid: stateid }), ResOp::Close(Ok(stateid))),
        (ArgOp::ReclaimComplete(nfs4::ReclaimComplete4Args { one_fs: false }), ResOp::ReclaimComplete(Ok(()))),
    ];
    for (operation, longest) in pairs {
        let bytes = encode_all(&longest).len();
        assert_eq!(operation.changed_bytes_max(), Some(bytes), "{operation:?}");
    }
    assert_eq!(ArgOp::Getfh(()).changed_bytes_max(), None);
}

fn name_of_owner() -> Opaque<1024> {
    Opaque::copied(b"owner").unwrap()
}
