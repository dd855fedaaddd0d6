//! One run: callers, the file system, the store that fails, and what the model knows. Everything happens in moves that
//! one seed chooses: a caller is polled or given up, a background task is polled, time goes on, the process is killed.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context as TaskContext, Wake, Waker},
    time::Duration,
};

use env::{Env, Simulation};
use filesystem::{Budget, FileSystem, OpenHold, Parts, Settings};
use storage::{faulty::Faults, memory::Memory};

use crate::{
    caller::{Answer, Handles, Progress, Request},
    content::Content,
    look::Shown,
    rig::{self, GIVEN, Keys},
    steps::{Chooser, Step},
    store::Store,
    tree::{Change, Id, ROOT, Tree},
};

/// So often may time go on without any answer before it counts as a hang.
const ADVANCES_MAX: u32 = 4000;

/// So many moves without anything to do are taken for rest.
const REST: u32 = 24;

/// A state of the tree, and the move that made it.
pub(crate) struct State {
    pub(crate) tree: Tree,
    pub(crate) at: u64,
}

/// Tells whether a caller was woken: nobody is polled who was not.
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a caller is doing.
pub(crate) struct Running {
    pub(crate) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(crate) progress: Rc<RefCell<Progress>>,
    pub(crate) woken: Arc<Flag>,
    pub(crate) step: Step,
    pub(crate) request: Request,
    pub(crate) begun: u64,
    /// When the operation was answered, before it was durable.
    pub(crate) answered: Option<u64>,
    /// It was answered OK.
    pub(crate) accepted: bool,
    /// Every state from this one on agrees with the answer.
    pub(crate) proven: Option<usize>,
    /// Where its write is in the log of the file.
    pub(crate) entry: Option<usize>,
    pub(crate) verifier: Option<[u8; 8]>,
    pub(crate) number: usize,
    pub(crate) polls: u32,
}

#[derive(Default)]
pub(crate) struct Caller {
    pub(crate) running: Option<Running>,
    pub(crate) holds: Vec<(Id, OpenHold)>,
    pub(crate) sequence: u32,
}

/// How a run goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) callers: usize,
    pub(crate) steps: usize,
    /// Of a thousand moves.
    pub(crate) drops: usize,
    /// Of ten thousand moves.
    pub(crate) kills: usize,
    /// Answers from memory are refused, so that each read is a call that waits.
    pub(crate) never_now: bool,
    pub(crate) large: bool,
    pub(crate) small_caches: bool,
    /// These steps, in the place of chance.
    pub(crate) script: Option<Vec<Step>>,
    /// The process is killed at this move.
    pub(crate) kill_at: Option<u64>,
    /// The caller of this step is given up before this poll.
    pub(crate) drop_at: Option<(usize, u32)>,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) memory: Memory,
    keys: Arc<Keys>,
    pub(crate) env: Env,
    pub(crate) simulation: Simulation,
    pub(crate) budget: Arc<Budget>,
    pub(crate) settings: Settings,
    pub(crate) fs: Option<FileSystem>,
    pub(crate) faults: Faults,
    pub(crate) store: Store,
    pub(crate) chooser: Chooser,
    pub(crate) script: VecDeque<Step>,
    pub(crate) history: Vec<State>,
    /// A crash leaves nothing older than this state.
    pub(crate) floor: usize,
    pub(crate) contents: BTreeMap<Id, Content>,
    pub(crate) handles: Rc<Handles>,
    pub(crate) ids: BTreeMap<u64, Id>,
    pub(crate) shown: HashMap<(u64, u64), Shown>,
    pub(crate) generations: HashMap<u64, u64>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) moves: u64,
    pub(crate) verifier: [u8; 8],
    pub(crate) collecting: bool,
    /// Files without names that must still be there.
    pub(crate) kept: BTreeSet<Id>,
    /// Holds taken while the file was surely there: how many, and since when.
    pub(crate) held: BTreeMap<Id, (u32, u64)>,
    pub(crate) records: BTreeMap<usize, Vec<Option<u64>>>,
    pub(crate) errors_before: u64,
    /// Nobody begins anything for now.
    pub(crate) pausing: bool,
    pub(crate) started: usize,
    pub(crate) quiet: u32,
    pub(crate) advances: u32,
    pub(crate) crashes: u32,
}

impl World {
    pub(crate) async fn new(plan: Plan, store: Store) -> Self {
        let (env, simulation) = Env::simulated(plan.seed);
        let memory = Memory::new();
        let keys = Arc::new(Keys { data: AtomicU8::new(GIVEN), metadata: AtomicU8::new(GIVEN) });
        let budget = if plan.small_caches { Budget::new(12, 40, 300_000, 8192) } else { Budget::default() };
        let budget = Arc::new(budget);
        let mut settings = Settings {
            dirty_bytes: 1 << 20,
            merge_age: Duration::ZERO,
            dead_slack_bytes: 64 << 10,
            ..Settings::default()
        };
        if plan.seed.is_multiple_of(3) {
            settings.cookie_bits = 3;
        }
        if plan.seed.is_multiple_of(5) {
            settings.queue_operations_max = 2;
        }
        let parts = rig::parts(&memory, &keys, &env, &budget);
        drop(FileSystem::create(parts, settings.clone()).await.unwrap());
        let mut world = Self {
            memory,
            keys,
            faults: Faults::new(env.clone()),
            env,
            simulation,
            budget,
            settings,
            fs: None,
            store,
            chooser: Chooser::new(plan.seed, plan.large),
            script: plan.script.clone().unwrap_or_default().into(),
            history: vec![State { tree: Tree::new(), at: 0 }],
            floor: 0,
            contents: BTreeMap::new(),
            handles: Rc::default(),
            ids: BTreeMap::new(),
            shown: HashMap::new(),
            generations: HashMap::new(),
            callers: (0..plan.callers).map(|_| Caller::default()).collect(),
            moves: 0,
            verifier: [0; 8],
            collecting: false,
            kept: BTreeSet::new(),
            held: BTreeMap::new(),
            records: BTreeMap::new(),
            errors_before: 0,
            pausing: false,
            started: 0,
            quiet: 0,
            advances: 0,
            crashes: 0,
            plan,
        };
        world.store.calm(true);
        world.open().await.unwrap();
        let root = world.fs().root().await.unwrap();
        world.know(ROOT, &root);
        world.store.calm(false);
        world
    }

    pub(crate) fn parts(&self) -> Parts {
        rig::parts(&self.memory, &self.keys, &self.env, &self.budget)
    }

    /// Opens the file system behind faults that come from the store's director.
    pub(crate) async fn open(&mut self) -> Result<(), filesystem::FsError> {
        let mut parts = self.parts();
        self.faults = Faults::new(self.env.clone());
        self.faults.direct(self.store.director());
        self.faults.never_now(self.plan.never_now);
        (parts.shard, parts.segments) = self.faults.wrap((parts.shard, parts.segments));
        self.errors_before = self.store.errors();
        let opening = FileSystem::open(parts, self.settings.clone());
        let fs = self.patiently(opening).await?;
        self.verifier = fs.write_verifier();
        self.fs = Some(fs);
        self.collecting = false;
        Ok(())
    }

    /// Waits for what is not a caller's, and lets time go on for it.
    pub(crate) async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let (mut quiet, mut advances) = (0, 0);
        loop {
            if woken.0.swap(false, Ordering::SeqCst) {
                quiet = 0;
                if let std::task::Poll::Ready(done) = work.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
                    return done;
                }
            }
            quiet += 1;
            if quiet > REST {
                quiet = 0;
                advances += 1;
                assert!(advances < ADVANCES_MAX && self.simulation.advance_to_next(), "it waits for ever");
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn fs(&self) -> FileSystem {
        self.fs.clone().unwrap()
    }

    pub(crate) fn latest(&self) -> &Tree {
        &self.history.last().unwrap().tree
    }

    /// The states that somebody who began then may have met, by their place.
    pub(crate) fn since(&self, begun: u64) -> std::ops::Range<usize> {
        let first = self.history.iter().rposition(|state| state.at <= begun).unwrap_or(0);
        first..self.history.len()
    }

    pub(crate) fn know(&mut self, id: Id, node: &filesystem::Node) {
        Rc::make_mut(&mut self.handles).insert(id, node.handle());
        let before = self.ids.insert(node.fileid(), id);
        assert!(before.is_none_or(|before| before == id), "a fileid was used twice");
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.fs.as_ref().unwrap().failed().borrow()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.callers.iter().all(|caller| caller.running.is_none())
    }

    fn has_steps(&self) -> bool {
        if self.pausing {
            return false;
        }
        if self.plan.script.is_some() { !self.script.is_empty() } else { self.started < self.plan.steps }
    }

    /// Moves until everything asked for is done.
    pub(crate) async fn run(&mut self) {
        while self.has_steps() || !self.is_idle() {
            self.turn().await;
            if self.is_over() || self.plan.kill_at.is_some_and(|at| at <= self.moves) {
                self.crash().await;
            }
            if self.chooser.random.chance(4) && self.plan.script.is_none() {
                self.rest().await;
            }
        }
    }

    pub(crate) async fn turn(&mut self) {
        self.moves += 1;
        let woken: Vec<usize> = self.which(|running| running.woken.0.load(Ordering::SeqCst));
        let idle: Vec<usize> =
            (0..self.callers.len()).filter(|caller| self.callers[*caller].running.is_none()).collect();
        let random = &mut self.chooser.random;
        let roll = random.below(100);
        if random.below(10_000) < self.plan.kills {
            self.crash().await;
        } else if random.chance(self.plan.drops)
            && let Some(caller) = {
                let all = self.which(|_| true);
                self.chooser.random.pick(&all)
            }
        {
            self.give_up(caller);
        } else if roll < 45
            && let Some(caller) = self.chooser.random.pick(&woken)
        {
            self.poll(caller);
        } else if roll < 60
            && self.has_steps()
            && let Some(caller) = self.chooser.random.pick(&idle)
        {
            self.start(caller);
        } else if (self.quiet >= REST && woken.is_empty()) || roll == 60 {
            self.quiet = 0;
            self.advances += 1;
            let states = self.which(|_| true);
            assert!(self.advances < ADVANCES_MAX, "callers {states:?} wait for ever");
            let _ = self.simulation.advance_to_next();
        } else {
            let calls = self.store.calls();
            tokio::task::yield_now().await;
            self.quiet = if self.store.calls() == calls { self.quiet + 1 } else { 0 };
        }
        self.notice_verifier();
    }

    pub(crate) fn which(&self, fits: impl Fn(&Running) -> bool) -> Vec<usize> {
        let running = |caller: &usize| self.callers[*caller].running.as_ref().is_some_and(&fits);
        (0..self.callers.len()).filter(running).collect()
    }

    fn notice_verifier(&mut self) {
        let now = self.fs.as_ref().unwrap().write_verifier();
        let before = std::mem::replace(&mut self.verifier, now);
        if before != now {
            self.contents.values_mut().for_each(|content| content.doubt(Some(before)));
        }
    }

    /// Whether a change has an answer that the model agrees with, in the state at this place.
    pub(crate) fn would(&self, place: usize, change: &Change) -> Result<Tree, filesystem::FsError> {
        let mut tree = self.history[place].tree.clone();
        tree.apply(change).map(|()| tree)
    }

    /// Takes the answer of the step that is no change of names.
    pub(crate) fn unexpected(&self, caller: usize, answer: &Answer) -> ! {
        let running = self.callers[caller].running.as_ref().unwrap();
        let text = format!("{answer:?}");
        panic!("move {}: {:?} was answered {:.300}", self.moves, running.step, text)
    }
}
