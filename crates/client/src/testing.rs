//! Values that several tests begin with.

use std::time::Duration;

use crate::{
    certificate::{Claims, KeyKind},
    config::LogSettings,
    log_file::Level,
    state_file::State,
    tunnel::TunnelSettings,
};

/// The settings of a tunnel as a mount writes them.
pub(crate) fn settings() -> TunnelSettings {
    TunnelSettings {
        accept: ([127, 0, 0, 1], 20_613).into(),
        host: "fs-1.efs.us-east-1.coffer.internal".into(),
        host_port: 2049,
        server_name: "fs-1.efs.us-east-1.coffer.internal".into(),
        check_host: true,
        ca_file: Some("/etc/amazon/efs/efs-utils.crt".into()),
        claims: Claims {
            common_name: "machine".into(),
            file_system: "fs-1".into(),
            access_point: Some("fsap-0123456789abcdef0".into()),
            source: "unknown".into(),
            version: "0.1.0".into(),
        },
        key: KeyKind::Ecdsa,
        renewal: Duration::from_secs(3600),
        certificate_copy: None,
        log_file: "/var/log/amazon/efs/mount.log".into(),
        log: LogSettings { level: Level::Info, bytes_max: 1 << 20, files: 10 },
        net_namespace: None,
    }
}

/// The state of a mount whose tunnel has no process yet.
pub(crate) fn state() -> State {
    State {
        pid: -1,
        cmd: vec!["/usr/sbin/efs-tunnel".into()],
        files: vec![],
        mount_time: 1.5,
        mountpoint: "/mnt/efs".into(),
        service_type: "elasticfilesystem".into(),
        mount_state_dir: "fs-1.mnt.efs.20100+".into(),
        common_name: "host".into(),
        region: "us-east-1".into(),
        fs_id: "fs-1".into(),
        certificate: String::new(),
        certificate_creation_time: "270115080000Z".into(),
        private_key: String::new(),
        access_point: None,
        unmount_count: None,
        unmount_time: None,
        other: serde_json::Map::new(),
    }
}

/// A line of the mount table as the kernel writes it.
pub(crate) fn mount_line(mount_point: &str, port: u16) -> String {
    format!(
        "40 21 0:52 / {mount_point} rw,relatime shared:1 - nfs4 127.0.0.1:/ rw,vers=4.1,rsize=1048576,\
         hard,proto=tcp,port={port},timeo=600,sec=sys,clientaddr=127.0.0.1,local_lock=none,addr=127.0.0.1\n"
    )
}

/// A log below `root`.
pub(crate) fn log(root: &std::path::Path) -> crate::LogFile {
    let settings = LogSettings { level: Level::Debug, bytes_max: 1 << 20, files: 1 };
    crate::LogFile::new(root.join("mount.log"), settings, env::Env::real())
}
