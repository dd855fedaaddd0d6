//! What a client is made of, and the first program that runs in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::RigError;
use crate::network::Tap;

/// How a client is to be built.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The client's memory.
    pub memory_mib: u32,
    /// A script that runs longer than this fails; the client lives on.
    pub time_limit: Duration,
    /// A directory of this machine that the client may write, at the same path; everything else it sees is a copy, or
    /// below `/host` and read-only.
    pub scratch: PathBuf,
    /// The `linux-client` program, which runs inside as the agent.
    pub agent: PathBuf,
    /// The mount helper, to be found inside as `mount.efs`, `efs-tunnel` and `amazon-efs-mount-watchdog`.
    pub mount_helper: Option<PathBuf>,
    /// Whether the scripts' output is printed as it comes, each line with the client's name before it.
    pub print: bool,
}

impl Machine {
    /// A client of one GiB with this scratch directory and this `linux-client` program as its agent.
    pub fn new(scratch: &Path, agent: PathBuf) -> Result<Self, RigError> {
        if !agent.is_file() {
            let what =
                format!("{}: the linux-client program is not built: cargo build -p linux-client", agent.display());
            return Err(RigError::Unready(what));
        }
        fs::create_dir_all(scratch).map_err(|error| RigError::host(scratch.display().to_string(), error))?;
        let scratch = scratch.canonicalize().map_err(|error| RigError::host(scratch.display().to_string(), error))?;
        Ok(Self {
            memory_mib: 1024,
            time_limit: Duration::from_secs(900),
            scratch,
            agent,
            mount_helper: None,
            print: true,
        })
    }

    /// Writes the client's first program and links its kernel's modules; gives the program's path.
    pub(crate) fn prepare(&self, tap: &Tap, place: &Path) -> Result<PathBuf, RigError> {
        link_modules()?;
        let path = place.join("init");
        fs::write(&path, self.init(tap)).map_err(|error| RigError::host(path.display().to_string(), error))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(|error| RigError::host(path.display().to_string(), error))?;
        Ok(path)
    }

    /// The client's root is this machine's under a layer in memory, so nothing it does lasts but in the scratch directory.
    fn init(&self, tap: &Tap) -> String {
        let (guest, host) = (tap.guest(), tap.host());
        let (name, scratch) = (tap.device(), self.scratch.display());
        let agent = self.agent.display();
        let helper = self.mount_helper.as_ref().map_or_else(String::new, |helper| {
            ["/usr/sbin/mount.efs", "/usr/bin/efs-tunnel", "/usr/bin/amazon-efs-mount-watchdog"]
                .map(|name| format!("ln -sfn '{}' {name}\n", helper.display()))
                .concat()
        });
        format!(
            "#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
# An NFS client is known to servers by its machine's name: two of one name would be one client that keeps restarting.
hostname {name}
mount -t proc proc /proc
modprobe overlay
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
# Without a layer of its own the client would write on the machine itself, as root: rather no client.
give_up() {{ echo \"$1: powering off\"; echo o > /proc/sysrq-trigger; sleep 60; }}
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || give_up 'no overlay'
mkdir -p /mnt/root/host
cd /mnt/root && pivot_root . host && cd / || give_up 'no root of its own'
mount --move /host/dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /run/lock /run/rpc_pipefs /dev/pts /dev/shm
mount -t tmpfs tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
ln -sfn /proc/self/fd/0 /dev/stdin
ln -sfn /proc/self/fd/1 /dev/stdout
ln -sfn /proc/self/fd/2 /dev/stderr
mkdir -p '{scratch}'
mount --bind '/host{scratch}' '{scratch}'
mount -o remount,bind,ro /host || give_up 'a writable host'
# This machine's name servers cannot be reached from here: a name that is not in the hosts file fails at once.
rm -f /etc/resolv.conf; : > /etc/resolv.conf
{helper}ip link set lo up
ip address add {guest}/24 dev vec0
ip link set vec0 mtu 9000 up
ip route add default via {host}
modprobe nfsv4
modprobe nfs
'{agent}' agent
sync
echo o > /proc/sysrq-trigger
sleep 5
"
        )
    }
}

/// `modprobe` looks under /lib/modules; the package keeps the modules elsewhere.
fn link_modules() -> Result<(), RigError> {
    let from = Path::new("/usr/lib/uml/modules");
    let kernels = fs::read_dir(from).map_err(|error| RigError::host(from.display().to_string(), error))?;
    let into = Path::new("/lib/modules");
    fs::create_dir_all(into).map_err(|error| RigError::host(into.display().to_string(), error))?;
    for kernel in kernels.flatten() {
        let link = into.join(kernel.file_name());
        if !link.exists()
            && let Err(error) = symlink(kernel.path(), &link)
            && !link.exists()
        {
            return Err(RigError::host(link.display().to_string(), error));
        }
    }
    Ok(())
}
