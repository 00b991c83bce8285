//! What survives a restart: the position, the snapshot's cursors, and the dead letters.
//!
//! A [`Checkpoint`] says: everything up to `position`, and every snapshot row outside the ranges that are still
//! open, is in DynamoDB. [`Store`] keeps it, so that after any crash the last committed one is found again, or an error
//! says that it cannot be read. "There is none", "it belongs to something else" and "it cannot be read" are three answers:
//! [`Loaded::None`], the error of [`compatible`], and the error of [`Store::open`].
//!
//! All calls block (they wait for the disk): call them from a thread, or by `spawn_blocking`.

mod audit;
mod dead_letter;
mod entries;
mod files;
mod frame;
mod mirror;
mod opening;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use audit::{AuditEntry, audit_log};
pub use dead_letter::{DeadLetter, DeadLetterChange, DeadLetterPage};
pub use files::{create_directory, replace as write_file};
pub use mirror::mirrored;
pub use store::{Loaded, OpenReport, Rebuilt, Store};

use crate::error::{Error, Kind, Result};
use crate::position::Position;

/// The format of checkpoints that this version writes. Newer ones are refused, never guessed at.
pub const FORMAT_VERSION: u32 = 1;

/// A bound of a chunk: the key's columns as SQL literals, in key order.
pub type Bound = Vec<String>;

/// How far replication has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// [`FORMAT_VERSION`] of the writer.
    pub version: u32,
    /// Every transaction up to here is in DynamoDB.
    pub position: Position,
    /// Whose history the position belongs to.
    pub lineage: Lineage,
    /// `Plan::fingerprint` of the plan that wrote the items.
    pub plan_fingerprint: String,
    /// Every table has been copied.
    pub snapshot_done: bool,
    /// One entry for each table of the plan, in the order in which they are copied.
    pub snapshot: Vec<TableProgress>,
    /// When it was taken, in milliseconds since 1970.
    pub saved_at_unix_ms: u64,
    /// The store was rebuilt from its mirror: a full comparison of both sides is owed. The next start takes it over.
    #[serde(default)]
    pub verify_owed: bool,
    /// What later versions add without changing the format.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Checkpoint {
    /// A checkpoint of this version, taken now.
    pub fn new(position: Position, lineage: Lineage, plan_fingerprint: impl Into<String>) -> Self {
        Self {
            version: FORMAT_VERSION,
            position,
            lineage,
            plan_fingerprint: plan_fingerprint.into(),
            snapshot_done: false,
            snapshot: Vec::new(),
            saved_at_unix_ms: now_unix_ms(),
            verify_owed: false,
            other: BTreeMap::new(),
        }
    }
}

/// The server whose binlog the position belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// `@@server_uuid` of the server that the stream was read from.
    pub server_uuid: String,
}

/// How far the copy of one table has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgress {
    pub database: String,
    pub table: String,
    pub state: TableState,
    /// Where the chunker goes on; `None` is the start of the table.
    pub next: Option<Bound>,
    /// The chunker has reached the end of the table.
    pub exhausted: bool,
    /// Handed out and not yet durable: a restart reads these again.
    pub open: Vec<Range>,
    /// Rows that are durable in DynamoDB.
    pub rows: u64,
    /// The optimizer's estimate when the copy began.
    pub estimated_rows: u64,
}

impl TableProgress {
    /// A table of which nothing has been copied.
    pub fn pending(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            table: table.into(),
            state: TableState::Pending,
            next: None,
            exhausted: false,
            open: Vec::new(),
            rows: 0,
            estimated_rows: 0,
        }
    }

    /// Rows of the table, as far as is known. Once they are counted an estimate that was too high would leave the copy unfinished
    /// for ever.
    pub fn rows_in_all(&self) -> u64 {
        match self.state {
            TableState::Done => self.rows,
            TableState::Pending | TableState::Copying => self.estimated_rows.max(self.rows),
        }
    }
}

/// Whether a table has been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    Pending,
    Copying,
    Done,
}

impl TableState {
    /// The name in `/status`.
    pub fn name(self) -> &'static str {
        match self {
            TableState::Pending => "pending",
            TableState::Copying => "copying",
            TableState::Done => "done",
        }
    }
}

/// A range of keys: greater than `after`, up to and including `upto`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// `None` is the start of the table.
    pub after: Option<Bound>,
    /// `None` is the end of the table.
    pub upto: Option<Bound>,
}

/// Whether a checkpoint may be continued by a plan with `fingerprint`.
///
/// # Errors
/// `PlanDiffers` where it belongs to another plan: its items have another shape, and nobody would rewrite them.
pub fn compatible(checkpoint: &Checkpoint, fingerprint: &str) -> Result<()> {
    if checkpoint.plan_fingerprint == fingerprint {
        return Ok(());
    }
    Err(Error::new(
        Kind::PlanDiffers,
        format!(
            "the checkpoint was written with another contract or mapping (plan {}, now {})",
            short(&checkpoint.plan_fingerprint),
            short(fingerprint)
        ),
    ))
}

/// Milliseconds since 1970.
pub fn now_unix_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
