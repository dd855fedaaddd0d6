//! Opening a shard: the database, its history checked against the floor, the next epoch, and the thread.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use crypto::Prf;
use parking_lot::RwLock;

use super::{
    EngineInner,
    commit::Committer,
    core::{Core, Opened},
    directory::Directory,
    floor::Floor,
    health::Health,
    history::{self, EPOCH_KEY, Record, Trouble},
    journal::{self, Ahead},
    maps::{Maps, engine_error},
    pool,
    queue::Queue,
    segments::SegmentFiles,
    shard::EmbeddedShard,
    space::SpaceWatch,
    tables,
};
use crate::{Opening, Seq, StorageError};

const CURE: &str = "restore the shard's directory from a backup";

/// Opens the database in a locked directory, checks its history, and starts its thread.
///
/// On a full disk the opening itself is noted later, before the first change: reading needs no room.
pub(crate) fn open(engine: &Arc<EngineInner>, mut directory: Directory) -> Result<Opening, StorageError> {
    let engine_dir = directory.engine();
    let space = Arc::new(SpaceWatch::new(&directory.path, engine.budgets.reserve_bytes));
    let room = space.allows_opening(&engine.env);
    if directory.is_new() && !room {
        return Err(StorageError::NoSpace);
    }
    if !directory.is_new() {
        tables::check(&engine_dir)?;
        journal::prepare(&engine_dir, directory.floor.current().clean)?;
    }
    let maps = open_database(engine, &engine_dir)?;
    if room && let Err(error) = journal::set_aside(&engine_dir) {
        return Err(StorageError::io(&journal::newest(&engine_dir), &error));
    }
    let segments_dir = directory.segments();
    directory.finish()?;
    let Directory { path, id, chain, floor, lock, .. } = directory;

    let head = check_history(&maps, &chain, &floor.current(), &engine_dir)?;
    let epoch = next_epoch(&maps, &engine_dir)?;
    let health = Arc::new(Health::new(path.display().to_string()));
    let ahead = Ahead::new(&engine_dir);
    let core = Arc::new(Core {
        env: engine.env.clone(),
        health: health.clone(),
        queue: Queue::default(),
        durable: AtomicU64::new(head.0.0),
        space: space.clone(),
        opened: RwLock::new(Some(Opened { maps: maps.clone(), lock, engine_dir })),
    });
    let mut committer =
        Committer { core: core.clone(), maps, chain, floor, last: head, flushed: head.0, unnoted: Some(epoch), ahead };
    if room {
        committer.note_opening()?;
    } else {
        tracing::warn!(shard = %path.display(), "the disk is full: the shard is open for reading until there is room");
    }
    pool::spawn("storage-commit", move || committer.run_guarded())?;
    engine.shards.add(&core);

    let segments = SegmentFiles::new(engine.clone(), segments_dir, id, epoch, health, space);
    let shard = EmbeddedShard { core, engine: engine.clone() };
    Ok((Arc::new(shard), Arc::new(segments)))
}

fn open_database(engine: &EngineInner, dir: &Path) -> Result<Maps, StorageError> {
    // fjall panics on some kinds of damage; here that is an error as any other.
    match panic::catch_unwind(AssertUnwindSafe(|| Maps::open(engine, dir))) {
        Ok(result) => result.map_err(|error| engine_error(dir, &error)),
        Err(_) => Err(StorageError::damaged(dir, "the engine's files are damaged", CURE)),
    }
}

/// Where the log ends, if it holds together and reaches the floor.
fn check_history(maps: &Maps, chain: &Prf, floor: &Floor, dir: &Path) -> Result<(Seq, history::Hash), StorageError> {
    let read = |seq: Seq| {
        let value = maps.history.get(Record::key(seq)).map_err(|error| engine_error(dir, &error))?;
        Ok(value.and_then(|value| Record::decode(&value)))
    };
    if floor.clean {
        // Closed in good order: the log must end right at the floor, and the rest need not be looked at.
        let next = read(Seq(floor.seq.0 + 1))?.is_some_and(|next| next.seq > floor.seq);
        if !next && read(floor.seq)?.is_some_and(|last| last.seq == floor.seq && last.hash == floor.hash) {
            return Ok((floor.seq, floor.hash));
        }
    }
    let mut records = Vec::new();
    for item in maps.history.iter() {
        let (key, value) = item.into_inner().map_err(|error| engine_error(dir, &error))?;
        if &*key != EPOCH_KEY {
            records.push(Record::decode(&value));
        }
    }
    let head = history::verify(records.into_iter(), chain, (floor.seq, floor.hash)).map_err(|trouble| {
        let what = match trouble {
            Trouble::BelowFloor { head } => {
                format!("the journal ends at batch {}, but batch {} was durable", head.0, floor.seq.0)
            }
            Trouble::Missing(seq) => format!("batch {} is missing from the journal", seq.0),
            Trouble::Unchained(seq) => format!("batch {} does not follow the one before it", seq.0),
            Trouble::Unreadable => "the history of batches holds something else".to_owned(),
        };
        StorageError::damaged(&journal::newest(dir), what, CURE)
    })?;
    Ok(head.map_or_else(Default::default, |head| (head.seq, head.hash)))
}

fn next_epoch(maps: &Maps, dir: &Path) -> Result<u32, StorageError> {
    let damaged = || StorageError::damaged(dir, "the opening counter is damaged", CURE);
    let stored = maps.history.get(EPOCH_KEY).map_err(|error| engine_error(dir, &error))?;
    let last = match stored {
        Some(bytes) => u32::from_be_bytes(bytes.as_ref().try_into().map_err(|_| damaged())?),
        None => 0,
    };
    last.checked_add(1).ok_or_else(damaged)
}
