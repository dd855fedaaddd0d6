//! Segments as files: what the suite cannot see.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use env::Env;
use tempfile::TempDir;

use crate::{Budgets, Engine, Keyspace, Place, Sealed, SealedBuffer, SegmentId, Segments};

fn large(length: usize, fill: u8) -> Bytes {
    let mut buffer = SealedBuffer::new(length);
    for (nth, byte) in buffer.iter_mut().enumerate() {
        *byte = fill ^ nth.to_le_bytes()[0];
    }
    buffer.freeze()
}

/// docs/on-disk-format.md, "Segments": large things begin at a page, small ones follow back to back, and all of them come
/// back, written past the cache or through it, also after the segment's end and a reopening.
#[tokio::test]
async fn direct_and_cached_writes_lie_in_one_segment() {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let budgets = Budgets { segment_bytes: 1 << 20, reserve_bytes: 1 << 20, ..Budgets::default() };
    let engine = Engine::new(budgets, Env::real()).unwrap();
    let (shard, segments) = engine.create(&dir).await.unwrap();
    let lengths = [100, 257 * 4096, 5, 131_072, 131_073, 4112, 4112, 300_001, 140_000, 1];
    let things: Vec<Bytes> = (1..).zip(lengths).map(|(fill, length)| large(length, fill)).collect();
    let mut places: Vec<Place> = Vec::new();
    for group in things.chunks(4) {
        places.extend(segments.put(group.iter().cloned().map(Sealed::from).collect()).await.unwrap());
    }
    for (place, thing) in places.iter().zip(&things) {
        assert_eq!(place.length as usize, thing.len());
        assert!(thing.len() < 131_072 || place.offset % 4096 == 0, "{place:?}");
        segments.prefetch(place);
        assert_eq!(segments.read(place, 0..place.length).await.unwrap(), thing[..]);
    }
    let mut ordered = places.clone();
    ordered.sort();
    for pair in ordered.windows(2) {
        let end = pair[0].offset + u64::from(pair[0].length);
        assert!(pair[0].segment != pair[1].segment || end <= pair[1].offset, "{pair:?} overlap");
    }
    assert!(fs::read_dir(dir.join("segments")).unwrap().count() > 1, "a segment ends");
    // Parts of them are copied together, and the copies outlast a reopening too.
    let parts: Vec<Place> = places.iter().map(|place| place.part(place.length / 3..place.length).unwrap()).collect();
    let copies = segments.copy(parts).await.unwrap();
    shard.close().await.unwrap();
    drop((shard, segments));
    let (_shard, segments) = engine.open(&dir).await.unwrap();
    for (copy, thing) in copies.iter().zip(&things) {
        assert_eq!(segments.read(copy, 0..copy.length).await.unwrap(), thing[thing.len() / 3..]);
    }
    for (place, thing) in places.iter().zip(&things) {
        assert_eq!(segments.read(place, 0..place.length).await.unwrap(), thing[..]);
    }
}

fn small_segments() -> Engine {
    let budgets = Budgets { segment_bytes: 64 << 10, reserve_bytes: 1 << 20, ..Budgets::default() };
    Engine::new(budgets, Env::real()).unwrap()
}

/// A closed shard with five segments of one thing each, and a record.
async fn five_segments(engine: &Engine) -> (TempDir, PathBuf, Vec<(Place, Bytes)>) {
    let kept = TempDir::new().unwrap();
    let dir = kept.path().join("shard");
    let (shard, segments) = engine.create(&dir).await.unwrap();
    let mut things = Vec::new();
    for fill in 0..5 {
        let thing = large(50_000, fill);
        let places = segments.put(vec![Sealed::from(thing.clone())]).await.unwrap();
        assert_eq!(places[0].segment, SegmentId::new(1, fill.into()));
        things.push((places[0], thing));
    }
    let mut batch = crate::Batch::new(1);
    batch.put(Keyspace::Records, "record", "value");
    shard.commit(batch).await.unwrap();
    shard.close().await.unwrap();
    (kept, dir, things)
}

/// Opens the shard: what lies in the segments `harmed` is refused with the file and the cure, everything else is served.
async fn assert_only_harmed(engine: &Engine, dir: &Path, things: &[(Place, Bytes)], harmed: &[(usize, &str)]) {
    let (shard, segments): (_, Arc<dyn Segments>) = engine.open(dir).await.unwrap();
    assert_eq!(shard.get(Keyspace::Records, b"record").await.unwrap(), Some(Bytes::from("value")));
    for (nth, (place, thing)) in things.iter().enumerate() {
        let found = segments.read(place, 0..place.length).await;
        match harmed.iter().find(|(harmed, _)| *harmed == nth) {
            None => assert_eq!(found.unwrap(), thing[..], "{nth}"),
            Some((_, what)) => {
                let error = found.unwrap_err().to_string();
                let named = error.contains(&format!("segments/1-{nth}.seg")) && error.contains("backup");
                assert!(named && error.contains(what), "{nth}: {error}");
            }
        }
    }
    // Damage of one file is no reason to take no more.
    let fresh = large(3000, 9);
    let places = segments.put(vec![Sealed::from(fresh.clone())]).await.unwrap();
    assert_eq!(segments.read(&places[0], 0..3000).await.unwrap(), fresh[..]);
    shard.close().await.unwrap();
}

/// Architecture section 4: a segment that is missing, cut short (in its header, or to nothing) or not the one of its name is
/// an error of the reads that need it, with file and cure; nothing else is served in its place, and all others are.
#[tokio::test]
async fn a_missing_cut_or_swapped_segment_is_named() {
    let engine = small_segments();
    let (_kept, dir, things) = five_segments(&engine).await;
    let path = |nth: usize| dir.join(format!("segments/1-{nth}.seg"));
    assert_only_harmed(&engine, &dir, &things, &[]).await;

    let whole: Vec<Vec<u8>> = (0..5).map(|nth| fs::read(path(nth)).unwrap()).collect();
    fs::remove_file(path(0)).unwrap();
    fs::write(path(1), &whole[1][..20]).unwrap();
    fs::write(path(2), "").unwrap();
    fs::write(path(3), &whole[3][..whole[3].len() - 1]).unwrap();
    let harmed = [(0, "is missing"), (1, "no whole header"), (2, "no whole header"), (3, "ends at")];
    assert_only_harmed(&engine, &dir, &things, &harmed).await;

    for (nth, bytes) in whole.iter().enumerate() {
        fs::write(path(nth), bytes).unwrap();
    }
    fs::rename(path(1), dir.join("aside")).unwrap();
    fs::rename(path(2), path(1)).unwrap();
    fs::rename(dir.join("aside"), path(2)).unwrap();
    // And one of the same name from another shard, whose bytes have the right length and the right place.
    let (_other_kept, other, _) = five_segments(&engine).await;
    fs::copy(other.join("segments/1-4.seg"), path(4)).unwrap();
    let harmed = [(1, "has another name"), (2, "has another name"), (4, "belongs to another shard")];
    assert_only_harmed(&engine, &dir, &things, &harmed).await;
}
