//! Space set aside in a journal that was there before. fjall sets it aside in those that it begins; one that it finds it
//! opens for appending only, so that each sync has a new length to record, which costs as much again as the bytes.
#![expect(unsafe_code, reason = "the flags of a descriptor that fjall holds have no safe interface")]

use std::{
    fs::{self, File, OpenOptions},
    io,
    mem::MaybeUninit,
    os::{fd::RawFd, unix::fs::MetadataExt as _},
    path::Path,
};

use super::newest;

/// As much as fjall sets aside.
const SET_ASIDE: u64 = 64 << 20;

/// Lets fjall write the newest journal in `dir` by position instead of appending, and makes the rest of it a hole.
///
/// Call when the database has been opened and nothing was written yet. False: it is left as it was, and still appended to.
///
/// # Errors
/// The hole could not be made.
pub(crate) fn set_aside(dir: &Path) -> io::Result<bool> {
    let path = newest(dir);
    let file = OpenOptions::new().write(true).open(&path)?;
    let length = file.metadata()?.len();
    let Some(writer) = appending(&file) else { return Ok(false) };
    if length >= SET_ASIDE || !is_made_positional(writer, length) {
        return Ok(false);
    }
    // Only now: whoever appends would do so behind the hole.
    file.set_len(SET_ASIDE)?;
    Ok(true)
}

/// The one descriptor of this process that appends to the file.
///
/// With a thousand databases open there are thousands of descriptors, of which next to none append: each is asked for its flags,
/// which costs a hundredth of reading its link in /proc.
fn appending(file: &File) -> Option<RawFd> {
    let about = file.metadata().ok()?;
    let is_it = |descriptor: &RawFd| {
        flags(*descriptor).is_some_and(|flags| flags & libc::O_APPEND != 0)
            && identity(*descriptor) == Some((about.dev(), about.ino()))
    };
    let mut found = (0..descriptors_max()?).filter(is_it);
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// No descriptor of this process has this number or a higher one (proc(5), `FDSize`).
fn descriptors_max() -> Option<RawFd> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("FDSize:"))?.trim().parse().ok()
}

/// Device and inode of what is open.
fn identity(descriptor: RawFd) -> Option<(u64, u64)> {
    let mut about = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes to the place it is given, which is large enough.
    let done = unsafe { libc::fstat(descriptor, about.as_mut_ptr()) } == 0;
    // SAFETY: it was written, as the call says.
    done.then(|| unsafe { about.assume_init() }).map(|about| (about.st_dev, about.st_ino))
}

fn flags(descriptor: RawFd) -> Option<libc::c_int> {
    // SAFETY: the call takes integers and only looks.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    (flags >= 0).then_some(flags)
}

/// Moves the descriptor's position to the end, which makes no difference while it appends, and then has it append no more.
fn is_made_positional(descriptor: RawFd, end: u64) -> bool {
    let (Some(before), Ok(end)) = (flags(descriptor), libc::off_t::try_from(end)) else { return false };
    // SAFETY: the call takes integers; fjall, which owns the descriptor, is not writing, and never moves it itself.
    let moved = unsafe { libc::lseek(descriptor, end, libc::SEEK_SET) } == end;
    // SAFETY: as before; the status flags are those that it has, without one.
    let changed = moved && unsafe { libc::fcntl(descriptor, libc::F_SETFL, before & !libc::O_APPEND) } == 0;
    changed && flags(descriptor).is_some_and(|now| now & libc::O_APPEND == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Architecture section 4: a journal that was there goes on where it ended, before the space set aside.
    #[test]
    fn what_was_there_is_gone_on_with() {
        let kept = tempfile::TempDir::new().unwrap();
        let path = kept.path().join("5.jnl");
        fs::write(&path, [1; 5000]).unwrap();
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(&[2; 3000]).unwrap();
        assert!(set_aside(kept.path()).unwrap());
        writer.write_all(&[3; 1000]).unwrap();
        writer.write_all(&[4; 1000]).unwrap();
        let found = fs::read(&path).unwrap();
        let expected =
            [[1; 5000].as_slice(), &[2; 3000], &[3; 1000], &[4; 1000], &vec![0; (64 << 20) - 10_000]].concat();
        assert!(found == expected);
        assert!(!set_aside(kept.path()).unwrap(), "nobody appends any more");

        // Two who append: whose it is cannot be known.
        fs::write(kept.path().join("6.jnl"), [1; 10]).unwrap();
        let open = || OpenOptions::new().append(true).open(kept.path().join("6.jnl")).unwrap();
        let (_one, _two) = (open(), open());
        assert!(!set_aside(kept.path()).unwrap());
        assert_eq!(fs::read(kept.path().join("6.jnl")).unwrap(), [1; 10]);
    }
}
