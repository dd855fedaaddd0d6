//! `coffer fsck --areas`: which bytes of the data directory are ciphertext, to the byte, and of the rest what it is.
//!
//! Each file system is checked first, contents included, so what is listed of segments is what its map names and its key
//! opens. Then everything is closed in good order, which leaves all records in tables, and the tables are read as they
//! lie on the disk. docs/threat-model.md says what the rest shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use control::Lifecycle;
use filesystem::fsck::{Observer, Progress, Repair, Repairing};
use parking_lot::Mutex;
use serde_json::json;
use storage::{BoxFuture, Place, SealedRecords, SegmentId, StoredValue, stored_values};

use super::{FOUND, SOUND, UNSEEN};
use crate::config::Config;
use crate::house::House;
use crate::{CofferError, FsckArgs, installation};

/// Sealed bytes that lie together.
struct Area {
    offset: u64,
    length: u64,
    what: &'static str,
}

/// What was found, by file.
#[derive(Default)]
struct Areas(BTreeMap<PathBuf, Vec<Area>>);

/// Where the sealed contents of a file system lie in its segments: first byte and the one after the last.
type Spans = BTreeMap<SegmentId, Vec<(u64, u64)>>;

/// Notes the places of a file system's extents while it is checked.
#[derive(Default)]
struct Places(Mutex<Spans>);

impl Observer for Places {
    fn progress(&self, _: &Progress) {}

    fn begin<'a>(&'a self, _: &'a Repair) -> BoxFuture<'a, Result<Box<dyn Repairing>, String>> {
        Box::pin(std::future::ready(Err("areas are listed and nothing is changed".to_owned())))
    }

    fn placed(&self, place: &Place) {
        let mut spans = self.0.lock();
        let spans = spans.entry(place.segment).or_default();
        let end = place.offset + u64::from(place.length);
        match spans.last_mut() {
            // A stream's extents follow each other.
            Some(last) if last.1 == place.offset => last.1 = end,
            _ => spans.push((place.offset, end)),
        }
    }
}

/// Lists the areas; the verdict is that of the check.
pub(super) async fn list(args: &FsckArgs, config: &Config) -> Result<u8, CofferError> {
    let house = House::open(config).await?;
    let looked = look(args, &house).await;
    let written = house.audit.close().await.map_err(CofferError::stopped);
    house.installation.close().await;
    drop(house);
    written?;
    let (file_systems, verdict) = looked?;
    let areas = Areas::gather(config, file_systems).map_err(|error| CofferError::within(&config.data, &error))?;
    areas.print(&config.data, args).map_err(|error| CofferError::io(&config.data, &error))?;
    Ok(verdict)
}

/// Checks the file systems; gives where the contents of each lie.
async fn look(args: &FsckArgs, house: &House) -> Result<(BTreeMap<String, Spans>, u8), CofferError> {
    let mut systems = house.control.file_systems();
    if let Some(wanted) = &args.file_system {
        systems.retain(|system| system.id == *wanted);
        if systems.is_empty() {
            return Err(CofferError::Stopped(format!("{wanted}: no such file system")));
        }
    }
    let (mut found, mut verdict) = (BTreeMap::new(), SOUND);
    for system in systems {
        let id = &system.id;
        if system.state != Lifecycle::Available {
            eprintln!("coffer: {id}: {}, not listed", system.state.name());
            continue;
        }
        let places = Places::default();
        match house.owner.check(id, false, &places).await {
            Ok(report) => {
                if !report.is_clean() {
                    eprintln!("coffer: {id}: not sound, and what is damaged may be listed as sealed: run coffer fsck");
                    verdict = verdict.max(FOUND);
                }
                found.insert(id.clone(), places.0.into_inner());
            }
            Err(error) => {
                eprintln!("coffer: {id}: {error}");
                verdict = UNSEEN;
            }
        }
    }
    Ok((found, verdict))
}

impl Areas {
    fn gather(config: &Config, file_systems: BTreeMap<String, Spans>) -> Result<Self, storage::StorageError> {
        let mut areas = Self::default();
        stored_values(&installation::control_directory(config), &mut |stored| areas.control(stored))?;
        for (id, spans) in file_systems {
            let shard = installation::file_systems_directory(config).join(id);
            stored_values(&shard, &mut |stored| areas.file_system(stored))?;
            for (segment, mut spans) in spans {
                let file = shard.join("segments").join(format!("{}-{}.seg", segment.epoch(), segment.number()));
                spans.sort_unstable();
                // An extent that an overwrite cut in two is named twice.
                let mut end = 0;
                for (first, last) in spans {
                    let first = first.max(end);
                    if first < last {
                        areas.add(&file, first, last - first, "file contents");
                        end = last;
                    }
                }
            }
        }
        Ok(areas)
    }

    fn add(&mut self, file: &Path, offset: u64, length: u64, what: &'static str) {
        if length == 0 {
            return;
        }
        match self.0.get_mut(file) {
            Some(areas) => areas.push(Area { offset, length, what }),
            None => _ = self.0.insert(file.to_owned(), vec![Area { offset, length, what }]),
        }
    }

    fn control(&mut self, stored: &StoredValue<'_>) {
        if let Some(part) = SealedRecords::sealed_part(stored.key, stored.value) {
            self.part(stored, part, "control record");
        }
        for part in kms::sealed_key_ring_parts(stored.key, stored.value) {
            self.part(stored, part, "wrapped key");
        }
    }

    fn file_system(&mut self, stored: &StoredValue<'_>) {
        let what = match stored.keyspace {
            storage::Keyspace::Records => "file-system record",
            storage::Keyspace::Inline => "file contents",
        };
        let part = filesystem::sealed_part(stored.keyspace, stored.value.len());
        self.part(stored, part, what);
    }

    fn part(&mut self, stored: &StoredValue<'_>, part: std::ops::Range<usize>, what: &'static str) {
        let (Ok(first), Ok(length)) = (u64::try_from(part.start), u64::try_from(part.len())) else { return };
        self.add(stored.file, stored.offset + first, length, what);
    }

    /// Every file of the data directory: its sealed areas, or why it has none.
    fn print(&self, data: &Path, args: &FsckArgs) -> std::io::Result<()> {
        let mut files = Vec::new();
        walk(data, &mut files)?;
        files.sort_unstable();
        for file in files {
            let name = file.strip_prefix(data).unwrap_or(&file);
            for area in self.0.get(&file).into_iter().flatten() {
                let Area { offset, length, what } = area;
                if args.json {
                    let name = name.display().to_string();
                    println!("{}", json!({ "file": name, "offset": offset, "length": length, "sealed": what }));
                } else {
                    println!("{}\t{offset}\t{length}\t{what}", name.display());
                }
            }
            if !self.0.contains_key(&file) {
                let (bytes, why) = (fs::symlink_metadata(&file)?.len(), clear(name));
                if args.json {
                    println!("{}", json!({ "file": name.display().to_string(), "length": bytes, "clear": why }));
                } else {
                    println!("# {}\t{bytes}\t{why}", name.display());
                }
            }
        }
        Ok(())
    }
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// What a file without sealed areas is. docs/on-disk-format.md.
fn clear(name: &Path) -> &'static str {
    let text = name.to_string_lossy();
    let file = name.file_name().map(|file| file.to_string_lossy()).unwrap_or_default();
    let end = name.extension().map(|end| end.to_string_lossy()).unwrap_or_default();
    if file.starts_with("audit.log") {
        "the audit log: who called what, for auditors to read"
    } else if file == "LOCK" || file == "lock" {
        "a lock"
    } else if file == "FORMAT" {
        "version and identity of a shard"
    } else if file == "floor" {
        "how far a shard's log must reach"
    } else if end == "seg" {
        "a segment without contents that a file has"
    } else if end == "jnl" {
        "a journal that is empty after a clean stop"
    } else if text.contains("/keyspaces/3/") {
        "the history of batches: numbers, tokens, keyed hashes"
    } else if text.contains("/engine/") {
        "the engine's own lists, or a table without sealed values"
    } else if end == "sock" {
        "a socket"
    } else {
        "no file of Coffer's"
    }
}
