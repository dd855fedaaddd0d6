//! The keys of a check: no longer than their leases.

use bytes::Bytes;
use storage::Keyspace;

use crate::{
    FsError, Result, SealCause,
    core::Core,
    lease::{LEASE_MAX, Which},
};

impl Core {
    /// Unwraps one key, for as long as its lease is.
    pub(super) async fn fetch_one(&self, which: Which) -> Result<()> {
        let limit = self.env.now() + std::time::Duration::from_secs(30);
        match self.fetch_key(which, limit).await {
            Ok(()) => Ok(()),
            Err((cause, why)) => {
                self.keys.stop_serving(which, cause, why);
                self.keys.wipe(which);
                Err(FsError::Sealed(cause))
            }
        }
    }

    /// Unwraps a key again when half of its lease is over: a long check uses no key beyond its time.
    pub(super) async fn renew_if_due(&self, which: Which) -> Result<()> {
        let [metadata, data] = self.keys.status().ages;
        let age = match which {
            Which::Metadata => metadata,
            Which::Data => data,
        };
        let lease = self.settings.key_lease.min(LEASE_MAX);
        match age {
            Some(age) if age >= lease => self.fetch_one(which).await,
            Some(age) if age >= lease / 2 => {
                let limit = self.env.now() + (lease - age);
                match self.fetch_key(which, limit).await {
                    // There is time for another try.
                    Ok(()) | Err((SealCause::Unreachable, _)) => Ok(()),
                    Err((cause, why)) => {
                        self.keys.stop_serving(which, cause, why);
                        self.keys.wipe(which);
                        Err(FsError::Sealed(cause))
                    }
                }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One record, opened with a key that is within its lease; none if it is not there.
    pub(super) async fn look_up(&self, key: &Bytes) -> Result<Option<Vec<u8>>> {
        let sealed = self.get_raw(Keyspace::Records, key).await?;
        self.renew_if_due(Which::Metadata).await?;
        sealed.map(|sealed| self.open_record(key, &sealed)).transpose()
    }
}
