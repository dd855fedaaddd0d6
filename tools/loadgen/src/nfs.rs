//! `loadgen nfs`: an NFSv4.1 client of our own without a kernel in the way, for measuring a server. RFC 8881.

mod connection;
mod disk;
mod door;
mod file;
mod gate;
mod life;
mod options;
mod pattern;
mod pipeline;
pub(crate) mod processor;
mod results;
mod session;
mod step;
mod tally;
mod watch;
mod work;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum as _;
use serde_json::{Map, Value};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use disk::Disk;
use door::Door;
use gate::Gate;
use life::Run;
pub(crate) use options::Options;
use pattern::Pattern;
use tally::Tally;
use watch::Seen;

use crate::histogram::rounded;

/// Does the work that the options describe; gives the line that describes it.
pub(crate) fn run(options: Options) -> Result<String, String> {
    options.check()?;
    let mut builder = match options.threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let threads = usize::try_from(options.threads).unwrap_or(1);
    let runtime = builder.worker_threads(threads).enable_all().build().map_err(|error| format!("tokio: {error}"))?;
    runtime.block_on(drive(options))
}

async fn drive(options: Options) -> Result<String, String> {
    let door = Door::new(&options.server, options.ca.as_deref().zip(options.name.as_deref()))?;
    let disk = options.disk.as_deref().map(Disk::below).transpose()?;
    let gate = Gate::new(options.clients);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| format!("the clock: {error}"))?;
    let name = format!("loadgen-{:x}-{}", since.as_micros(), std::process::id());
    let pattern = Pattern::new(options.seed);
    let run = Arc::new(Run { options, door, gate, name, pattern });
    life::begin(&run).await?;
    let (tally, seen) = all(&run, disk.as_ref()).await?;
    life::end(&run).await?;
    Ok(Value::Object(line(&run, &tally, &seen)).to_string())
}

/// All clients; the first that fails ends the run.
async fn all(run: &Arc<Run>, disk: Option<&Disk>) -> Result<(Tally, Seen), String> {
    let mut clients = JoinSet::new();
    for number in 0..run.options.clients {
        clients.spawn(life::live(Arc::clone(run), number));
    }
    let mut watched = std::pin::pin!(watch::watch(run, disk));
    let (mut tally, mut seen) = (Tally::new(), None);
    loop {
        tokio::select! {
            found = &mut watched, if seen.is_none() => seen = Some(found?),
            joined = clients.join_next() => match joined {
                None => break,
                Some(Ok(client)) => tally.merge(&client?),
                Some(Err(error)) => return Err(format!("a client ended: {error}")),
            }
        }
    }
    seen.map(|seen| (tally, seen)).ok_or_else(|| "the clients ended without working".to_owned())
}

fn line(run: &Run, tally: &Tally, seen: &Seen) -> Map<String, Value> {
    let options = &run.options;
    let (operations, seconds) = (tally.latency.total(), tally.seconds());
    let kind = options.kind.to_possible_value();
    let kind = kind.as_ref().map_or("", |kind| kind.get_name());
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put("kind", kind.into());
    put("transport", if run.door.is_secure() { "tls" } else { "clear" }.into());
    put("clients", options.clients.into());
    put("depth", tally.depth.into());
    put("operations", operations.into());
    put("seconds", rounded(seconds));
    put("rate", rounded(operations as f64 / seconds));
    put("bytes", tally.bytes.into());
    put("verified_bytes", tally.verified_bytes.into());
    put("verify_every", options.verify_every.into());
    put("retries", tally.retries.into());
    put("seed", options.seed.into());
    if tally.bytes > 0 {
        put("mib_per_second", rounded(tally.bytes as f64 / f64::from(1 << 20) / seconds));
    }
    if tally.entries > 0 {
        put("entries", tally.entries.into());
    }
    seen.report(&mut line);
    tally.latency.report("", &mut line);
    if !tally.stretches.is_empty() {
        let quantiles = |rank| Value::from_iter(tally.stretches.iter().map(|stretch| stretch.quantile_us(rank)));
        line.insert("stretches_p50_us".to_owned(), quantiles(500));
        line.insert("stretches_p99_us".to_owned(), quantiles(990));
    }
    if tally.commits.total() > 0 {
        line.insert("commits".to_owned(), tally.commits.total().into());
        tally.commits.report("commit_", &mut line);
    }
    line
}
