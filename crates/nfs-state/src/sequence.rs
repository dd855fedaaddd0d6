//! SEQUENCE, BIND_CONN_TO_SESSION and DESTROY_SESSION: what comes to a session by its id. RFC 8881, sections 18.34, 18.37, 18.46.

use bytes::Bytes;
use env::Instant;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{
    BindConnToSession4Args, BindConnToSession4Resok, ChannelDirFromClient4, ChannelDirFromServer4, Sequence4Args,
    SessionId4,
};

use crate::error::StateError;
use crate::session::{ConnectionId, RequestFacts, SlotToken, Verdict};
use crate::virtual_server::{Dropped, VirtualServer};

impl VirtualServer {
    /// SEQUENCE: finds the slot, tells retries from new requests, renews the lease, binds the connection.
    pub fn sequence(
        &mut self,
        now: Instant,
        args: &Sequence4Args,
        facts: RequestFacts,
        connection: ConnectionId,
    ) -> Verdict {
        let Some(session) = self.sessions.get_mut(&args.sessionid) else {
            return if self.is_of_earlier_instance(&args.sessionid) {
                Verdict::EarlierInstance
            } else {
                Verdict::Refuse(NfsStat4::Badsession)
            };
        };
        let verdict = session.sequence(args, facts);
        if !matches!(verdict, Verdict::Refuse(_)) {
            session.client.renew(now);
            session.bind(connection, self.config.limits.connections_per_session_max);
        }
        verdict
    }

    /// The request of this token ran; `reply` is its COMPOUND reply, without the RPC header. None, or a reply above
    /// `ReplyLimits::kept_bytes_max`, is not kept.
    pub fn finish(&mut self, token: &SlotToken, reply: Option<Bytes>) {
        // A session that was destroyed meanwhile has no slot to keep it in.
        if let Some(session) = self.sessions.get_mut(&token.session) {
            session.finish(token, reply);
        }
    }

    /// The request of this token ended without an answer that may be given: what it did or saw may not be durable. A retry must
    /// not get an acknowledgement from here.
    pub fn finish_lost(&mut self, token: &SlotToken) {
        if let Some(session) = self.sessions.get_mut(&token.session) {
            session.finish_lost(token);
        }
    }

    /// BIND_CONN_TO_SESSION. The caller has seen to it that the connection belongs to this virtual server.
    pub fn bind_conn_to_session(
        &mut self,
        now: Instant,
        args: &BindConnToSession4Args,
        connection: ConnectionId,
    ) -> Result<BindConnToSession4Resok, StateError> {
        self.find_session(&args.sessid)?;
        let bound = self.config.limits.connections_per_session_max;
        let session = self.sessions.get_mut(&args.sessid).ok_or(StateError::BadSession)?;
        session.client.renew(now);
        session.bind(connection, bound);
        let dir = match args.dir {
            ChannelDirFromClient4::Fore => ChannelDirFromServer4::Fore,
            ChannelDirFromClient4::Back => ChannelDirFromServer4::Back,
            ChannelDirFromClient4::ForeOrBoth | ChannelDirFromClient4::BackOrBoth => ChannelDirFromServer4::Both,
        };
        Ok(BindConnToSession4Resok { sessid: args.sessid, dir, use_conn_in_rdma_mode: false })
    }

    /// DESTROY_SESSION. Section 18.37.3 wants the connection bound to the session; where all that were bound are closed, one that
    /// belongs to the virtual server is as good, or the session could never be destroyed.
    pub fn destroy_session(
        &mut self,
        id: &SessionId4,
        connection: ConnectionId,
        dropped: &mut Dropped,
    ) -> Result<(), StateError> {
        self.find_session(id)?;
        let session = self.sessions.get(id).ok_or(StateError::BadSession)?;
        if !session.connections().is_empty() && !session.connections().contains(&connection) {
            return Err(StateError::ConnectionNotBound);
        }
        let clientid = session.client.key().clientid;
        if let Some(record) = self.clients.get_mut(&clientid) {
            record.sessions.retain(|held| held != id);
        }
        self.forget_session(id);
        dropped.sessions.push(*id);
        Ok(())
    }

    fn find_session(&self, id: &SessionId4) -> Result<(), StateError> {
        if self.sessions.contains_key(id) {
            Ok(())
        } else if self.is_of_earlier_instance(id) {
            Err(StateError::DeadSession)
        } else {
            Err(StateError::BadSession)
        }
    }
}
