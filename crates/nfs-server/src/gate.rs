//! A connection's gate: it is let in when the policies say so, for as long as they do, and how far it has come: refused, in, with
//! a session, at its end. Architecture section 2.1 to 2.4.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env::Instant;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::admission::Admitted;
use crate::exports::Peer;
use crate::shared::Shared;
use crate::status::NfsError;

/// A connection's admission: what was answered when it was last asked for, and for how long that holds.
pub(crate) struct Gate {
    peer: Peer,
    admitted: watch::Sender<Option<Arc<Admitted>>>,
    asking: tokio::sync::Mutex<()>,
    answer: Mutex<Answer>,
    in_session: Arc<AtomicBool>,
    begun: Notify,
    ended: watch::Sender<bool>,
}

/// The last answer.
struct Answer {
    /// When it was given, and by which policies.
    given: Option<(Instant, u64)>,
    /// Why the connection is refused now.
    refused: Option<NfsError>,
    /// Refusals in a row.
    refusals: u32,
}

/// So many times a refused connection is asked for again at once, as a mount that is being set up may need it.
const REFUSALS_AT_ONCE: u32 = 4;
/// Then a refusal holds for so long: it costs a line in the log and one in the audit log each time.
const REFUSAL_HOLDS: Duration = Duration::from_secs(1);

impl Gate {
    /// Not asked for yet. `in_session` is set when the connection carries a session.
    pub(crate) fn new(peer: Peer, in_session: Arc<AtomicBool>) -> Self {
        Self {
            peer,
            admitted: watch::Sender::new(None),
            asking: tokio::sync::Mutex::default(),
            answer: Mutex::new(Answer { given: None, refused: None, refusals: 0 }),
            in_session,
            begun: Notify::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// Nothing more may be said: the connection ends.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// The admission; asked for if it has not been given yet or has held for long enough.
    pub(crate) async fn pass(&self, shared: &Arc<Shared>) -> Result<Arc<Admitted>, NfsError> {
        if let Some(answer) = self.answered(shared) {
            return answer;
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(answer) = self.answered(shared) {
            return answer;
        }
        let policies = shared.policies();
        let asked = Admitted::admit(shared, self.peer.clone(), self.admitted().as_deref()).await;
        let mut answer = self.answer.lock();
        answer.given = Some((shared.env.now(), policies));
        match asked {
            Ok(admitted) => {
                (answer.refused, answer.refusals) = (None, 0);
                self.admitted.send_replace(Some(Arc::clone(&admitted)));
                Ok(admitted)
            }
            Err(error) => {
                answer.refused = Some(error.clone());
                answer.refusals = answer.refusals.saturating_add(1);
                Err(error)
            }
        }
    }

    /// The answer that still holds.
    fn answered(&self, shared: &Shared) -> Option<Result<Arc<Admitted>, NfsError>> {
        if !self.peer.credible {
            return Some(Err(NfsError::Refused));
        }
        let answer = self.answer.lock();
        let (at, policies) = answer.given?;
        let age = shared.env.now().since(at);
        if policies != shared.policies() {
            return None;
        }
        match &answer.refused {
            Some(_) if answer.refusals < REFUSALS_AT_ONCE || age >= REFUSAL_HOLDS => None,
            Some(error) => Some(Err(error.clone())),
            None if age >= shared.limits.authorize_every => None,
            None => self.admitted().map(Ok),
        }
    }

    pub(crate) fn admitted(&self) -> Option<Arc<Admitted>> {
        self.admitted.borrow().clone()
    }

    /// The connection carries a session: its peer is a client.
    pub(crate) fn session_begun(&self) {
        if !self.in_session.load(Ordering::Relaxed) {
            self.in_session.store(true, Ordering::Relaxed);
            self.begun.notify_one();
        }
    }

    /// Ends when the connection carries a session. For one who waits.
    pub(crate) async fn in_session(&self) {
        while !self.in_session.load(Ordering::Relaxed) {
            self.begun.notified().await;
        }
    }

    /// Ends when the connection must: its file system is gone, or a request cannot be answered.
    pub(crate) async fn gone(&self) {
        let mut ended = self.ended.subscribe();
        let virtual_server_gone = async {
            let mut admitted = self.admitted.subscribe();
            let server = admitted
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|admitted| admitted.as_ref().map(|admitted| Arc::clone(&admitted.server)));
            let Some(server) = server else { return std::future::pending().await };
            let _ = server.gone.subscribe().wait_for(|gone| *gone).await;
        };
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => {}
            () = virtual_server_gone => {}
        }
    }
}
