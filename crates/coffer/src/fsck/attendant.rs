//! Who stands by while a file system is checked: shows how far it has come, writes each repair into the audit log before
//! it is made, and says line by line what was done.

use audit::{AuditLog, Entry, Event, Outcome, Resource};
use aws_wire::Timestamp;
use filesystem::FsError;
use filesystem::fsck::{Observer, Progress, Repair, Repairing};
use serde_json::{Value, json};
use storage::BoxFuture;

use super::bar::Bar;
use crate::config::Config;
use crate::fs_accept_older::administrator;

/// Stands by for one file system.
pub(super) struct Attendant {
    id: String,
    arn: String,
    account: String,
    region: String,
    audit: AuditLog,
    env: env::Env,
    pub(super) bar: Bar,
    as_json: bool,
}

impl Attendant {
    pub(super) fn new(
        house: &crate::house::House,
        config: &Config,
        found: &control::FileSystem,
        bar: Bar,
        as_json: bool,
    ) -> Self {
        Self {
            id: found.id.clone(),
            arn: found.arn(),
            account: found.account.clone(),
            region: config.region.clone(),
            audit: house.audit.clone(),
            env: house.installation.env.clone(),
            bar,
            as_json,
        }
    }

    fn event(&self, repair: &Repair) -> Event {
        let wall = self.env.wall();
        let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let source = "elasticfilesystem.amazonaws.com";
        let mut event = Event::service(source, "RepairFileSystem", &self.region, &self.account, time);
        event.identity = administrator(&self.account);
        event.user_agent = Some(concat!("coffer/", env!("CARGO_PKG_VERSION")).to_owned());
        let (arn, account) = (self.arn.clone(), self.account.clone());
        event.resources.push(Resource { arn, account, kind: "AWS::EFS::FileSystem" });
        event.parameters =
            json!({ "fileSystemId": self.id, "repair": repair.name(), "description": repair.to_string() });
        event
    }
}

impl Observer for Attendant {
    fn progress(&self, progress: &Progress) {
        self.bar.tell(progress);
    }

    fn begin<'a>(&'a self, repair: &'a Repair) -> BoxFuture<'a, Result<Box<dyn Repairing>, String>> {
        Box::pin(async move {
            let entry = self.audit.begin(self.event(repair), true).await.map_err(|error| error.to_string())?;
            self.bar.clear();
            let begun = Begun {
                entry,
                id: self.id.clone(),
                kind: repair.name(),
                what: repair.to_string(),
                as_json: self.as_json,
            };
            Ok(Box::new(begun) as Box<dyn Repairing>)
        })
    }
}

struct Begun {
    entry: Entry,
    id: String,
    kind: &'static str,
    what: String,
    as_json: bool,
}

impl Repairing for Begun {
    fn done(self: Box<Self>, outcome: Result<(), &FsError>) {
        let completed = match outcome {
            Ok(()) => self.entry.complete(Outcome::success(Value::Null)),
            Err(error) => self.entry.complete(Outcome::failure("InternalServerError", &error.to_string())),
        };
        if let Err(cause) = completed {
            tracing::error!(%cause, "the outcome of a repair could not be written down");
        }
        // A repair that failed ends the check, which says why.
        if outcome.is_ok() && self.as_json {
            println!("{}", json!({ "fileSystem": self.id, "repair": self.kind, "done": self.what }));
        } else if outcome.is_ok() {
            println!("{}: repaired: {}", self.id, self.what);
        }
    }
}
