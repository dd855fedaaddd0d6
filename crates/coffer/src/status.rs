//! `coffer status`: file systems, the keys they depend on, lease ages and clients, as a table or JSON.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What the running server says of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The server's version.
    pub(crate) version: String,
    /// Seconds since it began to serve.
    pub(crate) up_seconds: u64,
    /// Whether all keys are in memory that does not reach swap; absent in an answer of an older server.
    #[serde(default)]
    pub(crate) keys_locked: Option<bool>,
    /// Every file system of the account.
    pub(crate) file_systems: Vec<FileSystemStatus>,
    /// Every KMS key that a file system depends on.
    pub(crate) keys: Vec<KeyStatus>,
    /// Every connected or remembered NFS client.
    pub(crate) clients: Vec<ClientStatus>,
}

/// One file system.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileSystemStatus {
    /// `fs-…`.
    pub(crate) id: String,
    /// The tag `Name`.
    pub(crate) name: Option<String>,
    /// `creating`, `available`, `deleting`.
    pub(crate) lifecycle: String,
    /// Whether a customer chose the key.
    pub(crate) encrypted: bool,
    /// The ARN of the key its contents depend on.
    pub(crate) kms_key: String,
    /// `open`, `closed` (no client yet), `sealed`, `failed`.
    pub(crate) state: String,
    /// Why it is sealed or failed.
    pub(crate) reason: Option<String>,
    /// The age of the data key's lease, in seconds.
    pub(crate) lease_age_seconds: Option<u64>,
    /// How long the data key's lease still lasts, in seconds.
    pub(crate) lease_left_seconds: Option<u64>,
    /// Metered bytes.
    pub(crate) bytes: u64,
}

/// One KMS key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyStatus {
    /// The key's ARN.
    pub(crate) arn: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`.
    pub(crate) state: String,
    /// `AWS` or `CUSTOMER`.
    pub(crate) manager: String,
    /// The file systems that seal with it.
    pub(crate) dependents: Vec<String>,
}

/// One NFS client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientStatus {
    /// What it calls itself.
    pub(crate) owner: String,
    /// Where its connections come from.
    pub(crate) addresses: Vec<String>,
    /// What it mounted.
    pub(crate) file_system: String,
    /// The access point, if it came through one.
    pub(crate) access_point: Option<String>,
    /// Whether its connection is TLS.
    pub(crate) tls: bool,
    /// How many opens and lock owners it holds.
    pub(crate) states: usize,
    /// Seconds since it was last heard of.
    pub(crate) silent_seconds: u64,
}

/// The report for people.
pub(crate) fn render(status: &Status) -> String {
    let mut text = format!("coffer {}, up {}\n\n", status.version, duration(status.up_seconds));
    if status.keys_locked == Some(false) {
        text.push_str("keys are not locked in memory and may reach swap: raise LimitMEMLOCK\n\n");
    }
    let mut rows = vec![row(["FILE SYSTEM", "NAME", "LIFECYCLE", "ENCRYPTED", "STATE", "LEASE", "BYTES", "KEY"])];
    for system in &status.file_systems {
        let lease = match (system.lease_age_seconds, system.lease_left_seconds) {
            (Some(age), Some(left)) => format!("{age} s old, {left} s left"),
            _ => "-".to_owned(),
        };
        rows.push(row([
            &system.id,
            system.name.as_deref().unwrap_or("-"),
            &system.lifecycle,
            if system.encrypted { "yes" } else { "no" },
            &system.state,
            &lease,
            &system.bytes.to_string(),
            &system.kms_key,
        ]));
    }
    table(&mut text, &rows);
    // Writing to a String cannot fail.
    for system in &status.file_systems {
        if let Some(reason) = &system.reason {
            let _ = writeln!(text, "{}: {}: {reason}", system.id, system.state);
        }
    }
    let mut rows = vec![row(["KEY", "STATE", "MANAGER", "FILE SYSTEMS THAT DEPEND ON IT"])];
    for key in &status.keys {
        rows.push(row([&key.arn, &key.state, &key.manager, &key.dependents.join(" ")]));
    }
    text.push('\n');
    table(&mut text, &rows);
    let mut rows = vec![row(["CLIENT", "ADDRESS", "FILE SYSTEM", "ACCESS POINT", "TRANSPORT", "STATES", "SILENT"])];
    for client in &status.clients {
        rows.push(row([
            &client.owner,
            &client.addresses.join(" "),
            &client.file_system,
            client.access_point.as_deref().unwrap_or("-"),
            if client.tls { "TLS" } else { "clear" },
            &client.states.to_string(),
            &duration(client.silent_seconds),
        ]));
    }
    text.push('\n');
    table(&mut text, &rows);
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/operations.md: status names the key and the reason of a seal.
    #[test]
    fn a_sealed_file_system_shows_its_reason() {
        let status = Status {
            version: "0.1.0".to_owned(),
            up_seconds: 3700,
            file_systems: vec![FileSystemStatus {
                id: "fs-1".to_owned(),
                name: None,
                lifecycle: "available".to_owned(),
                encrypted: true,
                kms_key: "arn:aws:kms:r:1:key/k".to_owned(),
                state: "sealed".to_owned(),
                reason: Some("arn:aws:kms:r:1:key/k is disabled".to_owned()),
                lease_age_seconds: None,
                lease_left_seconds: None,
                bytes: 6144,
            }],
            ..Status::default()
        };
        let text = render(&status);
        assert!(text.contains("up 1 h 1 min") && !text.contains("swap"), "{text}");
        let text_unlocked = render(&Status { keys_locked: Some(false), ..status });
        assert!(text_unlocked.contains("LimitMEMLOCK"), "{text_unlocked}");
        assert!(text.contains("fs-1: sealed: arn:aws:kms:r:1:key/k is disabled"), "{text}");
    }
}
