//! Preloaded into a program (`LD_PRELOAD`) it stands before the C library's allocator and its copying, and counts calls and
//! bytes in the file that `CALL_COUNTER_FILE` names, which others read meanwhile: so many native 64-bit numbers as there are
//! in `counts`, in its order. Empty on systems without glibc.
//!
//! Counted is what the program calls: also what the compiler makes of moves and of slices, unless it is so short that it
//! becomes a few instructions on the spot. Not counted is what is copied by other means: by the kernel, and by ciphers
//! that do not work in place.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(unsafe_code, reason = "the C library's functions are replaced")]

mod allocator;
mod copying;
mod counts;
