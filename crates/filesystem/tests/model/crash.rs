//! Ends of a file system: a crash, a stop in good order, a rest; and what must hold after each.

use std::sync::atomic::Ordering;

use filesystem::{LeaseState, fsck};
use storage::{Keyspace, Scan};

use crate::world::World;

impl World {
    /// The process dies, or its store does. Everything is opened again and looked at.
    pub(crate) async fn crash(&mut self) {
        crate::event(|| format!("move {}: a crash", self.moves));
        self.crashes += 1;
        self.plan.kill_at = None;
        if self.chooser.random.chance(500) {
            self.fail_everybody().await;
        }
        // From here on the dead process changes nothing, whatever is left of its tasks.
        drop(self.memory.open());
        for caller in 0..self.callers.len() {
            self.give_up(caller);
            self.callers[caller].holds.clear();
        }
        self.held.clear();
        self.fs = None;
        self.reopen().await;
        self.check_recovered().await;
        if self.chooser.random.chance(600) {
            self.collect();
        }
        self.store.calm(false);
    }

    /// The store fails under the callers: each is told so, nobody waits for ever.
    async fn fail_everybody(&mut self) {
        self.store.count_error();
        self.faults.cut();
        for _ in 0..4000 {
            for caller in self.which(|running| running.woken.is_set()) {
                self.moves += 1;
                self.poll(caller);
            }
            if self.is_idle() {
                return;
            }
            tokio::task::yield_now().await;
            let _ = self.chooser.random.chance(100) && self.simulation.advance_to_next();
        }
        panic!("move {}: the store has failed, and {:?} wait", self.moves, self.which(|_| true));
    }

    /// Checks what is on the disk and opens it; the disk may fail meanwhile, too.
    async fn reopen(&mut self) {
        // What is still on its way to the dead store ends in a moment.
        let (budget, env) = (self.budget.clone(), self.env.clone());
        self.patiently(async move {
            for _ in 0..100 {
                if budget.dirty_bytes() > 0 {
                    env.sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        })
        .await;
        assert_eq!(self.budget.dirty_bytes(), 0, "move {}: unstable data of a dead file system counts", self.moves);
        self.check_disk().await;
        let calm = self.chooser.random.chance(700);
        for attempt in 0..20 {
            self.store.calm(calm || attempt > 3);
            // A read that fails while it is made ready leaves it sealed until the next renewal of a key.
            if self.open().await.is_ok() && self.fs().lease_status().state == LeaseState::Open {
                break;
            }
            self.fs = None;
        }
        if self.fs.is_none() || self.is_over() {
            self.fs = None;
            self.store.calm(true);
            self.open().await.unwrap();
        }
        self.store.calm(true);
    }

    async fn check_disk(&mut self) -> fsck::Report {
        let check = fsck::check(self.parts(), self.settings.clone(), true);
        let report = self.patiently(check).await.unwrap();
        assert!(report.is_clean(), "move {}: {:#?}", self.moves, report.problems);
        assert_eq!(self.store.used_twice(), None);
        report
    }

    /// Lets everybody come to an end, and compares.
    pub(crate) async fn rest(&mut self) {
        self.pausing = true;
        while !self.is_idle() {
            self.turn().await;
            if self.is_over() {
                self.crash().await;
            }
        }
        self.pausing = false;
        self.store.calm(true);
        // Whether the store has failed is known in a moment.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if self.is_over() {
            self.crash().await;
            self.store.calm(true);
        }
        self.check_now().await;
        if self.collecting && self.store.errors() == self.errors_before {
            self.check_space().await;
        }
        self.store.calm(false);
    }

    /// A stop in good order keeps everything, unstable data too. Then all of it is removed, and nothing may be left.
    pub(crate) async fn finish(&mut self) {
        self.rest().await;
        self.store.calm(true);
        for caller in 0..self.callers.len() {
            self.close_all(caller);
        }
        let fs = self.fs();
        self.patiently(fs.close()).await.unwrap();
        for content in self.contents.values_mut() {
            content.log.iter_mut().for_each(|entry| entry.durable |= entry.certain);
        }
        self.floor = self.history.len() - 1;
        self.fs = None;
        drop(fs);
        self.reopen().await;
        self.check_recovered().await;
        self.collect();
        self.check_space().await;
        self.remove_all().await;
        self.check_space().await;
        let fs = self.fs();
        self.patiently(fs.close()).await.unwrap();
        self.fs = None;
        drop(fs);
        let report = self.check_disk().await;
        assert_eq!((report.objects, report.extents), (1, 0), "something is left of what was removed");
        let (shard, _) = self.memory.open();
        let left = shard.scan(Scan::prefix(Keyspace::Inline, &[])).await.unwrap();
        assert_eq!(left.items.len(), 0, "inline data of what was removed");
    }
}

impl crate::world::Flag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
