//! Latencies in a table of bounded size: however long a run is, a quantile is right to one part in 128.

use std::time::Duration;

use serde_json::{Map, Value};

const FINE_BITS: u32 = 7;
/// Buckets for each doubling of the latency.
const FINE: usize = 1 << FINE_BITS;
/// Enough for every number of nanoseconds that fits in 64 bits.
const BUCKETS: usize = (66 - FINE_BITS as usize) * FINE;

/// How often each latency occurred.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    /// Without latencies.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }

    /// Notes one latency.
    pub(crate) fn record(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.total += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Takes another's latencies over.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many latencies were noted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency that so many of a thousand did not exceed, in nanoseconds; 0 when there are none.
    fn quantile(&self, of_thousand: u64) -> u64 {
        let rank = (self.total * of_thousand).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return largest(bucket).min(self.longest);
            }
        }
        self.longest
    }

    /// The same in microseconds.
    pub(crate) fn quantile_us(&self, of_thousand: u64) -> f64 {
        microseconds(self.quantile(of_thousand))
    }

    /// `p50_us`, `p99_us`, `p999_us` and `max_us`, each behind the prefix.
    pub(crate) fn report(&self, prefix: &str, line: &mut Map<String, Value>) {
        let rows = [
            ("p50_us", self.quantile(500)),
            ("p99_us", self.quantile(990)),
            ("p999_us", self.quantile(999)),
            ("max_us", self.longest),
        ];
        for (name, nanoseconds) in rows {
            line.insert(format!("{prefix}{name}"), microseconds(nanoseconds).into());
        }
    }
}

/// A measure as it is printed: to the thousandth, which is more than any is good for. What is no number, as a rate over
/// no time, becomes null.
pub(crate) fn rounded(value: f64) -> Value {
    ((value * 1000.0).round() / 1000.0).into()
}

/// Tenths are as fine as a clock's reading is worth.
fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds.saturating_add(50) / 100) as f64 / 10.0
}

/// Below 256 each number has a bucket of its own; above, each doubling is divided into 128.
fn bucket(nanoseconds: u64) -> usize {
    let shift = (64 - FINE_BITS - 1).saturating_sub(nanoseconds.leading_zeros());
    let fine = usize::try_from(nanoseconds >> shift).unwrap_or(usize::MAX);
    fine + shift as usize * FINE
}

/// The largest number of a bucket.
fn largest(bucket: usize) -> u64 {
    let shift = u32::try_from((bucket / FINE).saturating_sub(1)).unwrap_or(u32::MAX);
    let fine = (bucket - shift as usize * FINE) as u64;
    ((fine + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the head of the file promises: a bucket is never wider than a 128th of what is in it.
    #[test]
    fn every_latency_is_in_a_narrow_bucket() {
        let mut probes = vec![0, 1, 127, 128, 255, 256, 257, u64::MAX - 1, u64::MAX];
        probes.extend((0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        for probe in probes {
            let at = bucket(probe);
            assert!(at < BUCKETS, "{probe}");
            assert!(largest(at) >= probe && largest(at) - probe <= probe / 128, "{probe}: up to {}", largest(at));
            assert!(at == 0 || largest(at - 1) < probe, "{probe}: already in the bucket before");
        }
    }

    /// A quantile is the smallest latency that at least that part of all did not exceed.
    #[test]
    fn quantiles_of_a_thousand_latencies() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        let near = |of_thousand: u64| {
            let (found, right) = (histogram.quantile(of_thousand), of_thousand * 1000);
            assert!(found >= right && found - right <= right / 128, "{of_thousand}: {found}");
        };
        [1, 500, 990, 999, 1000].into_iter().for_each(near);
        assert_eq!(histogram.quantile(1000), 1_000_000);
    }

    /// One slow operation of a hundred shows in p999 and in the maximum, not in p50.
    #[test]
    fn a_rare_latency_is_seen_only_far_out() {
        let mut histogram = Histogram::new();
        (0..99).for_each(|_| histogram.record(Duration::from_micros(10)));
        let mut slow = Histogram::new();
        slow.record(Duration::from_millis(10));
        histogram.merge(&slow);
        let mut line = Map::new();
        histogram.report("", &mut line);
        assert!(line.get("p50_us").and_then(Value::as_f64).is_some_and(|p50| p50 < 10.1), "{line:?}");
        assert_eq!(line.get("p999_us"), line.get("max_us"));
        assert_eq!(histogram.total(), 100);
    }

    /// A run without operations has a line, too.
    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::new().quantile(500), 0);
    }
}
