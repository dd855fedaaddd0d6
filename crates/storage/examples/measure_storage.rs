//! Measures the embedded engine: rates, and CPU time of this process per operation, in the directory given (or the
//! current one). `cargo run -p storage --example measure_storage -- DIR [ROWS]`, where ROWS is a part of the rows' names.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use env::Env;
use storage::{Batch, Budgets, Engine, Keyspace, Now, Opening, Place, Sealed, Segments, Shard};

/// User and system time of this process so far.
fn cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes, and zeroed bytes are a valid rusage.
    #[expect(unsafe_code, reason = "std has no getrusage")]
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Runs `work`, which does `count` operations, and prints a row.
async fn row(env: &Env, name: &str, count: u32, work: impl Future<Output = ()>) {
    if std::env::args().nth(2).is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let (start, before) = (env.now(), cpu());
    work.await;
    let (wall, used) = (env.now().since(start), cpu() - before);
    let rate = f64::from(count) / wall.as_secs_f64();
    println!("{name:<44} {rate:>10.0} /s  {:>9.1} us each  {:>9.1} us CPU each", each(wall, count), each(used, count));
}

fn each(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}

/// What a create puts: a directory entry, an inode, its parent's inode.
fn create(batch: &mut Batch, number: u64) {
    let mut key = vec![b'd'; 25];
    key.extend_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    batch.put(Keyspace::Records, key, vec![1; 60]);
    batch.put(Keyspace::Records, [b"i".as_slice(), &number.to_be_bytes()].concat(), vec![2; 188]);
}

fn creates(number: u64, count: u64) -> Batch {
    let mut batch = Batch::new(u128::from(number));
    (0..count).for_each(|i| create(&mut batch, number * count + i));
    batch.put(Keyspace::Records, b"parent".to_vec(), vec![3; 188]);
    batch
}

/// `tasks` tasks commit until there were `count` commits.
async fn commits(shard: &Arc<dyn Shard>, first: u64, tasks: u64, count: u64, creates_each: u64) {
    let tasks = (0..tasks).map(|task| {
        let shard = shard.clone();
        let share = count / tasks;
        tokio::spawn(async move {
            for step in 0..share {
                shard.commit(creates(first + task * share + step, creates_each)).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn puts(segments: &Arc<dyn Segments>, tasks: usize, count: usize, part: &Bytes, parts: usize) -> Vec<Place> {
    let tasks = (0..tasks).map(|_| {
        let (segments, part, share) = (segments.clone(), part.clone(), count / tasks);
        tokio::spawn(async move {
            let mut places = Vec::new();
            for _ in 0..share {
                places.extend(segments.put(vec![Sealed { parts: vec![part.clone(); parts] }]).await.unwrap());
            }
            places
        })
    });
    let mut places = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        places.extend(task.await.unwrap());
    }
    places
}

async fn commit_rows(env: &Env, shard: &Arc<dyn Shard>) {
    row(env, "commit of 1 create, 1 at a time", 2000, commits(shard, 0, 1, 2000, 1)).await;
    row(env, "commit of 1 create, 8 at a time", 8000, commits(shard, 10_000, 8, 8000, 1)).await;
    row(env, "commit of 1 create, 64 at a time", 32_000, commits(shard, 100_000, 64, 32_000, 1)).await;
    row(env, "creates in batches of 64, 1 batch at a time", 64_000, commits(shard, 20_000, 1, 1000, 64)).await;
    let inline = async {
        for number in 0..500_u128 {
            let mut batch = Batch::new(number);
            batch.put(Keyspace::Inline, number.to_be_bytes().to_vec(), vec![7; 65_536]);
            batch.put(Keyspace::Records, b"inode".to_vec(), vec![2; 188]);
            shard.commit(batch).await.unwrap();
        }
    };
    row(env, "commit of 64 KiB inline", 500, inline).await;

    row(env, "load of 1,000,000 files in batches of 64", 1_000_000, commits(shard, 1 << 20, 4, 15_625, 64)).await;
}

async fn get_rows(env: &Env, shard: &Arc<dyn Shard>) {
    let key = |number: u64| [b"i".as_slice(), &number.to_be_bytes()].concat();
    let gets = |first: u64, count: u64, shard: Arc<dyn Shard>| async move {
        let mut waited = 0;
        for number in first..first + count {
            if shard.get_now(Keyspace::Records, &key(number)).unwrap() == Now::WouldBlock {
                waited += 1;
            }
            assert!(shard.get(Keyspace::Records, &key(number)).await.unwrap().is_some());
        }
        println!("  ({waited} of {count} would block)");
    };
    row(env, "get of what was written last", 20_000, gets(20_000 * 64 + 44_000, 20_000, shard.clone())).await;
    row(env, "get of older records", 20_000, gets(100_000, 20_000, shard.clone())).await;
}

async fn segment_rows(env: &Env, segments: &Arc<dyn Segments>) {
    let kib4 = Bytes::from(vec![9; 4096]);
    row(env, "put of 4 KiB, 1 at a time", 1000, async { drop(puts(segments, 1, 1000, &kib4, 1).await) }).await;
    row(env, "put of 4 KiB, 16 at a time", 16_000, async { drop(puts(segments, 16, 16_000, &kib4, 1).await) }).await;
    let mut large = Vec::new();
    row(env, "put of 1 MiB in 257 parts, 4 at a time", 1000, async {
        large = puts(segments, 4, 1000, &Bytes::from(vec![9; 4080]), 257).await;
    })
    .await;
    let mut out = vec![0; 4112];
    let mut waited = 0;
    row(env, "read of 4 KiB in memory", 100_000, async {
        for step in 0..100_000_usize {
            let place = large.get(step % large.len()).unwrap();
            let offset = u32::try_from(step % 200 * 4112).unwrap();
            waited += u32::from(segments.read_now(place, offset..offset + 4112, &mut out).unwrap() == Now::WouldBlock);
        }
    })
    .await;
    println!("  ({waited} of 100000 would block)");
    row(env, "read of 1 MiB in memory", 1000, async {
        for place in &large {
            assert_eq!(segments.read(place, 0..place.length).await.unwrap().len(), 257 * 4080);
        }
    })
    .await;
}

async fn opening_rows(env: &Env, engine: &Engine, dir: &Path, opening: Opening) {
    let (shard, segments) = opening;
    row(env, "close", 1, async { shard.close().await.unwrap() }).await;
    drop((shard, segments));
    let path = dir.join("shard");
    row(env, "open after a clean stop", 1, async { drop(engine.open(&path).await.unwrap()) }).await;
    {
        // Some 60 MiB of journal to replay.
        let (shard, _) = engine.open(&path).await.unwrap();
        commits(&shard, 1 << 21, 4, 2400, 64).await;
    }
    row(env, "open after a crash", 1, async { drop(engine.open(&path).await.unwrap()) }).await;

    let mut open = Vec::new();
    row(env, "create of a shard", 200, async {
        for number in 0..200 {
            open.push(engine.create(&dir.join(format!("shard{number}"))).await.unwrap());
        }
    })
    .await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("Threads")) {
        println!("  {line}");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let env = Env::real();
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(dir).unwrap();
    let engine = Engine::new(Budgets::default(), env.clone()).unwrap();
    let (shard, segments) = engine.create(&dir.path().join("shard")).await.unwrap();
    commit_rows(&env, &shard).await;
    get_rows(&env, &shard).await;
    segment_rows(&env, &segments).await;
    opening_rows(&env, &engine, dir.path(), (shard, segments)).await;
}
