//! Kill -9 of a process that commits and puts as fast as it can: nothing acknowledged may be lost, nothing torn may
//! appear (Architecture, "nothing acknowledged is lost"). A killed process keeps the page cache, so this tests ordering and
//! recovery, not power loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use env::Env;
use storage::{Batch, Budgets, Engine, Keyspace, Opening, Place, Sealed, Shard};

const DIR: &str = "COFFER_TEST_KILL_DIR";
const TASKS: u64 = 8;

/// Set to run long enough that journals are rotated too.
const LONG: &str = "COFFER_TEST_LONG";

fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

fn engine() -> Engine {
    // Small bounds, so that flushes, rolling segments and the floor all happen within a round.
    let budgets = Budgets { memtable_bytes: 2 << 20, segment_bytes: 256 << 10, ..Budgets::default() };
    Engine::new(budgets, Env::real()).unwrap()
}

async fn open(engine: &Engine, dir: &Path) -> Opening {
    if Engine::exists(dir) { engine.open(dir).await.unwrap() } else { engine.create(dir).await.unwrap() }
}

fn counter_key(task: u64) -> Bytes {
    Bytes::from(format!("counter{task}"))
}

async fn counter(shard: &Arc<dyn Shard>, keyspace: Keyspace, task: u64) -> u64 {
    let value = shard.get(keyspace, &counter_key(task)).await.unwrap();
    value.map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap()))
}

fn content(task: u64, step: u64) -> Bytes {
    (0..3000_u64).map(|i| (task * 17 + step * 31 + i).to_le_bytes()[0]).collect()
}

/// What the process to be killed does; started by the other test, and nothing when run as a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let engine = engine();
    let (shard, segments) = open(&engine, Path::new(&dir)).await;
    let tasks = (0..TASKS).map(|task| {
        let (shard, segments) = (shard.clone(), segments.clone());
        tokio::spawn(async move {
            let mut step = counter(&shard, Keyspace::Records, task).await;
            while step < u64::MAX {
                step += 1;
                let places = segments.put(vec![Sealed::from(content(task, step))]).await.unwrap();
                let mut batch = Batch::new(u128::from(task) << 64 | u128::from(step));
                // Both keyspaces and the place change together or not at all.
                batch.put(Keyspace::Records, counter_key(task), step.to_be_bytes().to_vec());
                let mut inline = step.to_be_bytes().to_vec();
                inline.resize(if is_long() { 30_000 } else { 2000 }, 7);
                batch.put(Keyspace::Inline, counter_key(task), inline);
                batch.put(Keyspace::Records, format!("place{task}"), places[0].encode().to_vec());
                shard.commit(batch).await.unwrap();
                let line = format!("acknowledged {task} {step}\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Runs the worker until it has acknowledged `lines` changes, kills it, and returns the last of each task.
fn run_and_kill(dir: &Path, lines: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = BTreeMap::new();
    let mut note = |line: &str| {
        let mut words = line.trim_end().rsplit(' ');
        // The test harness prints lines of its own, sometimes in front of ours.
        if let (Some(step), Some(task), Some(word)) = (words.next(), words.next(), words.next())
            && word.ends_with("acknowledged")
        {
            acknowledged.insert(task.parse::<u64>().unwrap(), step.parse::<u64>().unwrap());
        }
    };
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the worker ended by itself");
        note(&line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had written before it died counts as acknowledged too; a line cut short does not.
    loop {
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break;
        }
        note(&line);
    }
    acknowledged
}

/// Architecture, "nothing acknowledged is lost": batches are atomic and durable, and data is there before what names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path().join("shard");
    let rounds: &[usize] =
        if is_long() { &[9000, 20, 4100, 12_000, 3, 700, 15_000] } else { &[1, 40, 700, 90, 3000, 250] };
    for &lines in rounds {
        let acknowledged = run_and_kill(&dir, lines);
        let engine = engine();
        let (shard, segments) = open(&engine, &dir).await;
        for (task, acknowledged) in acknowledged {
            let step = counter(&shard, Keyspace::Records, task).await;
            assert!(step == acknowledged || step == acknowledged + 1, "task {task}: {step} after {acknowledged}");
            assert_eq!(counter(&shard, Keyspace::Inline, task).await, step);
            let token = u128::from(task) << 64 | u128::from(step);
            assert!(shard.committed(token).await.unwrap());
            let place = shard.get(Keyspace::Records, format!("place{task}").as_bytes()).await.unwrap().unwrap();
            let place = Place::decode(place[..].try_into().unwrap());
            assert_eq!(segments.read(&place, 0..place.length).await.unwrap(), content(task, step));
        }
        // Every other round ends in good order, so that both kinds of start are met.
        if lines.is_multiple_of(20) {
            shard.close().await.unwrap();
        }
    }
}
