//! One suite of tests for every implementation of the traits (Architecture section 4). A [`Subject`] is a store that can be
//! opened again and again; [`suite!`] makes the tests for it.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use env::Env;

use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Opening, Page, Place, Scan, Sealed, Shard, Snapshot,
};

/// Opens the store under test; everything from the opening before has been dropped or is to be fenced.
pub(crate) type Subject = Box<dyn Fn() -> BoxFuture<'static, Opening> + Send + Sync>;

/// The tests of the suite, for the subject that an expression gives.
macro_rules! suite {
    ($subject:expr) => {
        $crate::suite::suite! { $subject =>
            /// Architecture section 4: what is committed is read, by every way of reading.
            records_are_read_as_written
            /// Architecture section 4: commits take their place in the order of calls, and sequences grow.
            commits_keep_the_order_of_calls
            /// Architecture section 4: scans are pages, in either direction.
            scans_are_pages_in_either_direction
            /// Architecture section 4: a snapshot is not changed by later commits.
            a_snapshot_stands_still
            /// Architecture section 4: limits are part of the trait.
            what_exceeds_the_limits_is_refused_whole
            /// Architecture section 4: durable on return; sequences and epochs go on after reopening.
            everything_is_there_after_reopening
            /// Architecture section 4: a closed opening takes nothing more.
            a_closed_opening_is_fenced
            /// Architecture section 4: group commit loses and mixes nothing.
            many_committers_at_once_are_all_kept
            /// Architecture section 4: segments give back any range of what was put, also after reopening.
            places_are_read_in_any_range
            /// Architecture section 4: segments are copied, listed by epoch, and deleted.
            segments_are_copied_listed_and_deleted
            /// Architecture section 8: random operations against a naive model, with reopenings.
            random_batches_agree_with_a_model
        }
    };
    ($subject:expr => $($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            /// One rule of the traits, as above.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (subject, _kept) = $subject;
                $crate::suite::$name(subject).await;
            }
        )*
    };
}
pub(crate) use suite;

fn batch(token: u128, puts: &[(&str, &str)], deletes: &[&str]) -> Batch {
    let mut batch = Batch::new(token);
    for (key, value) in puts {
        batch.put(Keyspace::Records, key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    for key in deletes {
        batch.delete(Keyspace::Records, key.as_bytes().to_vec());
    }
    batch
}

async fn read(shard: &(impl Snapshot + ?Sized), key: &str) -> Option<String> {
    let value = shard.get(Keyspace::Records, key.as_bytes()).await.unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn whole(shard: &(impl Snapshot + ?Sized), mut scan: Scan) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = Vec::new();
    loop {
        let page = shard.scan(scan.clone()).await.unwrap();
        if let Now::Hit(now) = shard.scan_now(&scan).unwrap() {
            assert_eq!(now, page);
        }
        all.extend(page.items.iter().map(|(key, value)| (text(key), text(value))));
        match page.items.last() {
            Some((last, _)) if page.more => scan = scan.after(last),
            _ => return all,
        }
    }
}

pub(crate) async fn records_are_read_as_written(subject: Subject) {
    let (shard, _) = subject().await;
    shard.commit(batch(1, &[("a", "1"), ("b", "2")], &[])).await.unwrap();
    let mut mixed = batch(2, &[("a", "3")], &["b", "absent"]);
    mixed.put(Keyspace::Inline, "a", vec![7; 100_000]);
    mixed.put(Keyspace::Records, "empty", "");
    shard.commit(mixed).await.unwrap();

    assert_eq!(read(&*shard, "a").await.as_deref(), Some("3"));
    assert_eq!(read(&*shard, "b").await, None);
    assert_eq!(read(&*shard, "empty").await.as_deref(), Some(""));
    assert_eq!(shard.get(Keyspace::Inline, b"a").await.unwrap().unwrap(), vec![7; 100_000]);
    assert_eq!(shard.get(Keyspace::Inline, b"b").await.unwrap(), None);
    for (key, expected) in [("a", Some("3")), ("b", None)] {
        if let Now::Hit(found) = shard.get_now(Keyspace::Records, key.as_bytes()).unwrap() {
            assert_eq!(found.as_deref(), expected.map(str::as_bytes));
        }
    }
    let keys = ["b", "a", "none", "a"].map(Bytes::from);
    let found = shard.multi_get(Keyspace::Records, &keys).await.unwrap();
    assert_eq!(found, [None, Some(Bytes::from("3")), None, Some(Bytes::from("3"))]);
}

pub(crate) async fn commits_keep_the_order_of_calls(subject: Subject) {
    let (shard, _) = subject().await;
    let commits: Vec<_> = (0..200).map(|i| shard.commit(batch(i, &[("same", &i.to_string())], &[]))).collect();
    let mut before = None;
    // Asked in the opposite order: the place was taken at the call.
    for commit in commits.into_iter().rev() {
        let seq = commit.await.unwrap();
        assert!(before.is_none_or(|before| seq < before));
        assert!(seq <= shard.durable());
        before = Some(seq);
    }
    assert_eq!(read(&*shard, "same").await.as_deref(), Some("199"));

    // A change dropped unpolled goes its way.
    drop(shard.commit(batch(900, &[("dropped", "yes")], &[])));
    shard.commit(batch(901, &[("next", "")], &["same"])).await.unwrap();
    assert_eq!(read(&*shard, "dropped").await.as_deref(), Some("yes"));
    assert_eq!(read(&*shard, "same").await, None);
}

pub(crate) async fn scans_are_pages_in_either_direction(subject: Subject) {
    let (shard, _) = subject().await;
    let names: Vec<String> = (0..50).map(|i| format!("k{i:02}")).collect();
    let puts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    shard.commit(batch(1, &puts, &[])).await.unwrap();
    shard.commit(batch(2, &[("a", ""), ("z", "")], &["k10", "k49"])).await.unwrap();
    let left: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != "k10" && *name != "k49").collect();

    let mut scan = Scan::prefix(Keyspace::Records, b"k");
    scan.limit_keys = 7;
    let up = whole(&*shard, scan.clone()).await;
    assert_eq!(up.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), left);
    scan.reverse = true;
    let mut down = whole(&*shard, scan.clone()).await;
    down.reverse();
    assert_eq!(down, up);

    scan.reverse = false;
    scan.limit_bytes = 1;
    let page = shard.scan(scan.clone()).await.unwrap();
    assert_eq!((page.items.len(), page.more), (1, true));
    scan.limit_keys = 1000;
    scan.limit_bytes = usize::MAX;
    scan.from = Bound::Excluded(Bytes::from("k11"));
    scan.to = Bound::Included(Bytes::from("k13"));
    assert_eq!(whole(&*shard, scan.clone()).await, [("k12".into(), "v".into()), ("k13".into(), "v".into())]);
    scan.to = Bound::Excluded(Bytes::from("k11"));
    assert_eq!(shard.scan(scan.clone()).await.unwrap(), Page::default());
    scan.to = Bound::Included(Bytes::from("k0"));
    assert_eq!(shard.scan(scan).await.unwrap(), Page::default());
    assert_eq!(whole(&*shard, Scan::prefix(Keyspace::Inline, b"")).await, []);
}

pub(crate) async fn a_snapshot_stands_still(subject: Subject) {
    let (shard, _) = subject().await;
    shard.commit(batch(1, &[("a", "1"), ("b", "1")], &[])).await.unwrap();
    let snapshot = shard.snapshot();
    shard.commit(batch(2, &[("a", "2"), ("c", "2")], &["b"])).await.unwrap();

    assert_eq!(read(&*snapshot, "a").await.as_deref(), Some("1"));
    assert_eq!(read(&*snapshot, "b").await.as_deref(), Some("1"));
    assert_eq!(read(&*snapshot, "c").await, None);
    if let Now::Hit(found) = snapshot.get_now(Keyspace::Records, b"a").unwrap() {
        assert_eq!(found, Some(Bytes::from("1")));
    }
    let old = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())];
    assert_eq!(whole(&*snapshot, Scan::prefix(Keyspace::Records, b"")).await, old);
    let found = snapshot.multi_get(Keyspace::Records, &[Bytes::from("c"), Bytes::from("b")]).await.unwrap();
    assert_eq!(found, [None, Some(Bytes::from("1"))]);
    assert_eq!(read(&*shard, "a").await.as_deref(), Some("2"));
}

pub(crate) async fn what_exceeds_the_limits_is_refused_whole(subject: Subject) {
    let (shard, _) = subject().await;
    let Limits { operation_bytes, group_keys, key_bytes, .. } = shard.limits();
    let mut large = batch(1, &[("small", "")], &[]);
    large.put(Keyspace::Inline, "large", vec![0; operation_bytes + 1]);
    let mut many = Batch::new(2);
    (0..=group_keys).for_each(|i| many.delete(Keyspace::Records, i.to_string()));
    let mut long = Batch::new(3);
    long.put(Keyspace::Records, vec![1; key_bytes + 1], "");
    for refused in [large, many, long] {
        assert_eq!(shard.commit(refused).await, Err(CommitError::TooLarge));
    }
    assert_eq!(read(&*shard, "small").await, None);

    let mut most = Batch::new(4);
    most.put(Keyspace::Inline, vec![1; key_bytes], vec![9; operation_bytes]);
    (1..group_keys).for_each(|i| most.put(Keyspace::Records, i.to_string(), ""));
    shard.commit(most).await.unwrap();
    assert_eq!(shard.get(Keyspace::Inline, &vec![1; key_bytes]).await.unwrap().unwrap().len(), operation_bytes);
}

pub(crate) async fn everything_is_there_after_reopening(subject: Subject) {
    let mut last = None;
    for round in 0_u32..4 {
        let (shard, segments) = subject().await;
        for earlier in 0..round {
            assert_eq!(read(&*shard, &format!("round{earlier}")).await, Some(earlier.to_string()));
            assert!(shard.committed(u128::from(earlier) + 77).await.unwrap());
        }
        assert!(!shard.committed(u128::from(round) + 77).await.unwrap());
        if let Some((seq, epoch)) = last {
            assert!(shard.durable() >= seq && segments.epoch() > epoch);
        }
        let put = batch(u128::from(round) + 77, &[(&format!("round{round}"), &round.to_string())], &[]);
        let seq = shard.commit(put).await.unwrap();
        assert!(last.is_none_or(|(last, _)| seq > last));
        assert!(shard.committed(u128::from(round) + 77).await.unwrap());
        last = Some((seq, segments.epoch()));
        if round % 2 == 1 {
            shard.close().await.unwrap();
        }
    }
}

pub(crate) async fn a_closed_opening_is_fenced(subject: Subject) {
    let (shard, _) = subject().await;
    let mut fenced = shard.fenced();
    assert!(!*fenced.borrow_and_update());
    shard.commit(batch(1, &[("a", "1")], &[])).await.unwrap();
    shard.close().await.unwrap();
    shard.close().await.unwrap();
    assert!(*fenced.borrow_and_update());
    assert_eq!(shard.commit(batch(2, &[("a", "2")], &[])).await, Err(CommitError::Fenced));
    drop(shard);
    let (shard, _) = subject().await;
    assert_eq!(read(&*shard, "a").await.as_deref(), Some("1"));
}

pub(crate) async fn many_committers_at_once_are_all_kept(subject: Subject) {
    {
        let (shard, _) = subject().await;
        let tasks = (0..16_u128).map(|task| {
            let shard: Arc<dyn Shard> = shard.clone();
            tokio::spawn(async move {
                for step in 0..25_u128 {
                    let own = format!("task{task}");
                    let put = [(own.as_str(), step.to_string()), ("shared", format!("{task}/{step}"))];
                    let put: Vec<(&str, &str)> = put.iter().map(|(key, value)| (*key, value.as_str())).collect();
                    let delete = format!("gone{task}");
                    shard.commit(batch(task << 32 | step, &put, &[&delete])).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    let (shard, _) = subject().await;
    for task in 0..16 {
        assert_eq!(read(&*shard, &format!("task{task}")).await.as_deref(), Some("24"));
    }
    assert!(read(&*shard, "shared").await.unwrap().ends_with("/24"));
}

fn pattern(seed: usize, length: usize) -> Bytes {
    (0..length).map(|i| (seed * 31 + i * 7 + i / 251).to_le_bytes()[0]).collect()
}

pub(crate) async fn places_are_read_in_any_range(subject: Subject) {
    let lengths = [0, 1, 4096, 100_000, 1 << 20];
    let parts = |seed: usize, length: usize| {
        let whole = pattern(seed, length);
        let middle = length / 3;
        Sealed { parts: vec![whole.slice(..middle), Bytes::new(), whole.slice(middle..)] }
    };
    let places: Vec<Place>;
    {
        let (_shard, segments) = subject().await;
        let one = segments.put(lengths.iter().enumerate().map(|(seed, length)| parts(seed, *length)).collect());
        let others: Vec<_> = (5..20).map(|seed| segments.put(vec![parts(seed, 3000 + seed)])).collect();
        let mut put = one.await.unwrap();
        for other in others {
            put.extend(other.await.unwrap());
        }
        places = put;
        check_places(&*segments, &places, &lengths).await;
        let first = places[1];
        assert!(segments.read(&first, 0..2).await.is_err());
        assert!(segments.read_now(&first, 0..1, &mut [0; 2]).is_err());
        let beyond = Place { length: u32::MAX, ..first };
        assert!(segments.read(&beyond, u32::MAX - 1..u32::MAX).await.is_err());
        assert!(segments.put(vec![Sealed::from(Bytes::from(vec![0; Sealed::BYTES_MAX + 1]))]).await.is_err());
        assert_eq!(segments.put(Vec::new()).await.unwrap(), []);
    }
    let (_shard, segments) = subject().await;
    check_places(&*segments, &places, &lengths).await;
}

async fn check_places(segments: &(impl crate::Segments + ?Sized), places: &[Place], lengths: &[usize]) {
    for (seed, place) in places.iter().enumerate() {
        let length = lengths.get(seed).copied().unwrap_or(3000 + seed);
        assert_eq!(usize::try_from(place.length).unwrap(), length);
        assert_eq!(Place::decode(&place.encode()), *place);
        let expected = pattern(seed, length);
        assert_eq!(segments.read(place, 0..place.length).await.unwrap(), expected);
        let (from, to) = (place.length / 4, place.length / 2);
        let middle = segments.read(place, from..to).await.unwrap();
        assert_eq!(middle, expected[from as usize..to as usize]);
        let mut now = vec![0; middle.len()];
        if segments.read_now(place, from..to, &mut now).unwrap() == Now::Hit(()) {
            assert_eq!(now, middle);
        }
    }
}

pub(crate) async fn segments_are_copied_listed_and_deleted(subject: Subject) {
    let (old, first_epoch) = {
        let (_shard, segments) = subject().await;
        let put = segments.put((0..5).map(|seed| Sealed::from(pattern(seed, 1000))).collect()).await.unwrap();
        assert!(segments.delete(put[4].segment).await.is_err());
        assert_eq!(segments.list(segments.epoch()).await.unwrap(), []);
        (put, segments.epoch())
    };
    let (_shard, segments) = subject().await;
    let listed = segments.list(segments.epoch()).await.unwrap();
    assert!(listed.iter().any(|(segment, bytes)| *segment == old[0].segment && *bytes >= 5000));
    assert!(listed.iter().all(|(segment, _)| segment.epoch() == first_epoch));
    let copies = segments.copy(vec![old[3], old[1]]).await.unwrap();
    assert!(copies.iter().all(|place| place.segment.epoch() == segments.epoch()));
    segments.delete(old[0].segment).await.unwrap();
    segments.delete(old[0].segment).await.unwrap();
    assert_eq!(segments.list(segments.epoch()).await.unwrap(), []);
    assert_eq!(segments.read(&copies[0], 0..1000).await.unwrap(), pattern(3, 1000));
    assert_eq!(segments.read(&copies[1], 0..1000).await.unwrap(), pattern(1, 1000));
    assert!(segments.read(&old[0], 0..1000).await.is_err());
}

pub(crate) async fn random_batches_agree_with_a_model(subject: Subject) {
    let (env, _) = Env::simulated(42);
    let below = |limit: u64| u64::from_be_bytes(env.random()) % limit;
    let mut model: BTreeMap<(Keyspace, Vec<u8>), Vec<u8>> = BTreeMap::new();
    for _ in 0..4 {
        let (shard, _) = subject().await;
        for token in 0..40 {
            let mut batch = Batch::new(token);
            let mut changed = BTreeMap::new();
            for _ in 0..=below(20) {
                let keyspace = Keyspace::ALL[usize::from(below(4) == 0)];
                let key = vec![b'k', u8::try_from(below(60)).unwrap()];
                let length = usize::try_from(below(300)).unwrap();
                let value = (below(3) > 0).then(|| vec![u8::try_from(token).unwrap(); length]);
                changed.insert((keyspace, key), value);
            }
            for ((keyspace, key), value) in changed {
                match value {
                    Some(value) => {
                        batch.put(keyspace, key.clone(), value.clone());
                        model.insert((keyspace, key), value);
                    }
                    None => {
                        batch.delete(keyspace, key.clone());
                        model.remove(&(keyspace, key));
                    }
                }
            }
            shard.commit(batch).await.unwrap();
        }
        for keyspace in Keyspace::ALL {
            let mut scan = Scan::prefix(keyspace, b"k");
            scan.limit_keys = 1 + usize::try_from(below(70)).unwrap();
            scan.reverse = below(2) == 0;
            let mut found = Vec::new();
            loop {
                let page = shard.scan(scan.clone()).await.unwrap();
                found.extend(page.items.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
                match page.items.last() {
                    Some((last, _)) if page.more => scan = scan.after(last),
                    _ => break,
                }
            }
            found.sort();
            let of_keyspace = model.iter().filter(|((of, _), _)| *of == keyspace);
            let expected: Vec<_> = of_keyspace.map(|((_, key), value)| (key.clone(), value.clone())).collect();
            assert_eq!(found, expected);
        }
    }
}
