//! `migrationContract.json`: what a person wrote, with the place of every part.
//!
//! [`parse`](parse::parse) turns the text into a [`Contract`] and collects everything that is wrong with its shape;
//! `plan::compile` resolves it against the tables and collects everything that is wrong with its meaning. Nothing
//! after the plan sees a `Contract`.

pub mod diagnostic;
pub mod model;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use model::Contract;
