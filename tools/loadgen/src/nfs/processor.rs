//! The CPU time of processes, from the proc file system.

use std::fs;

/// `USER_HZ`, in which the kernel counts for user space on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time that the process used so far, in seconds.
pub(crate) fn seconds(process: &str) -> Result<f64, String> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name stands in parentheses and may hold blanks; user and system time are fields 14 and 15.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// What this process and, if there is one, the server's used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// The load generator.
    pub(crate) own: f64,
    /// The server.
    pub(crate) server: Option<f64>,
}

impl Used {
    /// Up to now.
    pub(crate) fn now(server: Option<u32>) -> Result<Self, String> {
        Ok(Self { own: seconds("self")?, server: server.map(|id| seconds(&id.to_string())).transpose()? })
    }

    /// Since then.
    pub(crate) fn since(self, before: Self) -> Self {
        let server = self.server.zip(before.server).map(|(after, before)| after - before);
        Self { own: self.own - before.own, server }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc(5): a process that is there has a time; one that is not is named.
    #[test]
    fn a_process_has_its_time() {
        assert!(Used::now(Some(std::process::id())).unwrap().server.is_some());
        assert!(Used::now(Some(u32::MAX)).unwrap_err().contains("4294967295"));
    }
}
