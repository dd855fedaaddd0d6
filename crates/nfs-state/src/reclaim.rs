//! Reclaiming, and the records that give the right to it. RFC 8881, sections 8.4.2 and 18.51.
//!
//! Grace begins with the records that are stored, ends when each recorded client has reclaimed (or is known to be gone), and at
//! latest after a lease. A restart within grace begins with the union of the records that were not reclaimed yet and those that
//! were made since: records go only when a client completes without reclaiming, or when grace is over.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use env::Instant;
use nfs_wire::Malformed;
use nfs_wire::xdr::encode_all;

use crate::client::Client;
use crate::error::StateError;
use crate::file_state::{Effects, FileState};
use crate::grace::{Grace, GraceStatus};
use crate::recovery::{self, Durable, RecordBody, RecordKey, RecordStanding};

/// The key under which a record waits.
fn waiting_key(key: &RecordKey) -> Box<[u8]> {
    encode_all(key).as_ref().into()
}

impl FileState {
    /// Begins grace with the stored records. A record that cannot be read is an error: without it a client's locks could be
    /// given away while it still may reclaim them. Whoever may not reclaim is not waited for, and its record goes.
    pub fn begin_grace(&mut self, now: Instant, records: Vec<(Bytes, Bytes)>) -> Result<(), Malformed> {
        let (mut waiting, mut barred) = (HashMap::new(), Vec::new());
        for (key, value) in records {
            let (key, body) = recovery::read(key, value)?;
            if body.standing == RecordStanding::Barred {
                barred.push(key);
            } else {
                waiting.insert(waiting_key(&key), (key, body));
            }
        }
        for key in barred {
            self.queue(Durable::Delete { key: encode_all(&key) });
        }
        self.grace = if waiting.is_empty() {
            Grace::Over
        } else {
            Grace::Running { waiting, ends: now + self.lease, paused: None }
        };
        Ok(())
    }

    /// The file system is sealed: nobody can reclaim, so grace stands still.
    pub fn pause_grace(&mut self, now: Instant) {
        self.grace.pause(now);
    }

    /// The file system serves again.
    pub fn resume_grace(&mut self, now: Instant) {
        self.grace.resume(now);
    }

    /// Whether only reclaims are taken (or nothing, before grace has begun).
    pub fn in_grace(&self, now: Instant) -> bool {
        self.grace.holds(now)
    }

    /// Where grace stands.
    pub fn grace_status(&self, now: Instant) -> GraceStatus {
        self.grace.status(now)
    }

    /// Ends grace if its time has come: who did not come back, or came and did not reclaim all, may not reclaim after the next
    /// restart either, since from now on others may get what it did not reclaim. RFC 8881, section 8.4.3. To be called now and then;
    /// every call that grants does so itself.
    pub fn settle_grace(&mut self, now: Instant, effects: &mut Effects) {
        if !self.in_grace(now)
            && let Grace::Running { waiting, .. } = std::mem::replace(&mut self.grace, Grace::Over)
        {
            for (key, _) in waiting.into_values() {
                self.bar(&key);
            }
        }
        effects.durable = self.ticket();
    }

    /// RECLAIM_COMPLETE of a client, for this file system.
    pub fn reclaim_complete(&mut self, now: Instant, client: &Arc<Client>, effects: &mut Effects) {
        self.meet(client);
        if let Grace::Running { waiting, .. } = &mut self.grace
            && let Some((key, _)) = waiting.remove(&waiting_key(&RecordKey::of(client)))
        {
            self.end_record(&key);
        }
        if self.holders.get(&client.key()).is_some_and(|holder| holder.recorded) {
            self.put_record(client, RecordStanding::Complete);
        }
        self.settle_grace(now, effects);
    }

    /// Whether a client may be given anything: new state, or what it held before the restart.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        client: &Arc<Client>,
        reclaim: bool,
        effects: &mut Effects,
    ) -> Result<(), StateError> {
        if client.is_gone() {
            return Err(StateError::BadSession);
        }
        self.settle_grace(now, effects);
        self.meet(client);
        match &self.grace {
            Grace::NotBegun => Err(StateError::Delay),
            _ if reclaim && client.is_complete() => Err(StateError::NoGrace),
            Grace::Over if reclaim => Err(StateError::NoGrace),
            Grace::Running { waiting, .. } if reclaim => {
                if waiting.contains_key(&waiting_key(&RecordKey::of(client))) {
                    Ok(())
                } else {
                    Err(StateError::ReclaimBad)
                }
            }
            Grace::Running { .. } => Err(StateError::Grace),
            // RFC 8881 §18.51.3: nothing new before RECLAIM_COMPLETE.
            Grace::Over if !client.is_complete() => Err(StateError::Grace),
            Grace::Over => Ok(()),
        }
    }

    /// Makes sure that the client has a record of this instance before it is told of its first state.
    pub(crate) fn record(&mut self, client: &Arc<Client>) {
        let holder = self.holder(client);
        if !holder.recorded {
            holder.recorded = true;
            let complete = client.is_complete();
            self.put_record(client, if complete { RecordStanding::Complete } else { RecordStanding::Reclaiming });
        }
    }

    /// A client shows up. If what is on record under its name was another incarnation, that one is gone for good.
    fn meet(&mut self, client: &Arc<Client>) {
        let Grace::Running { waiting, .. } = &mut self.grace else { return };
        let name = waiting_key(&RecordKey::of(client));
        if waiting.get(&name).is_some_and(|(_, body)| !body.is_of(client))
            && let Some((key, _)) = waiting.remove(&name)
        {
            self.end_record(&key);
        }
    }

    /// The client of a record has not reclaimed all before the end of grace. Its RECLAIM_COMPLETE, which may still come, says that it
    /// knows what it has lost, and clears its name.
    fn bar(&mut self, key: &RecordKey) {
        match self.recorded_under(key) {
            Some(client) => self.put_record(&client, RecordStanding::Barred),
            None => self.queue(Durable::Delete { key: encode_all(key) }),
        }
    }

    /// The client that has a record of this instance under the key.
    fn recorded_under(&self, key: &RecordKey) -> Option<Arc<Client>> {
        let mut recorded = self.holders.values().filter(|holder| holder.recorded).map(|holder| &holder.client);
        let found =
            recorded.find(|client| client.owner() == key.owner.as_slice() && client.key().server.0 == key.server);
        found.cloned()
    }

    /// Deletes a record, unless another client has meanwhile got one under the same key: a later incarnation, or the same one
    /// after a restart.
    fn end_record(&mut self, key: &RecordKey) {
        if self.recorded_under(key).is_none() {
            self.queue(Durable::Delete { key: encode_all(key) });
        }
    }

    fn put_record(&mut self, client: &Client, standing: RecordStanding) {
        let key = encode_all(&RecordKey::of(client));
        let value = encode_all(&RecordBody::of(client, self.instance, standing));
        self.queue(Durable::Put { key, value });
    }

    /// Queues the end of the record of a client that holds nothing here any more.
    pub(crate) fn withdraw_record(&mut self, client: &Client) {
        self.end_record(&RecordKey::of(client));
    }
}
