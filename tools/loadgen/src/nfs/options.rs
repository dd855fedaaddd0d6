//! What the command line says of a run, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

/// How long work goes on that has no end of its own.
const SECONDS: u64 = 10;
const MIB: u64 = 1 << 20;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Makes empty files: OPEN with create, CLOSE in the same compound.
    Create,
    /// Makes files of 4 KiB: OPEN with create, WRITE FILE_SYNC, CLOSE.
    Small,
    /// Writes a file in pieces of 1 MiB, UNSTABLE, with a COMMIT for each 16 MiB.
    Write,
    /// Overwrites 4 KiB at random, FILE_SYNC.
    #[value(name = "write4k")]
    Write4k,
    /// Reads a file in pieces of 1 MiB, in order.
    Read,
    /// Reads 4 KiB at random.
    #[value(name = "read4k")]
    Read4k,
    /// Asks for the attributes of files.
    Getattr,
    /// Looks names up.
    Lookup,
    /// Lists a directory; an operation is one READDIR.
    Readdir,
    /// Removes empty files that were made before.
    Remove,
    /// Makes directories.
    Mkdir,
    /// Writes at the beginning, in the middle and at the end of a sparse file of 1 TiB, cuts it and lets it grow again.
    Large,
}

/// A run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The kind of work.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// The server: ADDRESS:PORT.
    #[arg(long)]
    pub(crate) server: String,
    /// Speak TLS, and trust the authorities in this PEM file.
    #[arg(long, requires = "name")]
    pub(crate) ca: Option<PathBuf>,
    /// The server's name in its certificate (and the SNI).
    #[arg(long, requires = "ca")]
    pub(crate) name: Option<String>,
    /// The directory below which the run makes one of its own.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// The name of the run's directory, instead of one that no other run has.
    #[arg(long)]
    pub(crate) directory: Option<String>,
    /// lookup and readdir: in what `create --keep` has left in this directory, with as many clients and --files of each.
    #[arg(long, requires_all = ["directory", "keep"])]
    pub(crate) visit: bool,
    /// Clients, each with a connection, an identity and a session of its own.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) clients: u32,
    /// When to stop; without this and --count, 10 (write, read and large: when the file is through).
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Operations at most, all clients together.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Requests of one client on their way at once [default: 1; write, read and large 4; read4k 16].
    #[arg(long, value_parser = value_parser!(u32).range(1..=64))]
    pub(crate) depth: Option<u32>,
    /// The size of all clients' files together, for write, read, their 4k kinds and large; each has 1 MiB at least.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u64).range(1..=1 << 30))]
    pub(crate) mib: u64,
    /// The files of each client, for getattr, lookup and readdir [default: 100; readdir 1000].
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub(crate) files: Option<u64>,
    /// All clients work in one directory instead of each in its own.
    #[arg(long)]
    pub(crate) shared: bool,
    /// write4k: an UNSTABLE WRITE with its COMMIT in the same compound instead of FILE_SYNC.
    #[arg(long)]
    pub(crate) commit: bool,
    /// read and read4k: read the whole file once before the measured time.
    #[arg(long)]
    pub(crate) warm: bool,
    /// Compare each how-manieth piece or file that is read; 0: none.
    #[arg(long, default_value_t = 1)]
    pub(crate) verify_every: u64,
    /// Leave the files where they are.
    #[arg(long)]
    pub(crate) keep: bool,
    /// small: remove every second file when all are compared, and compare the others again.
    #[arg(long, requires = "keep")]
    pub(crate) thin: bool,
    /// Report the latencies of each so many operations of one client by themselves, too.
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub(crate) stretch: Option<u64>,
    /// The server's process on this machine, to report the CPU that it used in the measured time.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// A directory on this machine (the server's data): report what was written to the block device below it.
    #[arg(long)]
    pub(crate) disk: Option<PathBuf>,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// The seed of contents and random places.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Options {
    /// Says what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (self.kind, self.count, self.seconds) {
            (Kind::Remove, None, _) => Err("remove needs --count: the files are made before".to_owned()),
            (kind, ..) if self.visit && !matches!(kind, Kind::Lookup | Kind::Readdir) => {
                Err("--visit is for lookup and readdir".to_owned())
            }
            (_, Some(0), _) | (_, _, Some(0)) => Err("--count and --seconds are 1 at least".to_owned()),
            _ => Ok(()),
        }
    }

    /// Requests of one client on their way at once.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.unwrap_or(match self.kind {
            Kind::Read4k => 16,
            Kind::Write | Kind::Read | Kind::Large => 4,
            _ => 1,
        })
    }

    /// How long the measured time is at most.
    pub(crate) fn time(&self) -> Option<Duration> {
        let own_end = matches!(self.kind, Kind::Write | Kind::Read | Kind::Large);
        let seconds = self.seconds.or((!own_end && self.count.is_none()).then_some(SECONDS));
        seconds.map(Duration::from_secs)
    }

    /// Whether a file that is through is gone through again.
    pub(crate) fn again(&self) -> bool {
        self.seconds.is_some() || self.count.is_some()
    }

    /// One client's part of the operations.
    pub(crate) fn count_of(&self, client: u32) -> Option<u64> {
        let clients = u64::from(self.clients);
        self.count.map(|count| count / clients + u64::from(u64::from(client) < count % clients))
    }

    /// The size of one client's file.
    pub(crate) fn file_bytes(&self) -> u64 {
        (self.mib / u64::from(self.clients)).max(1) * MIB
    }

    /// How many files one client has.
    pub(crate) fn files(&self) -> u64 {
        self.files.unwrap_or(if self.kind == Kind::Readdir { 1000 } else { 100 })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::try_parse_from(format!("loadgen {line} --server 127.0.0.1:2049").split(' ')).unwrap().options
    }

    /// What is asked for in all is asked for, whatever the number of clients.
    #[test]
    fn the_parts_of_all_clients_make_the_whole() {
        for clients in [1, 8, 64] {
            let options = options(&format!("create --count 1001 --clients {clients}"));
            assert_eq!((0..clients).filter_map(|client| options.count_of(client)).sum::<u64>(), 1001);
        }
    }

    /// A run ends: by its file, by its count, or by the time.
    #[test]
    fn every_run_has_an_end() {
        assert_eq!(options("create").time(), Some(Duration::from_secs(SECONDS)));
        assert_eq!(options("create --count 5").time(), None);
        let write = options("write");
        assert_eq!((write.time(), write.again()), (None, false));
        assert_eq!(options("write --seconds 3").time(), Some(Duration::from_secs(3)));
        assert!(options("remove --seconds 3").check().is_err());
        assert!(options("create --count 0").check().is_err());
    }

    /// TLS needs both an authority and a name.
    #[test]
    fn half_of_tls_is_refused() {
        let line = "loadgen create --server 127.0.0.1:2049 --ca ca.pem";
        assert!(Line::try_parse_from(line.split(' ')).is_err());
    }
}
