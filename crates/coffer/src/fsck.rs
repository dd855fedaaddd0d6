//! `coffer fsck`: checks file systems while the server is stopped.
//!
//! Exit status: 0 all is sound, 1 something was found, 2 something could not be looked at.

use std::process::ExitCode;

use filesystem::fsck::Report;
use serde_json::json;

use crate::config::Config;
use crate::house::House;
use crate::{CofferError, FsckArgs, log};

/// Runs the command.
pub(crate) fn run(args: &FsckArgs) -> Result<ExitCode, CofferError> {
    let config = Config::read(&args.config.config)?;
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CofferError::stopped)?;
    runtime.block_on(check(args, &config))
}

async fn check(args: &FsckArgs, config: &Config) -> Result<ExitCode, CofferError> {
    let house = House::open(config).await?;
    let mut ids: Vec<String> = house.control.file_systems().iter().map(|found| found.id.clone()).collect();
    if let Some(wanted) = &args.file_system {
        ids.retain(|id| id == wanted);
        if ids.is_empty() {
            return Err(CofferError::Stopped(format!("{wanted}: no such file system")));
        }
    }
    let (mut found, mut unseen) = (false, false);
    for id in &ids {
        match house.owner.check(id).await {
            Ok(report) => {
                found |= !report.is_clean();
                show(id, &report, args.json);
            }
            Err(error) => {
                unseen = true;
                eprintln!("coffer: {id}: {error}");
            }
        }
    }
    house.installation.close().await;
    Ok(ExitCode::from(if unseen { 2 } else { u8::from(found) }))
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
}
