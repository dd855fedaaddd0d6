//! SEQUENCE: the slot under which the rest of the compound runs, or the reply it got before. RFC 8881 section 18.46.

use std::time::Duration;

use bytes::Bytes;
use filesystem::{FsError, ReplyKey};
use nfs_state::{RequestFacts, Verdict};
use nfs_wire::nfs4::{Sequence4Args, Sequence4Resok};
use nfs_wire::{ArgOp, NfsStat4};

use crate::compound::{Compound, Facts, InSession};
use crate::status::NfsError;

/// What becomes of a request that starts with SEQUENCE.
pub(crate) enum Begun {
    /// It runs; this is SEQUENCE's own result.
    Run(Sequence4Resok),
    /// SEQUENCE fails.
    Refused(NfsStat4),
    /// It ran before: the same COMPOUND reply once more.
    Again(Bytes),
    /// It ran before, and its reply was not kept.
    Uncached(Sequence4Resok),
    /// Nothing may be said.
    Silence,
}

/// Takes the slot for a compound.
pub(crate) async fn begin(
    cx: &mut Compound,
    args: &Sequence4Args,
    declared: u32,
    facts: &Facts,
    rest: &[ArgOp],
) -> Begun {
    let facts = RequestFacts {
        bytes: facts.bytes,
        operations: declared,
        fingerprint: facts.fingerprint,
        repeatable: facts.repeatable,
    };
    match judge(cx, args, facts).await {
        Verdict::Run(admitted) => {
            cx.gate.session_begun();
            let admitted = *admitted;
            cx.session = Some(InSession {
                client: admitted.client,
                token: admitted.token,
                limits: admitted.limits,
                persistent: admitted.persistent,
            });
            Begun::Run(admitted.resok)
        }
        Verdict::Replay(body) => Begun::Again(body),
        Verdict::ReplayUncached(resok) => Begun::Uncached(*resok),
        Verdict::InProgress => Begun::Refused(NfsStat4::Delay),
        Verdict::EarlierInstance | Verdict::ReplyLost => stored(cx, args, rest).await,
        Verdict::Refuse(status) => Begun::Refused(status),
    }
}

/// The reply that the file system keeps for a request that no slot knows an answer to.
async fn stored(cx: &Compound, args: &Sequence4Args, rest: &[ArgOp]) -> Begun {
    for operation in rest {
        if let ArgOp::Putfh(put) = operation {
            cx.admitted.open_named(&put.object).await;
        }
    }
    let key = ReplyKey { session: args.sessionid, slot: args.slotid, sequence: args.sequenceid };
    match cx.admitted.stored_reply(&key).await {
        Ok(Some(body)) => Begun::Again(body),
        Ok(None) => Begun::Refused(NfsStat4::Deadsession),
        // SEQUENCE goes on while a file system is sealed, and any other error would make the client take the request's number
        // for used: the change would run again once the key is back.
        Err(NfsError::Fs(FsError::Sealed(_))) => Begun::Refused(NfsStat4::Delay),
        Err(error) => error.status().map_or(Begun::Silence, Begun::Refused),
    }
}

/// How long a retry waits for what it repeats. Linux, told NFS4ERR_DELAY, would wait for 15 seconds.
const RETRY_WAITS: Duration = Duration::from_secs(10);
/// How often it looks.
const RETRY_LOOKS: Duration = Duration::from_millis(10);

/// Asks the virtual server; a retry of a request that still runs, as after a broken connection, waits for its reply.
async fn judge(cx: &Compound, args: &Sequence4Args, facts: RequestFacts) -> Verdict {
    let env = &cx.shared.env;
    let deadline = env.now() + RETRY_WAITS;
    loop {
        let verdict = cx.admitted.server.state.lock().sequence(env.now(), args, facts, cx.connection);
        if !matches!(verdict, Verdict::InProgress) || env.now() >= deadline {
            return verdict;
        }
        env.sleep(RETRY_LOOKS).await;
    }
}

/// SEQUENCE anywhere but first.
pub(crate) async fn run(_cx: &mut Compound, _args: Sequence4Args) -> Result<Sequence4Resok, NfsError> {
    Err(NfsStat4::SequencePos.into())
}
