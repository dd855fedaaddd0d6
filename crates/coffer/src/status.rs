//! `coffer status`: file systems, the keys they depend on, lease ages and clients, as a table or JSON.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::external_kms::ProviderStatus;

/// What the running server says of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The server's version.
    pub(crate) version: String,
    /// Seconds since it began to serve.
    pub(crate) up_seconds: u64,
    /// Whether it still finishes what the server before left half done; mount targets are attached after that.
    #[serde(default)]
    pub(crate) starting: bool,
    /// Why the root key is not there, if it is not: nothing is served until it is.
    #[serde(default)]
    pub(crate) sealed: Option<String>,
    /// What keeps the whole server from its work: cause and cure.
    #[serde(default)]
    pub(crate) troubles: Vec<String>,
    /// Every file system of the account.
    pub(crate) file_systems: Vec<FileSystemStatus>,
    /// Every mount target.
    #[serde(default)]
    pub(crate) mount_targets: Vec<MountTargetStatus>,
    /// Every KMS key that a file system depends on.
    pub(crate) keys: Vec<KeyStatus>,
    /// Every key service elsewhere.
    #[serde(default)]
    pub(crate) kms_providers: Vec<ProviderStatus>,
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
    /// `open`, `closed` (nobody uses it), `busy` (being opened, closed or removed), `sealed`, `failed`.
    pub(crate) state: String,
    /// Why it is sealed or failed.
    pub(crate) reason: Option<String>,
    /// The age of the data key's lease, in seconds.
    pub(crate) lease_age_seconds: Option<u64>,
    /// How long the data key's lease still lasts, in seconds.
    pub(crate) lease_left_seconds: Option<u64>,
    /// Metered bytes, of now or of when it was last open.
    pub(crate) bytes: Option<u64>,
    /// What concerns its clients: a grace period, lost state.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// One mount target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MountTargetStatus {
    /// `fsmt-…`.
    pub(crate) id: String,
    /// Its file system.
    pub(crate) file_system: String,
    /// Where clients reach it.
    pub(crate) address: String,
    /// `creating`, `available`, `error`, `deleting`.
    pub(crate) state: String,
    /// Why it is in `error`: cause and cure. It is tried again meanwhile.
    pub(crate) reason: Option<String>,
}

/// One KMS key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyStatus {
    /// The key's ARN.
    pub(crate) arn: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, `Deleted`; of a provider's key what it last said of it: `Usable`,
    /// `Refused`, `Unreachable`; `Unknown` when KMS cannot say.
    pub(crate) state: String,
    /// `AWS`, `CUSTOMER`, or the name of the provider that has it.
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
    let starting = if status.starting { ", starting: clients are not let in yet" } else { "" };
    let mut text = format!("coffer {}, up {}{starting}\n", status.version, duration(status.up_seconds));
    if let Some(why) = &status.sealed {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "SEALED: {why}");
        return text;
    }
    // Writing to a String cannot fail.
    for trouble in &status.troubles {
        let _ = writeln!(text, "trouble: {trouble}");
    }
    text.push('\n');
    file_systems(&mut text, &status.file_systems);
    mount_targets(&mut text, &status.mount_targets);
    let mut rows = vec![row(["KEY", "STATE", "MANAGER", "FILE SYSTEMS THAT DEPEND ON IT"])];
    for key in &status.keys {
        rows.push(row([&key.arn, &key.state, &key.manager, &key.dependents.join(" ")]));
    }
    text.push('\n');
    table(&mut text, &rows);
    providers(&mut text, &status.kms_providers);
    clients(&mut text, &status.clients);
    text
}

fn file_systems(text: &mut String, systems: &[FileSystemStatus]) {
    let mut rows = vec![row(["FILE SYSTEM", "NAME", "LIFECYCLE", "ENCRYPTED", "STATE", "LEASE", "BYTES", "KEY"])];
    for system in systems {
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
            &system.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            &system.kms_key,
        ]));
    }
    table(text, &rows);
    for system in systems {
        if let Some(reason) = &system.reason {
            let _ = writeln!(text, "{}: {}: {reason}", system.id, system.state);
        }
        for note in &system.notes {
            let _ = writeln!(text, "{}: {note}", system.id);
        }
    }
}

fn mount_targets(text: &mut String, targets: &[MountTargetStatus]) {
    let mut rows = vec![row(["MOUNT TARGET", "ADDRESS", "FILE SYSTEM", "STATE"])];
    for target in targets {
        rows.push(row([&target.id, &target.address, &target.file_system, &target.state]));
    }
    text.push('\n');
    table(text, &rows);
    for target in targets {
        if let Some(reason) = &target.reason {
            let _ = writeln!(text, "{}: {}: {reason}", target.id, target.state);
        }
    }
}

fn providers(text: &mut String, providers: &[ProviderStatus]) {
    if providers.is_empty() {
        return;
    }
    let mut rows = vec![row(["KMS PROVIDER", "ENDPOINT", "STATE", "ANSWERED", "CALLS", "REFUSED", "UNANSWERED"])];
    for provider in providers {
        rows.push(row([
            &provider.name,
            &provider.endpoint,
            &provider.state,
            &provider.answered_seconds_ago.map_or_else(|| "-".to_owned(), |ago| format!("{} ago", duration(ago))),
            &provider.calls.to_string(),
            &provider.refused.to_string(),
            &provider.unanswered.to_string(),
        ]));
    }
    text.push('\n');
    table(text, &rows);
    for provider in providers {
        if let Some(reason) = &provider.reason {
            let _ = writeln!(text, "{}: {}: {reason}", provider.name, provider.state);
        }
    }
}

fn clients(text: &mut String, clients: &[ClientStatus]) {
    let mut rows = vec![row(["CLIENT", "ADDRESS", "FILE SYSTEM", "ACCESS POINT", "TRANSPORT", "STATES", "SILENT"])];
    for client in clients {
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
    table(text, &rows);
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

    /// docs/operations.md: status names the key and the reason of a seal, and why a mount target takes no clients.
    #[test]
    fn what_does_not_work_shows_its_reason() {
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
                bytes: None,
                notes: vec!["in grace".to_owned()],
            }],
            mount_targets: vec![MountTargetStatus {
                id: "fsmt-1".to_owned(),
                file_system: "fs-1".to_owned(),
                address: "10.0.0.4".to_owned(),
                state: "error".to_owned(),
                reason: Some("10.0.0.4:2049: in use; stop the other one".to_owned()),
            }],
            ..Status::default()
        };
        let text = render(&status);
        assert!(text.contains("up 1 h 1 min") && !text.contains("trouble"), "{text}");
        let troubled = render(&Status { troubles: vec!["keys may reach swap".to_owned()], ..Status::default() });
        assert!(troubled.contains("trouble: keys may reach swap"), "{troubled}");
        assert!(text.contains("\nfs-1: in grace\n"), "{text}");
        assert!(text.contains("fs-1: sealed: arn:aws:kms:r:1:key/k is disabled"), "{text}");
        assert!(text.contains("fsmt-1: error: 10.0.0.4:2049: in use; stop the other one"), "{text}");
    }
}
