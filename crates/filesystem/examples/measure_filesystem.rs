//! Measures a file system on the embedded engine, without any protocol: rates, and CPU time of this process per
//! operation, in the directory given. `cargo run -p filesystem --example measure_filesystem -- DIR [ROWS]`, where ROWS is a part of
//! the rows' names.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use crypto::{Key, Prf};
use env::Env;
use filesystem::{
    Budget, Context, Credentials, FileSystem, KeySource, KeyTrouble, Name, NewObject, Node, Parts, RemoveWhat,
    SetAttributes, Settings, Stability, Watermark, Which,
};
use storage::{BoxFuture, Budgets, Engine};

const MIB: usize = 1 << 20;
const FILE_MIB: u32 = 512;

struct Keys;

impl KeySource for Keys {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        let byte = if matches!(which, Which::Data) { 1 } else { 2 };
        Box::pin(std::future::ready(Ok(Key::take_array(&mut [byte; 32]))))
    }
}

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

/// Runs `work`, which does `count` operations, and prints a row. Rows that are not wanted still run: later ones need
/// what they make.
async fn row(env: &Env, name: &str, count: u32, work: impl Future<Output = ()>) {
    let (start, before) = (env.now(), cpu());
    work.await;
    let (wall, used) = (env.now().since(start), cpu() - before);
    if std::env::args().nth(2).is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
    let rate = f64::from(count) / wall.as_secs_f64();
    println!("{name:<44} {rate:>10.0} /s  {:>9.1} us each  {:>9.1} us CPU each", each(wall), each(used));
}

/// One operation as root, and the wait for its durability.
macro_rules! durable {
    ($fs:expr, |$cx:ident| $operation:expr) => {{
        let credentials = Credentials { uid: 0, gid: 0, groups: Vec::new() };
        let watermark = Watermark::default();
        let $cx = Context { credentials: &credentials, watermark: &watermark, reply: None, read_only: false };
        let result = $operation.await.unwrap();
        $fs.durable(&watermark).await.unwrap();
        result
    }};
}

async fn file(fs: &FileSystem, directory: &Node, name: &str) -> Node {
    let (name, set) = (Name::new(name.as_bytes()).unwrap(), SetAttributes::default());
    durable!(fs, |cx| fs.create_object(&cx, directory, &name, NewObject::Regular, &set)).node
}

fn random(env: &Env, below: u64) -> u64 {
    u64::from_be_bytes(env.random()) % below
}

async fn stream_rows(env: &Env, fs: &FileSystem, node: &Node) {
    let piece = Bytes::from(vec![0x5a; MIB]);
    row(env, "sequential write, MiB", FILE_MIB, async {
        for at in 0..FILE_MIB {
            let offset = u64::from(at) * MIB as u64;
            durable!(fs, |cx| fs.write(&cx, node, offset, piece.clone(), Stability::Unstable));
        }
        durable!(fs, |cx| fs.commit(&cx, node, 0, 0));
    })
    .await;
    row(env, "sequential read, MiB", FILE_MIB, async {
        for at in 0..FILE_MIB {
            let offset = u64::from(at) * MIB as u64;
            assert_eq!(durable!(fs, |cx| fs.read(&cx, node, offset, 1 << 20)).data.len(), MIB);
        }
    })
    .await;
}

async fn random_rows(env: &Env, fs: &FileSystem, node: &Node) {
    let blocks = u64::from(FILE_MIB) * 256;
    row(env, "random read of 4 KiB, 16 at a time", 32_000, async {
        let tasks = (0..16).map(|_| {
            let (env, fs, node) = (env.clone(), fs.clone(), node.clone());
            tokio::spawn(async move {
                for _ in 0..2000 {
                    let offset = random(&env, blocks) * 4096;
                    assert_eq!(durable!(fs, |cx| fs.read(&cx, &node, offset, 4096)).data.len(), 4096);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    })
    .await;
    let block = Bytes::from(vec![0xa5; 4096]);
    row(env, "random write of 4 KiB, durable each", 2000, async {
        for _ in 0..2000 {
            let offset = random(env, blocks) * 4096;
            durable!(fs, |cx| fs.write(&cx, node, offset, block.clone(), Stability::Unstable));
            durable!(fs, |cx| fs.commit(&cx, node, 0, 0));
        }
    })
    .await;
}

async fn name_rows(env: &Env, fs: &FileSystem, root: &Node) {
    let name = |number: u32| format!("a file with a name {number}");
    let content = Bytes::from(vec![0x33; 4096]);
    let mut nodes = Vec::new();
    row(env, "small file: create, write 4 KiB, commit", 2000, async {
        for number in 0..2000 {
            let node = file(fs, root, &name(number)).await;
            durable!(fs, |cx| fs.write(&cx, &node, 0, content.clone(), Stability::Unstable));
            durable!(fs, |cx| fs.commit(&cx, &node, 0, 0));
            nodes.push(node);
        }
    })
    .await;
    row(env, "create, 16 at a time", 16_000, async {
        let tasks = (0..16).map(|task| {
            let (fs, root) = (fs.clone(), root.clone());
            tokio::spawn(async move {
                for number in 0..1000 {
                    file(&fs, &root, &format!("task {task} {number}")).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    })
    .await;
    row(env, "lookup and attributes", 20_000, async {
        for number in 0..20_000 {
            let name = name(number % 2000);
            let name = Name::new(name.as_bytes()).unwrap();
            let node = durable!(fs, |cx| fs.lookup(&cx, root, &name));
            durable!(fs, |cx| fs.attributes(&cx, &node));
        }
    })
    .await;
    drop(nodes);
    row(env, "remove", 2000, async {
        for number in 0..2000 {
            let name = name(number);
            let name = Name::new(name.as_bytes()).unwrap();
            durable!(fs, |cx| fs.remove(&cx, root, &name, RemoveWhat::Any));
        }
    })
    .await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let env = Env::real();
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(dir).unwrap();
    let engine = Engine::new(Budgets::default(), env.clone()).unwrap();
    let (shard, segments) = engine.create(&dir.path().join("shard")).await.unwrap();
    let parts = Parts {
        id: "fs-0123456789abcdef0".into(),
        shard,
        segments,
        env: env.clone(),
        budget: Arc::new(Budget::default()),
        keys: Arc::new(Keys),
        handle_key: Prf::new(Key::take_array(&mut [3; 32])),
    };
    let fs = FileSystem::create(parts, Settings::default()).await.unwrap();
    fs.collect_orphans();
    let root = fs.root().await.unwrap();
    let node = file(&fs, &root, "stream").await;
    name_rows(&env, &fs, &root).await;
    stream_rows(&env, &fs, &node).await;
    random_rows(&env, &fs, &node).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("  {line}");
    }
    fs.close().await.unwrap();
}
