//! What happened to a row: the change, with its before and after image.
//!
//! Snapshot and stream speak this one language, so that the same row gives the same item whichever way it came.

pub mod charset;
mod coded;
pub mod collation;
pub(crate) mod decimal;
mod float;
mod json;
pub(crate) mod jsonb;
pub(crate) mod short;
mod text;
mod value;

pub use coded::Text;
pub use decimal::Decimal;
pub use float::{
    write_f32 as write_float, write_f64 as write_double, write_fixed as write_fixed_float,
};
pub use json::Json;
pub use text::{Textual, write_int, write_uint};
pub(crate) use text::{padded, write_clock, write_date, write_fraction};
pub use value::{Temporal, TimeOfDay, Value};

/// One row, reduced to the columns that the plan uses, in the order of the plan's slots
/// (`plan::SourceTable::columns`).
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    pub values: Vec<Value<'a>>,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<'a> {
    Insert { after: Row<'a> },
    Update { before: Row<'a>, after: Row<'a> },
    Delete { before: Row<'a> },
}
