//! The moves of a caller: it begins a step, is polled, or goes away.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Waker},
};

use crate::{
    caller::{Request, perform},
    content::Entry,
    steps::Step,
    world::{Flag, Running, World},
};

impl World {
    pub(crate) fn start(&mut self, caller: usize) {
        let step = match self.script.pop_front() {
            // What it was to work on may have been lost in a crash.
            Some(step) if self.objects_of(&step).iter().any(|id| !self.latest().objects.contains_key(id)) => {
                self.started += 1;
                return;
            }
            Some(step) => step,
            None => {
                let tree = self.latest().clone();
                self.chooser.step(&tree)
            }
        };
        crate::event(|| format!("move {}: caller {caller} begins {step:?}", self.moves));
        self.started += 1;
        let reply = matches!(step, Step::Change(_)) && self.chooser.random.chance(400);
        let slot = &mut self.callers[caller];
        slot.sequence += u32::from(reply);
        let request = Request { caller, sequence: slot.sequence, reply };
        let progress = Rc::default();
        let work = perform(self.fs(), self.handles.clone(), step.clone(), request, Rc::clone(&progress));
        self.callers[caller].running = Some(Running {
            future: Box::pin(work),
            progress,
            woken: Arc::new(Flag(AtomicBool::new(true))),
            entry: self.begin_write(&step),
            step,
            request,
            begun: self.moves,
            answered: None,
            accepted: false,
            proven: None,
            verifier: None,
            number: self.started - 1,
            polls: 0,
        });
        self.begin(caller);
    }

    /// A write may be seen from now on.
    fn begin_write(&mut self, step: &Step) -> Option<usize> {
        let Step::Write { id, what, pattern, stable } = step else { return None };
        let log = &mut self.contents.get_mut(id).unwrap().log;
        let (what, pattern, stable, verifier) = (*what, *pattern, *stable, self.verifier);
        let (begun, ended) = (self.moves, None);
        log.push(Entry { what, pattern, begun, ended, stable, certain: false, durable: false, verifier });
        Some(log.len() - 1)
    }

    pub(crate) fn poll(&mut self, caller: usize) {
        let running = self.callers[caller].running.as_mut().unwrap();
        if self.plan.drop_at == Some((running.number, running.polls)) {
            return self.give_up(caller);
        }
        running.polls += 1;
        running.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(running.woken.clone());
        let done = running.future.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_ready();
        let (first, second, hold) = {
            let mut progress = running.progress.borrow_mut();
            (progress.first.take(), progress.second.take(), progress.hold.take())
        };
        if let (Some(hold), Step::Open(id)) = (hold, &running.step) {
            let id = *id;
            self.callers[caller].holds.push((id, hold));
        }
        self.quiet = 0;
        if let Some(first) = first {
            crate::event(|| format!("move {}: caller {caller} is answered {first:.200?}", self.moves));
            self.advances = 0;
            self.answered(caller, first);
        }
        if let Some(second) = second {
            crate::event(|| format!("move {}: caller {caller} is settled {second:?}", self.moves));
            self.advances = 0;
            self.settled(caller, second);
        }
        if done {
            self.callers[caller].running = None;
        }
    }

    /// The caller goes away in the middle of it.
    pub(crate) fn give_up(&mut self, caller: usize) {
        crate::event(|| format!("move {}: caller {caller} goes away", self.moves));
        if let Some(running) = self.callers[caller].running.take()
            && let (Step::Write { id, .. }, Some(entry), None) = (&running.step, running.entry, running.answered)
        {
            // Perhaps it was done before.
            self.contents.get_mut(id).unwrap().log[entry].ended = Some(self.moves);
        }
    }
}
