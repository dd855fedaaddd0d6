//! A server over one file system in memory, for suites and clients of other people's: `memory [ADDRESS] [LEASE SECONDS]`.
//! Everything is gone when it ends; nothing here is secret.

#[path = "../tests/server/harness.rs"]
mod harness;

use harness::server::{Disk, Rig};
use nfs_server::Limits;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:20490".to_owned());
    let lease_seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let limits = Limits { lease_seconds, ..Limits::default() };
        let rig = Rig::start_on(Disk::default(), limits, &listen).await;
        println!("serving {} on {}", harness::server::FS, rig.address);
        std::future::pending::<()>().await;
    });
    Ok(())
}
