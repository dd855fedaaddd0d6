//! The second part: the load generator on Coffer over TLS, the file system sealed, and each figure beside its bar. Each row has a
//! server of its own on a fresh data directory.

mod copies;
mod creates;
pub(super) mod figure;
mod lone;
mod overwrites;
pub(super) mod server;
mod streams;
mod syncs;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Options;
use crate::house::House;
use figure::Figure;
use server::Server;

/// Figures, and the most memory that the server ever had, in KiB.
type Measured = Result<(Vec<Figure>, u64), String>;

/// One kind of measuring.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    /// What its server runs under, or why there is no row without it.
    under: fn(&Rig<'_>, &Path) -> Result<Vec<String>, String>,
    /// Measures, and ends the server.
    run: fn(&Rig<'_>, Server) -> Measured,
}

const ROWS: &[Row] = &[
    Row { name: "durable creates", under: plain, run: creates::run },
    Row { name: "a lone durable create", under: plain, run: lone::run },
    Row { name: "1 MiB reads and writes", under: plain, run: streams::run },
    Row { name: "4 KiB durable overwrites", under: plain, run: overwrites::run },
    Row { name: "syncs for each operation", under: syncs::under, run: syncs::run },
    Row { name: "allocations and copies", under: copies::under, run: copies::run },
];

/// What all rows are measured with.
pub(super) struct Rig<'a> {
    house: &'a House,
    place: PathBuf,
    /// How long each kind of work is measured.
    seconds: u64,
    /// The file that is overwritten at random.
    overwritten_mib: u64,
}

/// What was found.
pub(super) struct Outcome(Vec<Found>);

struct Found {
    name: &'static str,
    figures: Vec<Figure>,
    /// The most memory that the row's server ever had; none if there was no server.
    kib: Option<u64>,
}

/// The rows whose name contains the word.
pub(super) fn wanted(only: Option<&str>) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| only.is_none_or(|word| row.name.contains(word))).collect()
}

/// Measures these rows.
pub(super) fn run(house: &House, place: &Path, rows: &[&Row], options: &Options) -> Result<Outcome, String> {
    let (seconds, overwritten_mib) = (options.seconds.max(1), options.mib.max(16));
    let rig = Rig { house, place: place.to_owned(), seconds, overwritten_mib };
    rows.iter().map(|row| rig.measure(row)).collect::<Result<_, _>>().map(Outcome)
}

fn plain(_: &Rig<'_>, _: &Path) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

impl Rig<'_> {
    fn measure(&self, row: &Row) -> Result<Found, String> {
        fs::create_dir_all(&self.place).map_err(|error| format!("{}: {error}", self.place.display()))?;
        println!("load generator: {}", row.name);
        let found = match (row.under)(self, &self.place) {
            Err(why) => Found { name: row.name, figures: vec![Figure::missing(row.name, &why)], kib: None },
            Ok(under) => {
                let server = Server::start(self, &under)?;
                let (figures, kib) = (row.run)(self, server).map_err(|why| format!("{}: {why}", row.name))?;
                Found { name: row.name, figures, kib: Some(kib) }
            }
        };
        fs::remove_dir_all(&self.place).map_err(|error| format!("{}: {error}", self.place.display()))?;
        Ok(found)
    }
}

impl Outcome {
    /// Prints the table.
    pub(super) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("\nCoffer under the load generator (TLS, sealed)");
        println!("{}", figure::HEAD);
        for found in &self.0 {
            found.figures.iter().for_each(|figure| println!("{figure}"));
            if let Some(kib) = found.kib {
                println!("    the server's memory at most: {} MiB of 512", kib >> 10);
            }
        }
    }

    /// The most memory of each server.
    pub(super) fn memory(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter_map(|found| found.kib)
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Value {
        let row = |found: &Found| {
            let figures: Vec<Value> = found.figures.iter().map(Figure::json).collect();
            json!({ "row": found.name, "figures": figures, "coffer_vmhwm_kib": found.kib })
        };
        self.0.iter().map(row).collect()
    }
}
