//! nfs-ganesha (Debian, VFS, in the clear): the server that the rig and its scripts are proven against, and the bench's
//! other side.

use std::fs;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running nfs-ganesha, ended with the value.
#[derive(Debug)]
pub(crate) struct Ganesha {
    process: Child,
}

impl Ganesha {
    /// Serves a fresh directory below `place` on this address, port 2049.
    pub(crate) fn start(place: &Path, address: IpAddr) -> Result<Self, String> {
        let export = place.join("ganesha-export");
        fs::create_dir_all(&export).map_err(|error| format!("{}: {error}", export.display()))?;
        let config = place.join("ganesha.conf");
        fs::write(&config, configuration(&export, place, address))
            .map_err(|error| format!("{}: {error}", config.display()))?;
        let process = Command::new("ganesha.nfsd")
            .arg("-F")
            .arg("-L")
            .arg(place.join("ganesha.log"))
            .arg("-f")
            .arg(&config)
            .arg("-p")
            .arg(place.join("ganesha.pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("ganesha.nfsd: {error} (apt-get install nfs-ganesha nfs-ganesha-vfs)"))?;
        let ganesha = Self { process };
        let start = Instant::now();
        while TcpStream::connect_timeout(&(address, 2049).into(), Duration::from_millis(200)).is_err() {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("nfs-ganesha does not answer; see {}", place.join("ganesha.log").display()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(ganesha)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Ganesha {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(export: &Path, place: &Path, address: IpAddr) -> String {
    format!(
        "NFS_CORE_PARAM {{ Protocols = 4; Bind_addr = {address}; NFS_Port = 2049; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSV4 {{ Minor_Versions = 1; Lease_Lifetime = 15; Grace_Period = 15; Graceless = true; Delegations = false;
  RecoveryBackend = fs; RecoveryRoot = {}; }}
EXPORT {{ Export_Id = 1; Path = {}; Pseudo = /; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = WARN; }}
",
        place.display(),
        export.display()
    )
}
