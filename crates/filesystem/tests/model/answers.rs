//! What callers are told, held against the model.

use filesystem::{Attributes, FsError};

use crate::{
    caller::Answer,
    content::{Content, Entry, View, What},
    look::Shown,
    steps::Step,
    tree::{Change, Id, Tree},
    world::{Running, State, World},
};

impl World {
    fn running(&mut self, caller: usize) -> &mut Running {
        self.callers[caller].running.as_mut().unwrap()
    }

    /// A step has begun.
    pub(crate) fn begin(&mut self, caller: usize) {
        match self.running(caller).step.clone() {
            Step::Close => self.close_all(caller),
            Step::Record(value) => self.records.entry(caller).or_insert_with(|| vec![None]).push(value),
            _ => {}
        }
    }

    pub(crate) fn close_all(&mut self, caller: usize) {
        for (id, hold) in std::mem::take(&mut self.callers[caller].holds) {
            drop(hold);
            self.let_go(id);
        }
    }

    fn let_go(&mut self, id: Id) {
        if let Some((count, _)) = self.held.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(&id);
                if self.collecting {
                    self.kept.remove(&id);
                }
            }
        }
    }

    /// Grace is over.
    pub(crate) fn collect(&mut self) {
        crate::event(|| format!("move {}: orphans are collected", self.moves));
        self.collecting = true;
        self.fs().collect_orphans();
        self.kept.retain(|id| self.held.contains_key(id));
    }

    /// Whether somebody who began then may find that the object is gone.
    fn may_be_stale(&self, id: Id, begun: u64) -> bool {
        let gone = |tree: &Tree| tree.objects.get(&id).is_none_or(|object| object.links == 0);
        let held = self.held.get(&id).is_some_and(|(_, since)| *since <= begun);
        self.since(begun).any(|place| gone(&self.history[place].tree)) && !held && !self.kept.contains(&id)
    }

    /// The operation is answered, and not durable yet.
    pub(crate) fn answered(&mut self, caller: usize, first: Result<Answer, FsError>) {
        let (step, begun, moves) = {
            let moves = self.moves;
            let running = self.running(caller);
            running.answered = Some(moves);
            (running.step.clone(), running.begun, moves)
        };
        match first {
            Ok(answer) => {
                self.running(caller).accepted = true;
                self.done(caller, &step, begun, answer);
            }
            Err(error) => self.refused(caller, &step, begun, error),
        }
        if let (Step::Write { id, .. }, Some(entry)) = (&step, self.running(caller).entry) {
            self.contents.get_mut(id).unwrap().log[entry].ended = Some(moves);
        }
    }

    fn done(&mut self, caller: usize, step: &Step, begun: u64, answer: Answer) {
        match (step, &answer) {
            (Step::Change(change), Answer::Made(_) | Answer::Done) => self.changed(caller, change, answer),
            (Step::Write { id, .. }, Answer::Verifier(verifier)) => {
                let at = self.running(caller).entry.unwrap();
                let entry = &mut self.contents.get_mut(id).unwrap().log[at];
                // Of several runs some may have been lost before the last one was written.
                let whole = matches!(entry.what, What::Write { count: 1, .. }) || entry.verifier == *verifier;
                (entry.certain, entry.verifier) = (whole, *verifier);
            }
            (Step::Commit(_), Answer::Verifier(verifier)) => self.running(caller).verifier = Some(*verifier),
            (Step::Read { id, offset, count }, Answer::Data(data, eof)) => {
                self.check_read(*id, (*offset, *count), (data, *eof), begun);
            }
            (Step::Look(id), Answer::Attributes(attributes)) => self.check_attributes(caller, *id, attributes, begun),
            (Step::Lookup { parent, name }, Answer::Found(fileid)) => {
                let found = self.ids.get(fileid).copied();
                let agrees = |tree: &Tree| found.is_some_and(|id| tree.child(*parent, name) == Ok(id));
                self.prove(caller, begun, agrees, &answer);
            }
            (Step::List(id), Answer::Names(names)) => self.check_names(*id, names, begun),
            (Step::Open(id), Answer::Done) => {
                let named = self.latest().objects.get(id).is_some_and(|object| object.links > 0);
                let since = self.moves;
                if named || self.kept.contains(id) || self.held.contains_key(id) {
                    self.held.entry(*id).or_insert((0, since)).0 += 1;
                }
            }
            (Step::Close | Step::Record(_) | Step::Reclaim, Answer::Done) => {}
            _ => self.unexpected(caller, &answer),
        }
    }

    /// A change was made, in this very move.
    fn changed(&mut self, caller: usize, change: &Change, answer: Answer) {
        let last = self.history.len() - 1;
        let Ok(mut tree) = self.would(last, change) else {
            // The reaper has not come to it yet.
            if let Change::Set { id, .. } | Change::Truncate { id, .. } | Change::Link { id, .. } = change
                && self.may_be_stale(*id, self.moves)
            {
                return;
            }
            self.unexpected(caller, &answer)
        };
        if tree == self.history[last].tree && matches!(change, Change::Rename { .. }) {
            let same = |place: &usize| self.would(*place, change).is_ok_and(|after| after == self.history[*place].tree);
            let first = (0..=last).rev().take_while(same).last();
            self.running(caller).proven = first;
            return;
        }
        if let (Change::Make { id, .. }, Answer::Made(node)) = (change, &answer) {
            self.know(*id, node);
            self.contents.insert(*id, Content::default());
        }
        if let Change::Truncate { id, size } = change {
            let (begun, ended) = (self.moves, Some(self.moves));
            let what = What::Truncate { size: *size };
            let verifier = [0; 8];
            let entry = Entry { what, pattern: 0, begun, ended, stable: true, certain: true, durable: false, verifier };
            self.contents.get_mut(id).unwrap().log.push(entry);
        }
        let request = self.running(caller).request;
        if request.reply {
            tree.replies.insert(caller, request.sequence);
        }
        for id in tree.orphans().difference(&self.history[last].tree.orphans()) {
            if !self.collecting || self.held.contains_key(id) {
                self.kept.insert(*id);
            }
        }
        self.history.push(State { tree, at: self.moves });
        self.running(caller).proven = Some(last + 1);
    }

    fn refused(&mut self, caller: usize, step: &Step, begun: u64, error: FsError) {
        if let (Step::Commit(id), false) = (step, error == FsError::Stale) {
            self.contents.get_mut(id).unwrap().doubt(None);
        }
        let injected = self.store.errors() > self.errors_before;
        match error {
            FsError::Failed | FsError::Io(_) | FsError::NoSpace if injected => return,
            // A removal that met a change of what it removes; no promise is made of when that is.
            FsError::Delay if matches!(step, Step::Change(Change::Remove { .. } | Change::Rename { .. })) => return,
            FsError::Stale if self.objects_of(step).into_iter().any(|id| self.may_be_stale(id, begun)) => return,
            _ => {}
        }
        let answer = Answer::Names(vec![(format!("{error:?}"), 0)]);
        match step {
            Step::Change(change) => {
                let change = change.clone();
                let agrees = |tree: &Tree| tree.clone().apply(&change) == Err(error.clone());
                self.prove(caller, begun, agrees, &answer);
            }
            Step::Lookup { parent, name } => {
                let agrees = |tree: &Tree| tree.child(*parent, name).err() == Some(error.clone());
                self.prove(caller, begun, agrees, &answer);
            }
            _ => self.unexpected(caller, &answer),
        }
        if error == FsError::Stale {
            // A handle is resolved outside of what a compound has seen.
            self.running(caller).proven = None;
        }
    }

    pub(crate) fn objects_of(&self, step: &Step) -> Vec<Id> {
        match step {
            Step::Change(Change::Make { parent, .. } | Change::Remove { parent, .. })
            | Step::Lookup { parent, .. }
            | Step::List(parent) => vec![*parent],
            Step::Change(Change::Rename { from, to, .. }) => vec![*from, *to],
            Step::Change(Change::Link { id, parent, .. }) => vec![*id, *parent],
            Step::Change(Change::Set { id, .. } | Change::Truncate { id, .. })
            | Step::Write { id, .. }
            | Step::Commit(id)
            | Step::Read { id, .. }
            | Step::Look(id)
            | Step::Open(id) => vec![*id],
            Step::Close | Step::Record(_) | Step::Reclaim => Vec::new(),
        }
    }

    /// Some state since `begun` agrees; from the first on that did, a crash may not take the answer back.
    fn prove(&mut self, caller: usize, begun: u64, agrees: impl Fn(&Tree) -> bool, answer: &Answer) {
        let found = self.since(begun).find(|place| agrees(&self.history[*place].tree));
        let Some(found) = found else { self.unexpected(caller, answer) };
        // Nobody can ask about an object that may yet vanish who was not given its handle too early.
        let step = self.running(caller).step.clone();
        let objects = self.objects_of(&step);
        let unknown = |tree: &Tree| objects.iter().any(|id| !tree.objects.contains_key(id));
        let same = |tree: &Tree| agrees(tree) || unknown(tree);
        let proven = (0..=found).rev().take_while(|place| same(&self.history[*place].tree)).last();
        self.running(caller).proven = proven;
    }

    fn check_read(&self, id: Id, (offset, count): (u64, u32), (data, eof): (&[u8], bool), begun: u64) {
        let content = &self.contents[&id];
        let view = View::Live(begun);
        let (low, high) = content.sizes(view);
        let within = |size: u64| size.saturating_sub(offset).min(u64::from(count));
        let length = data.len() as u64;
        let moves = self.moves;
        assert!((within(low)..=within(high)).contains(&length), "move {moves}: {length} bytes of {id} at {offset}");
        assert!(length == u64::from(count) || eof, "move {moves}: a short read is no end");
        if let Err(why) = content.check(view, offset, data) {
            panic!("move {moves}: a read of {id} brought {why}");
        }
    }

    fn check_attributes(&mut self, caller: usize, id: Id, attributes: &Attributes, begun: u64) {
        let (low, high) = self.contents[&id].sizes(View::Live(begun));
        let size = attributes.size;
        assert!((low..=high).contains(&size), "move {}: size {size} of {id}, not of {low} to {high}", self.moves);
        self.show(attributes, None);
        let agrees = |tree: &Tree| tree.objects.get(&id).is_some_and(|object| Shown::of(attributes).agrees(object));
        let answer = Answer::Attributes(Box::new(attributes.clone()));
        self.prove(caller, begun, agrees, &answer);
    }

    fn check_names(&self, id: Id, names: &[(String, u64)], begun: u64) {
        for (number, (name, fileid)) in names.iter().enumerate() {
            let child = self.ids.get(fileid).copied();
            let there = |place: usize| self.history[place].tree.child(id, name).ok() == child && child.is_some();
            assert!(self.since(begun).any(there), "move {}: {name} is listed in {id}", self.moves);
            // A name that was removed and made again has another cookie, and may be met twice.
            let twice = names[..number].iter().any(|(other, theirs)| other == name && theirs == fileid);
            let steady = self.since(begun).all(there);
            assert!(!twice || !steady, "move {}: {name} is listed twice in {id}", self.moves);
        }
        let latest = self.latest().entries(id).into_iter().flatten();
        for (name, child) in latest {
            let steady = self.since(begun).all(|place| self.history[place].tree.child(id, name) == Ok(*child));
            let listed = names.iter().any(|(listed, _)| listed == name);
            assert!(listed || !steady, "move {}: {name} is not listed in {id}", self.moves);
        }
    }

    /// The step is durable, or never will be.
    pub(crate) fn settled(&mut self, caller: usize, second: Result<(), FsError>) {
        if let Err(error) = second {
            assert_eq!(error, FsError::Failed);
            assert!(self.store.errors() > self.errors_before, "nothing has failed");
            return;
        }
        let running = self.callers[caller].running.as_ref().unwrap();
        let (step, begun, answered) = (running.step.clone(), running.begun, running.answered.unwrap());
        let (proven, entry, verifier) = (running.proven, running.entry, running.verifier);
        let accepted = running.accepted;
        self.floor = self.floor.max(proven.unwrap_or(0));
        let changed = proven.is_some_and(|place| self.history[place].at == answered);
        match step {
            Step::Change(_) if changed => self.contents.values_mut().for_each(|content| content.queued(answered)),
            Step::Write { id, stable: true, .. } => {
                let entry = &mut self.contents.get_mut(&id).unwrap().log[entry.unwrap()];
                if entry.certain {
                    entry.durable = true;
                    self.floor = self.floor.max(self.since(begun).start);
                }
            }
            Step::Commit(id) => {
                if let Some(verifier) = verifier {
                    self.contents.get_mut(&id).unwrap().committed(begun, verifier);
                }
            }
            // The wait alone says nothing: a record has no place in the queue.
            Step::Record(value) if accepted => drop(self.records.insert(caller, vec![value])),
            _ => {}
        }
    }
}
