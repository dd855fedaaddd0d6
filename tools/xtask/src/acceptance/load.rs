//! Keys that are taken away from a client that writes at full speed, and a server that dies in between.

use std::fs;
use std::time::{Duration, Instant};

use super::Scale;
use super::keys::{await_file, give_back, reach, withhold};
use super::work::AT;
use crate::stage::{Mount, Stage};

/// The ways to take a key away; `keys::withhold` and `keys::give_back` know how each is done.
const WAYS: [&str; 4] = ["disabled", "pending-deletion", "grant-revoked", "policy-denied"];

/// What a seal may take, from the answer to the call that takes the key away to the client's first refused operation.
const SEAL_LIMIT: Duration = Duration::from_secs(60);

/// Each way once as it is, and once with a server that is killed at a random moment and started again: what fsync
/// acknowledged is there, each page and each new file is whole or as before, and all goes on with the same mount.
pub(crate) fn sealed(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let api = stage.coffer()?.api()?;
    let key = api.create_key("taken away under load")?;
    let id = api.create_file_system("load", Some(&key))?.id;
    stage.mount(0, AT, &Mount { file_system: &id, ..Mount::default() })?;
    let meet = stage.scratch().join("meet");
    fs::create_dir_all(&meet).map_err(|error| error.to_string())?;
    let rounds: Vec<(String, &str, bool)> =
        WAYS.into_iter().flat_map(|way| [(way.to_owned(), way, false), (format!("{way}-killed"), way, true)]).collect();
    let mut arguments = vec![AT.to_owned(), meet.display().to_string()];
    arguments.extend(rounds.iter().map(|(round, ..)| round.clone()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let script = stage.script("sealed_writer.sh", &arguments);
    let running = stage.spawn(0, &script)?;
    let (mut chance, mut times) = (scale.seed | 1, Vec::new());
    for (round, way, killed) in &rounds {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let ended = || running.is_finished();
        let mut steps = || -> Result<Duration, String> {
            await_file(&meet, &format!("{round}-writing"), &ended)?;
            let taken = withhold(&api, way, &key)?;
            let since = Instant::now();
            reach(&meet, &format!("{round}-withheld"))?;
            if *killed {
                // Within the flush of the seal, after it, or long after.
                std::thread::sleep(moment(chance >> 33));
                let coffer = stage.coffer()?;
                coffer.kill();
                coffer.start()?;
            }
            await_file(&meet, &format!("{round}-refused"), &ended)?;
            let took = since.elapsed();
            await_file(&meet, &format!("{round}-stays"), &ended)?;
            give_back(&api, way, &key, taken.as_ref())?;
            if *killed {
                std::thread::sleep(moment(chance >> 43));
                let coffer = stage.coffer()?;
                coffer.kill();
                coffer.start()?;
            }
            reach(&meet, &format!("{round}-returned"))?;
            await_file(&meet, &format!("{round}-verified"), &ended)?;
            stage.coffer()?.expect_open(&id)?;
            if took > SEAL_LIMIT { Err(format!("it took {took:?} to seal")) } else { Ok(took) }
        };
        match steps() {
            Ok(took) => {
                eprintln!("  {round}: sealed {} ms after the answer", took.as_millis());
                times.push(format!("{round} {:.1} s", took.as_secs_f64()));
            }
            Err(why) => {
                let said = stage.join(0, &script, running).err().map(|said| format!("; {said}")).unwrap_or_default();
                return Err(format!("seed {}: {round}: {why}{said}", scale.seed));
            }
        }
    }
    let said = stage.join(0, &script, running)?;
    stage.check(0, &format!("umount {AT}"))?;
    let coffer = stage.coffer()?;
    coffer.stop()?;
    coffer.fsck().map_err(|why| format!("seed {}: fsck at the end: {why}", scale.seed))?;
    Ok(format!("sealed after {}; {}", times.join(", "), said.lines().last().unwrap_or_default()))
}

/// At once, or soon, or when all has long come to rest.
fn moment(chance: u64) -> Duration {
    Duration::from_millis(match chance % 4 {
        0 => 0,
        1 => 20,
        2 => 200,
        _ => 2000,
    })
}
