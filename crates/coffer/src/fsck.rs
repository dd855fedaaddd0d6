//! `coffer fsck`: checks file systems while the server is stopped.
//!
//! Exit status: 0 all is sound, 1 something was found, 2 something could not be looked at.

use std::process::ExitCode;

use control::Lifecycle;
use filesystem::fsck::Report;
use serde_json::json;

use crate::config::Config;
use crate::house::House;
use crate::{CofferError, FsckArgs, installation, leftovers, log};

/// Sound.
const SOUND: u8 = 0;
/// Something was found.
const FOUND: u8 = 1;
/// Something could not be looked at.
const UNSEEN: u8 = 2;

/// Runs the command. Whatever kept it from looking is told here, since to the caller it is a verdict like the others.
pub(crate) fn run(args: &FsckArgs) -> ExitCode {
    let verdict = start(args).unwrap_or_else(|error| {
        eprintln!("coffer: {error}");
        UNSEEN
    });
    ExitCode::from(verdict)
}

fn start(args: &FsckArgs) -> Result<u8, CofferError> {
    let config = Config::read(&args.config.config)?;
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CofferError::stopped)?;
    runtime.block_on(check(args, &config))
}

async fn check(args: &FsckArgs, config: &Config) -> Result<u8, CofferError> {
    let house = House::open(config).await?;
    let verdict = check_all(args, config, &house).await;
    house.installation.close().await;
    verdict
}

async fn check_all(args: &FsckArgs, config: &Config, house: &House) -> Result<u8, CofferError> {
    let mut systems = house.control.file_systems();
    let mut verdict = SOUND;
    if let Some(wanted) = &args.file_system {
        systems.retain(|system| system.id == *wanted);
        if systems.is_empty() {
            return Err(CofferError::Stopped(format!("{wanted}: no such file system")));
        }
    } else {
        verdict = verdict.max(leftovers_of(house, config)?);
    }
    for system in &systems {
        let id = &system.id;
        if system.state != Lifecycle::Available {
            // Its directory is half made or half gone, and the server goes on with it.
            skip(id, system.state.name(), args.json);
            // Asked for by name, it was not looked at; among all of them it is as it should be.
            verdict = verdict.max(if args.file_system.is_some() { UNSEEN } else { SOUND });
            continue;
        }
        match house.owner.check(id).await {
            Ok(report) => {
                verdict = verdict.max(if report.is_clean() { SOUND } else { FOUND });
                show(id, &report, args.json);
            }
            Err(error) => {
                verdict = UNSEEN;
                eprintln!("coffer: {id}: {error}");
            }
        }
    }
    Ok(verdict)
}

/// Directories that no record knows are told on standard error, beside the verdicts.
fn leftovers_of(house: &House, config: &Config) -> Result<u8, CofferError> {
    let parent = installation::file_systems_directory(config);
    let known = house.control.file_systems().iter().map(|found| found.id.clone()).collect();
    let found = leftovers::find(&parent, &known).map_err(|error| CofferError::io(&parent, &error))?;
    for path in &found.unknown {
        eprintln!("coffer: {}: {}", path.display(), leftovers::UNKNOWN);
    }
    for path in &found.gone {
        eprintln!(
            "coffer: {}: the rest of a deleted file system; the server removes it when it starts",
            path.display()
        );
    }
    Ok(if found.unknown.is_empty() { SOUND } else { FOUND })
}

fn skip(id: &str, state: &str, as_json: bool) {
    if as_json {
        println!("{}", json!({ "fileSystem": id, "checked": false, "lifeCycleState": state }));
    } else {
        println!("{id}: {state}, not checked");
    }
}

fn show(id: &str, report: &Report, as_json: bool) {
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    if as_json {
        let report = json!({
            "fileSystem": id, "clean": report.is_clean(), "records": report.records, "objects": report.objects,
            "entries": report.entries, "extents": report.extents, "dataChecked": report.data_checked,
            "dataBytesOpened": report.data_bytes_opened, "problems": problems, "problemsMore": report.problems_more,
        });
        println!("{report}");
        return;
    }
    let verdict = if report.is_clean() { "clean" } else { "DAMAGED" };
    println!(
        "{id}: {verdict}: {} objects, {} entries, {} extents, {} records; {}",
        report.objects,
        report.entries,
        report.extents,
        report.records,
        if report.data_checked {
            format!("{} bytes of contents opened", report.data_bytes_opened)
        } else {
            "contents not opened: the data key is not at hand".to_owned()
        }
    );
    for problem in problems {
        println!("{id}: {problem}");
    }
    if report.problems_more > 0 {
        println!("{id}: and {} more", report.problems_more);
    }
    if !report.is_clean() {
        println!(
            "{id}: restore its directory from a backup, or start the server and copy what can be read: what is named here \
             answers with I/O errors, the rest is as it was"
        );
    }
}
