//! `coffer fsck`: checks file systems while the server is stopped, and repairs them if told so.
//!
//! Exit status: 0 all is sound or repaired, 1 something was found and remains, 2 something could not be looked at.

mod areas;
mod attendant;
mod bar;

use std::process::ExitCode;

use control::Lifecycle;
use filesystem::fsck::{Finding, Report};
use serde_json::json;

use self::attendant::Attendant;
use self::bar::{Bar, size};
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
    if args.areas { runtime.block_on(areas::list(args, &config)) } else { runtime.block_on(check(args, &config)) }
}

async fn check(args: &FsckArgs, config: &Config) -> Result<u8, CofferError> {
    let house = House::open(config).await?;
    let verdict = check_all(args, config, &house).await;
    let written = house.audit.close().await.map_err(CofferError::stopped);
    house.installation.close().await;
    written.and(verdict)
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
        let bar = Bar::new(&house.installation.env, id, args.quiet);
        let attendant = Attendant::new(house, config, system, bar, args.json);
        let outcome = house.owner.check(id, args.repair, &attendant).await;
        attendant.bar.clear();
        match outcome {
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
    if as_json {
        let problems: Vec<_> = report.problems.iter().map(described).collect();
        let report = json!({
            "fileSystem": id, "clean": report.is_clean(), "repairable": report.is_repairable(), "repairs": report.repairs,
            "records": report.records, "objects": report.objects, "orphans": report.orphans, "entries": report.entries,
            "extents": report.extents, "segments": report.segments, "segmentBytes": report.segment_bytes,
            "unusedSegments": report.unused_segments, "unusedSegmentBytes": report.unused_segment_bytes,
            "dataChecked": report.data_checked, "dataBytesOpened": report.data_bytes_opened,
            "problems": problems, "problemsMore": report.problems_more,
        });
        println!("{report}");
        return;
    }
    let verdict = match report.repairs {
        _ if report.is_repairable() => "NEEDS REPAIR",
        _ if !report.is_clean() => "DAMAGED",
        0 => "clean",
        _ => "clean after its repair",
    };
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
    for found in &report.problems {
        let path = found.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        println!("{id}: {path}{} (cause: {}); {}", found.problem, found.problem.cause(), found.cure());
    }
    if report.problems_more > 0 {
        println!("{id}: and {} more", report.problems_more);
    }
    if report.unused_segments > 0 {
        println!(
            "{id}: {} in {} segments that no file needs, left by interrupted flushes or overwritten; `coffer fsck --repair` \
             frees them",
            size(report.unused_segment_bytes),
            report.unused_segments
        );
    }
    if !report.is_clean() && !report.is_repairable() {
        println!("{id}: the server serves what is not named here; what is named may answer with I/O errors");
    }
}

fn described(found: &Finding) -> serde_json::Value {
    json!({
        "what": found.problem.to_string(), "path": found.path, "cause": found.problem.cause(), "cure": found.cure(),
        "repair": found.repair.as_ref().map(filesystem::fsck::Repair::name),
    })
}
