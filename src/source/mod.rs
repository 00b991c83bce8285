//! The MySQL side: connections, preflight, catalog, the binlog stream, its events and transactions.
//!
//! ```text
//!  Options ──► connect (queries) ──► preflight, catalog, snapshot
//!          └─► dump (replication protocol) ──► Stream (reconnects) ──► Assembler (decode thread) ──► StreamItem
//! ```

pub mod auth;
pub mod catalog;
pub mod connect;
pub mod control;
pub mod decode;
pub mod dump;
pub mod options;
pub mod payload;
pub mod preflight;
pub mod row_key;
pub mod snapshot;
pub mod statement;
pub mod stream;
pub mod tls;
pub mod transaction;
mod tunnel;
pub mod wire;

#[cfg(test)]
mod live_tests;

pub use options::{Options, Secret, TlsMode};
