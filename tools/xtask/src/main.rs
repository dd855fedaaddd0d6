//! The project's commands: `cargo xtask demo | test | bench | scale | space | soak | prove | tidy | generate`.
#![allow(clippy::disallowed_methods, reason = "a tool works in real time; nothing here is simulated")]

mod acceptance;
mod api;
mod bench;
mod canary;
mod coffer;
mod demo;
mod figures;
mod ganesha;
mod generate;
mod house;
mod install;
mod load;
mod look;
mod noise;
mod place;
mod report;
mod scale;
mod soak;
mod space;
mod stage;
mod test;
mod tidy;
mod tours;
mod trees;

use std::net::Ipv4Addr;
use std::process::ExitCode;

use clap::Parser;

use house::{House, Profile};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's commands")]
enum Command {
    /// Checks the house rules.
    Tidy,
    /// Runs every test; the last line says how many passed, failed and were skipped.
    Test {
        /// Whole suites, fresh seeds, kill campaigns.
        #[arg(long)]
        long: bool,
        /// Only the real-client cases whose name contains this, or (for "tour") the API tours.
        #[arg(long)]
        only: Option<String>,
    },
    /// Shows the main job: a key, an encrypted file system, a real client that mounts it over TLS.
    Demo {
        /// Leaves the server running.
        #[arg(long)]
        keep: bool,
    },
    /// Measures Coffer: beside nfs-ganesha through a Linux client, and against the bars with the load generator.
    Bench(bench::Options),
    /// Measures a server with many file systems, many files or large ones: what they cost, and how soon it serves again.
    Scale {
        /// File systems.
        #[arg(long, default_value_t = 1000)]
        file_systems: usize,
        /// Those that are used at once.
        #[arg(long, default_value_t = 50)]
        active: usize,
        /// How long they are used.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// One file system with so many files in a tree instead.
        #[arg(long, value_name = "FILES", conflicts_with = "large")]
        tree: Option<u64>,
        /// A file of 1 TiB, mostly hole, and one of 4.5 GiB instead.
        #[arg(long)]
        large: bool,
        /// With the programs as tests build them.
        #[arg(long)]
        dev: bool,
    },
    /// Measures the disk that overwritten and deleted data takes, and what its return costs the clients.
    Space {
        /// A few hundred MiB instead of eleven GiB.
        #[arg(long)]
        small: bool,
        /// With the programs as tests build them.
        #[arg(long)]
        dev: bool,
    },
    /// Works on a server for a long time, compares everything, and looks whether the server grows.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: u64,
        /// With the programs as tests build them.
        #[arg(long)]
        dev: bool,
    },
    /// Proves the real-client cases themselves, on nfs-ganesha.
    Prove {
        /// On this server instead, which runs already and serves one empty tree on port 2049.
        #[arg(long)]
        server: Option<Ipv4Addr>,
        /// Only the cases whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Writes the services' types from their models.
    Generate {
        /// `--models DIR`: botocore's data directory.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let house = House::new();
    let outcome = match Command::parse() {
        Command::Tidy => tidy::run(&house.root),
        Command::Test { long, only } => test::run(&house, long, only.as_deref()),
        Command::Demo { keep } => demo::run(&house, keep),
        Command::Bench(options) => bench::run(&house, &options),
        Command::Scale { large: true, dev, .. } => scale::large(&house, profile(dev)).map(drop),
        Command::Scale { tree: Some(files), dev, .. } => scale::tree(&house, profile(dev), files).map(drop),
        Command::Scale { file_systems, active, seconds, dev, .. } => {
            scale::run(&house, profile(dev), &scale::Size { file_systems, active, seconds }).map(drop)
        }
        Command::Space { small, dev } => {
            space::run(&house, profile(dev), if small { &space::SMALL } else { &space::FULL }).map(drop)
        }
        Command::Soak { minutes, dev } => soak::run(&house, profile(dev), minutes).map(drop),
        Command::Prove { only, server } => test::prove(&house, only.as_deref(), server),
        Command::Generate { arguments } => generate::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn profile(dev: bool) -> Profile {
    if dev { Profile::Dev } else { Profile::Release }
}
