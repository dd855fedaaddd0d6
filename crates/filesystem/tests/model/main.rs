//! Random operations against a naive model, with crashes and cancelled callers: Architecture section 8, "a reference-model
//! test". What was acknowledged is there after a crash; what was not is there or not, but always a state between two
//! operations, and fsck finds nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]

mod rig;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use filesystem::{
    FileSystem, FsError, Kind, NewObject, Node, RemoveWhat, SetAttributes, Settings, Stability, Watermark,
};
use rig::{Caller, Rig, name_of};

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Directory(BTreeMap<String, usize>),
    File(Vec<u8>),
    Symlink(String),
}

#[derive(Clone, Debug, PartialEq)]
struct Object {
    body: Body,
    mode: u32,
}

/// A tree as simple as can be.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    objects: Vec<Object>,
}

/// What somebody who looks at everything sees: path to (mode, content, which other paths are the same object).
type Seen = BTreeMap<String, (u32, Body, u32, usize)>;

#[derive(Clone, Debug)]
enum Step {
    Make(Vec<String>, String, Body),
    Remove(Vec<String>, String),
    Rename(Vec<String>, String, Vec<String>, String),
    Link(Vec<String>, String, Vec<String>, String),
    Chmod(Vec<String>, u32),
    Write(Vec<String>, usize, Vec<u8>, bool),
    Truncate(Vec<String>, usize),
}

impl Model {
    fn new() -> Self {
        Self { objects: vec![Object { body: Body::Directory(BTreeMap::new()), mode: 0o755 }] }
    }

    fn at(&self, path: &[String]) -> Result<usize, FsError> {
        path.iter().try_fold(0, |at, name| self.entries(at)?.get(name).copied().ok_or(FsError::NotFound))
    }

    fn entries(&self, at: usize) -> Result<&BTreeMap<String, usize>, FsError> {
        match &self.objects[at].body {
            Body::Directory(entries) => Ok(entries),
            Body::Symlink(_) => Err(FsError::IsSymlink),
            Body::File(_) => Err(FsError::NotDirectory),
        }
    }

    fn entries_mut(&mut self, at: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.objects[at].body {
            Body::Directory(entries) => entries,
            _ => panic!("checked before"),
        }
    }

    fn file(&mut self, path: &[String]) -> Result<&mut Vec<u8>, FsError> {
        let at = self.at(path)?;
        match &mut self.objects[at].body {
            Body::File(data) => Ok(data),
            Body::Directory(_) => Err(FsError::IsDirectory),
            Body::Symlink(_) => Err(FsError::IsSymlink),
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), FsError> {
        match step {
            Step::Make(path, name, body) => {
                let at = self.at(path)?;
                if self.entries(at)?.contains_key(name) {
                    return Err(FsError::Exists);
                }
                let mode = match body {
                    Body::Directory(_) => 0o755,
                    Body::File(_) => 0o644,
                    Body::Symlink(_) => 0o777,
                };
                self.objects.push(Object { body: body.clone(), mode });
                let new = self.objects.len() - 1;
                self.entries_mut(at).insert(name.clone(), new);
            }
            Step::Remove(path, name) => {
                let at = self.at(path)?;
                let child = *self.entries(at)?.get(name).ok_or(FsError::NotFound)?;
                if matches!(&self.objects[child].body, Body::Directory(entries) if !entries.is_empty()) {
                    return Err(FsError::NotEmpty);
                }
                self.entries_mut(at).remove(name);
            }
            Step::Rename(from, old, to, new) => {
                let (from, to) = (self.at(from)?, self.at(to)?);
                let source = *self.entries(from)?.get(old).ok_or(FsError::NotFound)?;
                let target = self.entries(to)?.get(new).copied();
                let directory = matches!(self.objects[source].body, Body::Directory(_));
                if directory && from != to && self.is_below(to, source) {
                    return Err(FsError::Invalid);
                }
                if target == Some(source) {
                    return Ok(());
                }
                match target.map(|target| &self.objects[target].body) {
                    None => {}
                    Some(Body::Directory(entries)) if directory && entries.is_empty() => {}
                    Some(Body::Directory(_)) if directory => return Err(FsError::NotEmpty),
                    Some(Body::Directory(_)) => return Err(FsError::Exists),
                    Some(_) if directory => return Err(FsError::Exists),
                    Some(_) => {}
                }
                self.entries_mut(from).remove(old);
                self.entries_mut(to).insert(new.clone(), source);
            }
            Step::Link(path, name, to, new) => {
                let parent = self.at(path)?;
                let source = *self.entries(parent)?.get(name).ok_or(FsError::NotFound)?;
                if matches!(self.objects[source].body, Body::Directory(_)) {
                    return Err(FsError::IsDirectory);
                }
                let to = self.at(to)?;
                if self.entries(to)?.contains_key(new) {
                    return Err(FsError::Exists);
                }
                self.entries_mut(to).insert(new.clone(), source);
            }
            Step::Chmod(path, mode) => {
                let at = self.at(path)?;
                self.file(path)?;
                self.objects[at].mode = *mode;
            }
            Step::Write(path, offset, data, _) => {
                let file = self.file(path)?;
                let end = offset + data.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(data);
            }
            Step::Truncate(path, size) => match self.file(path) {
                Err(FsError::IsSymlink) => return Err(FsError::Invalid),
                other => other?.resize(*size, 0),
            },
        }
        Ok(())
    }

    fn is_below(&self, at: usize, ancestor: usize) -> bool {
        at == ancestor
            || matches!(&self.objects[ancestor].body, Body::Directory(entries)
                if entries.values().any(|child| self.is_below(at, *child)))
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::new();
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut links: BTreeMap<usize, u32> = BTreeMap::new();
        let mut order = Vec::new();
        self.walk(0, String::new(), &mut order);
        for (_, at) in &order {
            *links.entry(*at).or_default() += 1;
        }
        for (number, (path, at)) in order.into_iter().enumerate() {
            let object = &self.objects[at];
            let same = *first.entry(at).or_insert(number);
            let (body, links) = match &object.body {
                Body::Directory(entries) => {
                    let is_directory = |child: &&usize| matches!(self.objects[**child].body, Body::Directory(_));
                    let below = entries.values().filter(is_directory).count() as u32;
                    (Body::Directory(BTreeMap::new()), 2 + below)
                }
                other => (other.clone(), links[&at]),
            };
            seen.insert(path, (object.mode, body, links, same));
        }
        seen
    }

    fn walk(&self, at: usize, path: String, order: &mut Vec<(String, usize)>) {
        order.push((path.clone(), at));
        if let Body::Directory(entries) = &self.objects[at].body {
            for (name, child) in entries {
                self.walk(*child, format!("{path}/{name}"), order);
            }
        }
    }
}

async fn node_at(fs: &FileSystem, path: &[String]) -> Result<Node, FsError> {
    let cx = Caller::root();
    let mut node = fs.root().await?;
    for name in path {
        node = fs.lookup(&cx.cx(), &node, &name_of(name)).await?;
    }
    Ok(node)
}

async fn perform(fs: &FileSystem, step: &Step, cx: &Caller) -> Result<(), FsError> {
    let set = SetAttributes::default();
    match step {
        Step::Make(path, name, body) => {
            let what = match body {
                Body::Directory(_) => NewObject::Directory,
                Body::File(_) => NewObject::Regular,
                Body::Symlink(to) => NewObject::Symlink(Bytes::copy_from_slice(to.as_bytes())),
            };
            let directory = node_at(fs, path).await?;
            fs.create_object(&cx.cx(), &directory, &name_of(name), what, &set).await.map(drop)
        }
        Step::Remove(path, name) => {
            let directory = node_at(fs, path).await?;
            fs.remove(&cx.cx(), &directory, &name_of(name), RemoveWhat::Any).await.map(drop)
        }
        Step::Rename(from, old, to, new) => {
            let (from, to) = (node_at(fs, from).await?, node_at(fs, to).await?);
            fs.rename(&cx.cx(), &from, &name_of(old), &to, &name_of(new)).await.map(drop)
        }
        Step::Link(path, name, to, new) => {
            let parent = node_at(fs, path).await?;
            let node = fs.lookup(&cx.cx(), &parent, &name_of(name)).await?;
            if node.kind() == Kind::Directory {
                return Err(FsError::IsDirectory);
            }
            let to = node_at(fs, to).await?;
            fs.link(&cx.cx(), &node, &to, &name_of(new)).await.map(drop)
        }
        Step::Chmod(path, mode) => {
            let node = node_at(fs, path).await?;
            if node.kind() == Kind::Directory {
                return Err(FsError::IsDirectory);
            }
            fs.set_attributes(&cx.cx(), &node, &SetAttributes { mode: Some(*mode), ..set }, false).await
        }
        Step::Write(path, offset, data, stable) => {
            let node = node_at(fs, path).await?;
            let data = Bytes::copy_from_slice(data);
            if *stable {
                return fs.write(&cx.cx(), &node, *offset as u64, data, Stability::FileSync).await.map(drop);
            }
            let half = data.len() / 2;
            let at = *offset as u64;
            fs.write(&cx.cx(), &node, at, data.slice(..half), Stability::Unstable).await?;
            fs.write(&cx.cx(), &node, at + half as u64, data.slice(half..), Stability::Unstable).await?;
            fs.commit(&cx.cx(), &node, 0, 0).await.map(drop)
        }
        Step::Truncate(path, size) => {
            let node = node_at(fs, path).await?;
            fs.set_attributes(&cx.cx(), &node, &SetAttributes { size: Some(*size as u64), ..set }, false).await
        }
    }
}

async fn look(rig: &Rig) -> Seen {
    let mut seen = Seen::new();
    let mut first: BTreeMap<u64, usize> = BTreeMap::new();
    let mut number = 0;
    let mut stack = vec![(String::new(), rig.root().await)];
    while let Some((path, node)) = stack.pop() {
        let attributes = rig.attributes(&node).await.unwrap();
        let body = match node.kind() {
            Kind::Directory => {
                let mut names = rig.names(&node, 3).await.unwrap();
                names.reverse();
                for name in names {
                    let child = rig.lookup(&node, &name).await.unwrap();
                    stack.push((format!("{path}/{name}"), child));
                }
                Body::Directory(BTreeMap::new())
            }
            Kind::Regular => Body::File(rig.read(&node, 0, 1 << 20).await.unwrap()),
            _ => {
                let target = rig.fs.readlink(&Caller::root().cx(), &node).await.unwrap();
                Body::Symlink(String::from_utf8(target.to_vec()).unwrap())
            }
        };
        let same = *first.entry(node.fileid()).or_insert(number);
        number += 1;
        seen.insert(path, (attributes.mode, body, attributes.links, same));
    }
    seen
}

/// How a tree differs from the expected one that it differs from least, without contents.
fn nearest(history: &[Model], seen: &Seen) -> Vec<String> {
    let differences = |model: &Model| {
        let expected = model.seen();
        let paths: std::collections::BTreeSet<_> = seen.keys().chain(expected.keys()).collect();
        let brief = |found: Option<&(u32, Body, u32, usize)>| match found {
            Some((mode, Body::File(data), links, same)) => {
                let sum: usize = data.iter().map(|byte| *byte as usize).sum();
                format!("{mode:o} file {} sum {sum} {links} {same}", data.len())
            }
            other => format!("{other:?}"),
        };
        paths
            .into_iter()
            .filter(|path| seen.get(*path) != expected.get(*path))
            .map(|path| format!("{path}: {} expected {}", brief(seen.get(path)), brief(expected.get(path))))
            .collect::<Vec<_>>()
    };
    let all = history.iter().map(differences).min_by_key(Vec::len).unwrap_or_default();
    all.into_iter().take(12).chain([format!("of {} states", history.len())]).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % below as u64) as usize
    }

    fn name(&mut self) -> String {
        ["a", "b", "c", "d", "e"][self.below(5)].into()
    }

    /// A path that exists, of an object that `fits`; the root if there is none.
    fn path(&mut self, model: &Model, fits: impl Fn(&Body) -> bool) -> Vec<String> {
        let mut order = Vec::new();
        model.walk(0, String::new(), &mut order);
        let mut paths: Vec<_> = order.into_iter().filter(|(_, at)| fits(&model.objects[*at].body)).collect();
        if paths.is_empty() {
            return Vec::new();
        }
        let (path, _) = paths.swap_remove(self.below(paths.len()));
        path.split('/').skip(1).map(str::to_owned).collect()
    }

    fn directory(&mut self, model: &Model) -> Vec<String> {
        self.path(model, |body| matches!(body, Body::Directory(_)))
    }

    fn step(&mut self, model: &Model) -> Step {
        let directory = self.directory(model);
        let name = self.name();
        match self.below(14) {
            0 | 1 => Step::Make(directory, name, Body::Directory(BTreeMap::new())),
            2 | 3 => Step::Make(directory, name, Body::File(Vec::new())),
            4 => Step::Make(directory, name, Body::Symlink(format!("to{}", self.below(9)))),
            5 | 6 => Step::Remove(directory, name),
            7 | 8 => Step::Rename(directory, name, self.directory(model), self.name()),
            9 => Step::Link(directory, name, self.directory(model), self.name()),
            10 => Step::Chmod(self.path(model, |body| matches!(body, Body::File(_))), self.below(0o777) as u32),
            11 => Step::Truncate(self.path(model, |body| matches!(body, Body::File(_))), self.below(40_000)),
            kind => {
                let length = 1 + self.below(20_000);
                let offset = self.below(20_000) / if kind == 12 { 1 } else { 4096 } * if kind == 12 { 1 } else { 4096 };
                let data = (0..length).map(|_| self.below(256) as u8).collect();
                Step::Write(self.path(model, |body| matches!(body, Body::File(_))), offset, data, self.below(2) == 0)
            }
        }
    }
}

/// Polls a future some times, then gives up on it.
async fn poll_some<T>(work: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..times {
        let polled = work.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

async fn run(seed: u64, steps: usize) {
    let mut random = Random(seed);
    let bits = if seed.is_multiple_of(3) { 3 } else { 63 };
    let mut rig = Rig::with(Settings { cookie_bits: bits, ..Settings::default() }).await;
    let mut faults = rig.open_faulty(seed.is_multiple_of(2)).await;
    rig.fs.collect_orphans();
    // States that a crash may leave, from the last acknowledged one on.
    let mut history = vec![Model::new()];
    let mut held = false;
    for number in 0..steps {
        let model = history.last().unwrap().clone();
        match random.below(20) {
            0 if !held => {
                faults.hold_commits();
                held = true;
            }
            1 => {
                faults.release();
                held = false;
                // What waits in the queue goes before this.
                let root = rig.root().await;
                rig.set(&root, SetAttributes { mode: Some(0o755), ..SetAttributes::default() }).await.unwrap();
                history = vec![history.pop().unwrap()];
            }
            2 | 3 if held => {
                faults.cut();
                held = false;
                let report = rig.report().await;
                assert!(report.is_clean(), "seed {seed} step {number}: {:#?}", report.problems);
                faults = rig.open_faulty(random.below(2) == 0).await;
                if random.below(2) == 0 {
                    rig.fs.collect_orphans();
                }
                let seen = look(&rig).await;
                let found = history.iter().rposition(|model| model.seen() == seen);
                assert!(found.is_some(), "seed {seed} step {number}: {:#?}", nearest(&history, &seen));
                history = vec![history.swap_remove(found.unwrap())];
            }
            _ => {
                let step = random.step(&model);
                let mut after = model.clone();
                let expected = after.apply(&step);
                let caller = Caller { watermark: Watermark::new(), ..Caller::root() };
                if random.below(6) == 0 && !matches!(&step, Step::Write(..)) {
                    // The caller goes away in the middle: all of it happens or nothing.
                    let times = random.below(4);
                    let done = poll_some(perform(&rig.fs, &step, &caller), times).await;
                    let seen = look(&rig).await;
                    if seen == after.seen() {
                        history.push(after);
                    } else {
                        assert!(done.is_none_or(|done| done.is_err()), "seed {seed} step {number}: {step:?}");
                        let unlike = nearest(&[model.clone(), after], &seen);
                        assert!(seen == model.seen(), "seed {seed} step {number}: {step:?} {unlike:#?}");
                    }
                } else {
                    let got = perform(&rig.fs, &step, &caller).await;
                    assert_eq!(got, expected, "seed {seed} step {number}: {step:?}");
                    history.push(if expected.is_ok() { after } else { model });
                }
                if !held {
                    rig.fs.durable(&caller.watermark).await.unwrap();
                    history = vec![history.pop().unwrap()];
                }
                if number.is_multiple_of(16) {
                    let seen = look(&rig).await;
                    let model = history.last().unwrap();
                    assert!(
                        seen == model.seen(),
                        "seed {seed} step {number}: {:#?}",
                        nearest(&history[history.len() - 1..], &seen)
                    );
                }
            }
        }
    }
    faults.release();
    let seen = look(&rig).await;
    assert!(seen == history.last().unwrap().seen(), "seed {seed}: {:#?}", nearest(&history, &seen));
    rig.fs.close().await.unwrap();
    let report = rig.report().await;
    assert!(report.is_clean(), "seed {seed}: {:#?}", report.problems);
}

/// Architecture section 3 and 8: the file system agrees with the model, through crashes and cancelled callers.
#[tokio::test]
async fn the_file_system_agrees_with_the_model() {
    let seeds = std::env::var("MODEL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30);
    let first = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        run(seed, 300).await;
    }
}
