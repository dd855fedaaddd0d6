//! The watchdog from the outside: tunnels that die, mounts that go, helpers that are killed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and wait"
)]

#[path = "../../client/tests/server/mod.rs"]
mod server;
mod system;

use std::{fs, io::Write as _, net::TcpStream, process::Command, time::Duration};

use server::{Authority, Manner, Server};
use system::{FILE_SYSTEM, MOUNTS, NAME, PATIENCE, System, echoes, kill, until};

/// Architecture section 7: a killed tunnel is back on the same port; a connection made meanwhile waits and is not refused.
#[test]
fn a_killed_tunnel_comes_back_on_its_port() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    until("the watchdog has hold", PATIENCE, || {
        system.log("mount-watchdog.log").contains(&format!("watching tunnel pid {}", mounted.pid))
    });
    for _ in 0..3 {
        let before = system.state().unwrap().pid;
        kill(before);
        assert!(echoes(mounted.port), "refused while the tunnel was away");
        until("a new pid", PATIENCE, || system.state().is_some_and(|state| state.pid != before));
        assert_eq!(system.state().unwrap().port, mounted.port);
    }
}

/// aws/efs-utils, watchdog: after the unmount the tunnel ends and its files go; other mounts are left alone.
#[test]
fn an_unmounted_tunnel_is_reaped() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    let second = system.command().args([FILE_SYSTEM, "/mnt/other", "-o", "tls,mounttargetip=127.0.0.1"]).output();
    assert!(second.unwrap().status.success());
    let table = fs::read_to_string(system.path("proc/self/mountinfo")).unwrap();
    let rest: String =
        table.lines().filter(|line| line.contains("/mnt/other")).map(|line| format!("{line}\n")).collect();
    fs::write(system.path("proc/self/mountinfo"), rest).unwrap();
    let gone = || !system.path(&format!("var/run/efs/{}", mounted.name)).exists();
    until("the files are gone", PATIENCE, gone);
    until("the tunnel is gone", PATIENCE, || system.processes("efs-tunnel").len() == 1);
    assert!(!system.path(&format!("var/run/efs/{}+", mounted.name)).exists());
    assert!(echoes(system.state().unwrap().port));
}

/// aws/efs-utils, watchdog: the watchdog may be stopped and started; tunnels go on, and are taken over. Only one is at work.
#[test]
fn a_new_watchdog_takes_over() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    until("a watchdog", PATIENCE, || system.log("mount-watchdog.log").contains("watching tunnel"));
    let second = system.command().arg("amazon-efs-mount-watchdog").output().unwrap();
    assert!(second.status.success(), "a second watchdog ends at once");
    for pid in system.processes("amazon-efs-mount-watchdog") {
        kill(pid);
    }
    assert!(echoes(mounted.port));
    kill(mounted.pid);
    until("the port is free", PATIENCE, || TcpStream::connect(("127.0.0.1", mounted.port)).is_err());
    let mut next = system.command().arg("amazon-efs-mount-watchdog").spawn().unwrap();
    until("the tunnel is back", PATIENCE, || echoes(mounted.port));
    next.kill().unwrap();
    let _ = next.wait().unwrap();
}

/// aws/efs-utils, mounting: a mount.efs that is stopped in the middle, even in the first mount of all, leaves nothing for ever: the
/// watchdog that it started before clears it away.
#[test]
fn an_abandoned_mount_is_cleared_away() {
    let system = System::new("exec sleep 30", "");
    let mut command = system.command();
    let mut child = command.args([FILE_SYSTEM, "/mnt/efs", "-o", "tls,mounttargetip=127.0.0.1"]).spawn().unwrap();
    until("the tunnel is up", PATIENCE, || system.path("calls").exists());
    until("the watchdog is up", PATIENCE, || system.path("var/run/efs/watchdog.lock").exists());
    assert_eq!(system.processes("efs-tunnel").len(), 1, "the watchdog leaves a mount on its way alone");
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    until("the tunnel is gone", PATIENCE, || system.processes("efs-tunnel").is_empty());
    until("the files are gone", PATIENCE, || system.left().is_empty());
}

/// umount(8), -l: a mount that no table shows and whose files are open keeps its tunnel, and a killed one comes back.
#[test]
fn a_lazily_unmounted_tunnel_is_started_again() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    let file = TcpStream::connect(("127.0.0.1", mounted.port)).unwrap();
    (&file).write_all(b"open").unwrap();
    until("the watchdog has hold", PATIENCE, || {
        system.log("mount-watchdog.log").contains(&format!("watching tunnel pid {}", mounted.pid))
    });
    fs::write(system.path("proc/self/mountinfo"), "").unwrap();
    until("the unmount is seen", PATIENCE, || system.log("mount-watchdog.log").contains("is no longer mounted"));
    // Well past the grace of a second; then a grace that a busy machine cannot miss.
    std::thread::sleep(Duration::from_secs(3));
    let config = system.path("etc/amazon/efs/efs-utils.conf");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("unmount_grace_period_sec = 1", "unmount_grace_period_sec = 20")).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(system.state().unwrap().pid, mounted.pid, "the tunnel of an open file was ended");
    kill(mounted.pid);
    until("it is started again", PATIENCE, || system.state().is_some_and(|state| state.pid != mounted.pid));
    assert!(echoes(mounted.port));
    // And when nobody uses it any more it goes.
    fs::write(&config, text).unwrap();
    drop(file);
    until("the files are gone", PATIENCE, || system.left().is_empty());
}

/// aws/efs-utils, options and exit codes: `netns=` moves the mount and its tunnel. The watchdog serves every mount of the machine and stays outside,
/// with nothing of the mount's environment.
#[test]
fn the_watchdog_stays_outside_the_mounts_namespace() {
    let mut inside = Command::new("unshare").args(["--net", "sleep", "300"]).spawn().unwrap();
    let namespace = format!("/proc/{}/ns/net", inside.id());
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    until("a namespace", PATIENCE, || of(&inside.id().to_string()) != of("self"));
    let there = namespace.clone();
    let (authority, server) = std::thread::spawn(move || {
        let _outside = client::net_namespace::enter(there.as_ref()).unwrap();
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        let authority = Authority::new();
        let server = Server::start(&authority, NAME, Manner::Echo);
        (authority, server)
    })
    .join()
    .unwrap();
    let system = System::with(authority, server, MOUNTS, "");
    let options = format!("tls,mounttargetip=127.0.0.1,netns={namespace}");
    let mut command = system.command();
    let output = command.env("AWS_SECRET_ACCESS_KEY", "s").args([FILE_SYSTEM, "/mnt/efs", "-o", &options]).output();
    assert!(output.unwrap().status.success(), "{}", system.log("mount.log"));
    let mounted = system.state().unwrap();
    until("a watchdog", PATIENCE, || system.processes("amazon-efs-mount-watchdog").len() == 1);
    let watchdog = system.processes("amazon-efs-mount-watchdog")[0].to_string();
    assert_eq!(of(&watchdog), of("self"));
    assert_eq!(of(&mounted.pid.to_string()), of(&inside.id().to_string()));
    let environment = fs::read_to_string(format!("/proc/{watchdog}/environ")).unwrap();
    assert_eq!(environment, format!("EFS_UTILS_ROOT={}\0", system.root.path().display()));
    // A restarted tunnel is where it belongs, too.
    kill(mounted.pid);
    until("it is started again", PATIENCE, || system.state().is_some_and(|state| state.pid != mounted.pid));
    let restarted = system.state().unwrap().pid.to_string();
    until("it is inside", PATIENCE, || of(&restarted) == of(&inside.id().to_string()));
    inside.kill().unwrap();
    let _ = inside.wait().unwrap();
}
