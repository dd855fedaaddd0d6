//! Limits of one file system, with EFS's modern values as defaults (Architecture section 3, "Limits").

use std::time::Duration;

/// Settings of one file system. Small values make limits testable.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest name in bytes (at most 255).
    pub name_bytes_max: usize,
    /// Longest symlink target in bytes.
    pub symlink_bytes_max: usize,
    /// Most names of one file.
    pub links_max: u32,
    /// Largest file.
    pub file_bytes_max: u64,
    /// Deepest directory.
    pub depth_max: u16,
    /// How old unstable data may get before it is flushed in the background.
    pub dirty_age: Duration,
    /// Unstable bytes of one file at which a flush starts in the background.
    pub dirty_bytes: usize,
    /// Inline bytes at which they are packed into a segment.
    pub pack_bytes: usize,
    /// How old inline bytes may get before they are packed.
    pub pack_age: Duration,
    /// How long a file rests before its map entries are merged.
    pub merge_age: Duration,
    /// Dead bytes in segments that are put up with beside those that are in proportion to what is alive.
    pub dead_slack_bytes: u64,
    /// How long an unwrapped key may be used, from the start of its unwrapping; at most
    /// [`TERM_MAX`](crate::lease::TERM_MAX).
    pub key_lease: Duration,
    /// Operations that may wait in the commit queue.
    pub queue_operations_max: usize,
    /// Bits of the name PRF in a cookie: 63. Less only in tests that want collisions.
    pub cookie_bits: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name_bytes_max: 255,
            symlink_bytes_max: 4080,
            links_max: 177,
            file_bytes_max: 52_673_613_135_872,
            depth_max: 1000,
            dirty_age: Duration::from_secs(5),
            dirty_bytes: 8 << 20,
            pack_bytes: 4 << 20,
            pack_age: Duration::from_secs(5),
            merge_age: Duration::from_secs(600),
            dead_slack_bytes: 32 << 20,
            key_lease: Duration::from_secs(60),
            queue_operations_max: 4096,
            cookie_bits: 63,
        }
    }
}
