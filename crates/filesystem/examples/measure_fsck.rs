//! Measures a check on the embedded engine: makes so many files of 4 KiB and some of 4 MiB in the directory given, checks
//! the file system, and prints time and memory. `cargo run -p filesystem --example measure_fsck -- DIR FILES`, and again with
//! `--check` behind it for a process that has made nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use crypto::{Key, Prf};
use env::Env;
use filesystem::{
    Budget, Context, Credentials, FileSystem, KeySource, KeyTrouble, Name, NewObject, Parts, SetAttributes, Settings,
    Stability, Watermark, Which, fsck,
};
use storage::{BoxFuture, Budgets, Engine, Opening};

/// Files in one directory.
const IN_DIRECTORY: u32 = 1000;
/// Every so many files one is large.
const LARGE_EVERY: u32 = 2000;

struct Keys;

impl KeySource for Keys {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        let byte = if matches!(which, Which::Data) { 1 } else { 2 };
        Box::pin(std::future::ready(Ok(Key::take_array(&mut [byte; 32]))))
    }
}

fn parts((shard, segments): Opening, env: &Env) -> Parts {
    Parts {
        id: "fs-0123456789abcdef0".into(),
        shard,
        segments,
        env: env.clone(),
        budget: Arc::new(Budget::new(100_000, 400_000, 64 << 20, 1 << 20)),
        keys: Arc::new(Keys),
        handle_key: Prf::new(Key::take_array(&mut [3; 32])),
    }
}

/// One directory with its files, durable at the end.
async fn fill(fs: FileSystem, first: u32, count: u32) {
    let credentials = Credentials { uid: 0, gid: 0, groups: Vec::new() };
    let watermark = Watermark::default();
    let cx = Context { credentials: &credentials, watermark: &watermark, reply: None, read_only: false };
    let set = SetAttributes::default();
    let (small, large) = (Bytes::from(vec![0x33; 4096]), Bytes::from(vec![0x44; 4 << 20]));
    let root = fs.root().await.unwrap();
    let name = format!("directory {first}");
    let name = Name::new(name.as_bytes()).unwrap();
    let directory = fs.create_object(&cx, &root, &name, NewObject::Directory, &set).await.unwrap().node;
    for number in first..first + count {
        let name = format!("a file with a name {number}");
        let name = Name::new(name.as_bytes()).unwrap();
        let node = fs.create_object(&cx, &directory, &name, NewObject::Regular, &set).await.unwrap().node;
        let data = if number % LARGE_EVERY == 0 { large.clone() } else { small.clone() };
        fs.write(&cx, &node, 0, data, Stability::Unstable).await.unwrap();
        fs.commit(&cx, &node, 0, 0).await.unwrap();
    }
    fs.durable(&watermark).await.unwrap();
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let env = Env::real();
    let arguments: Vec<String> = std::env::args().collect();
    let directory = PathBuf::from(arguments.get(1).map_or(".", String::as_str)).join("shard");
    let files: u32 = arguments.get(2).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let check_only = arguments.iter().any(|argument| argument == "--check");
    // Small, so that what is seen is the memory of the check.
    let budgets = Budgets { cache_bytes: 4 << 20, ..Budgets::default() };
    let engine = Engine::new(budgets, env.clone()).unwrap();
    if !check_only {
        let start = env.now();
        let fs = FileSystem::create(parts(engine.create(&directory).await.unwrap(), &env), Settings::default());
        let fs = fs.await.unwrap();
        fs.collect_orphans();
        let firsts: Vec<u32> = (0..files).step_by(IN_DIRECTORY as usize).collect();
        for firsts in firsts.chunks(16) {
            let tasks: Vec<_> = firsts
                .iter()
                .map(|first| tokio::spawn(fill(fs.clone(), *first, IN_DIRECTORY.min(files - first))))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        fs.close().await.unwrap();
        println!("{files} files made in {:.1} s; {}", env.now().since(start).as_secs_f64(), memory());
    }
    for open_data in [false, true] {
        let opening = engine.open(&directory).await.unwrap();
        let shard = Arc::clone(&opening.0);
        println!("opened; {}", memory());
        let start = env.now();
        let report = fsck::check(parts(opening, &env), Settings::default(), open_data).await.unwrap();
        let seconds = env.now().since(start).as_secs_f64();
        println!(
            "{}: {} objects, {} records, {} extents, {} bytes of data in {seconds:.1} s; {}",
            if report.is_clean() { "clean" } else { "not clean" },
            report.objects,
            report.records,
            report.extents,
            report.data_bytes_opened,
            memory()
        );
        shard.close().await.unwrap();
    }
}
