//! `cargo xtask scale --large`: files as large as they get. One of 1 TiB that is mostly hole, and one of more than 4 GiB that is
//! really there; both read back.

use serde_json::Value;

use super::Scale;
use crate::figures::verdict;
use crate::house::{House, Profile};
use crate::load::{finished, number};
use crate::look::allocated_bytes;
use crate::place::Place;

/// Of the sparse file, a third each at its beginning, in its middle and at its end.
const STRETCHES_MIB: u64 = 192;
/// Past 4 GiB, so that no offset fits in 32 bits.
const FULL_MIB: &str = "4608";
/// What a file system takes besides its files.
const ASIDE_BYTES: u64 = 256 << 20;
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// Measures, prints, and fails where a bound is passed.
pub(crate) fn run(house: &House, profile: Profile) -> Result<String, String> {
    house.build(profile)?;
    let place = Place::new(house, "large")?;
    let mut scale = Scale::open(house, profile, place.path())?;
    scale.make(2)?;
    let sparse = scale.on_large(0, "large", &["--mib", &STRETCHES_MIB.to_string()])?;
    tell("1 TiB, mostly hole, cut and grown again", &sparse);
    let id = scale.file_systems.first().map(|file_system| file_system.id.clone()).unwrap_or_default();
    let (taken, most) =
        (allocated_bytes(&scale.coffer.data().join("fs").join(id)), (STRETCHES_MIB << 20) + ASIDE_BYTES);
    println!("  on the disk: {} MiB, bar {} MiB: {}", taken >> 20, most >> 20, verdict(taken <= most));
    if taken > most {
        scale.troubles.push(format!("a sparse file takes {} MiB, and {} are allowed", taken >> 20, most >> 20));
    }
    let full = scale.on_large(1, "write", &["--mib", FULL_MIB])?;
    tell("all written", &full);
    let look = scale.look()?;
    let small = look.most_kib <= MEMORY_KIB_MAX;
    println!("the most memory: {} MiB, bar {} MiB: {}", look.most_kib >> 10, MEMORY_KIB_MAX >> 10, verdict(small));
    if !small {
        scale.troubles.push(format!("{} MiB of memory, and {} are allowed", look.most_kib >> 10, MEMORY_KIB_MAX >> 10));
    }
    scale.check()?;
    if !scale.troubles.is_empty() {
        return Err(scale.troubles.join("; "));
    }
    Ok(format!(
        "1 TiB in {} MiB on the disk; {FULL_MIB} MiB at {:.0} MiB/s",
        taken >> 20,
        number(&full, "mib_per_second")
    ))
}

fn tell(what: &str, line: &Value) {
    println!(
        "{what}: {:.0} MiB written at {:.0} MiB/s, {:.0} MiB compared",
        number(line, "bytes") / 1_048_576.0,
        number(line, "mib_per_second"),
        number(line, "verified_bytes") / 1_048_576.0
    );
}

impl Scale {
    fn on_large(&self, nth: usize, kind: &str, more: &[&str]) -> Result<Value, String> {
        let file_system = self.file_systems.get(nth).ok_or("no file system")?;
        finished(self.load.start(file_system, kind, &[more, &["--keep"]].concat())?)
    }
}
