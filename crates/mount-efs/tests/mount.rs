//! Mounting from the outside: what the user, the log, the state directory and the exit code say.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and wait"
)]

#[path = "../../client/tests/server/mod.rs"]
mod server;
mod system;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use server::Authority;
use system::{FILE_SYSTEM, MOUNTS, NAME, PATIENCE, System, echoes, text, until};

/// aws/efs-utils, mounting, state and logs: a TLS mount: the command, the log line of the guide, the state file, the tunnel, the watchdog.
#[test]
fn a_tls_mount_leaves_what_efs_utils_leaves() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    let port = mounted.port;
    assert_eq!(mounted.name, format!("{FILE_SYSTEM}.mnt.efs.{port}"));
    assert!((20_049..21_049).contains(&port));
    let calls = fs::read_to_string(system.path("calls")).unwrap();
    let options = format!("rw,nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,port={port}");
    assert_eq!(calls, format!("127.0.0.1:/ /mnt/efs -o {options}\n"));
    let line = format!(" UTC - INFO - Successfully mounted {NAME} at /mnt/efs\n");
    assert!(system.log("mount.log").contains(&line), "{}", system.log("mount.log"));
    let json = &mounted.json;
    assert_eq!((json["fsId"].as_str(), json["mountpoint"].as_str()), (Some(FILE_SYSTEM), Some("/mnt/efs")));
    assert_eq!(json["service_type"].as_str(), Some("elasticfilesystem"));
    assert_eq!(json["privateKey"].as_str(), Some(""));
    let made = json["certificateCreationTime"].as_str().unwrap();
    assert!(made.len() == 13 && made.ends_with('Z'), "{made}");
    assert!(!system.path(&format!("var/run/efs/~{}", mounted.name)).exists());
    assert!(system.path(&format!("var/run/efs/stunnel-config.{}", mounted.name)).exists());
    assert!(system.path(&format!("var/run/efs/{}+/certificate.der", mounted.name)).exists());
    assert!(echoes(port));
    until("a watchdog", PATIENCE, || system.processes("amazon-efs-mount-watchdog").len() == 1);
}

/// aws/efs-utils, options and exit codes: the exit code is mount.nfs4's, and nothing is left behind.
#[test]
fn a_failed_mount_leaves_nothing() {
    let system = System::new("echo 'mount.nfs4: access denied by server while mounting 127.0.0.1:/' >&2; exit 32", "");
    let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
    assert_eq!(output.status.code(), Some(32));
    assert_eq!(text(&output.stderr), "mount.nfs4: access denied by server while mounting 127.0.0.1:/\n");
    assert!(system.log("mount.log").contains(&format!("ERROR - Failed to mount {NAME} at /mnt/efs: returncode=32")));
    assert_eq!(system.left(), [""; 0]);
    assert_eq!(system.processes("efs-tunnel").len(), 0);
}

/// aws/efs-utils#32, aws/efs-utils#271: a server that is not trusted is named as the reason, at once.
#[test]
fn a_server_that_is_not_trusted_is_the_stated_reason() {
    // As the kernel: it connects again and again and never gives up.
    let connects = "port=$(echo \"$4\" | sed 's/.*port=//;s/,.*//')\n\
        while true; do exec 3<>/dev/tcp/127.0.0.1/$port; echo hello >&3; read -t 10 answer <&3 2>/dev/null; sleep 0.1; done\n";
    let system = System::new(connects, "");
    fs::write(system.path("other.pem"), Authority::new().bundle()).unwrap();
    let options = format!("tls,mounttargetip=127.0.0.1,cafile={}", system.path("other.pem").display());
    let output = system.mount(FILE_SYSTEM, &options);
    assert_eq!(output.status.code(), Some(32));
    let said = text(&output.stderr);
    assert!(said.starts_with("mount.efs: 127.0.0.1:"), "{said}");
    assert!(said.contains("certificate"), "{said}");
    let line = format!("ERROR - Failed to mount {NAME} at /mnt/efs: returncode=32, stderr=\"127.0.0.1:");
    assert!(system.log("mount.log").contains(&line), "{}", system.log("mount.log"));
    assert_eq!(fs::read_to_string(system.path("calls")).unwrap().lines().count(), 1);
    let missing = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1,cafile=/nowhere.pem");
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(text(&missing.stderr), "Failed to find certificate authority file for verification\n");
}

/// Architecture section 7: without TLS the kernel goes to the mount target itself; no tunnel, no state.
#[test]
fn a_mount_without_tls_is_direct() {
    let system = System::new("", "");
    let output = system.mount(&format!("{NAME}:/sub"), "ro,mounttargetip=127.0.0.1");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = fs::read_to_string(system.path("calls")).unwrap();
    assert!(calls.starts_with("127.0.0.1:/sub /mnt/efs -o ro,nfsvers=4.1,"), "{calls}");
    assert!(!system.path("var/run/efs").exists());
}

/// aws/efs-utils, options and exit codes: already mounted is a note and success; `-f` does everything but mount.
#[test]
fn notes_and_fakes() {
    let system = System::new(MOUNTS, "");
    let output = system.command().args([FILE_SYSTEM, "/mnt/efs", "-f", "-o", "tls,mounttargetip=127.0.0.1"]).output();
    assert!(output.unwrap().status.success());
    assert!(!system.path("calls").exists());
    let _ = system.mounted();
    let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "/mnt/efs is already mounted, please run 'mount' command to verify\n");
    assert_eq!(fs::read_to_string(system.path("calls")).unwrap().lines().count(), 1);
}

/// aws/efs-utils, order of work: under systemd without a network: the hint, and exit 0 so that the machine's start goes on.
#[test]
fn without_a_network_the_start_goes_on() {
    let system = System::new(MOUNTS, "");
    fs::write(system.path("proc/1/comm"), "systemd\n").unwrap();
    fs::create_dir_all(system.path("bin")).unwrap();
    fs::write(system.path("bin/systemctl"), "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(system.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    // Not even the region is asked for: the metadata service is on the network, too.
    let config = system.path("etc/amazon/efs/efs-utils.conf");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("region = us-east-1\n", "")).unwrap();
    let path = format!("{}:/usr/bin:/bin", system.path("bin").display());
    let mut command = system.command();
    let output = command.env("PATH", path).args([FILE_SYSTEM, "/mnt/efs", "-o", "tls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        format!(
            "Failed to mount {FILE_SYSTEM} because the network was not yet available, add \"_netdev\" to your mount options\n"
        )
    );
}

/// aws/efs-utils, region and name: a name that does not resolve: DescribeMountTargets at `endpoint_url` tells the address.
#[test]
fn the_api_tells_the_address_of_a_name_that_does_not_resolve() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = api.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = api.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = socket.read(&mut request).unwrap();
        let body = "{\"MountTargets\":[{\"LifeCycleState\":\"available\",\"IpAddress\":\"127.0.0.1\",\
            \"AvailabilityZoneName\":\"us-east-1a\"}]}";
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        text(&request[..count])
    });
    let system = System::new(MOUNTS, &format!("endpoint_url = http://{address}"));
    fs::create_dir_all(system.path(".aws")).unwrap();
    fs::write(system.path(".aws/credentials"), "[default]\naws_access_key_id=AKTEST\naws_secret_access_key=s\n")
        .unwrap();
    let output = system.mount(FILE_SYSTEM, "tls");
    assert!(output.status.success(), "{} {}", text(&output.stderr), system.log("mount.log"));
    let request = server.join().unwrap();
    assert!(
        request.starts_with(&format!("GET /2015-02-01/mount-targets?FileSystemId={FILE_SYSTEM} HTTP/1.1\r\n")),
        "{request}"
    );
    assert!(request.to_lowercase().contains("authorization: aws4-hmac-sha256 credential=aktest/"), "{request}");
    assert!(echoes(system.state().unwrap().port));
}

/// aws/efs-utils, region and name: without address and without help from the API the user learns both.
#[test]
fn a_name_that_leads_nowhere_says_why() {
    let system = System::new(MOUNTS, "");
    let output = system.mount(FILE_SYSTEM, "tls");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.starts_with(&format!("Failed to resolve \"{NAME}\" - check that your file system ID is correct")),
        "{said}"
    );
    assert!(said.contains("Unable to locate credentials"), "{said}");
}

/// docs/mount-helper.md, configuration: a value that is none is told before anything is mounted.
#[test]
fn a_bad_value_is_told_before_the_mount() {
    for (section, line) in [
        ("mount", "optimize_readahead = maybe"),
        ("mount-watchdog", "poll_interval_sec = x"),
        ("mount", "retry_nfs_mount_command_count = many"),
    ] {
        let system = System::new(MOUNTS, "");
        let config = system.path("etc/amazon/efs/efs-utils.conf");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(&format!("[{section}]\n"), &format!("[{section}]\n{line}\n"))).unwrap();
        let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
        assert_eq!(output.status.code(), Some(1), "{line}");
        let said = self::text(&output.stderr);
        assert!(said.contains(line), "{said}");
        assert!(!system.path("calls").exists(), "{line}: mounted all the same");
    }
}

/// aws/efs-utils, files: a mount that is there is a success, whatever becomes of its files: they stay for the watchdog, which
/// settles them as soon as it can.
#[test]
fn a_mount_that_is_there_is_never_called_a_failure() {
    let in_the_way = format!("{MOUNTS}mkdir \"$root/var/run/efs/{FILE_SYSTEM}.mnt.efs.$port\"\n");
    let system = System::new(&in_the_way, "");
    let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(system.log("mount.log").contains("the watchdog will try again"), "{}", system.log("mount.log"));
    let waiting = system.left().into_iter().find(|name| name.starts_with('~')).unwrap();
    let settled = waiting.trim_start_matches('~').to_owned();
    fs::remove_dir(system.path("var/run/efs").join(&settled)).unwrap();
    until("it is settled", PATIENCE, || system.state().is_some_and(|state| state.name == settled));
    assert!(echoes(system.state().unwrap().port));
}

/// docs/mount-helper.md: only root's sockets may use a tunnel; whoever else tries can neither use it nor fill the log.
#[test]
fn another_user_is_refused_and_noted_once() {
    let system = System::new(MOUNTS, "");
    let port = system.mounted().port;
    let knocks = format!(
        "for i in {{1..20}}; do exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3 2>/dev/null; \
         read -t 10 answer <&3 && echo \"$answer\"; exec 3>&-; done"
    );
    let output = Command::new("bash").args(["-c", &knocks]).current_dir("/").uid(65_534).output().unwrap();
    assert_eq!(text(&output.stdout), "");
    let log = system.log("mount.log");
    assert_eq!(log.matches("not root's").count(), 1, "{log}");
    assert!(echoes(port));
}
