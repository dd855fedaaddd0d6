//! mount.efs, efs-tunnel and amazon-efs-mount-watchdog in one binary, chosen by the name it is called by.
//!
//! The first argument may name the part, too: so the tunnel and the watchdog start whether or not their links are there.

use std::{path::Path, process::ExitCode};

use client::{
    Paths, VERSION,
    arguments::{self, Command, USAGE},
    init_system::WATCHDOG,
};
use env::Env;

const TUNNEL: &str = "efs-tunnel";
const MOUNT: &str = "mount.efs";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let called = arguments.next().unwrap_or_default();
    let mut arguments: Vec<String> = arguments.collect();
    let is_part = |name: &str| [TUNNEL, WATCHDOG, MOUNT].contains(&name);
    let part = match arguments.first() {
        Some(first) if is_part(first) => arguments.remove(0),
        _ => Path::new(&called).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let env = Env::real();
    match part.as_str() {
        TUNNEL => tunnel(&arguments, &env),
        WATCHDOG => watchdog(&arguments, &env),
        _ => mount(&called, &arguments, &env),
    }
}

fn mount(called: &str, words: &[String], env: &Env) -> ExitCode {
    let outcome = match arguments::parse(words) {
        Ok(Command::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            println!("{called} Version: {VERSION}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Mount(arguments)) => client::mount::run(&arguments, &Paths::from_environment(), env),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(note) => {
            if let Some(note) = note {
                println!("{note}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn tunnel(words: &[String], env: &Env) -> ExitCode {
    let [settings] = words else {
        eprintln!("Usage: {TUNNEL} <settings file>");
        return ExitCode::FAILURE;
    };
    match client::tunnel::run(Path::new(settings), env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{TUNNEL}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watchdog(words: &[String], env: &Env) -> ExitCode {
    if words.iter().any(|word| word == "--version") {
        println!("{WATCHDOG} Version: {VERSION}");
        return ExitCode::SUCCESS;
    }
    match client::watchdog::run(&Paths::from_environment(), env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{WATCHDOG}: {error}");
            ExitCode::FAILURE
        }
    }
}
