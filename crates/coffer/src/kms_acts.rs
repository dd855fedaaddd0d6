//! What KMS does by itself (deletions that fall due, rotations, the move of the epoch), in the audit log as the service's
//! own events: on disk before it happens.

use std::sync::Arc;

use audit::{AuditLog, Entry, Event, Outcome, Resource};
use aws_wire::{ApiError, Timestamp};
use env::Env;
use kms::{Act, Finish, KmsError, Observer};
use serde_json::Value;
use storage::BoxFuture;

use crate::dependents::Dependents;

/// Joins KMS to the audit log.
pub(crate) struct KmsActs {
    audit: AuditLog,
    env: Env,
    region: String,
    account: String,
    dependents: Option<Arc<Dependents>>,
}

impl KmsActs {
    /// `region` and `account` are those of acts that concern no single key.
    pub(crate) fn new(audit: AuditLog, env: Env, region: &str, account: &str) -> Self {
        Self { audit, env, region: region.to_owned(), account: account.to_owned(), dependents: None }
    }

    /// A deletion, and the end of imported material, name what seals with the key.
    pub(crate) fn with_dependents(self, dependents: Arc<Dependents>) -> Self {
        Self { dependents: Some(dependents), ..self }
    }

    fn event(&self, act: &Act) -> Event {
        let wall = self.env.wall();
        let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let (account, region) =
            act.key.as_ref().map_or((&self.account, &self.region), |(_, account, region)| (account, region));
        let mut event = Event::service("kms.amazonaws.com", act.name, region, account, time);
        event.resources.extend(act.key.as_ref().map(|(arn, account, _)| Resource {
            arn: arn.clone(),
            account: account.clone(),
            kind: "AWS::KMS::Key",
        }));
        if let (Some((key, ..)), "DeleteKey" | "ExpireKeyMaterial", Some(dependents)) =
            (&act.key, act.name, &self.dependents)
        {
            event.additional = dependents.note(key, act.name);
        }
        event
    }
}

struct Begun(Entry);

impl Finish for Begun {
    fn finish(self: Box<Self>, outcome: Result<(), &KmsError>) {
        let outcome = match outcome {
            Ok(()) => Outcome::success(Value::Null),
            Err(error) => {
                let shown = ApiError::from(error);
                Outcome::failure(shown.code, &shown.message)
            }
        };
        if let Err(cause) = self.0.complete(outcome) {
            tracing::error!(%cause, "the outcome of an act of KMS could not be written down");
        }
    }
}

impl Observer for KmsActs {
    fn begin<'a>(&'a self, act: &'a Act) -> BoxFuture<'a, Result<Box<dyn Finish>, String>> {
        Box::pin(async move {
            let entry = self.audit.begin(self.event(act), true).await.map_err(|error| error.to_string())?;
            Ok(Box::new(Begun(entry)) as Box<dyn Finish>)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md, "Audit log": what KMS does by itself is there as an AwsServiceEvent that names the key, begun
    /// before it is done.
    #[tokio::test]
    async fn a_deletion_is_a_service_event() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let audit = AuditLog::open(&path, Env::real()).unwrap();
        let acts = KmsActs::new(audit.clone(), Env::real(), "us-east-1", "000000000001");
        let arn = "arn:aws:kms:eu-west-9:000000000002:key/k";
        let key = Some((arn.to_owned(), "000000000002".to_owned(), "eu-west-9".to_owned()));
        let begun = acts.begin(&Act { name: "DeleteKey", key }).await.unwrap();
        let lines = || -> Vec<Value> {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(lines().len(), 1);
        begun.finish(Err(&KmsError::Damaged("x".to_owned())));
        audit.flush().await.unwrap();
        let record = &lines()[1]["record"];
        assert_eq!(record["eventType"], "AwsServiceEvent");
        assert_eq!(record["eventName"], "DeleteKey");
        assert_eq!(record["awsRegion"], "eu-west-9");
        assert_eq!(record["resources"][0]["ARN"], arn);
        assert_eq!(record["errorCode"], "KMSInternalException");
    }
}
