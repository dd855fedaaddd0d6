//! The system calls that change files: made in the stead of a thread of this process, and noted.
#![expect(unsafe_code, reason = "system calls are taken over from threads of this process, with their pointers")]

use std::{
    ffi::{CStr, OsStr},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    slice,
};

use crate::{
    log::{Data, Event, Node},
    recorder::Recording,
};

/// Everything by which a file, its name or its durability may change. Calls that nobody makes on our files are among
/// them, so that it is noticed if somebody begins to.
pub(crate) const WATCHED: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_io_uring_setup,
];

/// The value of a call, or its errno.
type Outcome = Result<i64, i32>;

/// Makes the call and notes it; nothing if it is none of ours and the caller may make it itself.
pub(crate) fn take_over(recording: &mut Recording, data: &libc::seccomp_data) -> Option<Outcome> {
    let call = Call { number: data.nr.into(), arguments: data.args };
    match call.number {
        libc::SYS_open | libc::SYS_creat => call.open(recording, &call.path(0, None)),
        libc::SYS_openat => call.open(recording, &call.path(1, Some(0))),
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2 => {
            call.write(recording)
        }
        libc::SYS_fsync | libc::SYS_fdatasync => call.sync(recording),
        libc::SYS_ftruncate => {
            let (file, _) = call.file(recording)?;
            let length = call.arguments[1];
            Some(call.noted(|| recording.events.push(Event::SetLength { file, length })))
        }
        libc::SYS_rename => call.rename(recording, &call.path(0, None), &call.path(1, None)),
        libc::SYS_renameat | libc::SYS_renameat2 => {
            call.rename(recording, &call.path(1, Some(0)), &call.path(3, Some(2)))
        }
        libc::SYS_unlink | libc::SYS_rmdir => call.remove(recording, &call.path(0, None)),
        libc::SYS_unlinkat => call.remove(recording, &call.path(1, Some(0))),
        libc::SYS_mkdir => call.make_directory(recording, &call.path(0, None)),
        libc::SYS_mkdirat => call.make_directory(recording, &call.path(1, Some(0))),
        // A hole in the record would be worse than a workload that fails.
        number => panic!("system call {number} is not recorded"),
    }
}

struct Call {
    number: libc::c_long,
    arguments: [u64; 6],
}

impl Call {
    fn make(&self) -> Outcome {
        let [a, b, c, d, e, f] = self.arguments;
        // SAFETY: the caller, a thread of this process, waits in this very call with these arguments.
        let value = unsafe { libc::syscall(self.number, a, b, c, d, e, f) };
        if value < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(value) }
    }

    fn noted(&self, note: impl FnOnce()) -> Outcome {
        let value = self.make()?;
        note();
        Ok(value)
    }

    /// The path in an argument, which may begin at the directory open in another.
    fn path(&self, argument: usize, directory: Option<usize>) -> PathBuf {
        // SAFETY: the caller, a thread of this process, waits in a call that takes a path here.
        let path = unsafe { CStr::from_ptr(self.arguments[argument] as *const libc::c_char) };
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        match directory.map(|directory| descriptor(self.arguments[directory])) {
            Some(directory) if path.is_relative() && directory != libc::AT_FDCWD => path_of(directory).join(path),
            _ => path.to_owned(),
        }
    }

    /// The node that the descriptor in the first argument is open on, if it is ours and still has a name.
    fn file(&self, recording: &Recording) -> Option<(Node, PathBuf)> {
        let path = path_of(descriptor(self.arguments[0]));
        recording.node(&path).map(|node| (node, path))
    }

    fn open(&self, recording: &mut Recording, path: &Path) -> Option<Outcome> {
        if !path.starts_with(&recording.root) {
            return None;
        }
        let flags = match self.number {
            libc::SYS_creat => libc::O_CREAT | libc::O_TRUNC,
            libc::SYS_open => descriptor(self.arguments[1]),
            _ => descriptor(self.arguments[2]),
        };
        assert!(flags & libc::O_TMPFILE != libc::O_TMPFILE && flags & libc::O_DSYNC == 0, "{path:?}: {flags:o}");
        Some(self.noted(|| match recording.node(path) {
            None => recording.made(path, false),
            Some(file) if flags & libc::O_TRUNC != 0 => recording.events.push(Event::SetLength { file, length: 0 }),
            Some(_) => {}
        }))
    }

    fn write(&self, recording: &mut Recording) -> Option<Outcome> {
        let (file, path) = self.file(recording)?;
        let fd = descriptor(self.arguments[0]);
        let outcome = self.make();
        if let Ok(written) = outcome {
            let written = usize::try_from(written).unwrap();
            let at = if matches!(self.number, libc::SYS_write | libc::SYS_writev) {
                // SAFETY: asks where the descriptor stands. All calls come through here, so nobody moved it meanwhile.
                let after = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
                u64::try_from(after).unwrap() - written as u64
            } else {
                // SAFETY: asks for the descriptor's flags.
                let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
                assert!(flags & libc::O_APPEND == 0, "{path:?}: an offset that does not count");
                self.arguments[3]
            };
            recording.events.push(Event::Write { file, at, bytes: Data(self.bytes(written).into()) });
        }
        Some(outcome)
    }

    /// The first `written` of the bytes that a call writes.
    fn bytes(&self, written: usize) -> Vec<u8> {
        let count = usize::try_from(self.arguments[2]).unwrap();
        let whole = libc::iovec { iov_base: self.arguments[1] as *mut libc::c_void, iov_len: count };
        let parts = if matches!(self.number, libc::SYS_write | libc::SYS_pwrite64) {
            slice::from_ref(&whole)
        } else {
            // SAFETY: the caller waits in a call that takes so many parts here.
            unsafe { slice::from_raw_parts(self.arguments[1] as *const libc::iovec, count) }
        };
        let mut bytes = Vec::with_capacity(written);
        for part in parts.iter().filter(|part| part.iov_len > 0) {
            let length = part.iov_len.min(written - bytes.len());
            // SAFETY: the caller waits in a call that reads these bytes.
            bytes.extend_from_slice(unsafe { slice::from_raw_parts(part.iov_base.cast(), length) });
        }
        bytes
    }

    fn sync(&self, recording: &mut Recording) -> Option<Outcome> {
        let (node, path) = self.file(recording)?;
        let event =
            if path.is_dir() { Event::SyncDirectory { directory: node } } else { Event::SyncFile { file: node } };
        Some(self.noted(|| recording.events.push(event)))
    }

    fn rename(&self, recording: &mut Recording, from: &Path, to: &Path) -> Option<Outcome> {
        if !from.starts_with(&recording.root) && !to.starts_with(&recording.root) {
            return None;
        }
        assert!(!from.is_dir(), "renames of directories are not recorded: {from:?}");
        // The other kinds: not over another file, or an exchange. Only the former changes nothing in the record.
        let flags = if self.number == libc::SYS_renameat2 { self.arguments[4] } else { 0 };
        assert!(flags <= u64::from(libc::RENAME_NOREPLACE), "{from:?}: {flags}");
        Some(self.noted(|| recording.renamed(from, to)))
    }

    fn remove(&self, recording: &mut Recording, path: &Path) -> Option<Outcome> {
        recording.node(path)?;
        Some(self.noted(|| recording.removed(path)))
    }

    fn make_directory(&self, recording: &mut Recording, path: &Path) -> Option<Outcome> {
        path.starts_with(&recording.root).then(|| self.noted(|| recording.made(path, true)))
    }
}

/// An `int` argument: its lower half.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "an int in a register")]
fn descriptor(argument: u64) -> i32 {
    argument as u32 as i32
}

fn path_of(fd: i32) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}
