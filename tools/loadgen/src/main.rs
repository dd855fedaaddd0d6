//! `loadgen`: does file work on a mounted file system, and measures it (bench) or remembers what was acknowledged
//! (recorder); or is an NFSv4.1 client itself, or one of the KMS API. Each command prints one line of JSON.
#![allow(clippy::disallowed_methods, reason = "a tool works in real time; nothing here is simulated")]

mod counter;
mod crowd;
mod dice;
mod fsync;
mod histogram;
mod kms;
mod measure;
mod nfs;
mod recorder;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Does file work in a Linux client, or as an NFSv4.1 client itself, and measures or records it")]
enum Command {
    /// Writes a file in pieces of 1 MiB and syncs it.
    WriteStream {
        /// The file.
        file: PathBuf,
        /// Its size.
        #[arg(long, default_value_t = 512)]
        mib: u64,
    },
    /// Reads a file in pieces of 1 MiB past the client's cache.
    ReadStream {
        /// The file.
        file: PathBuf,
    },
    /// Reads 4 KiB pieces at random past the client's cache, so many at once.
    ReadRandom {
        /// The file.
        file: PathBuf,
        /// Reads in all.
        #[arg(long, default_value_t = 20_000)]
        count: u64,
        /// Reads at once.
        #[arg(long, default_value_t = 16)]
        depth: u64,
    },
    /// Writes 4 KiB pieces at random and syncs after each.
    WriteRandom {
        /// The file.
        file: PathBuf,
        /// Writes in all.
        #[arg(long, default_value_t = 2_000)]
        count: u64,
    },
    /// Creates, writes and closes small files, one after the other.
    SmallFiles {
        /// A directory that is made for them.
        directory: PathBuf,
        /// Files in all.
        #[arg(long, default_value_t = 2_000)]
        count: u64,
    },
    /// Lists a tree and asks for the attributes of every entry.
    Walk {
        /// The tree.
        directory: PathBuf,
    },
    /// Counts upward in a file under a lock; ends with the highest count that it wrote.
    Count {
        /// The file, shared by all who count.
        file: PathBuf,
        /// Steps; none means until the stop file is there.
        #[arg(long)]
        times: Option<u64>,
        /// Ends the counting when it exists.
        #[arg(long)]
        stop: Option<PathBuf>,
    },
    /// Fills a directory and lists it while it changes: whatever is there all the time must be listed exactly once.
    Crowd {
        /// A directory that is made for them.
        directory: PathBuf,
        /// Files in all.
        #[arg(long, default_value_t = 100_000)]
        count: u64,
        /// Creators at once.
        #[arg(long, default_value_t = 8)]
        threads: u64,
    },
    /// Works on a server as so many NFSv4.1 clients, without a mount.
    Nfs(Box<nfs::Options>),
    /// Calls the KMS API of a server over HTTP, as so many clients.
    Kms(kms::Options),
    /// Writes 4 KiB and syncs, one after the other: what a durable write costs on this disk.
    Fsync {
        /// A file that is made for it and removed afterwards.
        file: PathBuf,
        /// Writes in all.
        #[arg(long, default_value_t = 1_000)]
        count: u64,
        /// Overwrite a file that is there in full instead of growing it.
        #[arg(long)]
        overwrite: bool,
    },
    /// Works at random and remembers what was acknowledged; compares on request.
    Record {
        /// A directory that is made for it.
        directory: PathBuf,
        /// Where requests arrive (verify.N, stop) and answers are left (verified.N); not on the file system under test.
        #[arg(long)]
        control: PathBuf,
        /// The seed of all it does.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Workers at once, each in a directory of its own.
        #[arg(long, default_value_t = 4)]
        threads: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::WriteStream { file, mib } => measure::write_stream(&file, mib),
        Command::ReadStream { file } => measure::read_stream(&file),
        Command::ReadRandom { file, count, depth } => measure::read_random(&file, count, depth),
        Command::WriteRandom { file, count } => measure::write_random(&file, count),
        Command::SmallFiles { directory, count } => measure::small_files(&directory, count),
        Command::Walk { directory } => measure::walk(&directory),
        Command::Count { file, times, stop } => counter::run(&file, times, stop.as_deref()),
        Command::Crowd { directory, count, threads } => crowd::run(&directory, count, threads),
        Command::Nfs(options) => nfs::run(*options),
        Command::Kms(options) => kms::run(&options),
        Command::Fsync { file, count, overwrite } => fsync::run(&file, count, overwrite),
        Command::Record { directory, control, seed, threads } => recorder::run(&directory, &control, seed, threads),
    };
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("loadgen: {why}");
            ExitCode::FAILURE
        }
    }
}
