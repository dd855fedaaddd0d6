//! `coffer audit verify`: whether every line of the audit log follows from the one before.
//!
//! Exit status: 0 it is whole, 1 it was changed, 2 it could not be read.

use std::process::ExitCode;

use audit::AuditError;
use serde_json::json;

use crate::config::Config;
use crate::{AuditVerifyArgs, CofferError, installation};

/// Runs the command; the server may run meanwhile.
pub(crate) fn run(args: &AuditVerifyArgs) -> ExitCode {
    match verify(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coffer: {error}");
            ExitCode::from(2)
        }
    }
}

fn verify(args: &AuditVerifyArgs) -> Result<ExitCode, CofferError> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => installation::audit_log(&Config::read(&args.config.config)?),
    };
    let report = match audit::verify(&path) {
        Ok(report) => report,
        Err(error @ AuditError::Broken { .. }) => {
            eprintln!("coffer: {error}");
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(CofferError::stopped(error)),
    };
    if args.json {
        let head = json!({ "sequence": report.head.sequence, "hash": report.head.hash });
        println!("{}", json!({ "head": head, "incomplete": report.incomplete, "tornBytes": report.torn_bytes }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}: {} lines, each follows from the one before", path.display(), report.head.sequence);
    println!("head {}", report.head.hash);
    for id in &report.incomplete {
        println!("begun, not completed: event {id}");
    }
    if report.torn_bytes > 0 {
        println!("{} bytes after the last whole line: being written, or left by a crash", report.torn_bytes);
    }
    Ok(ExitCode::SUCCESS)
}
