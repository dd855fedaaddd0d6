//! Users of a house and what hangs on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_wire::{Arn, CallContext, Caller, CallerKind};
use kms::Kms;
use parking_lot::Mutex;
use policy::{AttachedPolicy, CallerPolicies, Document, IdentityPolicies};
use serde_json::{Value, json};

use super::{World, root};

/// What hangs on users, by name.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<BTreeMap<String, Value>>>);

impl Users {
    /// Hangs one policy of one statement on a user, in the place of what was there.
    pub(crate) fn may(&self, name: &str, statement: Value) {
        self.0.lock().insert(name.to_owned(), json!({"Version": "2012-10-17", "Statement": statement}));
    }
}

impl IdentityPolicies for Users {
    fn policies_of(&self, caller: &Caller) -> CallerPolicies {
        let Some(policy) = caller.user_name.as_ref().and_then(|name| self.0.lock().get(name).cloned()) else {
            return CallerPolicies::default();
        };
        let document = Arc::new(Document::parse(&policy.to_string()).unwrap());
        CallerPolicies {
            identity: vec![AttachedPolicy { name: "own".to_owned(), document }],
            ..CallerPolicies::default()
        }
    }
}

/// A house, and the policies of its users.
pub(crate) async fn house() -> (World, Kms, Users) {
    let world = World::new(71).await;
    let kms = world.open().await;
    let users = Users::default();
    kms.judge_by(Arc::new(users.clone()));
    (world, kms, users)
}

/// A call by a user.
pub(crate) fn user(account: &str, name: &str) -> CallContext {
    let caller = Caller {
        arn: Arn::new("iam", "", account, format!("user/{name}")),
        user_name: Some(name.to_owned()),
        kind: CallerKind::User,
        ..Caller::root(account, None)
    };
    CallContext { caller, account: account.to_owned(), ..root() }
}
