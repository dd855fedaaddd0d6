//! `cargo xtask bench`, in three parts: the same work from a Linux client on nfs-ganesha and on Coffer, side by side; what
//! the load generator finds of Coffer, held against the bars; and what KMS costs.

mod clients;
mod kms;
mod load;
pub(crate) mod process;
mod rows;

use std::fs;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use linux_client::Needs;
use serde_json::{Value, json};

use crate::house::{House, Profile};
use crate::install;

const LOAD_MAX: f64 = 0.5;
/// What Coffer may need with its defaults.
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A Linux client, on nfs-ganesha and on Coffer.
    Clients,
    /// The load generator, on Coffer.
    Load,
    /// KMS: its engine, calls over HTTP, key leases.
    Kms,
}

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only this part.
    #[arg(value_enum)]
    only_part: Option<Part>,
    /// The same.
    #[arg(long, value_enum, conflicts_with = "only_part")]
    part: Option<Part>,
    /// Only the rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Rounds of the Linux client.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each kind of work of the load generator is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The file that the load generator overwrites in pieces of 4 KiB.
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Runs on a busy machine too; the result is marked as void.
    #[arg(long)]
    anyway: bool,
}

/// Runs what is wanted, prints it, and leaves it as JSON.
pub(crate) fn run(house: &House, options: &Options) -> Result<(), String> {
    let only = options.only.as_deref();
    let part = |part| options.part.or(options.only_part).is_none_or(|wanted| wanted == part);
    let rows = if part(Part::Clients) { clients::wanted(only) } else { Vec::new() };
    let load_rows = if part(Part::Load) { load::wanted(only) } else { Vec::new() };
    let kms_rows = if part(Part::Kms) { kms::wanted(only) } else { Vec::new() };
    if rows.is_empty() && load_rows.is_empty() && kms_rows.is_empty() {
        return Err(format!("no row has {:?} in its name", only.unwrap_or_default()));
    }
    if !rows.is_empty() {
        install::packages(Needs::ClientsAndGanesha)?;
    }
    println!("building (release)");
    house.build(Profile::Release)?;
    let load = quiet_load(options.anyway)?;
    let void = load > LOAD_MAX;
    let place = house.fresh("bench")?;
    let compared = match rows.as_slice() {
        [] => None,
        rows => Some(clients::run(house, &place, rows, options.rounds)?),
    };
    let found = load::run(house, &place.join("load"), &load_rows, options)?;
    let keys = kms::run(house, &place.join("kms"), &kms_rows, options)?;
    if let Some(compared) = &compared {
        compared.print();
    }
    found.print();
    keys.print();
    println!("load at the start: {load}{}", if void { " (void: above 0.5)" } else { "" });
    let (table, memory) = compared.as_ref().map_or((Value::Null, Value::Null), clients::Outcome::json);
    let result = json!({
        "void": void, "load_at_start": load, "rounds": options.rounds, "rows": table, "memory": memory,
        "load_generator": found.json(), "kms": keys.json(),
    });
    let path = house.target.join("bench.json");
    fs::write(&path, format!("{result:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("as JSON: {}", path.display());
    let _ = fs::remove_dir_all(&place);
    let most = compared.map(|compared| compared.coffer_kib).into_iter().chain(found.memory());
    match (void, most.into_iter().find(|kib| is_too_much(*kib))) {
        (_, Some(kib)) => Err(format!("Coffer had {} MiB, and more than 512 MiB are too much", kib >> 10)),
        (true, _) => Err(format!("void: the load at the start was {load}, above {LOAD_MAX}")),
        _ => Ok(()),
    }
}

/// Whether a server had more memory than it may, or nobody knows how much.
const fn is_too_much(kib: u64) -> bool {
    kib == 0 || kib > MEMORY_KIB_MAX
}

/// Waits up to five minutes for the machine to come to rest, since building it made the load.
fn quiet_load(anyway: bool) -> Result<f64, String> {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string("/proc/loadavg").map_err(|error| format!("/proc/loadavg: {error}"))?;
        let load: f64 = text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(99.0);
        if load <= LOAD_MAX || anyway || start.elapsed() > Duration::from_secs(300) {
            return Ok(load);
        }
        println!("waiting for the load ({load}) to fall to {LOAD_MAX}");
        std::thread::sleep(Duration::from_secs(15));
    }
}
