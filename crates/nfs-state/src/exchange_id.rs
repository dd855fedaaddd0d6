//! EXCHANGE_ID: the nine cases of RFC 8881, section 18.35.4.

use std::sync::Arc;

use env::Instant;
use nfs_wire::List;
use nfs_wire::nfs4::{
    ExchangeId4Args, ExchangeId4Resok, ServerOwner4, StateProtect4A, StateProtect4R, exchange_id_flags as flags,
};

use crate::client::{Client, ClientKey, Principal};
use crate::error::StateError;
use crate::virtual_server::{ClientRecord, Dropped, VirtualServer};

impl VirtualServer {
    /// EXCHANGE_ID: makes, finds or updates a client record.
    pub fn exchange_id(
        &mut self,
        now: Instant,
        args: &ExchangeId4Args,
        principal: Principal,
        dropped: &mut Dropped,
    ) -> Result<ExchangeId4Resok, StateError> {
        if args.flags & !flags::MASK_A != 0 {
            return Err(StateError::Invalid);
        }
        match args.state_protect {
            StateProtect4A::None => {}
            // RFC 8881 §18.35.3: the request itself must come with RPCSEC_GSS, which there is not.
            StateProtect4A::MachCred(_) => return Err(StateError::Invalid),
            StateProtect4A::Ssv(_) => return Err(StateError::ProtectionUnsupported),
        }
        let records = self.owners.get(args.clientowner.ownerid.as_slice()).copied().unwrap_or_default();
        let confirmed = records.confirmed.and_then(|clientid| self.clients.get(&clientid));
        let same_verifier = confirmed.is_some_and(|record| record.client.verifier() == args.clientowner.verifier);
        let same_principal = confirmed.is_some_and(|record| record.client.principal() == principal);

        if args.flags & flags::UPD_CONFIRMED_REC_A != 0 {
            let record = confirmed.ok_or(StateError::NoRecord)?; // case 7
            if !same_verifier {
                return Err(StateError::OtherIncarnation); // case 8
            }
            if !same_principal {
                return Err(StateError::OtherPrincipal); // case 9
            }
            return Ok(self.describe(record)); // case 6: there is nothing that could be updated
        }
        if let Some(record) = confirmed {
            if same_principal && same_verifier {
                return Ok(self.describe(record)); // case 2
            }
            if !same_principal {
                // case 3
                let has_state = record.client.states() != 0 || !record.sessions.is_empty();
                if has_state && !record.client.expired(now, self.config.lease) {
                    return Err(StateError::ClientInUse);
                }
                let clientid = record.client.key().clientid;
                self.remove_client(clientid, dropped);
            }
            // Otherwise case 5: the confirmed record stays until the new one is confirmed.
        }
        if let Some(clientid) = records.unconfirmed {
            self.remove_client(clientid, dropped); // case 4
        }
        self.make_room(now, dropped).map_err(|_| StateError::Delay)?;
        // Case 1, and the end of 3, 4 and 5.
        let clientid = self.add_record(now, args, principal);
        self.clients.get(&clientid).map(|record| self.describe(record)).ok_or(StateError::Delay)
    }

    fn add_record(&mut self, now: Instant, args: &ExchangeId4Args, principal: Principal) -> u64 {
        let clientid = self.fresh_clientid();
        let owner = args.clientowner.ownerid.as_slice();
        let key = ClientKey { server: self.config.id, clientid };
        let record = ClientRecord {
            client: Arc::new(Client::new(key, owner, args.clientowner.verifier, principal, now)),
            confirmed: false,
            implementation: args.client_impl_id.first().map_or_else(Box::default, |id| id.name.as_slice().into()),
            sequence: 0,
            created: None,
            sessions: Vec::new(),
        };
        self.owners.entry(owner.into()).or_default().unconfirmed = Some(clientid);
        self.clients.insert(clientid, record);
        clientid
    }

    /// Client ids carry the instance, so that one of an earlier instance is nobody's.
    fn fresh_clientid(&mut self) -> u64 {
        loop {
            let clientid = (u64::from(self.config.instance) << 32) | u64::from(self.next_client);
            self.next_client = self.next_client.wrapping_add(1);
            if !self.clients.contains_key(&clientid) {
                return clientid;
            }
        }
    }

    fn describe(&self, record: &ClientRecord) -> ExchangeId4Resok {
        let confirmed = if record.confirmed { flags::CONFIRMED_R } else { 0 };
        ExchangeId4Resok {
            clientid: record.client.key().clientid,
            sequenceid: record.sequence.wrapping_add(1),
            flags: flags::USE_NON_PNFS | confirmed,
            state_protect: StateProtect4R::None,
            server_owner: ServerOwner4 { minor_id: 0, major_id: self.config.major_id.clone() },
            server_scope: self.config.scope.clone(),
            server_impl_id: List::empty(),
        }
    }
}
