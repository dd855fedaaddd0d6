//! `coffer policy simulate`: may somebody do something, and why? By policies from files, without a server; or by what is stored
//! in the running server, as it decides itself. Nothing is done and nothing changed.

mod caller;
mod files;
mod live;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_wire::{Arn, Caller, Timestamp};
use clap::{Args, Subcommand, ValueEnum};
use env::Env;
use policy::Conditions;
use serde::{Deserialize, Serialize};

use crate::admin::{self, Answer, Request};
use crate::config::Config;
use crate::{CofferError, ConfigArg};

pub(crate) use told::Simulated;

/// At most so many actions are asked at once.
const ACTIONS_MAX: usize = 256;
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

/// What is asked, as the server is asked too.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    caller: String,
    actions: Vec<String>,
    resource: String,
    context: Vec<(String, String)>,
    encryption_context: BTreeMap<String, String>,
}

fn now(env: &Env) -> Timestamp {
    let wall = env.wall();
    Timestamp::from_unix(wall.seconds, wall.nanoseconds)
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

impl Question {
    /// Refuses what is no question.
    fn check(&self) -> Result<(), CofferError> {
        if self.actions.len() > ACTIONS_MAX {
            return Err(CofferError::Stopped(format!("at most {ACTIONS_MAX} actions can be simulated at once")));
        }
        for action in &self.actions {
            let named = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
            if !named || action.contains(['*', '?']) {
                return Err(CofferError::Stopped(format!(
                    "{action} is no action: it begins with its service, as kms:Decrypt, and has no wildcards"
                )));
            }
        }
        Ok(())
    }

    /// The facts of the call: what is known of the caller and of the time, and what the question says, which counts more.
    fn facts(&self, caller: &Caller, env: &Env) -> Conditions {
        let now = now(env);
        let known = Conditions::of_caller(caller)
            .with("aws:CurrentTime", now.iso())
            .with("aws:EpochTime", now.seconds().to_string());
        let mut given: Vec<&str> = Vec::new();
        self.context.iter().fold(known, |facts, (key, value)| {
            if given.iter().any(|before| before.eq_ignore_ascii_case(key)) {
                return facts.with(key, value.clone());
            }
            given.push(key);
            facts.instead(key, value.clone())
        })
    }

    /// The facts of the encryption context. KMS developer guide, "AWS KMS condition keys".
    fn with_encryption_context(&self, facts: Conditions) -> Conditions {
        self.encryption_context.iter().fold(facts, |facts, (key, value)| {
            facts
                .with(&format!("kms:EncryptionContext:{key}"), value.clone())
                .with("kms:EncryptionContextKeys", key.clone())
        })
    }

    /// The resource, where it is an ARN or a star.
    fn arn(&self) -> Option<Arn> {
        // A star is any resource: only statements about all of them are about it.
        let star = || Arn { partition: "*".to_owned(), ..Arn::new("*", "*", "", "*") };
        if self.resource == "*" { Some(star()) } else { Arn::parse(&self.resource) }
    }
}
