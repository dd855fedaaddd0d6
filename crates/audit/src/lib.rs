//! libc
