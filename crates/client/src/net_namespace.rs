//! `netns=`: everything after this, name resolution and the tunnel's start included, happens in that network namespace.

use std::{fs::File, os::fd::AsFd as _, path::Path};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The network namespace that a thread has left.
#[derive(Debug)]
pub struct Outside(File);

/// Moves the calling thread, and whatever it starts, into the namespace at `path`; gives the one that it left.
///
/// # Errors
/// The file is missing or is no network namespace.
pub fn enter(path: &Path) -> std::io::Result<Outside> {
    let outside = File::open("/proc/thread-self/ns/net")?;
    join(&File::open(path)?)?;
    Ok(Outside(outside))
}

impl Outside {
    /// Runs `work` outside, in a thread of its own: what it starts serves the whole machine and not the namespace.
    ///
    /// # Errors
    /// The way out is closed; `work` was not run.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        let there = || join(&self.0).map(|()| work());
        std::thread::scope(|scope| scope.spawn(there).join())
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread outside panicked")))
    }
}

fn join(namespace: &File) -> std::io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    /// setns(2): a file that is no namespace is refused.
    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(super::enter(file.path()).is_err());
    }
}
