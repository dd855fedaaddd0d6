//! One connection of the kernel's, from its first byte to its end.

use std::{future::poll_fn, sync::Arc, time::Duration};

use env::Env;
use rustls::ClientConnection;
use tokio::{io::Interest, net::TcpStream};

use super::{
    backoff::Backoff,
    dial::{DialError, Target, dial},
    pump::{Broken, Pump},
    service::Report,
};

/// After the kernel's end the server gets this long to finish its own side.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Serves one local connection.
pub(super) async fn serve(local: TcpStream, target: Arc<Target>, report: Report, env: Env) {
    drop(local.set_nodelay(true));
    if !has_something_to_say(&local).await {
        return;
    }
    let Some((server, tls)) = reach(&local, &target, &report, &env).await else {
        return reset(&local);
    };
    let mut pump = Pump::new(local, server, tls);
    match carry(&mut pump, &env).await {
        Ok(()) => report.debug("a connection ended"),
        Err(broken) => {
            match &broken {
                Broken::Local(_) => report.debug(&broken.to_string()),
                other => report.lost(&other.to_string()),
            }
            reset(&pump.into_local());
        }
    }
}

/// Waits for the first byte: whoever only knocks to see whether somebody listens costs the server nothing.
async fn has_something_to_say(local: &TcpStream) -> bool {
    let mut first = [0];
    matches!(local.peek(&mut first).await, Ok(1))
}

/// A connection to the server, however long it is away, unless the kernel gives up or the server refuses.
async fn reach(
    local: &TcpStream,
    target: &Target,
    report: &Report,
    env: &Env,
) -> Option<(TcpStream, ClientConnection)> {
    let mut backoff = Backoff::new();
    loop {
        match dial(target, env).await {
            Ok(reached) => {
                report.reached();
                return Some(reached);
            }
            Err(DialError::Refused(why)) => {
                report.refused(&why);
                return None;
            }
            Err(DialError::Away(why)) => report.away(&why),
        }
        env.sleep(backoff.wait(env)).await;
        if has_given_up(local).await {
            report.debug("the client gave up waiting for the server");
            return None;
        }
    }
}

/// Whether the kernel has closed its side meanwhile. Its request is still unread, so this returns at once.
async fn has_given_up(local: &TcpStream) -> bool {
    local.ready(Interest::READABLE).await.map_or(true, |ready| ready.is_read_closed())
}

async fn carry(pump: &mut Pump, env: &Env) -> Result<(), Broken> {
    poll_fn(|cx| pump.poll(cx)).await?;
    if pump.is_done() {
        return Ok(());
    }
    tokio::select! {
        outcome = poll_fn(|cx| pump.poll(cx)) => outcome,
        () = env.sleep(LAST_WORDS) => Ok(()),
    }
}

/// Ends a connection so that its other end can tell: a reset, never an end in order.
fn reset(local: &TcpStream) {
    drop(local.set_zero_linger());
}
