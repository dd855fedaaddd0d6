//! Somebody changes the data directory while the server is stopped. Whatever was changed is refused; nothing else than
//! what was written is ever served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Scale;
use super::work::{AT, mounted};
use crate::canary::files;
use crate::house::output;
use crate::stage::{Mount, Stage};

/// A change to the bytes of a file.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Two pieces of so many bytes change places.
    Swap(usize),
    /// One bit is turned over.
    Flip,
}

/// Changes each larger file in several ways, one at a time, and looks at what is served.
pub(crate) fn swapped(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let id = mounted(stage)?;
    stage.check(0, &stage.script("tamper_fill.sh", &[AT]))?;
    stage.check(0, &format!("umount {AT}"))?;
    stage.coffer()?.stop()?;
    let data = stage.coffer()?.data();
    let kept = stage.place.join("data-kept");
    copy(&data, &kept)?;
    let mut large: Vec<(u64, PathBuf)> = files(&kept)?
        .into_iter()
        .filter_map(|path| Some((fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len(), path)))
        .filter(|(length, _)| *length >= 4096)
        .collect();
    large.sort();
    let mut seen = Vec::new();
    for (_, path) in large.iter().rev().take(4) {
        let name = path.strip_prefix(&kept).unwrap_or(path).to_owned();
        for (nth, change) in [Change::Swap(4096), Change::Swap(64), Change::Flip].into_iter().enumerate() {
            copy(&kept, &data)?;
            let Some(what) = apply(&data.join(&name), change, scale.seed.wrapping_add(nth as u64))? else { continue };
            let outcome = look(stage, &id, seen.len()).map_err(|why| format!("{}: {what}: {why}", name.display()))?;
            eprintln!("  {}: {what}: {outcome}", name.display());
            seen.push(outcome);
        }
    }
    copy(&kept, &data)?;
    let whole = look(stage, &id, seen.len())?;
    if whole != "all served" {
        return Err(format!("with nothing changed: {whole}"));
    }
    let noticed = seen.iter().filter(|outcome| *outcome != "all served").count();
    if noticed == 0 {
        return Err("no change was noticed: were the changed bytes in use at all?".to_owned());
    }
    Ok(format!("{} changes, {noticed} noticed, the others in unused bytes, nothing false served", seen.len()))
}

/// Starts the server on what is there and reads everything; other bytes than were written are an error.
fn look(stage: &mut Stage, id: &str, nth: usize) -> Result<String, String> {
    if let Err(why) = stage.coffer()?.start() {
        let words = stage.coffer()?.last_words();
        return if words.contains("panicked") { Err(why) } else { Ok("refused at the start".to_owned()) };
    }
    // A place of its own for each attempt: a mount that is given up may come to itself later.
    let at = format!("/mnt/look-{nth}");
    let mount = Mount { file_system: id, limit_seconds: Some(40), ..Mount::default() };
    let read = stage.mount(0, &at, &mount).and_then(|()| stage.check(0, &stage.script("tamper_look.sh", &[&at])));
    let _ = stage.check(0, &format!("umount -f -l {at}"));
    let words = fs::read_to_string(stage.coffer()?.log()).unwrap_or_default();
    stage.coffer()?.kill();
    if words.contains("panicked") {
        return Err("the server panicked".to_owned());
    }
    match read {
        Ok(said) => Ok(said.trim().to_owned()),
        Err(why) if why.contains("other bytes than were written") => Err(why),
        Err(_) => Ok("refused at the mount".to_owned()),
    }
}

/// Says what was done; nothing when the file is too short or the bytes were the same.
fn apply(path: &Path, change: Change, seed: u64) -> Result<Option<String>, String> {
    let mut bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let before = bytes.clone();
    let spread = |salt: u64| {
        let mixed = seed.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        usize::try_from(mixed).unwrap_or(0)
    };
    let what = match change {
        Change::Flip => {
            let at = spread(1) % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 4;
            }
            format!("a bit of byte {at} turned over")
        }
        Change::Swap(length) => {
            let places = bytes.len() / length;
            if places < 2 {
                return Ok(None);
            }
            let (one, other) = (spread(2) % places * length, spread(3) % places * length);
            for at in 0..length {
                bytes.swap(one + at, other + at);
            }
            format!("{length} bytes at {one} and at {other} swapped")
        }
    };
    if bytes == before {
        return Ok(None);
    }
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(what))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    output(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}
