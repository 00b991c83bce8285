//! Parity: whether DynamoDB holds what the contract defines over MySQL's rows.

mod standing;

pub use standing::{Owed, Pass, Standing};
