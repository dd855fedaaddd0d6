//! What the server allocates and copies for each MiB that is read or written: the program itself, with `call-counter` before its C
//! library. Two runs that differ only in how much is read or written are subtracted, so that all else falls out.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::figure::Figure;
use super::server::{Server, word};
use super::{Measured, Rig};
use crate::house::{cargo, shown};

const COUNTS: &str = "counts";
const LIBRARY: &str = "libcall_counter.so";
/// Pieces of 1 MiB of the two runs.
const FEW: u32 = 64;
const MANY: u32 = 320;
const MIB: f64 = 1_048_576.0;

pub(super) fn under(rig: &Rig<'_>, place: &Path) -> Result<Vec<String>, String> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Err("needs glibc".to_owned());
    }
    let build = ["build", "--quiet", "--release", "-p", "call-counter"];
    shown(Command::new(cargo()).args(build).current_dir(&rig.house.root))?;
    let library = rig.house.target.join("release").join(LIBRARY);
    let set = |name: &str, path: &Path| format!("{name}={}", word(path));
    Ok(vec!["env".to_owned(), set("CALL_COUNTER_FILE", &place.join(COUNTS)), set("LD_PRELOAD", &library)])
}

/// The numbers of the counter's file, in its order.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    allocations: f64,
    allocated_bytes: f64,
    copies: f64,
    copied_bytes: f64,
    large_copies: f64,
    large_copied_bytes: f64,
}

impl Counts {
    fn now(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let numbers: Vec<f64> = numbers.iter().map(|number| u64::from_ne_bytes(*number) as f64).collect();
        let [allocations, allocated_bytes, copies, copied_bytes, large_copies, large_copied_bytes] = numbers[..] else {
            return Err(format!("{}: {} bytes", path.display(), bytes.len()));
        };
        Ok(Self { allocations, allocated_bytes, copies, copied_bytes, large_copies, large_copied_bytes })
    }

    fn since(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            allocated_bytes: self.allocated_bytes - before.allocated_bytes,
            copies: self.copies - before.copies,
            copied_bytes: self.copied_bytes - before.copied_bytes,
            large_copies: self.large_copies - before.large_copies,
            large_copied_bytes: self.large_copied_bytes - before.large_copied_bytes,
        }
    }
}

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let path = rig.place.join(COUNTS);
    let mut figures = Vec::new();
    for (kind, what) in [("read --warm", "cached 1 MiB reads"), ("write", "1 MiB writes")] {
        let run = |count: u32| {
            let before = Counts::now(&path)?;
            server.nfs(&format!("{kind} --mib {FEW} --count {count}"))?;
            Ok::<_, String>(Counts::now(&path)?.since(before))
        };
        // What is only made once is made now.
        run(FEW)?;
        let few = run(FEW)?;
        let many = run(MANY)?.since(few);
        let mib = f64::from(MANY - FEW);
        let remark = format!("{:.2} MiB allocated for each", many.allocated_bytes / MIB / mib);
        figures.push(Figure::new(&format!("{what}: allocations"), many.allocations / mib, "/MiB").with(remark));
        let remark = format!(
            "{:.2} of it in {:.1} copies of 4 KiB and more; {:.0} copies in all",
            many.large_copied_bytes / MIB / mib,
            many.large_copies / mib,
            many.copies / mib
        );
        figures.push(Figure::new(&format!("{what}: copied"), many.copied_bytes / MIB / mib, "MiB/MiB").with(remark));
    }
    Ok((figures, server.stop()?))
}
