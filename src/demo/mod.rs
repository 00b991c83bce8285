//! The demonstration: a sample shop in MySQL and a write load on it. The tests use both.

mod compare;
pub mod load;
pub mod sample;
mod show;

pub use show::{Options, Say, Summary, run};
