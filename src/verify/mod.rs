//! Proof that both sides hold the same: what DynamoDB has, compared with what MySQL says that the contract means.
//!
//! Nothing is asked of `view` or of its state: MySQL computes the items ([`crate::plan::select`]), and they are read here
//! ([`source`]) apart from what writes them.

pub mod canonical;
pub mod json;
pub mod source;
