//! The project's commands: `cargo xtask demo | test | bench | tidy | generate`.
#![allow(clippy::disallowed_methods, reason = "a tool works in real time; nothing here is simulated")]

mod generate;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's commands")]
enum Command {
    /// Checks the house rules.
    Tidy,
    /// Writes the services' types from their models.
    Generate {
        /// `--models DIR`: botocore's data directory.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let root = root();
    let outcome = match Command::parse() {
        Command::Tidy => tidy::run(&root),
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

/// The root of the workspace.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
