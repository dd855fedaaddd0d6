//! What a run of tests came to: counted, timed, and compared with the list of what may be skipped.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// How one step or case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was well: so many passed, and perhaps a remark.
    Passed(u64, String),
    /// So many passed and so many failed, and why.
    Failed(u64, u64, String),
    /// Not run, and why.
    Skipped(String),
}

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    start: Instant,
    steps: Vec<Step>,
    may_skip: Vec<String>,
}

/// A step, how it ended, and how many seconds it took.
type Step = (String, Outcome, f64);

/// A step that neither disturbs others nor is disturbed by them: it either passes, with a remark, or fails.
pub(crate) struct Apart<'a> {
    name: &'a str,
    run: Box<dyn FnOnce() -> Result<String, String> + Send + 'a>,
}

impl<'a> Apart<'a> {
    pub(crate) fn new(name: &'a str, run: impl FnOnce() -> Result<String, String> + Send + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

impl Report {
    /// Reads what may be skipped.
    pub(crate) fn new(skips: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(skips).map_err(|error| format!("{}: {error}", skips.display()))?;
        let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", skips.display()))?;
        let list = table.get("skip").and_then(toml::Value::as_array).into_iter().flatten();
        let may_skip = list.filter_map(|skip| skip.get("name")?.as_str().map(str::to_owned)).collect();
        Ok(Self { start: Instant::now(), steps: Vec::new(), may_skip })
    }

    /// Runs a step and keeps its outcome.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Outcome) {
        let done = self.carry_out(name, run);
        self.steps.push(done);
    }

    /// Runs a step that either passes, with a remark, or fails.
    pub(crate) fn check(&mut self, name: &str, run: impl FnOnce() -> Result<String, String>) {
        self.step(name, || judged(run()));
    }

    /// Runs so many steps at a time, and keeps their outcomes in the order in which they are given: most of what they take is
    /// waiting for something.
    pub(crate) fn side_by_side(&mut self, lanes: usize, steps: Vec<Apart<'_>>) {
        let mut done: Vec<Option<Step>> = steps.iter().map(|_| None).collect();
        let waiting = Mutex::new(steps.into_iter().zip(&mut done).collect::<VecDeque<_>>());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| {
                    while let Some((step, slot)) = next() {
                        *slot = Some(self.carry_out(step.name, || judged((step.run)())));
                    }
                });
            }
        });
        drop(waiting);
        self.steps.extend(done.into_iter().flatten());
    }

    fn carry_out(&self, name: &str, run: impl FnOnce() -> Outcome) -> Step {
        eprintln!("== {name}");
        let start = Instant::now();
        let mut outcome = run();
        let seconds = start.elapsed().as_secs_f64();
        if let Outcome::Skipped(why) = &outcome
            && !self.may_skip.iter().any(|may| may == name)
        {
            outcome =
                Outcome::Failed(0, 1, format!("skipped ({why}), and tests/skips.toml does not say that it may be"));
        }
        eprintln!("{}", line(name, &outcome, seconds));
        (name.to_owned(), outcome, seconds)
    }

    /// Prints every step and the sum; an error when anything failed.
    pub(crate) fn finish(&self) -> Result<(), String> {
        println!("\nsummary");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, outcome, seconds) in &self.steps {
            println!("{}", line(name, outcome, *seconds));
            match outcome {
                Outcome::Passed(count, _) => passed += count,
                Outcome::Failed(well, badly, _) => {
                    passed += well;
                    failed += badly;
                }
                Outcome::Skipped(_) => skipped += 1,
            }
        }
        let all = self.start.elapsed().as_secs_f64();
        println!("in {:.0} min {:.0} s", (all / 60.0).floor(), all % 60.0);
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        match (passed, failed) {
            // A run that did nothing proves nothing.
            (0, 0) => Err("nothing was run".to_owned()),
            (_, 0) => Ok(()),
            _ => Err(format!("{failed} failed")),
        }
    }
}

fn judged(done: Result<String, String>) -> Outcome {
    match done {
        Ok(remark) => Outcome::Passed(1, remark),
        Err(why) => Outcome::Failed(0, 1, why),
    }
}

fn line(name: &str, outcome: &Outcome, seconds: f64) -> String {
    let (word, remark) = match outcome {
        Outcome::Passed(_, remark) => ("pass", remark),
        Outcome::Failed(_, _, why) => ("FAIL", why),
        Outcome::Skipped(why) => ("skip", why),
    };
    format!("{word}  {name} ({seconds:.1} s){}{remark}", if remark.is_empty() { "" } else { ": " })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report { start: Instant::now(), steps: Vec::new(), may_skip: vec!["may".to_owned()] }
    }

    /// `cargo xtask test`: what is skipped without being on the list is a failure.
    #[test]
    fn a_skip_that_is_not_listed_fails() {
        let mut listed = report();
        listed.check("well", || Ok(String::new()));
        listed.step("may", || Outcome::Skipped("absent".to_owned()));
        assert_eq!(listed.finish(), Ok(()));
        let mut unlisted = report();
        unlisted.step("may not", || Outcome::Skipped("absent".to_owned()));
        assert!(unlisted.finish().is_err());
    }

    /// `cargo xtask test`: what runs beside other things is counted like the rest, in the order in which it was given.
    #[test]
    fn steps_side_by_side_all_count() {
        let mut report = report();
        let slow = || {
            thread::sleep(std::time::Duration::from_millis(20));
            Ok(String::new())
        };
        let steps = vec![
            Apart::new("slow", slow),
            Apart::new("broken", || Err("it is broken".to_owned())),
            Apart::new("well", || Ok("as it should be".to_owned())),
        ];
        report.side_by_side(2, steps);
        let names: Vec<&str> = report.steps.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["slow", "broken", "well"]);
        assert_eq!(report.finish(), Err("1 failed".to_owned()));
    }

    /// `cargo xtask test`: a word that fits nothing, and a run that skipped everything, are no success.
    #[test]
    fn a_run_of_nothing_fails() {
        assert!(report().finish().is_err());
        let mut skipped = report();
        skipped.step("may", || Outcome::Skipped("absent".to_owned()));
        assert!(skipped.finish().is_err());
    }
}
