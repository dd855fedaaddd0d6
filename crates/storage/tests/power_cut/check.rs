//! What has to hold after a cut: the real engine opens what is left, and everything acknowledged is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use storage::{Engine, Keyspace, Opening, Place, Scan, Sealed, Segments};

use crate::{
    log::{Change, Event, Note, Value},
    random::Random,
    workload::{LAST, batch, keyspace, token},
};

type Records = BTreeMap<(bool, String), Value>;

/// What the workload knew at a moment.
#[derive(Default)]
pub(crate) struct Known {
    /// The shard had been made.
    created: bool,
    /// The last batch before the log began, and what the shard held then.
    base: (u64, Records),
    /// The batches since, in order.
    submitted: Vec<Vec<Change>>,
    /// The last batch that was acknowledged.
    acknowledged: u64,
    places: BTreeMap<Place, Value>,
}

impl Known {
    pub(crate) fn learn(&mut self, event: &Event) {
        let Event::Note(note) = event else { return };
        match note {
            Note::Begin { created, batch, records, places } => {
                let records = records.iter().filter_map(|change| Some((place_of(change), change.value?))).collect();
                let places = places.iter().map(|(place, value)| (Place::decode(place), *value)).collect();
                *self = Self {
                    created: *created,
                    base: (*batch, records),
                    acknowledged: *batch,
                    places,
                    ..Self::default()
                };
            }
            Note::Created => self.created = true,
            Note::Submitted { changes } => self.submitted.push(changes.clone()),
            Note::Committed { batch } => self.acknowledged = self.acknowledged.max(*batch),
            Note::Put { place, value } => {
                self.places.insert(Place::decode(place), *value);
            }
            Note::Deleting { segment } => self.places.retain(|place, _| place.segment.0 != *segment),
        }
    }

    /// What the shard holds after its first `last` batches.
    fn records(&self, last: u64) -> Records {
        let mut records = self.base.1.clone();
        let count = usize::try_from(last - self.base.0).unwrap();
        for change in self.submitted.iter().take(count).flatten() {
            match change.value {
                Some(value) => records.insert(place_of(change), value),
                None => records.remove(&place_of(change)),
            };
        }
        records
    }

    /// How a log begins that goes on from what `last` batches left.
    pub(crate) fn begin(&self, created: bool, last: u64) -> Note {
        let change = |((inline, key), value)| Change { inline, key, value: Some(value) };
        let records = self.records(last).into_iter().map(change).collect();
        let places = self.places.iter().filter(|_| created);
        let places = places.map(|(place, value)| (place.encode(), *value)).collect();
        Note::Begin { created, batch: last, records, places }
    }
}

fn place_of(change: &Change) -> (bool, String) {
    (change.inline, change.key.clone())
}

/// What a cut left: nothing yet that is a shard, or one with so many batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Batches(u64),
}

/// Opens what is left in `dir` and compares.
pub(crate) async fn check(engine: &Engine, dir: &Path, known: &Known, seed: u64) -> Result<Left, String> {
    let mut random = Random::new(seed ^ 0xc0ff_ee00);
    let exists = Engine::exists(dir);
    if !exists && known.created {
        return Err("the shard is gone".to_owned());
    }
    let opened = if exists { engine.open(dir).await } else { engine.create(dir).await };
    let opening = opened.map_err(|error| format!("opening: {error}"))?;
    let last = last(&opening).await?;
    let most = known.base.0 + u64::try_from(known.submitted.len()).unwrap();
    if last < known.acknowledged || last > most {
        return Err(format!("batch {last} is the last; {} was acknowledged, {most} given", known.acknowledged));
    }
    let mut records = known.records(last);
    compare(&opening, &records, last).await?;
    tokens(&opening, known.base.0, last, most).await?;
    places(&*opening.1, known, &mut random).await?;

    // And it goes on from here.
    let value = Value { seed, length: 3000 };
    let change = Change { inline: random.percent(50), key: "after".to_owned(), value: Some(value) };
    let place = put(&opening, value).await?;
    let next = batch(most + 1, std::slice::from_ref(&change));
    opening.0.commit(next).await.map_err(|error| format!("a new commit: {error}"))?;
    records.insert(place_of(&change), value);
    compare(&opening, &records, most + 1).await?;
    opening.0.close().await.map_err(|error| format!("closing: {error}"))?;
    drop(opening);
    if random.percent(25) {
        let opening = engine.open(dir).await.map_err(|error| format!("opening again: {error}"))?;
        compare(&opening, &records, most + 1).await.map_err(|error| format!("after opening again: {error}"))?;
        read(&*opening.1, &place, value).await?;
        places(&*opening.1, known, &mut random).await?;
        opening.0.close().await.map_err(|error| format!("closing again: {error}"))?;
    }
    Ok(if exists { Left::Batches(last) } else { Left::Nothing })
}

/// The number of the last batch, on which both keyspaces agree.
async fn last(opening: &Opening) -> Result<u64, String> {
    let mut found = Vec::new();
    for keyspace in Keyspace::ALL {
        let value = opening.0.get(keyspace, LAST.as_bytes()).await.map_err(|error| error.to_string())?;
        found.push(value.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap())));
    }
    if found[0] == found[1] { Ok(found[0]) } else { Err(format!("a batch is there by half: {found:?}")) }
}

/// Both keyspaces hold exactly these records.
async fn compare(opening: &Opening, expected: &Records, last: u64) -> Result<(), String> {
    for inline in [false, true] {
        let of_keyspace = expected.iter().filter(|((of, _), _)| *of == inline);
        let mut expected: BTreeMap<&[u8], Vec<u8>> =
            of_keyspace.map(|((_, key), value)| (key.as_bytes(), value.bytes())).collect();
        if last > 0 {
            expected.insert(LAST.as_bytes(), last.to_be_bytes().to_vec());
        }
        let mut scan = Scan::prefix(keyspace(inline), b"");
        let mut expected = expected.into_iter();
        loop {
            let page = opening.0.scan(scan.clone()).await.map_err(|error| format!("a scan: {error}"))?;
            for (key, value) in &page.items {
                let wanted = expected.next();
                if wanted.as_ref().is_none_or(|(k, v)| k != key || v != value) {
                    let wanted = wanted.map(|(key, _)| String::from_utf8_lossy(key).into_owned());
                    return Err(format!("inline {inline}, {} batches: {key:?} where {wanted:?} belongs", last));
                }
            }
            match page.items.last() {
                Some((key, _)) if page.more => scan = scan.after(key),
                _ => break,
            }
        }
        if let Some((key, _)) = expected.next() {
            return Err(format!("inline {inline}, {last} batches: {:?} is missing", String::from_utf8_lossy(key)));
        }
    }
    Ok(())
}

/// The history knows the batches that are there, and no others.
async fn tokens(opening: &Opening, base: u64, last: u64, most: u64) -> Result<(), String> {
    for number in (last.saturating_sub(2).max(base) + 1).max(1)..=(last + 2).min(most) {
        let there = opening.0.committed(token(number)).await.map_err(|error| error.to_string())?;
        if there != (number <= last) {
            return Err(format!("batch {number} of {last}: committed says {there}"));
        }
    }
    Ok(())
}

/// What was put is read again: the newest, and some of the others.
async fn places(segments: &dyn Segments, known: &Known, random: &mut Random) -> Result<(), String> {
    let all: Vec<(&Place, &Value)> = known.places.iter().collect();
    let newest = all.len().saturating_sub(12)..all.len();
    let others: BTreeSet<usize> = (0..12).map(|_| random.below(all.len())).collect();
    for (place, value) in newest.chain(others).filter_map(|nth| all.get(nth)) {
        read(segments, place, **value).await?;
    }
    Ok(())
}

async fn read(segments: &dyn Segments, place: &Place, value: Value) -> Result<(), String> {
    let found = segments.read(place, 0..place.length).await.map_err(|error| format!("{place:?}: {error}"))?;
    if found == value.bytes() { Ok(()) } else { Err(format!("{place:?} holds something else")) }
}

async fn put(opening: &Opening, value: Value) -> Result<Place, String> {
    let put = opening.1.put(vec![Sealed::from(bytes::Bytes::from(value.bytes()))]).await;
    let place = put.map_err(|error| format!("a new put: {error}"))?[0];
    read(&*opening.1, &place, value).await?;
    Ok(place)
}
