//! Segments as files: what the suite cannot see.

use std::fs;

use bytes::Bytes;
use env::Env;
use tempfile::TempDir;

use crate::{Budgets, Engine, Place, Sealed, SealedBuffer};

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
    let lengths = [100, 257 * 4096, 5, 65_536, 65_537, 4112, 4112, 300_001, 70_000, 1];
    let things: Vec<Bytes> = (1..).zip(lengths).map(|(fill, length)| large(length, fill)).collect();
    let mut places: Vec<Place> = Vec::new();
    for group in things.chunks(4) {
        places.extend(segments.put(group.iter().cloned().map(Sealed::from).collect()).await.unwrap());
    }
    for (place, thing) in places.iter().zip(&things) {
        assert_eq!(place.length as usize, thing.len());
        assert!(thing.len() < 65_536 || place.offset % 4096 == 0, "{place:?}");
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
