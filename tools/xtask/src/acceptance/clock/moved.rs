//! A clock that a test moves.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::install;

/// What a process under libfaketime takes its time from.
pub(super) struct Clock {
    file: PathBuf,
    pub(super) ahead: Duration,
}

impl Clock {
    pub(super) fn at(file: PathBuf) -> Result<Self, String> {
        let mut clock = Self { file, ahead: Duration::ZERO };
        clock.move_to(Duration::ZERO)?;
        Ok(clock)
    }

    /// The program under which a server runs whose time of day alone is moved.
    pub(super) fn wall_alone(&self) -> Result<Vec<String>, String> {
        let mut programs = self.all()?;
        programs.push("FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned());
        Ok(programs)
    }

    /// The program under which a server runs all of whose clocks are moved, with its arguments.
    pub(super) fn all(&self) -> Result<Vec<String>, String> {
        Ok(vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", install::faketime()?.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            // Read at every look at a clock, so that it moves at once.
            "FAKETIME_NO_CACHE=1".to_owned(),
        ])
    }

    /// So far ahead of this machine's.
    pub(super) fn move_to(&mut self, ahead: Duration) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.file.display());
        let new = self.file.with_extension("new");
        fs::write(&new, format!("+{}\n", ahead.as_secs())).map_err(failed)?;
        // In one step: a clock is never read half written.
        fs::rename(&new, &self.file).map_err(failed)?;
        self.ahead = ahead;
        Ok(())
    }
}
