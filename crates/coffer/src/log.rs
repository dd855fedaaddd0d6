//! The process's own log: structured lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::CofferError;
use crate::config::{Log, LogFormat};

/// Starts logging. Must be called once.
pub(crate) fn start(log: &Log) -> Result<(), CofferError> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| CofferError::stopped(format!("log.level = {:?}: {error}", log.level)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let outcome = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    outcome.map_err(CofferError::stopped)
}
