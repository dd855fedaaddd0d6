//! `mount.log` and `mount-watchdog.log`: `Y-m-d H:M:S UTC - LEVEL - text`, put aside by size (EFS user
//! guide, "Getting support logs").
//!
//! Several processes write the same file, so a line is one append to a file that is opened for it, and putting aside
//! happens under a lock.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use env::{Env, WallTime};
use time::{OffsetDateTime, macros::format_description};

use crate::config::LogSettings;

/// A line longer than this is cut: some of what is logged was said by a peer.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// How much a line matters; the names are Python's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What happened.
    Info,
    /// What may need a hand.
    Warning,
    /// What failed.
    Error,
}

impl Level {
    /// Reads `logging_level`; an unknown word is INFO.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "DEBUG" => Self::Debug,
            "WARNING" | "WARN" => Self::Warning,
            "ERROR" | "CRITICAL" => Self::Error,
            _ => Self::Info,
        }
    }

    /// The word in the log, which [`Level::parse`] reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// One log. Clones write the same file.
#[derive(Clone)]
pub struct LogFile {
    path: PathBuf,
    settings: LogSettings,
    env: Env,
}

impl LogFile {
    /// A log at `path`; its directory is made with the first line.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, settings: LogSettings, env: Env) -> Self {
        Self { path: path.into(), settings, env }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is kept.
    #[must_use]
    pub fn settings(&self) -> LogSettings {
        self.settings
    }

    /// A DEBUG line.
    pub fn debug(&self, text: &str) {
        self.write(Level::Debug, text);
    }

    /// An INFO line.
    pub fn info(&self, text: &str) {
        self.write(Level::Info, text);
    }

    /// A WARNING line.
    pub fn warning(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// An ERROR line.
    pub fn error(&self, text: &str) {
        self.write(Level::Error, text);
    }

    /// One line. A log that cannot be written never stops a mount.
    pub fn write(&self, level: Level, text: &str) {
        if level < self.settings.level {
            return;
        }
        let mut line = format!("{} - {} - {}", stamp(self.env.wall()), level.name(), one_line(text));
        let cut = (0..=LINE_BYTES_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(cut);
        line.push('\n');
        drop(self.append(line.as_bytes()));
    }

    fn append(&self, line: &[u8]) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        if file.metadata()?.len() + line.len() as u64 > self.settings.bytes_max && self.settings.files > 0 {
            self.put_aside(line.len() as u64)?;
            file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        }
        file.write_all(line)
    }

    /// `mount.log` becomes `mount.log.1`, that one `.2`, and so on.
    fn put_aside(&self, more: u64) -> std::io::Result<()> {
        let lock = File::create(self.numbered_with("lock"))?;
        lock.lock()?;
        // Another process may have been here while this one waited.
        if fs::metadata(&self.path)?.len() + more <= self.settings.bytes_max {
            return Ok(());
        }
        for number in (1..self.settings.files).rev() {
            let (from, to) = (self.numbered_with(&number.to_string()), self.numbered_with(&(number + 1).to_string()));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        fs::rename(&self.path, self.numbered_with("1"))
    }

    fn numbered_with(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }
}

fn stamp(wall: WallTime) -> String {
    let time = OffsetDateTime::from_unix_timestamp(wall.seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    time.format(form).unwrap_or_default()
}

/// Control characters would let a peer forge lines.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(directory: &Path, bytes_max: u64, files: u32) -> LogFile {
        let settings = LogSettings { level: Level::Info, bytes_max, files };
        LogFile::new(directory.join("logs/mount.log"), settings, Env::simulated(1).0)
    }

    /// aws/efs-utils, logs: the line's form, which scripts grep.
    #[test]
    fn lines_have_the_form_of_efs_utils() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 1 << 20, 10);
        log.info("Successfully mounted fs-1.x at /mnt\nforged");
        log.debug("not at this level");
        let text = fs::read_to_string(log.path()).unwrap();
        let (time, rest) = text.split_once(" UTC - ").unwrap();
        assert_eq!(time.len(), "2026-01-01 00:00:00".len());
        assert_eq!(rest, "INFO - Successfully mounted fs-1.x at /mnt forged\n");
    }

    /// aws/efs-utils, dist/efs-utils.conf: `logging_max_bytes` and `logging_file_count` bound the logs.
    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 100, 2);
        for number in 0..12 {
            log.error(&format!("line {number} of twelve, about seventy bytes"));
        }
        let of = |name: &str| fs::read_to_string(log.path().with_file_name(name)).unwrap_or_default();
        assert!(of("mount.log").contains("line 11"));
        assert!(of("mount.log.1").contains("line 10"));
        assert!(of("mount.log.2").contains("line 9"));
        assert_eq!(of("mount.log.3"), "");
    }
}
