//! tracing

pub mod model;
