//! Parity: whether DynamoDB holds what the contract defines over MySQL's rows.
//!
//! Nothing is asked of `view` or of its state: MySQL computes the items ([`crate::plan::select`]), and they are read here
//! ([`source`]) apart from what writes them.

pub mod canonical;
pub mod json;
pub mod source;
mod standing;

pub use standing::{Owed, Pass, Standing};
