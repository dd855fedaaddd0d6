//! When access keys were used last. IAM API, GetAccessKeyLastUsed.
//!
//! Exact in memory; on disk at most a quarter of an hour behind, so that calls do not cost a write each.

use std::collections::HashMap;
use std::sync::Arc;

use aws_wire::Timestamp;
use parking_lot::Mutex;

use crate::access_key::LastUsed;
use crate::state::Update;
use crate::{Identities, IdentityError};

/// A use is written down when the one on disk is older than this.
const KEPT_SECONDS: i64 = 900;

/// Uses by access key, and when each was last written down.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<String, (LastUsed, Timestamp)>>);

impl Identities {
    /// Notes that a long-term access key signed. Whether the note should now be written down, by
    /// [`Identities::keep_use`].
    pub fn note_use(&self, access_key_id: &str, service: &str, region: &str, time: Timestamp) -> bool {
        let Some(key) = self.look(|state| state.key(access_key_id).cloned()) else { return false };
        let mut uses = self.uses.0.lock();
        let used = LastUsed { time, service: service.to_owned(), region: region.to_owned() };
        let before = || key.last_used.as_ref().map_or_else(Timestamp::default, |used| used.time);
        match uses.get_mut(access_key_id) {
            None => {
                let due = time.seconds() - before().seconds() >= KEPT_SECONDS;
                uses.insert(access_key_id.to_owned(), (used, if due { time } else { before() }));
                due
            }
            Some((last, kept)) => {
                *last = used;
                let due = time.seconds() - kept.seconds() >= KEPT_SECONDS;
                if due {
                    *kept = time;
                }
                due
            }
        }
    }

    /// Writes down when a key was used last.
    ///
    /// # Errors
    /// The storage's.
    pub async fn keep_use(&self, access_key_id: &str) -> Result<(), IdentityError> {
        let used = self.last_use(access_key_id);
        self.change(|state| {
            let key: Option<&Arc<_>> = state.key(access_key_id);
            Ok((key.zip(used).map(|(key, used)| Update::Key(key.with_use(used))).into_iter().collect(), ()))
        })
        .await
    }

    /// When a key was used last, as far as is known.
    pub(crate) fn last_use(&self, access_key_id: &str) -> Option<LastUsed> {
        let noted = self.uses.0.lock().get(access_key_id).map(|(used, _)| used.clone());
        noted.or_else(|| self.look(|state| state.key(access_key_id).and_then(|key| key.last_used.clone())))
    }

    /// Forgets a key that is no more.
    pub(crate) fn forget_use(&self, access_key_id: &str) {
        self.uses.0.lock().remove(access_key_id);
    }
}
