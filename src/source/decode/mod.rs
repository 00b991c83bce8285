//! From binlog bytes to row changes: pure computation, no I/O.
//!
//! [`Event`] frames, [`TableMap`] describes a table as the server saw it, [`Layout`] binds that to the columns a plan
//! reads, and [`RowsEvent`] gives the changes. [`text`] reads the same values from a result set, so that snapshot and
//! stream agree. Nothing here panics, whatever the bytes: lengths are checked against what is there, and nothing is
//! allocated by a length that the bytes do not cover.

mod cursor;
mod error;
pub mod event;
mod json_dom;
mod json_path;
mod labels;
mod layout;
mod metadata;
mod rows;
mod table_map;
mod temporal;
pub mod text;
mod value;
pub mod wire;

#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use event::{Checksum, Event, FormatDescription, Header};
pub use layout::Layout;
pub use metadata::{KeyPart, Metadata};
pub use rows::{Rows, RowsEvent, RowsKind};
pub use table_map::{MapColumn, TableMap};
