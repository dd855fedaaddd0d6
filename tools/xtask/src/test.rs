//! `cargo xtask test`: all that must hold on a clean checkout, in the order in which it is cheapest to find out.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use linux_client::Needs;

use crate::house::{House, Profile, cargo, output, shown};
use crate::report::{Outcome, Report};
use crate::stage::Cast;
use crate::{acceptance, install, scale, soak, space, tidy, tours};

/// Runs every step, whatever became of the one before, and sums up.
pub(crate) fn run(house: &House, long: bool, only: Option<&str>) -> Result<(), String> {
    let mut report = Report::new(&house.root.join("tests/skips.toml"))?;
    if let Some(only) = only {
        if !"API tour".contains(only) && !acceptance::has(only) {
            return Err(format!("no case has {only:?} in its name"));
        }
        if "API tour".contains(only) {
            house.build(Profile::Dev)?;
            tours::run(house, &install::python(house)?, &mut report);
        }
        clients(house, &mut report, long, Some(only))?;
        return report.finish();
    }
    report.check("tidy", || tidy::run(&house.root).map(|()| String::new()));
    report.check("fmt", || cargo_step(house, &["fmt", "--all", "--check"]));
    report.check("clippy", || {
        cargo_step(house, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
    });
    report.step("cargo deny", || deny(house));
    report.step("unit and crate tests", || unit(house, long));
    report.check("doc", || documents(house));
    report.check("build", || house.build(Profile::Dev).map(|()| String::new()));
    match install::python(house) {
        Ok(python) => tours::run(house, &python, &mut report),
        Err(why) => report.check("API tours", || Err(why)),
    }
    report.check("many file systems", || scale::run(house, Profile::Dev, &scale::SMALL));
    report.check("space", || space::run(house, Profile::Dev, &space::SMALL));
    clients(house, &mut report, long, None)?;
    if long {
        report.check("space, in full", || space::run(house, Profile::Release, &space::FULL));
        report.check("ten million files", || scale::tree(house, Profile::Release, scale::TREE_FILES));
        report.check("large files", || scale::large(house, Profile::Release));
        report.check("soak", || soak::run(house, Profile::Release, 60));
    }
    report.finish()
}

/// Runs the cases that any server can play on nfs-ganesha, which is known to be good, or on a server that runs already.
pub(crate) fn prove(house: &House, only: Option<&str>, server: Option<Ipv4Addr>) -> Result<(), String> {
    install::packages(if server.is_some() { Needs::Clients } else { Needs::ClientsAndGanesha })?;
    shown(
        Command::new(cargo())
            .args(["build", "--quiet", "-p", "linux-client", "-p", "loadgen"])
            .current_dir(&house.root),
    )?;
    let mut report = Report::new(&house.root.join("tests/skips.toml"))?;
    acceptance::prove(house, &mut report, server.map_or(Cast::Ganesha, Cast::Other), only);
    report.finish()
}

/// The tests that need real Linux clients.
fn clients(house: &House, report: &mut Report, long: bool, only: Option<&str>) -> Result<(), String> {
    if only.is_some() {
        house.build(Profile::Dev)?;
    }
    match install::packages(Needs::Clients) {
        Ok(()) => acceptance::run(house, report, long, only),
        Err(why) => report.check("real Linux clients", || Err(why)),
    }
    Ok(())
}

fn cargo_step(house: &House, arguments: &[&str]) -> Result<String, String> {
    shown(Command::new(cargo()).args(arguments).current_dir(&house.root)).map(|()| String::new())
}

fn documents(house: &House) -> Result<String, String> {
    let mut command = Command::new(cargo());
    // With an example, for the reason that the build has one: see `House::build`.
    command.args(["doc", "--workspace", "--lib", "--bins", "--example", "measure_kms", "--no-deps"]);
    command.args(["--document-private-items", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings").current_dir(&house.root);
    shown(&mut command).map(|()| String::new())
}

fn deny(house: &House) -> Outcome {
    let program = match install::cargo_deny(house) {
        Ok(program) => program,
        Err(why) => return Outcome::Skipped(format!("cargo-deny cannot be had: {why}")),
    };
    // Advisories need their database, which a machine without the network does not have.
    let arguments = ["--log-level", "error", "check", "bans", "licenses", "sources"];
    match shown(Command::new(program).args(arguments).current_dir(&house.root)) {
        Ok(()) => Outcome::Passed(1, String::new()),
        Err(why) => Outcome::Failed(0, 1, why),
    }
}

/// All tests of the workspace, with nextest where it is installed. A long run tells them so, and gives them the time.
fn unit(house: &House, long: bool) -> Outcome {
    if let Err(why) = install::softhsm() {
        // The one test that needs it fails, and says so too.
        eprintln!("{why}");
    }
    let nextest = output(Command::new(cargo()).args(["nextest", "--version"])).is_ok();
    let mut command = Command::new(cargo());
    if nextest {
        command.args(["nextest", "run", "--workspace", "--color", "never"]);
        command.args(["--profile", if long { "long" } else { "default" }]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast", "--color", "never"]);
    }
    if long {
        command.env("COFFER_TEST_LONG", "1");
    }
    let command = command.current_dir(&house.root).stdin(Stdio::null());
    // nextest reports on standard error, the built-in runner on standard output; the compiler speaks on the former too.
    let Ok(done) = command.output() else { return Outcome::Failed(0, 1, "cannot start cargo".to_owned()) };
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let (passed, failed) = counts(&text);
    if done.status.success() && passed > 0 {
        return Outcome::Passed(passed, format!("{passed} tests"));
    }
    eprintln!("{text}");
    Outcome::Failed(passed, failed.max(1), format!("{failed} of {} tests; see above", passed + failed))
}

/// The sum of all "N passed" and "N failed" (and "timed out") of the runners' own summaries.
fn counts(text: &str) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for line in
        text.lines().filter(|line| line.trim_start().starts_with("Summary [") || line.starts_with("test result:"))
    {
        let line = line.replace(';', ",").replace(": ", ", ").replace(". ", ", ");
        for part in line.split(", ") {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match word {
                "passed" => passed += count,
                "failed" | "timed" => failed += count,
                _ => {}
            }
        }
    }
    (passed, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask test`: its sum is the sum of what the runners say.
    #[test]
    fn the_runners_summaries_are_read() {
        assert_eq!(counts("     Summary [   0.034s] 10 tests run: 8 passed (1 slow), 2 failed, 0 skipped\n"), (8, 2));
        let two =
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured\ntest result: FAILED. 1 passed; 3 failed\n";
        assert_eq!(counts(two), (6, 3));
    }
}
