//! `coffer policy`: may somebody do something, and why? By policies from files, without a server; or by what is stored in the
//! running server, as it decides itself. Nothing is done and nothing changed.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::admin::{self, Answer, Request};
use crate::config::Config;
use crate::simulate::{Question, Simulated};
use crate::{CofferError, ConfigArg};

/// How the command ends when something is not allowed.
const NOT_ALLOWED: u8 = 2;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show whether somebody may do something, and which statement of which policy says so.
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Who calls: the ARN of a user, a role, a role's session or an account's root, or the name of a service.
    #[arg(long, value_name = "ARN")]
    caller: String,
    /// What is called, as kms:Decrypt; repeatable.
    #[arg(long = "action", value_name = "SERVICE:ACTION", required = true)]
    actions: Vec<String>,
    /// What it is called on: an ARN or *; from the running server also a KMS key's id or alias, or a file system's id.
    #[arg(long, default_value = "*")]
    resource: String,
    /// A fact of the call that conditions may ask for, as aws:SourceIp=198.51.100.7; repeatable, several of one key are a set.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// A pair of the KMS encryption context; repeatable.
    #[arg(long = "encryption-context", value_name = "KEY=VALUE", value_parser = pair)]
    encryption_context: Vec<(String, String)>,
    /// A policy that hangs on the caller; repeatable. With a policy from a file no server is asked.
    #[arg(long = "identity-policy", value_name = "FILE")]
    identity_policies: Vec<PathBuf>,
    /// The resource's policy: a key policy, a file system policy.
    #[arg(long, value_name = "FILE")]
    resource_policy: Option<PathBuf>,
    /// The caller's permissions boundary.
    #[arg(long, value_name = "FILE")]
    boundary: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has the form KEY=VALUE")?;
    if key.is_empty() { Err("it has no key".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> Result<ExitCode, CofferError> {
    let mut encryption_context = BTreeMap::new();
    for (key, value) in &args.encryption_context {
        if encryption_context.insert(key.clone(), value.clone()).is_some() {
            return Err(CofferError::Stopped(format!("--encryption-context names {key} twice; a key has one value")));
        }
    }
    let question = Question {
        caller: args.caller.clone(),
        actions: args.actions.clone(),
        resource: args.resource.clone(),
        context: args.context.clone(),
        encryption_context,
    };
    question.check()?;
    let from_files = !args.identity_policies.is_empty() || args.resource_policy.is_some() || args.boundary.is_some();
    let results = if from_files { files::answer(args, &question)? } else { ask(args, question)? };
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&results).map_err(CofferError::stopped)?),
        Output::Text => results.iter().for_each(|result| print!("{}", result.render())),
    }
    let allowed = results.iter().all(Simulated::is_allowed);
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALLOWED) })
}

fn ask(args: &SimulateArgs, question: Question) -> Result<Vec<Simulated>, CofferError> {
    let config = Config::read(&args.config.config)?;
    match admin::ask(&config.admin_socket(), &Request::Simulate(question))? {
        Answer::Simulated { results } => Ok(results),
        Answer::Refused { why } => Err(CofferError::Stopped(why)),
        other => Err(CofferError::Stopped(format!("the server answered with something else: {other:?}"))),
    }
}
