//! The project's commands: `cargo xtask demo | test | bench | tidy | generate`.
#![allow(clippy::disallowed_methods, reason = "a tool works in real time; nothing here is simulated")]

mod acceptance;
mod api;
mod canary;
mod coffer;
mod ganesha;
mod generate;
mod house;
mod install;
mod report;
mod stage;
mod test;
mod tidy;
mod tours;
mod trees;

use std::process::ExitCode;

use clap::Parser;

use house::House;

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
        /// Only the real-client cases whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Proves the real-client cases themselves, on nfs-ganesha.
    Prove {
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
        Command::Prove { only } => test::prove(&house, only.as_deref()),
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
