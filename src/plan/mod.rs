//! The contract, resolved: which rows make which items, and how.
//!
//! A plan is compiled once from a contract and a catalog, and is all that the running daemon sees of either.
//!
//! | file | what it does |
//! |---|---|
//! | `model` | the plan's types |
//! | `compile` | tables, keys and indexes of a contract → plan |
//! | `entity` | one entity: its attributes, in the order in which they need each other |
//! | `key`, `index` | keys of tables and indexes: attributes, composites, templates |
//! | `sources` | names of tables and columns → ids, with suggestions; what each table must be like |
//! | `types` | which value fits which attribute type |
//! | `sql`, `scope`, `join` | expressions parsed, their references resolved, joins and calculations |
//! | `gaps` | what of MySQL's expressions the parser does not know |
//! | `unique` | whether two rows can ever share a key |
//! | `alphabet`, `key_rows`, `determined` | what a key's text can be, whose columns it shows, which rows follow from them |
//! | `typing` | every expression typed |
//! | `graph` | the rows that an item is made of, and how they are found |
//! | `cascade` | where foreign keys change rows behind the binlog, and which of them are derived |
//! | `copy_order` | which tables are copied before which |
//! | `fingerprint` | the hash of everything that decides what the items are |
//! | `explain` | the plan as text, JSON and Mermaid |
//! | `select` | each projection as the SELECT that defines its items |

mod alphabet;
mod arrow;
mod cascade;
mod charsets;
mod compile;
mod copy_order;
mod determined;
mod entity;
pub mod explain;
mod fingerprint;
mod functions;
mod gaps;
pub mod graph;
mod index;
mod join;
mod key;
mod key_rows;
mod model;
mod scope;
pub mod select;
mod sources;
mod sql;
mod suggest;
mod types;
mod typing;
mod unique;

pub use cascade::{CascadeReach, cascades, needs_logged_cascades};
pub use compile::compile;
pub use copy_order::CopyOrder;
pub use fingerprint::column_type;
pub use functions::FUNCTIONS;
pub use model::*;
pub use sources::candidates;

#[cfg(test)]
pub(crate) mod tests;
