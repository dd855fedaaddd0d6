//! The operations of STS that are served, one file each.

pub mod get_caller_identity;
