//! Parity: whether DynamoDB holds what the contract defines over MySQL's rows.
//!
//! Nothing is asked of `view` or of its state: MySQL computes the items ([`crate::plan::select`]), and they are read here
//! ([`source`]) apart from what writes them.

pub mod canonical;
pub mod extra;
pub mod flow;
pub mod json;
pub mod judge;
mod own;
pub mod pass;
pub mod progress;
pub mod rate;
pub mod report;
pub mod session;
mod settle;
pub mod source;
mod standing;
pub mod target;
mod tracker;

pub use standing::{Owed, Pass, Standing};
