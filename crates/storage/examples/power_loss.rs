//! The two halves of a power-loss test: `power_loss work DIR` changes a shard as fast as it can and prints each change
//! that was acknowledged; `power_loss verify DIR` reads such lines from its input and checks that all of it is there.
//!
//! Run `work` on a machine that can lose its power (a user-mode Linux with a disk image of its own, killed), and `verify`
//! after the next start of that machine.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a test program")]

use std::{collections::BTreeMap, io::BufRead as _, path::Path};

use bytes::Bytes;
use env::Env;
use storage::{Batch, Budgets, Engine, Keyspace, Opening, Place, Sealed};

const TASKS: u64 = 6;

async fn open(dir: &Path) -> Opening {
    let budgets = Budgets { memtable_bytes: 2 << 20, segment_bytes: 256 << 10, ..Budgets::default() };
    let engine = Engine::new(budgets, Env::real()).unwrap();
    if Engine::exists(dir) { engine.open(dir).await.unwrap() } else { engine.create(dir).await.unwrap() }
}

fn content(task: u64, step: u64) -> Bytes {
    let length = 1000 + step * 37 % 20_000;
    (0..length).map(|i| (task * 17 + step * 31 + i / 7).to_le_bytes().first().copied().unwrap_or(0)).collect()
}

async fn counter(opening: &Opening, task: u64) -> u64 {
    let value = opening.0.get(Keyspace::Records, format!("counter{task}").as_bytes()).await.unwrap();
    value.map_or(0, |value| u64::from_be_bytes(value.as_ref().try_into().unwrap()))
}

async fn work(dir: &Path) {
    let opening = open(dir).await;
    println!("opened");
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let opening = opening.clone();
        tasks.push(tokio::spawn(async move {
            let mut step = counter(&opening, task).await;
            while step < u64::MAX {
                step += 1;
                let (shard, segments) = &opening;
                let places = segments.put(vec![Sealed::from(content(task, step))]).await.unwrap();
                let mut batch = Batch::new(u128::from(task) << 64 | u128::from(step));
                batch.put(Keyspace::Records, format!("counter{task}"), step.to_be_bytes().to_vec());
                batch.put(Keyspace::Records, format!("place{task}.{}", step % 64), places[0].encode().to_vec());
                batch.put(Keyspace::Inline, format!("inline{task}.{}", step % 64), content(task, step));
                shard.commit(batch).await.unwrap();
                println!("acknowledged {task} {step}");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn verify(dir: &Path) {
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.trim().split(' ');
        if words.next() == Some("acknowledged")
            && let (Some(Ok(task)), Some(Ok(step))) =
                (words.next().map(str::parse::<u64>), words.next().map(str::parse::<u64>))
        {
            let last = acknowledged.entry(task).or_default();
            *last = step.max(*last);
        }
    }
    let opening = open(dir).await;
    let mut checked = 0;
    for task in 0..TASKS {
        let step = counter(&opening, task).await;
        let least = acknowledged.get(&task).copied().unwrap_or(0);
        assert!(step >= least, "task {task}: {step} is there, {least} was acknowledged");
        for earlier in step.saturating_sub(63).max(1)..=step {
            let name = format!("place{task}.{}", earlier % 64);
            let place = opening.0.get(Keyspace::Records, name.as_bytes()).await.unwrap().unwrap();
            let place = Place::decode(place.as_ref().try_into().unwrap());
            assert_eq!(opening.1.read(&place, 0..place.length).await.unwrap(), content(task, earlier));
            let name = format!("inline{task}.{}", earlier % 64);
            let inline = opening.0.get(Keyspace::Inline, name.as_bytes()).await.unwrap().unwrap();
            assert_eq!(inline, content(task, earlier));
            checked += 1;
        }
    }
    println!("verified {checked} changes after {} acknowledged", acknowledged.values().sum::<u64>());
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [mode, dir] if mode == "work" => work(Path::new(dir)).await,
        [mode, dir] if mode == "verify" => verify(Path::new(dir)).await,
        _ => println!("power_loss work|verify DIR"),
    }
}
