//! Opens the seals of data.

use bytes::BytesMut;

use crate::{
    FsError, Result, SealCause,
    core::Core,
    fsck::{Problem, Report},
    lease::{LEASE_MAX, Which},
    record::MapEntry,
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

    /// Opens one run of data.
    ///
    /// # Errors
    /// [`FsError::Sealed`] if the data key has gone meanwhile; what is wrong with the data is in the report.
    pub(super) async fn open_extent(&self, fileid: u64, entry: &MapEntry, report: &mut Report) -> Result<()> {
        self.renew_if_due(Which::Data).await?;
        let mut out = BytesMut::zeroed(usize::try_from(entry.length).unwrap_or(0));
        match self.read_extent(fileid, entry, (entry.start, entry.end()), &mut out).await {
            Ok(()) => report.data_bytes_opened += u64::from(entry.length),
            Err(error) => {
                report.problem(Problem::Data { fileid, offset: entry.start, why: error.to_string() });
            }
        }
        Ok(())
    }
}
