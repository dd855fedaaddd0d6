//! The server is killed again and again under load: what it acknowledged is there, and nobody was told a lie.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use linux_client::Running;

use super::Scale;
use super::keys::reach;
use super::work::{AT, member, mounted};
use crate::stage::Stage;
use crate::trees;

/// A comparison may have to wait for a whole grace before its first open.
const COMPARE_LIMIT: Duration = Duration::from_secs(150);

/// What runs in the clients meanwhile.
struct Load {
    control: PathBuf,
    /// Client, script, and the script as it runs.
    scripts: Vec<(usize, String, Running)>,
}

impl Load {
    /// Starts the recorder and a counter in the first client, and in each other one a counter and an untar.
    fn start(stage: &Stage, seed: u64) -> Result<Self, String> {
        let control = stage.scratch().join("control");
        fs::create_dir_all(&control).map_err(|error| error.to_string())?;
        let stop = control.join("stop");
        let archive = stage.scratch().join("tree.tar");
        let mut wanted = Vec::new();
        for client in 0..stage.clients.len() {
            if client == 0 {
                wanted.push((
                    client,
                    format!("$LOADGEN record {AT}/record --control {} --seed {seed}", control.display()),
                ));
            }
            wanted.push((client, format!("$LOADGEN count --stop {} {AT}/counter", stop.display())));
            let arguments =
                [AT, &format!("untar-{client}"), &archive.display().to_string(), &stop.display().to_string()];
            if client > 0 || stage.clients.len() == 1 {
                wanted.push((client, stage.script("untar_again.sh", &arguments)));
            }
        }
        let mut load = Self { control, scripts: Vec::new() };
        for (client, script) in wanted {
            let running = stage.spawn(client, &script)?;
            load.scripts.push((client, script, running));
        }
        Ok(load)
    }

    /// Whether a script ended before it was told to.
    fn ended(&self) -> bool {
        self.scripts.iter().any(|(_, _, running)| running.is_finished())
    }

    /// Has the recorder compare everything with its notes.
    fn compare(&self, number: u64) -> Result<(), String> {
        reach(&self.control, &format!("verify.{number}"))?;
        let start = Instant::now();
        while !self.control.join(format!("verified.{number}")).exists() {
            if let Ok(why) = fs::read_to_string(self.control.join("failed")) {
                return Err(format!("comparison {number}: {why}"));
            }
            if self.ended() {
                return Err(format!("a script ended during comparison {number}"));
            }
            if start.elapsed() > COMPARE_LIMIT {
                return Err(format!("comparison {number} was not done in {} s", COMPARE_LIMIT.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends all scripts and sums up; the counters' last count is the sum of their steps.
    fn finish(self, stage: &Stage) -> Result<String, String> {
        reach(&self.control, "stop")?;
        let (mut counted, mut last, mut operations, mut failures, mut untars) = (0, 0, 0, Vec::new(), String::new());
        for (client, script, running) in self.scripts {
            match stage.join(client, &script, running) {
                Err(why) => failures.push(why),
                Ok(said) if script.contains("LOADGEN count") => {
                    counted += member(&said, "counted")?;
                    last = last.max(member(&said, "last")?);
                }
                Ok(said) if script.contains("LOADGEN record") => operations = member(&said, "operations")?,
                Ok(said) => said.lines().last().unwrap_or_default().clone_into(&mut untars),
            }
        }
        if !failures.is_empty() {
            return Err(failures.join("\n"));
        }
        if counted != last {
            return Err(format!("the counter ended at {last} after {counted} acknowledged counts"));
        }
        Ok(format!("{operations} operations, {last} counts, {untars}"))
    }
}

/// Without kills, on any server: proves that the load itself is sound.
pub(crate) fn unharmed(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    archive(stage)?;
    mounted(stage)?;
    let load = Load::start(stage, scale.seed)?;
    for number in 1..=3 {
        std::thread::sleep(Duration::from_secs(6));
        if let Err(why) = load.compare(number) {
            return Err(format!("{why}\n{}", load.finish(stage).err().unwrap_or_default()));
        }
    }
    load.finish(stage)
}

/// Kills at random moments, fsck each time before the restart, a comparison after it.
pub(crate) fn campaign(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    archive(stage)?;
    mounted(stage)?;
    let load = Load::start(stage, scale.seed)?;
    let mut chance = scale.seed | 1;
    let mut early = 0;
    let mut rounds = || -> Result<(), String> {
        for number in 1..=scale.kills {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Every third kill hits a server that has just started: in its recovery, or in the grace.
            if number % 3 == 0 {
                early += 1;
                let coffer = stage.coffer()?;
                coffer.kill();
                coffer.start().map_err(|why| format!("start before kill {number}: {why}"))?;
                std::thread::sleep(Duration::from_millis(500 + (chance >> 33) % 4500));
            } else {
                std::thread::sleep(Duration::from_millis(1500 + (chance >> 33) % 5000));
            }
            let coffer = stage.coffer()?;
            coffer.kill();
            let checked = coffer.fsck().map_err(|why| format!("fsck after kill {number}: {why}"));
            coffer.start().map_err(|why| format!("start after kill {number}: {why}"))?;
            checked?;
            if load.ended() {
                return Err(format!("a script ended after kill {number}"));
            }
            load.compare(number)?;
            eprintln!("  kill {number}: fsck clean, all as acknowledged");
        }
        Ok(())
    };
    let outcome = rounds();
    let summary = load.finish(stage);
    outcome.map_err(|why| {
        format!("seed {}: {why}\n{}", scale.seed, summary.as_ref().err().cloned().unwrap_or_default())
    })?;
    let summary = summary.map_err(|why| format!("seed {}: {why}", scale.seed))?;
    for client in 0..stage.clients.len() {
        stage.check(client, &format!("umount {AT}"))?;
    }
    let coffer = stage.coffer()?;
    coffer.stop()?;
    coffer.fsck().map_err(|why| format!("seed {}: fsck at the end: {why}", scale.seed))?;
    Ok(format!("{} kills, {early} more soon after a start, seed {}, {summary}", scale.kills, scale.seed))
}

/// The archive that is unpacked again and again.
fn archive(stage: &Stage) -> Result<(), String> {
    let tree = stage.scratch().join("tree");
    trees::real(&tree, 250)?;
    trees::odd(&tree)?;
    let tar = stage.scratch().join("tree.tar");
    crate::house::output(std::process::Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&tar).arg(".")).map(drop)
}
