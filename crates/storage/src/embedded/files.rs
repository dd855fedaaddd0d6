//! Files of segments kept open, for all shards together, and the calls on them that std does not have.
#![expect(
    unsafe_code,
    reason = "preadv2, pwritev with many buffers, SEEK_DATA and fadvise have no safe interface in std"
)]

use std::{
    collections::HashMap,
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{BufMut as _, Bytes, BytesMut};
use parking_lot::RwLock;

use crate::SegmentId;

/// As many buffers as one system call takes.
const BUFFERS_MAX: usize = 1024;

/// Which shard (a number of this process) and which of its segments.
pub(crate) type FileKey = (u64, SegmentId);

/// The files open now, up to a number; beyond it the one unused for longest is closed.
pub(crate) struct OpenFiles {
    capacity: usize,
    clock: AtomicU64,
    next_shard: AtomicU64,
    files: RwLock<HashMap<FileKey, (Arc<File>, AtomicU64)>>,
}

impl OpenFiles {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(8),
            clock: AtomicU64::new(0),
            next_shard: AtomicU64::new(0),
            files: RwLock::default(),
        }
    }

    /// A number that no other shard of this process has.
    pub(crate) fn new_shard(&self) -> u64 {
        self.next_shard.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, key: FileKey) -> Option<Arc<File>> {
        let files = self.files.read();
        let (file, used) = files.get(&key)?;
        used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(file.clone())
    }

    pub(crate) fn insert(&self, key: FileKey, file: Arc<File>) {
        let mut files = self.files.write();
        if files.len() >= self.capacity {
            let oldest = files.iter().min_by_key(|(_, (_, used))| used.load(Ordering::Relaxed)).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                files.remove(&oldest);
            }
        }
        files.insert(key, (file, AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed))));
    }

    pub(crate) fn remove(&self, key: FileKey) {
        self.files.write().remove(&key);
    }

    pub(crate) fn remove_shard(&self, shard: u64) {
        self.files.write().retain(|(of, _), _| *of != shard);
    }
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Never,
    Allowed,
}

/// Reads up to `out.len()` bytes at `offset` and returns how many. With [`Wait::Never`] what is not in memory ends the
/// read, perhaps with [`io::ErrorKind::WouldBlock`].
pub(crate) fn read_at(file: &File, offset: u64, out: &mut [MaybeUninit<u8>], wait: Wait) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let part = libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
        let at = libc::off_t::try_from(offset + done as u64).map_err(|_| io::ErrorKind::InvalidInput)?;
        let flags = if wait == Wait::Never { libc::RWF_NOWAIT } else { 0 };
        // SAFETY: the iovec describes `rest`, which is writable for the length of the call.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, flags) };
        match usize::try_from(read) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) if done > 0 => break,
                    // Some file systems have no RWF_NOWAIT: then every read may wait.
                    Some(libc::EOPNOTSUPP) => return Err(io::ErrorKind::WouldBlock.into()),
                    _ => return Err(error),
                }
            }
        }
    }
    Ok(done)
}

/// Reads exactly `length` bytes into a fresh buffer; fewer if the file ends or, with [`Wait::Never`], if the rest is not
/// in memory.
pub(crate) fn read_buffer(file: &File, offset: u64, length: usize, wait: Wait) -> io::Result<BytesMut> {
    let mut buffer = BytesMut::with_capacity(length);
    let spare = buffer.spare_capacity_mut();
    let length = length.min(spare.len());
    let out = spare.get_mut(..length).unwrap_or_default();
    let read = read_at(file, offset, out, wait)?;
    // SAFETY: `read_at` has initialised the first `read` bytes of the spare capacity.
    unsafe { buffer.advance_mut(read) };
    Ok(buffer)
}

/// Asks the system to read this part of a file into its cache. It starts the reads and does not wait for them.
pub(crate) fn prefetch(file: &File, offset: u64, length: u32) {
    if let Ok(offset) = libc::off_t::try_from(offset) {
        // SAFETY: the call takes numbers only. It is a hint: an error of it changes nothing.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, length.into(), libc::POSIX_FADV_WILLNEED) };
    }
}

/// Where the next bytes at or after `offset` are that are not a hole; nothing if only holes follow.
pub(crate) fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let from = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call only moves the position of a file that we read by offsets.
    let found = unsafe { libc::lseek(file.as_raw_fd(), from, libc::SEEK_DATA) };
    match u64::try_from(found) {
        Ok(found) => Ok(Some(found)),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
    }
}

/// Where the first hole at or after `offset` begins, or the end of the file.
pub(crate) fn next_hole(file: &File, offset: u64) -> io::Result<u64> {
    let from = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call only moves the position of a file that we read and write by offsets.
    let found = unsafe { libc::lseek(file.as_raw_fd(), from, libc::SEEK_HOLE) };
    u64::try_from(found).map_err(|_| io::Error::last_os_error())
}

/// The same bytes as not yet written ones.
pub(crate) fn as_uninit(out: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: u8 and MaybeUninit<u8> have one layout, and `read_at` only ever writes initialised bytes to it.
    unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast(), out.len()) }
}

/// Writes all parts back to back at `offset`, without copying them together.
pub(crate) fn write_at(file: &File, mut offset: u64, parts: &[&Bytes]) -> io::Result<()> {
    for parts in parts.chunks(BUFFERS_MAX) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        // Leaves out empty parts, which would look like a write that makes no progress.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let at = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
            let count = libc::c_int::try_from(rest.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            // SAFETY: IoSlice has the layout of iovec; each describes a part that outlives the call and is only read.
            let written = unsafe { libc::pwritev(file.as_raw_fd(), rest.as_ptr().cast(), count, at) };
            match usize::try_from(written) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 4: parts are written back to back, however many there are, and read again anywhere.
    #[test]
    fn many_parts_come_back_as_one() {
        let file = tempfile::tempfile().unwrap();
        let parts: Vec<Bytes> = (0..3000_usize).map(|i| Bytes::from(vec![i.to_le_bytes()[0]; i % 5])).collect();
        let whole: Vec<u8> = parts.iter().flatten().copied().collect();
        write_at(&file, 100, &parts.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(&read_buffer(&file, 100, whole.len(), Wait::Allowed).unwrap()[..], whole);
        assert_eq!(read_buffer(&file, 100, whole.len() + 50, Wait::Allowed).unwrap().len(), whole.len());
        let mut middle = [0; 10];
        assert_eq!(read_at(&file, 150, as_uninit(&mut middle), Wait::Allowed).unwrap(), 10);
        assert_eq!(middle, whole[50..60]);
    }

    /// Architecture section 4, process budgets: open files are bounded, and the one unused for longest goes first.
    #[test]
    fn the_least_used_file_is_closed() {
        let open = OpenFiles::new(8);
        let shard = open.new_shard();
        let file = Arc::new(tempfile::tempfile().unwrap());
        for number in 0..20 {
            open.insert((shard, SegmentId(number)), file.clone());
            assert!(open.get((shard, SegmentId(0))).is_some());
        }
        assert_eq!(open.files.read().len(), 8);
        open.remove_shard(shard);
        assert!(open.files.read().is_empty());
    }
}
