//! mount.efs, efs-tunnel and amazon-efs-mount-watchdog in one binary.

fn main() {}
