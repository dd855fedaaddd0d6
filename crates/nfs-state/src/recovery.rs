//! Recovery records: who may reclaim after a restart. RFC 8881, section 8.4.2.1.
//!
//! A record is made before a client's first state on the file system is confirmed, and withdrawn before what it held is given to
//! another. On disk it is XDR: the key is the virtual server and the client's owner, the value says which incarnation it was.

use bytes::Bytes;
use nfs_wire::nfs4::OPAQUE_BYTES_MAX;
use nfs_wire::xdr::decode_all;
use nfs_wire::{Malformed, Opaque};

use crate::client::{Client, Principal, VirtualServerId};

/// A change to the stored records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durable {
    /// Keep this value under this key.
    Put {
        /// Which record.
        key: Bytes,
        /// What it says.
        value: Bytes,
    },
    /// Keep nothing under this key.
    Delete {
        /// Which record.
        key: Bytes,
    },
}

nfs_wire::xdr! {
    /// Which client.
    pub struct RecordKey { server: [u8; 16], owner: Opaque<OPAQUE_BYTES_MAX> }

    /// Who it was.
    pub union RecordPrincipal { Nobody = 0, Unix(u32) = 1 }

    /// What it may do after the next restart.
    pub enum RecordStanding {
        /// It may reclaim: it was on its way to reclaim all, or has not said RECLAIM_COMPLETE yet.
        Reclaiming = 0,
        /// It may reclaim: it said RECLAIM_COMPLETE, so what it holds is what it knows of.
        Complete = 1,
        /// It may not: grace ended before it had reclaimed all, and what it did not may have been given to others.
        Barred = 2,
    }

    /// What is known of it.
    pub struct RecordBody {
        version: u32,
        verifier: [u8; 8],
        principal: RecordPrincipal,
        instance: u32,
        standing: RecordStanding,
    }
}

/// The layout of `RecordBody`.
const RECORD_VERSION: u32 = 1;

impl RecordKey {
    pub(crate) fn of(client: &Client) -> Self {
        // An owner came through a type with the same limit.
        let owner = Opaque::copied(client.owner()).unwrap_or_default();
        let VirtualServerId(server) = client.key().server;
        Self { server, owner }
    }
}

impl RecordBody {
    pub(crate) fn of(client: &Client, instance: u32, standing: RecordStanding) -> Self {
        let principal = match client.principal() {
            Principal::Nobody => RecordPrincipal::Nobody,
            Principal::Unix(uid) => RecordPrincipal::Unix(uid),
        };
        Self { version: RECORD_VERSION, verifier: client.verifier(), principal, instance, standing }
    }

    /// Whether the record is of this very incarnation.
    pub(crate) fn is_of(&self, client: &Client) -> bool {
        let same_principal = match (&self.principal, client.principal()) {
            (RecordPrincipal::Nobody, Principal::Nobody) => true,
            (RecordPrincipal::Unix(recorded), Principal::Unix(uid)) => *recorded == uid,
            (RecordPrincipal::Nobody, Principal::Unix(_)) | (RecordPrincipal::Unix(_), Principal::Nobody) => false,
        };
        same_principal && self.verifier == client.verifier()
    }
}

/// Whether a stored record can be read. One that cannot gives nobody a right to reclaim.
pub fn is_readable(key: &Bytes, value: &Bytes) -> bool {
    read(key.clone(), value.clone()).is_ok()
}

/// Reads a stored record.
pub(crate) fn read(key: Bytes, value: Bytes) -> Result<(RecordKey, RecordBody), Malformed> {
    let key = decode_all(key)?;
    let body: RecordBody = decode_all(value)?;
    if body.version == RECORD_VERSION { Ok((key, body)) } else { Err(Malformed::UnknownValue) }
}
