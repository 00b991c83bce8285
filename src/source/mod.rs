//! MySQL as the source of changes.

pub mod decode;
