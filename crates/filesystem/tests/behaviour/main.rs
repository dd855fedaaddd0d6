//! What a file system promises to its callers, on working and on failing storage. One program, so that it is built and linked
//! once.

mod cleaning;
mod concurrency;
mod data;
mod disks;
mod failing_disk;
mod faults;
mod flushing;
mod fsck;
mod key_separation;
mod keys;
mod losses;
mod memory;
mod namespace;
mod orphans;
#[path = "../rig/mod.rs"]
mod rig;
mod seals;
mod space;
mod tampering;
mod time;
