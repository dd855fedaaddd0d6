//! Real trees of files to work with: the sources of the crates that this build has fetched anyway, and a corner of odd
//! names and kinds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::canary::files;

/// A file larger than this is left out, so that a tree is many files and not one.
const FILE_BYTES_MAX: u64 = 200_000;
/// No tree holds a crate more often.
const ROUNDS_MAX: usize = 8;

/// Copies whole crates below `place` until there are so many files; gives how many there are. A tree that is larger than all of
/// them holds some again, in a directory of its own for each further round.
pub(crate) fn real(place: &Path, wanted: usize) -> Result<usize, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    fs::create_dir_all(place).map_err(failed)?;
    let sources = crates()?;
    let mut count = 0;
    for round in 0..ROUNDS_MAX {
        let round = if round == 0 { place.to_owned() } else { place.join(format!("round {round}")) };
        for source in &sources {
            if count >= wanted {
                return Ok(count);
            }
            let home = round.join(source.file_name().unwrap_or_default());
            count += copy_crate(source, &home)?;
        }
    }
    if count < wanted {
        return Err(format!("the fetched crates have only {count} files"));
    }
    Ok(count)
}

/// Copies a crate without its large files; gives how many it copied. Very large crates are left out: they are tables made by
/// machines, and a few of them would be the whole tree.
fn copy_crate(source: &Path, home: &Path) -> Result<usize, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    let all = files(source)?;
    if all.len() > 400 {
        return Ok(0);
    }
    let mut count = 0;
    for path in all {
        let to = home.join(path.strip_prefix(source).unwrap_or(&path));
        if path.is_dir() {
            fs::create_dir_all(&to).map_err(failed)?;
        } else if fs::metadata(&path).is_ok_and(|is| is.len() <= FILE_BYTES_MAX) {
            fs::create_dir_all(to.parent().unwrap_or(home)).map_err(failed)?;
            fs::copy(&path, &to).map_err(failed)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Adds what trees of sources seldom have: links, long and strange names, empty things, unusual modes, a larger file.
pub(crate) fn odd(place: &Path) -> Result<(), String> {
    let home = place.join("odd corner");
    let write = |name: &str, content: &[u8]| fs::write(home.join(name), content);
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(home.join("empty directory"))?;
        write("an empty file", b"")?;
        write(&"n".repeat(255), b"a name of 255 bytes")?;
        write("a\nnew line and \u{e9}\u{4e2d}\u{1f600}", b"a name of several kinds of letters")?;
        write("-rf *", b"a name that a shell should not see")?;
        write("locked", b"a mode of 0000")?;
        fs::set_permissions(home.join("locked"), fs::Permissions::from_mode(0o000))?;
        write("setuid", b"a mode of 4755")?;
        fs::set_permissions(home.join("setuid"), fs::Permissions::from_mode(0o4755))?;
        symlink("locked", home.join("a symlink"))?;
        symlink("x".repeat(4000), home.join("a long symlink that leads nowhere"))?;
        fs::hard_link(home.join("setuid"), home.join("a second name"))?;
        let large: Vec<u8> =
            (0..9_000_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 23).to_le_bytes()[0]).collect();
        write("nine million and one bytes", &large)
    };
    make().map_err(|error| format!("{}: {error}", home.display()))
}

/// The directories of the fetched crates, in order.
fn crates() -> Result<Vec<PathBuf>, String> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    };
    let registry = home.join("registry/src");
    let mut all = Vec::new();
    for index in fs::read_dir(&registry).map_err(|error| format!("{}: {error}", registry.display()))?.flatten() {
        let failed = |error: std::io::Error| format!("{}: {error}", index.path().display());
        all.extend(fs::read_dir(index.path()).map_err(failed)?.flatten().map(|entry| entry.path()));
    }
    // The engine writes words of its own sources (names of its options) into its files: they are no canaries.
    let of_engine = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("fjall") || name.starts_with("lsm-tree")
    };
    all.retain(|path| path.is_dir() && !of_engine(path));
    all.sort();
    Ok(all)
}
