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

/// What `tamper_look.sh` says when nothing is missing.
const ALL: &str = "all served";

/// Changes each larger file in several ways, one at a time, and looks at what is served; then swaps whole extents.
pub(crate) fn swapped(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let id = mounted(stage)?;
    stage.check(0, &stage.script("tamper_fill.sh", &[AT]))?;
    stage.check(0, &format!("umount {AT}"))?;
    let whole = stage.coffer()?.api()?.create_file_system("whole", None)?.id;
    stage.mount(0, AT, &Mount { file_system: &whole, ..Mount::default() })?;
    stage.check(0, &stage.script("tamper_fill.sh", &[AT, "whole"]))?;
    stage.check(0, &format!("umount {AT}"))?;
    stage.coffer()?.stop()?;
    let data = stage.coffer()?.data();
    let kept = stage.place.join("data-kept");
    copy(&data, &kept)?;
    let extents = swap_extents(stage, &whole, &kept)?;
    let mut large: Vec<(u64, PathBuf)> = files(&kept)?
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == whole.as_str()))
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
            let outcome = look(stage, &id, &[]).map_err(|why| format!("{}: {what}: {why}", name.display()))?;
            eprintln!("  {}: {what}: {outcome}", name.display());
            seen.push(outcome);
        }
    }
    copy(&kept, &data)?;
    let unchanged = look(stage, &id, &[])?;
    if unchanged != ALL {
        return Err(format!("with nothing changed: {unchanged}"));
    }
    let noticed = seen.iter().filter(|outcome| *outcome != ALL).count();
    if noticed == 0 {
        return Err("no change was noticed: were the changed bytes in use at all?".to_owned());
    }
    Ok(format!(
        "{extents}; {} changes elsewhere, {noticed} noticed, the others in unused bytes, nothing false served",
        seen.len()
    ))
}

/// The sealed bytes of a MiB: 256 pieces of 4,096 bytes, each with its tag (docs/on-disk-format.md, extents).
const SEALED_MIB: usize = 256 * (4096 + 16);
/// Where a segment's extents begin.
const SEGMENT_HEADER: usize = 4096;

/// Swaps the extents of two MiB of a file, bit for bit as they were sealed: exactly these two are refused.
fn swap_extents(stage: &mut Stage, id: &str, kept: &Path) -> Result<String, String> {
    let data = stage.coffer()?.data();
    let is_segment = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "seg")
            && path.components().any(|part| part.as_os_str() == id)
            && fs::metadata(path).is_ok_and(|about| about.len() > SEGMENT_HEADER as u64)
    };
    let segments: Vec<PathBuf> = files(kept)?.into_iter().filter(is_segment).collect();
    let [segment] = segments.as_slice() else {
        return Err(format!("one segment was expected for one file of 4 MiB: {segments:?}"));
    };
    let mut bytes = fs::read(segment).map_err(|error| format!("{}: {error}", segment.display()))?;
    if bytes.len() != SEGMENT_HEADER + 4 * SEALED_MIB {
        return Err(format!("{}: {} bytes are not 4 MiB in whole pieces", segment.display(), bytes.len()));
    }
    let (first, second) = bytes.split_at_mut(SEGMENT_HEADER + SEALED_MIB);
    let (first, second) = (first.get_mut(SEGMENT_HEADER..), second.get_mut(..SEALED_MIB));
    let (Some(first), Some(second)) = (first, second) else { return Err("a segment that shrank".to_owned()) };
    first.swap_with_slice(second);
    let whole = look(stage, id, &["whole"])?;
    if whole != "served 4, refused:" {
        return Err(format!("with no extent swapped: {whole}"));
    }
    copy(kept, &data)?;
    let changed = data.join(segment.strip_prefix(kept).unwrap_or(segment));
    fs::write(&changed, &bytes).map_err(|error| format!("{}: {error}", changed.display()))?;
    let swapped = look(stage, id, &["whole"])?;
    copy(kept, &data)?;
    let refused = swapped.strip_prefix("served 2, refused:").map(|rest| rest.split_whitespace().count());
    if refused == Some(2) {
        Ok("2 extents swapped, both refused".to_owned())
    } else {
        Err(format!("with two extents swapped: {swapped}"))
    }
}

/// Starts the server on what is there and reads everything; anything but what was written or a refusal with a reason is
/// an error.
fn look(stage: &mut Stage, id: &str, how: &[&str]) -> Result<String, String> {
    let data = stage.coffer()?.data().display().to_string();
    let mark = stage.coffer()?.log_mark();
    if let Err(why) = stage.coffer()?.start() {
        let words = stage.coffer()?.logged_since(mark);
        return if words.contains("panicked") || !words.contains(&data) {
            Err(format!("the server did not start, without a word on which file and why: {why}"))
        } else {
            Ok("refused at the start".to_owned())
        };
    }
    // A place of its own for each attempt: a mount that is given up may come to itself later.
    let at = format!("/mnt/look-{mark}");
    let mount = Mount { file_system: id, limit_seconds: Some(40), ..Mount::default() };
    let mounted = stage.mount(0, &at, &mount);
    let read =
        mounted.clone().and_then(|()| stage.check(0, &stage.script("tamper_look.sh", &[&[at.as_str()], how].concat())));
    let _ = stage.check(0, &format!("umount -f -l {at}"));
    let status = stage.coffer()?.administer(&["status"])?;
    let words = stage.coffer()?.logged_since(mark);
    stage.coffer()?.kill();
    if words.contains("panicked") {
        return Err("the server panicked".to_owned());
    }
    let Err(why) = mounted else { return read.map(|said| said.trim().to_owned()) };
    // A file system that cannot be opened is refused at the mount, and its owner is told which file and why.
    let reason = status.lines().find(|line| line.starts_with(&format!("{id}: failed: ")));
    match reason {
        Some(reason) if reason.contains(&data) => Ok(format!("refused at the mount: {reason}")),
        _ => Err(format!("not mounted, without a reason in the status: {why}\n{status}")),
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
