//! The server and its administration.
//!
//! This crate joins the others: it implements the small traits that `control`, `kms` and `nfs-server` declare, so that
//! none of them needs to know the rest.

mod account_create;
mod admin;
mod allocator;
mod api_client;
mod audit_verify;
mod certificates;
mod config;
mod data_keys;
mod dependents;
mod error;
mod exports;
mod external_kms;
mod floor;
mod fs_accept_older;
mod fs_create;
mod fsck;
mod hardening;
mod house;
mod init;
mod installation;
mod key;
mod key_dependents;
mod kms_acts;
mod leftovers;
mod log;
mod network;
mod owner;
mod passphrase;
mod policy_command;
mod provision;
mod report;
mod sealed;
mod serve;
mod simulate;
mod status;
mod subnet;
mod system_keys;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::admin::{Answer, Request};
use crate::config::Config;
pub(crate) use crate::error::CofferError;

/// Coffer: encrypted elastic NFS file systems with the EFS and KMS APIs.
#[derive(Debug, Parser)]
#[command(name = "coffer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new installation: data directory, root key, root credentials, certificate authority, configuration.
    Init(InitArgs),
    /// Serve until SIGTERM.
    Serve(ConfigArg),
    /// Show file systems, keys, lease ages and clients of the running server.
    Status(ReportArgs),
    /// Print the mount targets' names for a hosts file.
    Hosts(ReportArgs),
    /// File systems, through the signed API.
    #[command(subcommand)]
    Fs(FsCommand),
    /// Check file systems while the server is stopped, and repair what can be repaired without guessing.
    Fsck(FsckArgs),
    /// Accounts beside the first.
    #[command(subcommand)]
    Account(AccountCommand),
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The root key and backups of keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Policies and what they come to.
    #[command(subcommand)]
    Policy(policy_command::PolicyCommand),
}

#[derive(Debug, Args)]
struct ConfigArg {
    /// The configuration file.
    #[arg(long, default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct InitArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The data directory, made if absent; it must be empty.
    #[arg(long, default_value = "/var/lib/coffer")]
    data: PathBuf,
    /// Where the root key and the epoch secret go, outside the data directory.
    #[arg(long, default_value = "/etc/coffer/keys")]
    keys: PathBuf,
    /// The region of ARNs, signatures and names.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// The account, twelve digits.
    #[arg(long, default_value = "000000000001")]
    account: String,
    /// Mount-target names are `fs-….efs.REGION.DNS_SUFFIX`.
    #[arg(long, default_value = "coffer.internal")]
    dns_suffix: String,
    /// The address of the API.
    #[arg(long, default_value = "127.0.0.1:4566")]
    api_listen: SocketAddr,
    // A file in the clear when none is named.
    #[command(flatten)]
    recipients: key::RecipientArgs,
}

#[derive(Debug, Args)]
struct ReportArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum FsCommand {
    /// Create a file system and its mount targets; encrypted unless said otherwise.
    Create(FsCreateArgs),
    /// Accept that an older copy of a file system was put back; the server must be stopped, and the audit log keeps it.
    AcceptOlder(AcceptOlderArgs),
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make a further account on the running server; its root's credentials go into a profile of their own.
    Create(AccountCreateArgs),
}

#[derive(Debug, Args)]
struct AccountCreateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The account, twelve digits.
    account: String,
    /// Where the root credentials go, as an AWS profile; the file must not be there yet.
    #[arg(long)]
    profile: PathBuf,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check that nothing in the audit log was changed, removed or put in; prints its head, to be kept elsewhere.
    Verify(AuditVerifyArgs),
}

#[derive(Debug, Args)]
struct AuditVerifyArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Another log than the installation's own.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AcceptOlderArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The file system, `fs-…`.
    file_system: String,
}

#[derive(Debug, Args)]
struct FsCreateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Encrypt under a key of the customer's choice (this is the default).
    #[arg(long, conflicts_with = "unencrypted")]
    encrypted: bool,
    /// Seal under the service's own key only; the API reports the file system as unencrypted.
    #[arg(long)]
    unencrypted: bool,
    /// Key id, key ARN, alias name or alias ARN; `alias/aws/elasticfilesystem` when absent.
    #[arg(long, conflicts_with = "unencrypted")]
    kms_key_id: Option<String>,
    /// The tag `Name`.
    #[arg(long)]
    name: Option<String>,
    /// A subnet for a mount target, repeatable; the first configured one when absent.
    #[arg(long = "subnet")]
    subnets: Vec<String>,
    /// The credentials; the profile that `coffer init` wrote beside the configuration when absent.
    #[arg(long)]
    credentials: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct FsckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// One file system; all when absent.
    file_system: Option<String>,
    /// Repair what can be repaired without guessing, and check again; each repair is in the audit log. Without this
    /// nothing is changed.
    #[arg(long)]
    repair: bool,
    /// List which bytes of the data directory are ciphertext instead: file, first byte, number of bytes and what it is, and
    /// for each file without any what it is.
    #[arg(long, conflicts_with = "repair")]
    areas: bool,
    /// Do not show how far it has come.
    #[arg(long)]
    quiet: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // First, since most commands read the root key.
    hardening::apply();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coffer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, CofferError> {
    match command {
        Command::Init(args) => init::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Serve(args) => serve::run(&args.config).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => report(&args, &Request::Status),
        Command::Hosts(args) => report(&args, &Request::Hosts),
        Command::Fs(FsCommand::Create(args)) => fs_create::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Fs(FsCommand::AcceptOlder(args)) => fs_accept_older::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Account(AccountCommand::Create(args)) => account_create::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Fsck(args) => Ok(fsck::run(&args)),
        Command::Key(command) => key::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Policy(policy_command::PolicyCommand::Simulate(args)) => policy_command::run(&args),
        Command::Audit(AuditCommand::Verify(args)) => Ok(audit_verify::run(&args)),
    }
}

fn report(args: &ReportArgs, request: &Request) -> Result<ExitCode, CofferError> {
    let config = Config::read(&args.config.config)?;
    let answer = admin::ask(&config.admin_socket(), request)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer).map_err(CofferError::stopped)?);
        return Ok(ExitCode::SUCCESS);
    }
    match answer {
        Answer::Status(status) => print!("{}", status::render(&status)),
        Answer::Hosts { hosts } => {
            for host in hosts {
                println!("{} {}", host.address, host.names.join(" "));
            }
        }
        Answer::KeyDependents(found) => print!("{}", key_dependents::render(&found)),
        Answer::Unsealed => {}
        Answer::Account { .. } | Answer::Simulated { .. } => {
            return Err(CofferError::Stopped("the server answered another request".to_owned()));
        }
        Answer::Refused { why } => return Err(CofferError::Stopped(why)),
    }
    Ok(ExitCode::SUCCESS)
}
