//! `netns=`: everything after this, name resolution and the tunnel's start included, happens in that network namespace.

use std::{fs::File, os::fd::AsFd as _, path::Path};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Moves the calling thread, and whatever it starts, into the namespace at `path`.
///
/// # Errors
/// The file is missing or is no network namespace.
pub fn enter(path: &Path) -> std::io::Result<()> {
    let namespace = File::open(path)?;
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
