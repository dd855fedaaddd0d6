//! Opens the seals of data.

use bytes::BytesMut;

use crate::{
    FsError, Result,
    core::Core,
    fsck::{Problem, Report},
    lease::Which,
    record::MapEntry,
};

impl Core {
    /// Unwraps one key, once: a check is shorter than it would be useful to renew.
    pub(super) async fn fetch_one(&self, which: Which) -> Result<()> {
        let limit = self.env.now() + std::time::Duration::from_secs(30);
        match self.fetch_key(which, limit).await {
            Ok(()) => Ok(()),
            Err((cause, why)) => {
                self.keys.stop_serving(which, cause, why);
                Err(FsError::Sealed(cause))
            }
        }
    }

    pub(super) async fn open_extent(&self, fileid: u64, entry: &MapEntry, report: &mut Report) {
        let mut out = BytesMut::zeroed(usize::try_from(entry.length).unwrap_or(0));
        match self.read_extent(fileid, entry, (entry.start, entry.end()), &mut out).await {
            Ok(()) => report.data_bytes_opened += u64::from(entry.length),
            Err(error) => {
                report.problem(Problem::Data { fileid, offset: entry.start, why: error.to_string() });
            }
        }
    }
}
