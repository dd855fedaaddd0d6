//! Where a campaign keeps its data: it goes with the value, whatever the campaign came to. The server's log stays.

use std::fs;
use std::path::{Path, PathBuf};

use crate::house::House;

/// A directory for one run.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    log: PathBuf,
}

impl Place {
    /// An empty one.
    pub(crate) fn new(house: &House, name: &str) -> Result<Self, String> {
        let path = house.fresh(name)?;
        let log = path.with_file_name(format!("{name}.log"));
        Ok(Self { path, log })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::rename(self.path.join("server.log"), &self.log);
        let _ = fs::remove_dir_all(&self.path);
    }
}
