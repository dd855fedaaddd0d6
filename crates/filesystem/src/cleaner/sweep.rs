//! Emptying segments: every map entry that names one is found by going over the maps once, and what it keeps alive is moved.
//!
//! Nothing in a segment says whose bytes these are, and no index of that is kept: going over all maps costs a few
//! microseconds for each entry, once for all that is emptied together, and there are enough dead bytes to pay for it before
//! it begins.

use std::{sync::atomic::Ordering, time::Duration};

use storage::{Keyspace, Scan};

use super::{
    merge::{ENTRIES_WANTED, Merged},
    relocate::CHUNK,
    stock::Victims,
};
use crate::{
    FsError, Result,
    core::Core,
    keys,
    record::{MapEntry, Source, WINDOW},
};

/// What is gathered before it is moved: entries of one file come together, and one loaded window serves many.
const GATHERED_MAX: u64 = 8 * CHUNK;

/// The same in entries.
const ENTRIES_MAX: usize = 4096;

/// While clients work, the task rests so many times as long as it worked.
const REST: u32 = 3;

/// It rests no longer than this at once.
const REST_MAX: Duration = Duration::from_millis(500);

impl Core {
    /// A record of a map. None if it does not open: whoever reads the file is told, and what it names stays where it is.
    pub(super) fn map_entry(&self, key: &[u8], value: &[u8]) -> Result<Option<(u64, MapEntry)>> {
        let (fileid, start) = keys::numbers(key)?;
        match self.open_record(key, value).and_then(|record| MapEntry::decode(start, &record)) {
            Ok(entry) => Ok(Some((fileid, entry))),
            Err(FsError::Io(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Merges the entries of every window that has too many and whose file is at rest.
    pub(super) async fn merge_windows(&self) -> Result<()> {
        self.cleaner.scattered.store(0, Ordering::Relaxed);
        let mut scan = Scan::prefix(Keyspace::Records, &[keys::MAP]);
        let mut current = ((0, 0), 0);
        loop {
            self.enter()?;
            let page = self.shard.scan(scan.clone()).await?;
            for (key, _) in &page.items {
                let (fileid, start) = keys::numbers(key)?;
                let at = (fileid, start / WINDOW);
                current = if current.0 == at { (at, current.1 + 1) } else { (at, 1) };
                // Once for each window, when it turns out to have too many.
                if current.1 != ENTRIES_WANTED + 1 {
                    continue;
                }
                if self.merge_window(fileid, at.1).await? == Merged::Busy {
                    self.cleaner.scattered.fetch_add(ENTRIES_WANTED as u64, Ordering::Relaxed);
                }
            }
            let Some((last, _)) = page.items.last().filter(|_| page.more) else { return Ok(()) };
            scan = scan.after(last);
        }
    }

    /// Moves everything that is alive out of the victims.
    pub(super) async fn sweep(&self, victims: &Victims) -> Result<()> {
        let mut scan = Scan::prefix(Keyspace::Records, &[keys::MAP]);
        let mut found: Vec<(u64, MapEntry)> = Vec::new();
        let mut bytes = 0;
        let mut clients = self.clients_last();
        let mut begun = self.env.now();
        loop {
            self.enter()?;
            let page = self.shard.scan(scan.clone()).await?;
            for (key, value) in &page.items {
                let Some((fileid, entry)) = self.map_entry(key, value)? else { continue };
                if let Source::Segment(place) = entry.extent.source
                    && victims.segments.contains(&place.segment)
                {
                    bytes += u64::from(entry.length);
                    found.push((fileid, entry));
                }
            }
            let last = page.items.last().filter(|_| page.more);
            if bytes >= GATHERED_MAX || found.len() >= ENTRIES_MAX || last.is_none() {
                self.relocate(std::mem::take(&mut found)).await?;
                bytes = 0;
            }
            let Some((last, _)) = last else { return Ok(()) };
            scan = scan.after(last);
            if !victims.urgent && self.clients_work(clients) {
                let worked = self.env.now().since(begun);
                self.env.sleep((worked * REST).min(REST_MAX)).await;
            }
            (clients, begun) = (self.clients_last(), self.env.now());
        }
    }
}
