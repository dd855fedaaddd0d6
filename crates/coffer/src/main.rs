//! The server and its administration.

fn main() {}
