//! What must hold in real Linux clients. Each case has a server and clients of its own, and says what it saw.

mod clock;
mod elsewhere;
pub(crate) mod keys;
mod kill;
mod load;
mod mounts;
mod readme;
mod stolen;
mod tamper;
mod work;

use std::fs;
use std::time::Duration;

use crate::coffer::Settings;
use crate::house::{House, Profile};
use crate::report::{Apart, Report};
use crate::stage::{Cast, Plan, Stage};

/// One case.
struct Case {
    name: &'static str,
    clients: usize,
    /// Whether a server that is not ours can play it: it proves the case itself.
    anywhere: bool,
    settings: Settings,
    run: fn(&mut Stage, &Scale) -> Result<String, String>,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) tree_files: usize,
    pub(crate) crowd_files: u64,
    pub(crate) kills: u64,
    pub(crate) counts: u64,
    pub(crate) seed: u64,
    /// For one script in a client.
    pub(crate) time_limit: Duration,
    /// Of one client; a million names are a GiB of its caches.
    pub(crate) memory_mib: u32,
    /// Of the programs, in the cases of [`SHIPPED`].
    profile: Profile,
}

impl Scale {
    /// What CI does.
    fn usual() -> Self {
        Self {
            tree_files: 2200,
            crowd_files: 100_000,
            kills: 5,
            counts: 150,
            seed: fresh_seed(),
            time_limit: Duration::from_secs(900),
            memory_mib: 1024,
            profile: Profile::Dev,
        }
    }

    /// `--long`.
    fn long() -> Self {
        Self {
            tree_files: 6000,
            crowd_files: 1_000_000,
            kills: 40,
            counts: 2000,
            time_limit: Duration::from_secs(3600),
            memory_mib: 3072,
            profile: Profile::Release,
            ..Self::usual()
        }
    }
}

const USUAL: Settings = Settings { lease_seconds: 60, key_lease_seconds: 60, idle_close_seconds: 300 };
/// A short grace, so that a kill costs seconds and not minutes.
const QUICK: Settings = Settings { lease_seconds: 10, key_lease_seconds: 60, idle_close_seconds: 300 };

/// A key lease that ends while a case waits for it.
const SHORT_LEASE: Settings = Settings { lease_seconds: 10, key_lease_seconds: 10, idle_close_seconds: 300 };

/// The cases that a long run plays with the programs as they are shipped.
const SHIPPED: &[&str] = &["a moved clock"];

/// Every case, the quick ones first.
const CASES: &[Case] = &[
    Case { name: "tar in and out", clients: 1, anywhere: true, settings: USUAL, run: work::tar },
    Case { name: "git clone and fsck", clients: 1, anywhere: true, settings: USUAL, run: work::git },
    Case { name: "sqlite with three writers", clients: 1, anywhere: true, settings: USUAL, run: work::sqlite },
    Case { name: "a sparse file of 1 TiB", clients: 1, anywhere: true, settings: USUAL, run: work::sparse },
    Case {
        name: "open and unlinked across clients",
        clients: 2,
        anywhere: true,
        settings: USUAL,
        run: work::open_unlinked,
    },
    Case { name: "coherence of two clients", clients: 2, anywhere: true, settings: USUAL, run: work::coherence },
    Case { name: "counting under a lock", clients: 2, anywhere: true, settings: USUAL, run: work::count },
    Case { name: "a crowded directory", clients: 1, anywhere: true, settings: USUAL, run: work::crowd },
    Case {
        name: "two file systems, two access points",
        clients: 1,
        anywhere: false,
        settings: USUAL,
        run: mounts::side_by_side,
    },
    Case { name: "a line in fstab", clients: 1, anywhere: false, settings: USUAL, run: mounts::fstab },
    Case { name: "a killed tunnel", clients: 1, anywhere: false, settings: USUAL, run: mounts::killed_tunnel },
    Case {
        name: "the first mount of the README",
        clients: 1,
        anywhere: false,
        settings: USUAL,
        run: readme::first_mount,
    },
    Case { name: "a disabled key", clients: 2, anywhere: false, settings: USUAL, run: keys::disabled },
    Case { name: "a key taken away under load", clients: 1, anywhere: false, settings: QUICK, run: load::sealed },
    Case { name: "a moved clock", clients: 1, anywhere: false, settings: QUICK, run: clock::dates_come },
    Case { name: "a key in a KMS elsewhere", clients: 1, anywhere: false, settings: SHORT_LEASE, run: elsewhere::kms },
    Case { name: "no plaintext at rest", clients: 1, anywhere: false, settings: USUAL, run: keys::canaries },
    Case { name: "a stolen data directory", clients: 1, anywhere: false, settings: USUAL, run: stolen::stolen },
    Case { name: "swapped extents and values", clients: 1, anywhere: false, settings: QUICK, run: tamper::swapped },
    Case { name: "killed under load", clients: 2, anywhere: false, settings: QUICK, run: kill::campaign },
    Case {
        name: "the recorder on an unharmed server",
        clients: 1,
        anywhere: true,
        settings: USUAL,
        run: kill::unharmed,
    },
];

/// Runs the cases on Coffer: all, or those whose name contains a word.
pub(crate) fn run(house: &House, report: &mut Report, long: bool, only: Option<&str>) {
    let scale = if long { Scale::long() } else { Scale::usual() };
    // The figures of a long run are quoted: nothing else runs beside what they are about.
    let lanes = if long { 1 } else { 2 };
    let cases = CASES.iter().filter(|case| only.is_none_or(|word| case.name.contains(word)));
    let steps = cases.map(|case| Apart::new(case.name, || play(house, case, Cast::Coffer, &scale)));
    report.side_by_side(lanes, steps.collect());
}

/// Whether a word is in the name of any case.
pub(crate) fn has(word: &str) -> bool {
    CASES.iter().any(|case| case.name.contains(word))
}

/// Proves the cases that any server can play, on a server that is known to be good.
pub(crate) fn prove(house: &House, report: &mut Report, cast: Cast, only: Option<&str>) {
    let scale = Scale::usual();
    let wanted = |case: &&Case| case.anywhere && only.is_none_or(|word| case.name.contains(word));
    for case in CASES.iter().filter(wanted) {
        report.check(case.name, || play(house, case, cast, &scale));
    }
}

fn play(house: &House, case: &Case, cast: Cast, scale: &Scale) -> Result<String, String> {
    let profile = if SHIPPED.contains(&case.name) { scale.profile } else { Profile::Dev };
    if profile == Profile::Release {
        house.build(profile)?;
    }
    let plan = Plan {
        cast,
        profile,
        clients: case.clients,
        settings: case.settings,
        print: std::env::var_os("COFFER_VERBOSE").is_some(),
        time_limit: scale.time_limit,
        memory_mib: scale.memory_mib,
    };
    let name = case.name.replace([' ', ','], "-");
    let mut stage = Stage::open(house, &name, plan)?;
    let place = stage.place.clone();
    let outcome = (case.run)(&mut stage, scale);
    drop(stage);
    match &outcome {
        Ok(_) => {
            let _ = fs::remove_dir_all(&place);
        }
        Err(_) => eprintln!("  what it left is in {}", place.display()),
    }
    outcome
}

/// Another seed for each run; it is part of what a case says.
fn fresh_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_secs() % 1_000_000)
}
