//! `linux-client`: runs a script in one or two real Linux clients, or (inside one) the agent that runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use linux_client::{Machine, Network, RigError, Running};

#[derive(Parser)]
#[command(about = "Runs real Linux NFS clients in user-mode Linux")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the same bash script in each client; CLIENT is its number from 0, HOST this machine's address.
    Run {
        /// How many clients run it at once.
        #[arg(long, default_value_t = 1)]
        clients: usize,
        /// Seconds that the script may take.
        #[arg(long, default_value_t = 900)]
        limit_seconds: u64,
        /// Memory of each client.
        #[arg(long, default_value_t = 1024)]
        memory_mib: u32,
        /// A directory that the clients and this machine share.
        #[arg(long, default_value = "/tmp/coffer-scratch")]
        scratch: PathBuf,
        /// The mount helper, to be found inside as mount.efs.
        #[arg(long)]
        mount_helper: Option<PathBuf>,
        /// The script.
        script: Vec<String>,
    },
    /// Runs inside a client.
    Agent,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Agent => linux_client::serve_in_guest().map(|()| 0).map_err(|error| error.to_string()),
        Command::Run { clients, limit_seconds, memory_mib, scratch, mount_helper, script } => {
            let own =
                std::env::current_exe().map_err(|error| RigError::Unready(format!("this program's path: {error}")));
            let built = own.and_then(|own| Machine::new(&scratch, own)).map(|machine| Machine {
                memory_mib,
                time_limit: Duration::from_secs(limit_seconds),
                mount_helper,
                ..machine
            });
            built.and_then(|machine| run(clients, &machine, &script.join(" "))).map_err(|error| error.to_string())
        }
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(why) => {
            eprintln!("linux-client: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(count: usize, machine: &Machine, script: &str) -> Result<i32, RigError> {
    let network = Network::new(count)?;
    let host = network.host();
    let clients = (0..count)
        .map(|nth| network.boot(nth, &format!("client{nth}"), machine))
        .collect::<Result<Vec<_>, RigError>>()?;
    let mut running: Vec<Running> = Vec::new();
    for (nth, client) in clients.iter().enumerate() {
        eprintln!("{} is up after {:.1} s", client.name(), client.boot_time().as_secs_f64());
        running.push(client.spawn(&format!("export CLIENT={nth} HOST={host}\n{script}"))?);
    }
    let mut worst = 0;
    for script in running {
        worst = worst.max(script.wait()?.status);
    }
    Ok(worst)
}
