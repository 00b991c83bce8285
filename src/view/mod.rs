//! From row changes to mutations: the plan, executed.
//!
//! A projection that needs its driving row only is stateless: before and after image give the mutations. A
//! [`Projector`] computes them, each row by itself, without looking anything up.
//!
//! `evaluate` finds an attribute's value, `transform` and `date` change it, `convert` gives it its type. DynamoDB's rules
//! (sizes, keys, numbers, nesting) are checked while `item` writes, so that an item that leaves this module is one that
//! DynamoDB takes.

pub mod cascade;
mod construct;
mod convert;
mod date;
pub mod encoding;
mod evaluate;
mod item;
mod joined;
pub mod joins;
mod json;
mod number;
mod program;
mod projector;
mod reason;
mod scene;
mod source_key;
pub mod state;
mod transform;

pub use item::{
    MAX_DEPTH, MAX_ITEM_BYTES, MAX_NAME_BYTES, MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES,
};
pub use projector::{Outcome, Projector};
pub use reason::{Fault, Reason};
pub use source_key::{CODES, source_key};
