//! The last pass: the seals of data. Segments are read in the order of offsets, a bounded number of extents at a time.

use bytes::BytesMut;

use crate::{
    FsError, Result,
    fsck::{Phase, Problem, cursor::Cursor, walk::Walk},
    keys,
    lease::Which,
    record::{MapEntry, Source},
};

/// Extents that are put into the order of their offsets at once; each takes about 100 bytes.
const SORTED_AT_ONCE: usize = 1 << 20;

/// How far ahead of the extent that is opened the disk is asked for more.
const AHEAD_BYTES: u64 = 8 << 20;

impl Walk<'_> {
    pub(super) async fn contents(&mut self) -> Result<()> {
        self.begin(Phase::Contents, self.report.extents, self.data_expected);
        let mut sorted: Vec<(u64, MapEntry)> = Vec::new();
        let mut cursor = Cursor::records(self.core, keys::MAP, 2);
        while let Some((key, value)) = cursor.next().await? {
            let (fileid, start) = keys::numbers(&key)?;
            let entry = self.core.open_record(&key, &value).and_then(|record| MapEntry::decode(start, &record));
            // What does not open was told by the first pass, and what belongs to no object is read by nobody.
            let Ok(entry) = entry else { continue };
            if self.table.find(fileid).is_none() {
                continue;
            }
            match entry.extent.source {
                Source::Inline => self.open_extent(fileid, &entry).await?,
                Source::Segment(_) => sorted.push((fileid, entry)),
            }
            if sorted.len() >= SORTED_AT_ONCE {
                self.open_sorted(&mut sorted).await?;
            }
        }
        self.open_sorted(&mut sorted).await
    }

    async fn open_sorted(&mut self, extents: &mut Vec<(u64, MapEntry)>) -> Result<()> {
        extents.sort_unstable_by_key(|(_, entry)| match entry.extent.source {
            Source::Segment(place) => (place.segment.0, place.offset, entry.first_piece),
            Source::Inline => (0, 0, 0),
        });
        let mut ahead = extents.iter();
        let (mut asked, mut opened) = (0, 0);
        for (fileid, entry) in extents.iter() {
            while asked < opened + AHEAD_BYTES
                && let Some((_, next)) = ahead.next()
            {
                asked += u64::from(next.length);
                if let Source::Segment(place) = &next.extent.source {
                    self.core.segments.prefetch(place);
                }
            }
            opened += u64::from(entry.length);
            self.open_extent(*fileid, entry).await?;
            // Opening some of them takes longer than a lease of the key that the next page of records needs.
            self.core.renew_if_due(Which::Metadata).await?;
        }
        extents.clear();
        Ok(())
    }

    /// Opens one run of data.
    ///
    /// # Errors
    /// [`FsError::Sealed`] if the data key has gone meanwhile, [`FsError::Failed`] if the store has; what is wrong with
    /// the data is in the report.
    async fn open_extent(&mut self, fileid: u64, entry: &MapEntry) -> Result<()> {
        self.core.renew_if_due(Which::Data).await?;
        let mut out = BytesMut::zeroed(usize::try_from(entry.length).unwrap_or(0));
        match self.core.read_extent(fileid, entry, (entry.start, entry.end()), &mut out).await {
            Ok(()) => self.report.data_bytes_opened += u64::from(entry.length),
            Err(error @ (FsError::Sealed(_) | FsError::Failed)) => return Err(error),
            Err(error) => self.problem(Problem::Data { fileid, offset: entry.start, why: error.to_string() }),
        }
        self.progress.done += 1;
        self.progress.bytes += u64::from(entry.length);
        self.tell();
        Ok(())
    }
}
