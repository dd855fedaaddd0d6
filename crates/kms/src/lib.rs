//! hex

pub mod model;
