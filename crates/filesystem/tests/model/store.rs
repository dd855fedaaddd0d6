//! The store that fails: what becomes of each call to it, by chance or at one given call. It also counts the calls, and
//! sees that no extent id is given out twice.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use storage::{
    Keyspace,
    faulty::{Call, Verdict},
};

use crate::pattern::Random;

/// How often, of a thousand calls, something happens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) late: usize,
    pub(crate) read_fails: usize,
    pub(crate) put_fails: usize,
    pub(crate) no_space: usize,
    pub(crate) commit_fails: usize,
    pub(crate) cut: usize,
}

#[derive(Default)]
struct State {
    random: Option<Random>,
    weather: Weather,
    calm: bool,
    /// This happens to the call of this number.
    exact: Option<(u64, Verdict)>,
    calls: u64,
    trace: u64,
    /// Errors that somebody may have been given.
    errors: u64,
    extents: HashMap<Bytes, Bytes>,
    twice: Option<String>,
}

/// Decides over the calls of all openings of one store. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<State>>);

impl Store {
    pub(crate) fn by_chance(seed: u64, weather: Weather) -> Self {
        let store = Self::default();
        store.0.lock().random = Some(Random(seed));
        store.0.lock().weather = weather;
        store
    }

    /// Every call takes a while, and the one of this number gets this.
    pub(crate) fn exact(exact: Option<(u64, Verdict)>) -> Self {
        let store = Self::default();
        store.0.lock().exact = exact;
        store
    }

    /// Whether nothing happens to calls for now.
    pub(crate) fn calm(&self, calm: bool) {
        self.0.lock().calm = calm;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    pub(crate) fn errors(&self) -> u64 {
        self.0.lock().errors
    }

    /// The store fails by another hand.
    pub(crate) fn count_error(&self) {
        self.0.lock().errors += 1;
    }

    /// A sum over all calls, the same for the same run.
    pub(crate) fn trace(&self) -> u64 {
        self.0.lock().trace
    }

    /// Extent ids are never used twice (Architecture section 3, "Inode").
    pub(crate) fn used_twice(&self) -> Option<String> {
        self.0.lock().twice.clone()
    }

    pub(crate) fn director(&self) -> impl FnMut(&Call<'_>) -> Verdict + Send + 'static {
        let store = self.0.clone();
        move |call| store.lock().decide(call)
    }
}

impl State {
    fn decide(&mut self, call: &Call<'_>) -> Verdict {
        if self.calm {
            return Verdict::Pass;
        }
        self.note(call);
        let verdict = match self.exact {
            Some((number, verdict)) if number == self.calls => verdict,
            _ if self.random.is_none() => Verdict::Late(Duration::from_millis(1)),
            _ => self.by_chance(call),
        };
        self.errors += u64::from(!matches!(verdict, Verdict::Pass | Verdict::Late(_) | Verdict::DoneLate(_)));
        verdict
    }

    fn note(&mut self, call: &Call<'_>) {
        self.calls += 1;
        let (kind, size) = match call {
            Call::Commit(batch) => {
                for (keyspace, key, value) in &batch.puts {
                    // A batch without room is tried again as it is.
                    if *keyspace == Keyspace::Inline
                        && let Some(before) = self.extents.insert(key.clone(), value.clone())
                        && before != *value
                    {
                        self.twice = Some(format!("{key:?} twice"));
                    }
                }
                (1, batch.bytes())
            }
            Call::Put(sealed) => (2, sealed.iter().map(storage::Sealed::bytes).sum()),
            Call::Copy(places) => (3, places.len()),
            Call::Delete(segment) => (4, segment.number() as usize),
            Call::Read => (5, 0),
        };
        self.trace = Random(self.trace ^ kind << 40 ^ size as u64).next();
    }

    fn by_chance(&mut self, call: &Call<'_>) -> Verdict {
        let weather = self.weather;
        let Some(random) = &mut self.random else { return Verdict::Pass };
        if random.chance(weather.cut) {
            return if random.chance(500) { Verdict::CutBefore } else { Verdict::CutAfter };
        }
        let fails = match call {
            Call::Commit(_) => weather.commit_fails,
            Call::Read => weather.read_fails,
            Call::Put(_) | Call::Copy(_) | Call::Delete(_) => weather.put_fails,
        };
        if random.chance(fails) {
            return match random.below(3) {
                0 => Verdict::Fail,
                one => Verdict::Unknown { done: one == 1 },
            };
        }
        if random.chance(weather.no_space) && !matches!(call, Call::Read) {
            return Verdict::NoSpace;
        }
        if random.chance(weather.late) {
            let late = Duration::from_millis(1 + random.below(400) as u64);
            return if random.chance(500) { Verdict::Late(late) } else { Verdict::DoneLate(late) };
        }
        Verdict::Pass
    }
}
