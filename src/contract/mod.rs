//! `migrationContract.json`: what a person wrote, with the place of every part.
//!
//! [`parse()`] turns the text into a [`Contract`] and collects everything that is wrong with its shape;
//! `plan::compile` resolves it against the tables and collects everything that is wrong with its meaning. Nothing
//! after the plan sees a `Contract`.
//!
//! ```text
//!  text ──► json (places) ──► parse (against spec) ──► Contract
//!                               │                spec ──► schema (for editors)
//!                               └──► Diagnostics ──► render
//! ```

pub mod diagnostic;
pub mod format;
pub mod json;
pub mod model;
pub mod parse;
pub mod render;
pub mod schema;
pub mod spec;
pub mod template;

#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use model::Contract;
pub use parse::{MAX_BYTES, parse, parse_bytes};
pub use render::{render, render_json};
