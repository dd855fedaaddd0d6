//! The history of a shard's batches: one record each, chained by a keyed hash (docs/on-disk-format.md, "History").
//!
//! Records live in a ring of [`RING`] slots in a keyspace of their own and are written in the batch they describe.
//! Memtables are flushed at least every [`FLUSH_EVERY`] batches, so whatever a start replays from journals lies within
//! the ring, and a batch that recovery lost shows as a gap in it.

use crypto::Prf;

use crate::{Batch, Seq};

/// Slots of the ring.
pub(crate) const RING: u64 = 32_768;

/// So many batches after the last flush the next one is due.
pub(crate) const FLUSH_EVERY: u64 = 8_192;

/// The key of the opening counter, beside the ring's two-byte keys.
pub(crate) const EPOCH_KEY: &[u8] = b"epoch";

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 8 + 16 + 4 + 4 + 8;
const RECORD_BYTES: usize = BODY_BYTES + 16;

pub(crate) type Hash = [u8; 16];

/// One batch as its record tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seq: Seq,
    pub(crate) token: u128,
    puts: u32,
    deletes: u32,
    bytes: u64,
    pub(crate) hash: Hash,
}

impl Record {
    /// The record of `batch`, which follows the record with `before`.
    pub(crate) fn following(chain: &Prf, before: &Hash, seq: Seq, batch: &Batch) -> Self {
        let mut record = Self {
            seq,
            token: batch.token,
            puts: u32::try_from(batch.puts.len()).unwrap_or(u32::MAX),
            deletes: u32::try_from(batch.deletes.len()).unwrap_or(u32::MAX),
            bytes: u64::try_from(batch.bytes()).unwrap_or(u64::MAX),
            hash: Hash::default(),
        };
        record.hash = chain.mac16_of(&[before, &record.body()]);
        record
    }

    /// Whether this record follows the one with `before`.
    pub(crate) fn follows(&self, chain: &Prf, before: &Hash) -> bool {
        crypto::equal(&chain.mac16_of(&[before, &self.body()]), &self.hash)
    }

    /// The record's slot in the ring, its key.
    pub(crate) fn key(seq: Seq) -> [u8; 2] {
        u16::try_from(seq.0 % RING).unwrap_or_default().to_be_bytes()
    }

    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let (body, hash) = bytes.split_at_mut(BODY_BYTES);
        body.copy_from_slice(&self.body());
        hash.copy_from_slice(&self.hash);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (token, rest) = rest.split_first_chunk()?;
        let (puts, rest) = rest.split_first_chunk()?;
        let (deletes, rest) = rest.split_first_chunk()?;
        let (bytes, hash) = rest.split_first_chunk()?;
        (*version == VERSION).then_some(())?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(*seq)),
            token: u128::from_be_bytes(*token),
            puts: u32::from_be_bytes(*puts),
            deletes: u32::from_be_bytes(*deletes),
            bytes: u64::from_be_bytes(*bytes),
            hash: hash.try_into().ok()?,
        })
    }

    fn body(&self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        let fields: [&[u8]; 6] = [
            &[VERSION],
            &self.seq.0.to_be_bytes(),
            &self.token.to_be_bytes(),
            &self.puts.to_be_bytes(),
            &self.deletes.to_be_bytes(),
            &self.bytes.to_be_bytes(),
        ];
        for (to, from) in body.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        body
    }
}

/// What is wrong with a history.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The record of this batch is missing.
    Missing(Seq),
    /// The record of this batch does not follow the one before.
    Unchained(Seq),
    /// A slot holds something else than a record.
    Unreadable,
    /// The floor says that the log reached further.
    BelowFloor {
        /// The last batch found.
        head: Seq,
    },
}

/// Checks all the records of a ring, in any order, against the floor, and returns the newest. An empty ring is the
/// history of a shard without batches.
pub(crate) fn verify(
    records: impl Iterator<Item = Option<Record>>,
    chain: &Prf,
    floor: (Seq, Hash),
) -> Result<Option<Record>, Trouble> {
    let mut all: Vec<Record> = Vec::new();
    for record in records {
        all.push(record.ok_or(Trouble::Unreadable)?);
    }
    all.sort_unstable_by_key(|record| record.seq);
    let head = all.last().copied();
    let head_seq = head.map_or(Seq(0), |record| record.seq);
    if head_seq < floor.0 {
        return Err(Trouble::BelowFloor { head: head_seq });
    }
    // Each slot holds the newest batch of that slot, so together they are the last RING batches without a gap.
    let mut expected = Seq(head_seq.0.saturating_sub(RING - 1).max(1));
    let mut before: Option<Hash> = (expected == Seq(1)).then(Hash::default);
    for record in &all {
        if record.seq != expected {
            return Err(Trouble::Missing(expected));
        }
        if before.is_some_and(|before| !record.follows(chain, &before)) {
            return Err(Trouble::Unchained(record.seq));
        }
        if record.seq == floor.0 && record.hash != floor.1 {
            return Err(Trouble::Unchained(record.seq));
        }
        before = Some(record.hash);
        expected = Seq(expected.0 + 1);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use crypto::Key;

    use super::*;

    fn chain() -> Prf {
        Prf::new(Key::take(&mut [1; 32]).unwrap())
    }

    fn history(chain: &Prf, length: u64) -> Vec<Record> {
        let mut before = Hash::default();
        let record = |seq| {
            let record = Record::following(chain, &before, Seq(seq), &Batch::new(u128::from(seq)));
            before = record.hash;
            record
        };
        (1..=length).map(record).collect()
    }

    fn check(records: &[Record], floor: (Seq, Hash)) -> Result<Option<Record>, Trouble> {
        verify(records.iter().rev().copied().map(Some), &chain(), floor)
    }

    /// docs/on-disk-format.md, "History": a record comes back from its bytes.
    #[test]
    fn a_record_comes_back() {
        let record = history(&chain(), 3)[2];
        assert_eq!(Record::decode(&record.encode()), Some(record));
        assert_eq!(Record::decode(&record.encode()[1..]), None);
        assert_eq!(Record::decode(&[]), None);
    }

    /// Architecture section 4: a journal cut below the floor is found, one cut above is a crash.
    #[test]
    fn a_log_below_its_floor_is_refused() {
        let all = history(&chain(), 10);
        let floor = (Seq(7), all[6].hash);
        assert_eq!(check(&all, floor), Ok(Some(all[9])));
        assert_eq!(check(&all[..7], floor), Ok(Some(all[6])));
        assert_eq!(check(&all[..6], floor), Err(Trouble::BelowFloor { head: Seq(6) }));
        assert_eq!(check(&[], floor), Err(Trouble::BelowFloor { head: Seq(0) }));
        assert_eq!(check(&[], (Seq(0), Hash::default())), Ok(None));
    }

    /// Architecture section 4: each batch carries a keyed hash of the one before, so gaps and foreign records are found.
    #[test]
    fn gaps_and_strangers_are_found() {
        let all = history(&chain(), 10);
        let none = (Seq(0), Hash::default());
        let mut gap = all.clone();
        gap.remove(4);
        assert_eq!(check(&gap, none), Err(Trouble::Missing(Seq(5))));
        let mut changed = all.clone();
        changed[4].token ^= 1;
        assert_eq!(check(&changed, none), Err(Trouble::Unchained(Seq(5))));
        let other = Prf::new(Key::take(&mut [2; 32]).unwrap());
        assert_eq!(check(&history(&other, 10), none), Err(Trouble::Unchained(Seq(1))));
        assert_eq!(check(&all, (Seq(7), all[5].hash)), Err(Trouble::Unchained(Seq(7))));
    }

    /// The ring wraps: the oldest records give way, and their absence is no gap.
    #[test]
    fn a_full_ring_holds_the_last_batches() {
        let all = history(&chain(), RING + 5);
        assert_eq!(
            check(&all[5..], (Seq(RING), all[usize::try_from(RING).unwrap() - 1].hash)),
            Ok(all.last().copied())
        );
        assert_eq!(Record::key(Seq(RING)), Record::key(Seq(0)));
    }
}
