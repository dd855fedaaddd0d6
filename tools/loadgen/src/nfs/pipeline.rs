//! Keeps a number of a client's requests on their way: the one loop under all kinds of work.

use std::time::Instant;

use super::results::Results;
use super::session::{PATIENCE, PAUSE, Reply, Session};
use super::step::Step;
use super::tally::{Done, Tally};

/// A kind of work: which requests to send, and what must come of them. An operation is a chain of one or more requests.
pub(crate) trait Work {
    /// What is remembered of a request until its reply.
    type Request;

    /// The first request of the next operation; none when there is none left, or none before another is over.
    fn next(&mut self) -> Option<(Step, Self::Request)>;

    /// Takes a reply. An error ends the run.
    fn reply(&mut self, request: Self::Request, results: Results) -> Result<Outcome<Self::Request>, String>;

    /// What is left to do when no operation begins any more.
    fn finish(&mut self) -> Option<(Step, Self::Request)> {
        None
    }

    /// What a request is about, for an error.
    fn describe(&self, request: &Self::Request) -> String;
}

/// What a reply leads to.
pub(crate) enum Outcome<R> {
    /// The operation goes on with another request.
    Then(Step, R),
    /// The operation is over.
    Done(Done),
    /// It is over, and calls for another at once.
    DoneThen(Done, Step, R),
}

/// How much of the work is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Requests on their way at once.
    pub(crate) depth: u32,
    /// Operations at most.
    pub(crate) count: Option<u64>,
    /// When the last operation begins.
    pub(crate) deadline: Option<Instant>,
}

struct Flight<R> {
    step: Step,
    request: R,
    began: Instant,
    /// Since when the server asks for patience.
    refused: Option<Instant>,
}

struct Pipeline<'a, W: Work> {
    session: &'a mut Session,
    work: &'a mut W,
    tally: &'a mut Tally,
    flights: Vec<Option<Flight<W::Request>>>,
    free: Vec<u32>,
    begun: u64,
}

/// Works until the limit is reached or the work is through, and waits for what is on its way.
pub(crate) async fn run<W: Work>(
    session: &mut Session,
    work: &mut W,
    limit: Limit,
    tally: &mut Tally,
) -> Result<(), String> {
    let depth = limit.depth.min(session.slots());
    tally.depth = depth;
    let flights = (0..depth).map(|_| None).collect();
    let mut pipeline = Pipeline { session, work, tally, flights, free: (0..depth).rev().collect(), begun: 0 };
    loop {
        pipeline.fill(limit).await?;
        if pipeline.is_empty() {
            let Some((step, request)) = pipeline.work.finish() else { return Ok(()) };
            pipeline.start(step, request, Instant::now()).await?;
        }
        let reply = pipeline.session.receive().await?;
        pipeline.settle(reply).await?;
    }
}

impl<W: Work> Pipeline<'_, W> {
    fn is_empty(&self) -> bool {
        self.free.len() == self.flights.len()
    }

    /// Begins operations while there are slots for them.
    async fn fill(&mut self, limit: Limit) -> Result<(), String> {
        while !self.free.is_empty() && limit.count.is_none_or(|count| self.begun < count) {
            let now = Instant::now();
            if limit.deadline.is_some_and(|deadline| now >= deadline) {
                break;
            }
            let Some((step, request)) = self.work.next() else { break };
            self.begun += 1;
            self.start(step, request, now).await?;
        }
        Ok(())
    }

    async fn start(&mut self, step: Step, request: W::Request, began: Instant) -> Result<(), String> {
        let slot = self.free.pop().ok_or("no slot is free")?;
        self.session.send(slot, &step).await?;
        if let Some(place) = self.flights.get_mut(slot as usize) {
            *place = Some(Flight { step, request, began, refused: None });
        }
        Ok(())
    }

    /// Takes a reply, and sends what follows from it.
    async fn settle(&mut self, reply: Reply) -> Result<(), String> {
        let place = self.flights.get_mut(reply.slot as usize);
        let mut flight = place.and_then(Option::take).ok_or("a reply on a slot without a request")?;
        let results = match reply.outcome {
            Ok(results) => results,
            Err(refusal) => {
                let now = Instant::now();
                let since = *flight.refused.get_or_insert(now);
                if !refusal.is_later() || now.duration_since(since) > PATIENCE {
                    return Err(format!("{}: {refusal}", self.work.describe(&flight.request)));
                }
                self.tally.retries += 1;
                tokio::time::sleep(PAUSE).await;
                self.session.send(reply.slot, &flight.step).await?;
                if let Some(place) = self.flights.get_mut(reply.slot as usize) {
                    *place = Some(flight);
                }
                return Ok(());
            }
        };
        let now = Instant::now();
        // The request's bytes go before the reply is looked at: their memory may be used for the next.
        drop(flight.step);
        self.free.push(reply.slot);
        match self.work.reply(flight.request, results)? {
            Outcome::Then(step, request) => self.start(step, request, flight.began).await,
            Outcome::Done(done) => {
                self.tally.add(done, now.duration_since(flight.began));
                Ok(())
            }
            Outcome::DoneThen(done, step, request) => {
                self.tally.add(done, now.duration_since(flight.began));
                self.start(step, request, Instant::now()).await
            }
        }
    }
}
