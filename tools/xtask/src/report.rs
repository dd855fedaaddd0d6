//! What a run of tests came to: counted, timed, and compared with the list of what may be skipped.

use std::fs;
use std::path::Path;
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
    steps: Vec<(String, Outcome, f64)>,
    may_skip: Vec<String>,
}

impl Report {
    /// Reads what may be skipped.
    pub(crate) fn new(skips: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(skips).map_err(|error| format!("{}: {error}", skips.display()))?;
        let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", skips.display()))?;
        let list = table.get("skip").and_then(toml::Value::as_array).into_iter().flatten();
        let may_skip = list.filter_map(|skip| skip.get("name")?.as_str().map(str::to_owned)).collect();
        Ok(Self { steps: Vec::new(), may_skip })
    }

    /// Runs a step and keeps its outcome.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Outcome) {
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
        self.steps.push((name.to_owned(), outcome, seconds));
    }

    /// Runs a step that either passes, with a remark, or fails.
    pub(crate) fn check(&mut self, name: &str, run: impl FnOnce() -> Result<String, String>) {
        self.step(name, || match run() {
            Ok(remark) => Outcome::Passed(1, remark),
            Err(why) => Outcome::Failed(0, 1, why),
        });
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
        let all: f64 = self.steps.iter().map(|(_, _, seconds)| seconds).sum();
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
        Report { steps: Vec::new(), may_skip: vec!["may".to_owned()] }
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

    /// `cargo xtask test`: a word that fits nothing, and a run that skipped everything, are no success.
    #[test]
    fn a_run_of_nothing_fails() {
        assert!(report().finish().is_err());
        let mut skipped = report();
        skipped.step("may", || Outcome::Skipped("absent".to_owned()));
        assert!(skipped.finish().is_err());
    }
}
