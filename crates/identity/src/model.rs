//! The services' models, generated.

pub mod iam;
pub mod sts;
