//! Timestamps of the JSON protocols: epoch seconds with milliseconds. Smithy, `epoch-seconds`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A moment of the wall clock, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    milliseconds: i64,
}

const BASIC: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const ISO: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

impl Timestamp {
    /// From the two halves of a wall-clock reading.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        Self { milliseconds: seconds.saturating_mul(1000).saturating_add(i64::from(nanoseconds / 1_000_000)) }
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.milliseconds.div_euclid(1000)
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.milliseconds
    }

    /// This moment and `seconds` more (or fewer).
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self { milliseconds: self.milliseconds.saturating_add(seconds.saturating_mul(1000)) }
    }

    /// The `yyyymmddThhmmssZ` of SigV4.
    pub fn basic(self) -> String {
        self.format(BASIC)
    }

    /// The `yyyy-mm-ddThh:mm:ssZ` of CloudTrail and the Query protocol.
    pub fn iso(self) -> String {
        self.format(ISO)
    }

    /// Reads the `yyyymmddThhmmssZ` of SigV4; exactly that form.
    pub fn parse_basic(text: &str) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        let moment = time::PrimitiveDateTime::parse(text, BASIC).ok()?;
        Some(Self::from_unix(moment.assume_utc().unix_timestamp(), 0))
    }

    fn format(self, format: &[BorrowedFormatItem<'_>]) -> String {
        // Out-of-range moments cannot come from a clock; they print as the epoch rather than fail a reply.
        let moment = OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        moment.format(format).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.milliseconds % 1000 == 0 {
            return serializer.serialize_i64(self.milliseconds / 1000);
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53 for 280,000 years")]
        serializer.serialize_f64(self.milliseconds as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let milliseconds = (seconds * 1000.0).round();
        if !(-1e15..=1e15).contains(&milliseconds) {
            return Err(serde::de::Error::custom("a timestamp out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
        Ok(Self { milliseconds: milliseconds as i64 })
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    /// Smithy, `epoch-seconds`: seconds, with a fraction when there is one.
    #[test]
    fn timestamps_are_epoch_seconds() {
        let moment = Timestamp::from_unix(1_440_938_160, 250_000_000);
        assert_eq!(serde_json::to_string(&moment).unwrap(), "1440938160.25");
        assert_eq!(serde_json::from_str::<Timestamp>("1440938160.25").unwrap(), moment);
        assert_eq!(serde_json::to_string(&Timestamp::from_unix(7, 0)).unwrap(), "7");
    }

    /// SigV4, "Date": `yyyymmddThhmmssZ`.
    #[test]
    fn signing_dates_round_trip() {
        let moment = Timestamp::parse_basic("20150830T123600Z").unwrap();
        assert_eq!(moment.seconds(), 1_440_938_160);
        assert_eq!(moment.basic(), "20150830T123600Z");
        assert_eq!(moment.iso(), "2015-08-30T12:36:00Z");
        for wrong in ["20150830T123600", "20150830 123600Z", "2015-08-30T12:36:00Z", "20151330T123600Z", ""] {
            assert_eq!(Timestamp::parse_basic(wrong), None, "{wrong}");
        }
    }
}
