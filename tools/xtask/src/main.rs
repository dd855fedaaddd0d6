//! The project's commands: `cargo xtask demo | test | bench | tidy`.

mod generate;
mod tidy;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(),
        Some("generate") => generate::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("test") => tidy::run().and_then(|()| test()),
        _ => Err("usage: cargo xtask test|tidy".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    let status = Command::new("cargo")
        .args(["test", "--workspace", "--quiet"])
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the tests failed".to_owned()) }
}
