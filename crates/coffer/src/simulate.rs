//! May somebody do something, and why? The question of an administrator, and its answer. Nothing is done.

mod caller;
mod live;
mod told;

use std::collections::BTreeMap;

use aws_wire::{Arn, Caller, Timestamp};
use env::Env;
use policy::Conditions;
use serde::{Deserialize, Serialize};

use crate::CofferError;

pub(crate) use caller::{of_arn, service};
pub(crate) use told::Simulated;

/// At most so many actions are asked at once.
const ACTIONS_MAX: usize = 256;

/// What is asked, as the server is asked too.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) caller: String,
    pub(crate) actions: Vec<String>,
    pub(crate) resource: String,
    pub(crate) context: Vec<(String, String)>,
    pub(crate) encryption_context: BTreeMap<String, String>,
}

fn now(env: &Env) -> Timestamp {
    let wall = env.wall();
    Timestamp::from_unix(wall.seconds, wall.nanoseconds)
}

impl Question {
    /// Refuses what is no question.
    pub(crate) fn check(&self) -> Result<(), CofferError> {
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
    pub(crate) fn facts(&self, caller: &Caller, env: &Env) -> Conditions {
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
    pub(crate) fn with_encryption_context(&self, facts: Conditions) -> Conditions {
        self.encryption_context.iter().fold(facts, |facts, (key, value)| {
            facts
                .with(&format!("kms:EncryptionContext:{key}"), value.clone())
                .with("kms:EncryptionContextKeys", key.clone())
        })
    }

    /// The resource, where it is an ARN or a star.
    pub(crate) fn arn(&self) -> Option<Arn> {
        // A star is any resource: only statements about all of them are about it.
        let star = || Arn { partition: "*".to_owned(), ..Arn::new("*", "*", "", "*") };
        if self.resource == "*" { Some(star()) } else { Arn::parse(&self.resource) }
    }
}
