//! The loop of one connection: read requests, start them, send replies as they finish. A request is polled once where
//! it stands; one that has to wait goes on in this same task, so that its end wakes nobody else. What is not finished
//! when the connection ends runs to its end in a task of its own. What a peer does not take bounds what is read from it.
//! Architecture section 2.7.

use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use env::{Env, Instant};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::limits::Limits;
use crate::record::Records;
use crate::transport::{Filled, Transport, TransportError};

/// How often a connection looks at its time limits.
const TICK: Duration = Duration::from_secs(5);

/// A reply as its parts, record mark included; none for a request that gets no answer.
pub(crate) type Reply = Option<Vec<Bytes>>;

/// What a request becomes.
pub(crate) enum Call {
    /// Answered already.
    Done(Reply),
    /// To be run; with the bytes that it may bring into memory beyond the request.
    Run(Pin<Box<dyn Future<Output = Reply> + Send>>, usize),
    /// Not a request of this protocol: the connection ends.
    Close,
}

/// The protocol above record marking.
pub(crate) trait Service: Send + 'static {
    /// Takes one request.
    fn call(&mut self, request: Bytes) -> Call;
}

/// What became of a request that had to wait.
enum Finished {
    /// Its reply, with the weight that it had while it ran, and the reply's part of it.
    Reply(Reply, usize, usize),
    /// It panicked: a broken invariant of ours. The connection ends, since the peer would wait for ever.
    Panicked,
}

/// A request that runs.
struct Request {
    future: Pin<Box<dyn Future<Output = Reply> + Send>>,
    weight: usize,
    /// Of the weight, what is for the reply.
    reply: usize,
}

impl Future for Request {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Finished> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(reply)) => Poll::Ready(Finished::Reply(reply, self.weight, self.reply)),
            Err(_) => Poll::Ready(Finished::Panicked),
        }
    }
}

/// What runs for a connection. When it is dropped, what is not finished goes on without it: from its first change an
/// operation runs to its end, whatever happens to the connection.
#[derive(Default)]
struct Running {
    requests: FuturesUnordered<Request>,
    bytes: usize,
    /// Of `bytes`, what is for replies.
    replies: usize,
    /// The next request, which waits until its reply may come into memory. It has not begun.
    held: Option<Request>,
}

impl Running {
    fn count(&self) -> usize {
        self.requests.len() + usize::from(self.held.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut left = mem::take(&mut self.requests);
        if !left.is_empty()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { while left.next().await.is_some() {} });
        }
    }
}

/// Serves the connection until its end.
pub(crate) async fn serve<S: Service>(
    mut transport: Transport,
    mut records: Records,
    mut service: S,
    limits: &Limits,
    env: &Env,
    mut stop: watch::Receiver<bool>,
) -> Result<(), TransportError> {
    let mut running = Running::default();
    let mut clock = Clock::new(env);
    let mut tick = pin!(env.sleep(TICK));
    let mut ended = false;
    let result = loop {
        if !start(&mut transport, &mut records, &mut service, &mut running, limits) {
            break Ok(());
        }
        match transport.flush() {
            Ok(0) => {}
            Ok(_) => clock.reply_taken = env.now(),
            Err(error) => break Err(error),
        }
        // After the flush: what the socket has taken stands against nobody any more, while this connection waits.
        account(&mut records, &transport, &running);
        // What was held back may go on: the socket has taken the replies that stood against it, and nothing else says so.
        if may_start(&records, &running) && has_room(&transport, &running, limits) {
            continue;
        }
        if running.count() == 0 && transport.pending() == 0 {
            clock.reply_taken = env.now();
            if ended || *stop.borrow() {
                break Ok(());
            }
        }
        let wanted = !ended && !*stop.borrow() && !records.has_complete() && has_room(&transport, &running, limits);
        let read = wanted && records.has_room();
        tokio::select! {
            biased;
            Some(done) = running.requests.next() => if !finish(&mut transport, &mut running, done) { break Ok(()) },
            ready = transport.ready(read, transport.pending() > 0) => {
                let filled = ready.map_err(TransportError::from);
                match filled.and_then(|()| fill(&mut transport, &mut records, read)) {
                    Ok(end) => ended |= end,
                    Err(error) => break Err(error),
                }
                clock.saw(&records);
            }
            () = records.room(), if wanted && !read => {}
            () = records.reply_room(), if running.held.is_some() && has_room(&transport, &running, limits) => {}
            () = &mut tick => {
                tick.set(env.sleep(TICK));
                if let Some(end) = clock.over(&transport, &records, &running, limits) {
                    break end;
                }
                // Only now and then: a connection in use would take its buffers anew for each request.
                if running.count() == 0 && transport.pending() == 0 && !records.is_partial() {
                    transport.rest();
                }
            }
            changed = stop.changed() => {
                if changed.is_err() {
                    break Ok(());
                }
            }
        }
    };
    transport.close();
    result
}

/// The times that end a connection.
struct Clock<'a> {
    env: &'a Env,
    request: Instant,
    reply_taken: Instant,
    partial: Option<Instant>,
}

impl<'a> Clock<'a> {
    fn new(env: &'a Env) -> Self {
        Self { env, request: env.now(), reply_taken: env.now(), partial: None }
    }

    /// Notes when a request is whole.
    fn saw(&mut self, records: &Records) {
        if records.has_complete() {
            self.request = self.env.now();
        }
    }

    fn over(
        &mut self,
        transport: &Transport,
        records: &Records,
        running: &Running,
        limits: &Limits,
    ) -> Option<Result<(), TransportError>> {
        let now = self.env.now();
        if transport.pending() > 0 && now.since(self.reply_taken) > limits.reply_taken_max {
            return Some(Err(TransportError::Stuck));
        }
        // While replies are held back the request is not read, so its time stands still.
        if records.is_partial() && has_room(transport, running, limits) {
            let since = *self.partial.get_or_insert(now);
            if now.since(since.max(self.request)) > limits.record_max {
                return Some(Err(TransportError::Unfinished));
            }
        } else {
            self.partial = None;
        }
        let idle = running.count() == 0 && transport.pending() == 0 && !records.is_partial();
        (idle && now.since(self.request) > limits.idle_max).then_some(Ok(()))
    }
}

fn has_room(transport: &Transport, running: &Running, limits: &Limits) -> bool {
    running.count() < limits.running_max
        && running.bytes < limits.running_bytes_max
        && transport.pending() < limits.pending_bytes_max
}

/// Whether there is a request that need not wait for others' replies.
fn may_start(records: &Records, running: &Running) -> bool {
    if running.held.is_some() { records.has_reply_room() } else { records.has_complete() }
}

/// Sends the reply of what is finished, and of all else that is by now: they go out together. False is the connection's
/// end.
fn finish(transport: &mut Transport, running: &mut Running, done: Finished) -> bool {
    let mut done = Some(done);
    while let Some(finished) = done {
        let Finished::Reply(reply, weight, part) = finished else { return false };
        running.bytes = running.bytes.saturating_sub(weight);
        running.replies = running.replies.saturating_sub(part);
        transport.send(reply.into_iter().flatten());
        done = running.requests.next().now_or_never().flatten();
    }
    true
}

/// Reads what there is, unless others have taken the room since. Says whether the peer has ended.
fn fill(transport: &mut Transport, records: &mut Records, read: bool) -> Result<bool, TransportError> {
    Ok(read && records.has_room() && transport.fill(records)? == Filled::End)
}

/// Counts what the connection holds.
fn account(records: &mut Records, transport: &Transport, running: &Running) {
    let pending = transport.pending();
    records.account(running.bytes.saturating_add(pending), running.replies.saturating_add(pending));
}

/// Starts what has arrived, as far as the bounds allow. False is the connection's end.
fn start<S: Service>(
    transport: &mut Transport,
    records: &mut Records,
    service: &mut S,
    running: &mut Running,
    limits: &Limits,
) -> bool {
    while has_room(transport, running, limits) {
        let request = match running.held.take() {
            Some(held) => held,
            None => {
                let Some(request) = records.next() else { break };
                let bytes = request.len();
                match service.call(request) {
                    Call::Close => return false,
                    Call::Done(reply) => {
                        transport.send(reply.into_iter().flatten());
                        continue;
                    }
                    Call::Run(future, reply) => Request { future, weight: bytes.saturating_add(reply), reply },
                }
            }
        };
        let brings = request.reply > 0;
        if brings && !records.has_reply_room() {
            running.held = Some(request);
            break;
        }
        if !run(request, transport, running) {
            return false;
        }
        if brings {
            // Before the next one is looked at, here or on another connection.
            account(records, transport, running);
            records.pass_on();
        }
    }
    true
}

/// Polls a request for the first time. False is the connection's end.
fn run(mut request: Request, transport: &mut Transport, running: &mut Running) -> bool {
    match Pin::new(&mut request).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Finished::Reply(reply, ..)) => transport.send(reply.into_iter().flatten()),
        Poll::Ready(Finished::Panicked) => return false,
        Poll::Pending => {
            running.bytes += request.weight;
            running.replies += request.reply;
            running.requests.push(request);
        }
    }
    true
}

#[cfg(test)]
mod tests;
