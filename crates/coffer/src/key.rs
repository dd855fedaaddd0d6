//! `coffer key`: the root key, its recipients, and backups of keys. All but `unseal` work on a stopped server.

mod backup;
mod recipients;
mod rewrap_root;
mod unseal;

use std::path::PathBuf;

use audit::{AuditLog, Event, Outcome};
use aws_wire::Timestamp;
use clap::{Args, Subcommand};
use kms::root::{Recipient, age_file};
use serde_json::Value;

use crate::admin::Request;
use crate::config::Config;
use crate::fs_accept_older::administrator;
use crate::{CofferError, ConfigArg, ReportArgs, installation, log, passphrase};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Give a sealed server the passphrase or PIN that opens its root key.
    Unseal(UnsealArgs),
    /// For whom the root key is wrapped.
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Make a new root key and wrap level 1 of the hierarchy again under it.
    RewrapRoot(RewrapRootArgs),
    /// Write a backup of all keys, sealed with a secret of its own.
    Export(ExportArgs),
    /// Bring back KMS keys from a backup, or open a data directory whose root key is lost.
    Import(ImportArgs),
    /// Show which file systems seal when a KMS key is disabled or deleted.
    Dependents(DependentsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DependentsArgs {
    /// Key id, key ARN, alias name or alias ARN.
    key: String,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipientsCommand {
    /// Show them with their numbers.
    List(ConfigArg),
    /// Wrap the root key for one more.
    Add(AddArgs),
    /// Take one away; run `coffer key rewrap-root` afterwards if its holder may have a copy of the file.
    Remove(RemoveArgs),
}

// Whom a root key is wrapped for; a comment for documentation would become the text of whichever command takes it.
#[derive(Debug, Default, Args)]
pub(crate) struct RecipientArgs {
    /// Whoever can read the root key file: the key is in the clear.
    #[arg(long)]
    plain_file: bool,
    /// Whoever knows the passphrase in the first line of this private file; repeatable.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Vec<PathBuf>,
    /// The holder of this age identity (age1…); repeatable.
    #[arg(long, value_name = "RECIPIENT")]
    age_recipient: Vec<String>,
    /// A key of a PKCS#11 token, made there if absent: pkcs11:token=LABEL;object=LABEL?module-path=FILE; repeatable.
    #[arg(long, value_name = "URI")]
    pkcs11: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UnsealArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A private file whose first line is the passphrase or PIN; asked for when absent.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    recipients: RecipientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Its number in `coffer key recipients list`.
    number: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RewrapRootArgs {
    #[command(flatten)]
    config: ConfigArg,
    // Those of the old root key when none is named.
    #[command(flatten)]
    recipients: RecipientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Where the backup goes; it must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// A private file whose first line is the backup's own passphrase; asked for when absent.
    #[arg(long, value_name = "FILE", conflicts_with = "age_recipient")]
    backup_passphrase_file: Option<PathBuf>,
    /// Seal the backup for this age recipient instead.
    #[arg(long, value_name = "RECIPIENT")]
    age_recipient: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A private file whose first line is the backup's own passphrase; asked for when absent.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    backup_passphrase_file: Option<PathBuf>,
    /// The age identity file that opens the backup instead.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The root key or the epoch secret is lost: make new ones, at the places that the configuration names, under which the
    /// data directory opens again.
    #[arg(long)]
    recover: bool,
    // With `--recover`; a file in the clear when none is named.
    #[command(flatten)]
    recipients: RecipientArgs,
}

/// Runs the command.
pub(crate) fn run(command: &KeyCommand) -> Result<(), CofferError> {
    match command {
        KeyCommand::Unseal(args) => unseal::run(args),
        KeyCommand::Recipients(RecipientsCommand::List(args)) => recipients::list(args),
        KeyCommand::Recipients(RecipientsCommand::Add(args)) => recipients::add(args),
        KeyCommand::Recipients(RecipientsCommand::Remove(args)) => recipients::remove(args),
        KeyCommand::RewrapRoot(args) => rewrap_root::run(args),
        KeyCommand::Export(args) => backup::export(args),
        KeyCommand::Import(args) => backup::import(args),
        KeyCommand::Dependents(args) => {
            crate::report(&args.report, &Request::KeyDependents { key: args.key.clone() }).map(|_| ())
        }
    }
}

impl RecipientArgs {
    /// The recipients that are named, with their secrets.
    pub(crate) fn recipients(&self, config: &Config) -> Result<Vec<Recipient>, CofferError> {
        let mut recipients = Vec::new();
        if self.plain_file {
            recipients.push(Recipient::File);
        }
        for file in &self.passphrase_file {
            let passphrase = kms::root::read_secret(file).map_err(CofferError::stopped)?;
            recipients.push(Recipient::Passphrase { passphrase, work_factor: age_file::WORK_FACTOR });
        }
        recipients.extend(self.age_recipient.iter().cloned().map(Recipient::X25519));
        for uri in &self.pkcs11 {
            let uri = uri.parse().map_err(CofferError::stopped)?;
            recipients.push(Recipient::Token { uri, pin: pin(config)? });
        }
        Ok(recipients)
    }
}

/// The token's PIN: of the configured file, or asked for.
fn pin(config: &Config) -> Result<kms::root::Secret, CofferError> {
    let openers = installation::openers(config);
    match &openers.pin_file {
        Some(_) => openers.pin(None).map_err(CofferError::Stopped),
        None => passphrase::obtain(None, "PIN of the token"),
    }
}

/// What every command that works on a stopped server begins with.
fn begin(config: &ConfigArg) -> Result<(Config, tokio::runtime::Runtime), CofferError> {
    let config = Config::read(&config.config)?;
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok((config, runtime.map_err(CofferError::stopped)?))
}

/// Does something to the keys, written down before and after, as done by whoever runs the command.
async fn recorded<T>(
    config: &Config,
    env: &env::Env,
    name: &str,
    parameters: Value,
    work: impl Future<Output = Result<T, CofferError>>,
) -> Result<T, CofferError> {
    let audit = AuditLog::open(&installation::audit_log(config), env.clone()).map_err(CofferError::stopped)?;
    let wall = env.wall();
    let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
    let mut event = Event::service("kms.amazonaws.com", name, &config.region, &config.account, time);
    event.identity = administrator(&config.account);
    event.user_agent = Some(concat!("coffer/", env!("CARGO_PKG_VERSION")).to_owned());
    event.parameters = parameters;
    let entry = audit.begin(event, true).await.map_err(CofferError::stopped)?;
    let done = work.await;
    let outcome = match &done {
        Ok(_) => Outcome::success(Value::Null),
        Err(error) => Outcome::failure("KMSInternalException", &error.to_string()),
    };
    entry.complete(outcome).map_err(CofferError::stopped)?;
    audit.close().await.map_err(CofferError::stopped)?;
    done
}
