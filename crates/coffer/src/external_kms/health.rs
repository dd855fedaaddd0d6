//! How a provider does: what it last said, and how often it said nothing, for the log and `coffer status`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use env::{Env, Instant};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::ProviderError;

/// How many KMS keys' last words are kept; more than file systems there may be.
const KEYS_MAX: usize = 4096;

/// A silent provider is asked by one lease at a time, and not before this has passed since it was silent: a thousand file systems
/// whose leases ask again every few seconds must not become a flood of calls and of audit records.
const REST: Duration = Duration::from_secs(1);

/// What a provider said last of a KMS key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyWord {
    /// It used it for us.
    Usable,
    /// It refused.
    Refused,
    /// It did not answer.
    Unreachable,
}

impl KeyWord {
    /// As `coffer status` shows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Usable => "Usable",
            Self::Refused => "Refused",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// One provider in `coffer status`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProviderStatus {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) endpoint: String,
    /// `answers`, `silent`, or `unused` while it was not asked.
    pub(crate) state: String,
    /// Why it is silent.
    pub(crate) reason: Option<String>,
    /// Seconds since its last answer, a refusal too.
    pub(crate) answered_seconds_ago: Option<u64>,
    /// Calls since the server began.
    pub(crate) calls: u64,
    /// Those that it refused.
    pub(crate) refused: u64,
    /// Those without an answer.
    pub(crate) unanswered: u64,
}

#[derive(Default)]
pub(super) struct Health {
    calls: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    answered: Option<Instant>,
    /// Why the last call had no answer, if it had none.
    silence: Option<String>,
    /// While it is silent: when a lease may ask again.
    next: Option<Instant>,
    keys: BTreeMap<String, KeyWord>,
}

impl Health {
    /// Notes how a call ended. What changes is told in the log, once.
    pub(super) fn note(&self, provider: &str, key: &str, error: Option<&ProviderError>, env: &Env) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let word = match error {
            None => KeyWord::Usable,
            Some(ProviderError::Refused { .. }) => KeyWord::Refused,
            Some(ProviderError::Unreachable { .. }) => KeyWord::Unreachable,
        };
        let mut last = self.last.lock();
        if last.keys.len() < KEYS_MAX || last.keys.contains_key(key) {
            last.keys.insert(key.to_owned(), word);
        }
        match error {
            Some(ProviderError::Unreachable { why, .. }) => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                if last.silence.is_none() {
                    tracing::warn!(
                        provider,
                        why,
                        "a KMS provider does not answer: its file systems serve until their leases and the grace end"
                    );
                }
                last.silence = Some(why.clone());
                last.next = Some(env.now() + REST);
            }
            decided => {
                if decided.is_some() {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                if last.silence.take().is_some() {
                    tracing::info!(provider, "the KMS provider answers again");
                }
                last.answered = Some(env.now());
            }
        }
    }

    /// Whether a lease may ask now. Of a silent provider the answer is what kept it from answering before; whoever may ask has
    /// `limit` for that.
    pub(super) fn may_ask(&self, limit: Duration, env: &Env) -> Result<(), String> {
        let (mut last, now) = (self.last.lock(), env.now());
        match (&last.silence, last.next) {
            (Some(why), Some(next)) if now < next => Err(why.clone()),
            (Some(_), _) => {
                last.next = Some(now + limit + REST);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// What was said last of a KMS key.
    pub(super) fn word(&self, key: &str) -> Option<KeyWord> {
        self.last.lock().keys.get(key).copied()
    }

    pub(super) fn status(&self, name: &str, endpoint: String, env: &Env) -> ProviderStatus {
        let last = self.last.lock();
        let state = match (&last.silence, last.answered) {
            (Some(_), _) => "silent",
            (None, Some(_)) => "answers",
            (None, None) => "unused",
        };
        ProviderStatus {
            name: name.to_owned(),
            endpoint,
            state: state.to_owned(),
            reason: last.silence.clone(),
            answered_seconds_ago: last.answered.map(|then| env.now().since(then).as_secs()),
            calls: self.calls.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// House rule: what a silent peer makes us do is bounded. One question at a time, with a rest between two; as soon as it
    /// answers, everybody may ask.
    #[test]
    fn a_silent_provider_is_asked_now_and_then() {
        let (env, simulation) = Env::simulated(5);
        let (health, limit) = (Health::default(), Duration::from_secs(5));
        let silent = ProviderError::Unreachable { provider: "p".to_owned(), why: "gone".to_owned() };
        let may_ask = || health.may_ask(limit, &env).is_ok();
        assert!(may_ask() && may_ask());
        health.note("p", "k", Some(&silent), &env);
        assert_eq!(health.may_ask(limit, &env), Err("gone".to_owned()));
        simulation.advance(REST);
        assert!(may_ask() && !may_ask(), "one at a time");
        // Whoever asked was never heard of again.
        simulation.advance(limit + REST);
        assert!(may_ask() && !may_ask());
        health.note("p", "k", Some(&silent), &env);
        simulation.advance(REST);
        assert!(may_ask());
        health.note("p", "k", None, &env);
        assert!(may_ask() && may_ask());
        let status = health.status("p", "e".to_owned(), &env);
        assert_eq!((status.calls, status.unanswered, status.state.as_str()), (3, 2, "answers"));
        assert_eq!((health.word("k"), health.word("other")), (Some(KeyWord::Usable), None));
    }
}
