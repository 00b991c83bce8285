//! The demonstration: a sample shop in MySQL and a write load on it. The tests use both.

pub mod load;
pub mod sample;
