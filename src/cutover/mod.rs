//! The cutover: what must hold before the application may move, and the steps that prove it once more at that instant.
//!
//! ```text
//!  gates ─► drain to the position read after writes stopped ─► compare what changed ─► seal the sink ─► gates ─► cut_over
//!    └────────────┴──────────────┴── anything else: refused, the sink is unsealed, the stream goes on ──┘
//! ```
//!
//! This module decides and says; the daemon reads, waits and writes for it.

mod gates;
mod machine;
mod report;

use serde::{Deserialize, Serialize};

pub use gates::{Gate, Moment, ReadOnly, Readings, Thresholds, gates, shut};
pub use machine::{Action, Ending, Event, Machine};
pub use report::{Counts, Entry, Position, Report, Sealed, Times, Versions, cell, utc};

/// The name of the fact that the checkpoint keeps.
pub const FACT: &str = "cutover";

/// What the command asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Only say what the gates say.
    #[serde(default)]
    pub dry_run: bool,
    /// How long gates may stay shut before that is the answer.
    #[serde(default)]
    pub wait_seconds: u64,
    /// The server must refuse writes.
    #[serde(default)]
    pub expect_read_only: bool,
}

impl Options {
    /// What they ask for beyond the cutover itself, in words.
    pub fn words(&self) -> String {
        let waits = (self.wait_seconds > 0)
            .then(|| format!("waits up to {} s for the gates", self.wait_seconds));
        let asks = self
            .expect_read_only
            .then(|| "MySQL must refuse writes".to_owned());
        let words: Vec<String> = [asks, waits].into_iter().flatten().collect();
        words.join(", ")
    }
}

/// What the checkpoint knows of cutovers. The one with the higher serial is the newer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Counts cutovers and reopenings.
    pub serial: u64,
    pub state: State,
    pub at_unix_ms: u64,
    /// Of the cutover that stands, or that was reopened.
    pub report: Report,
}

/// Whether the sink may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Never again, restarts included.
    CutOver,
    /// An operator has taken the cutover back.
    Reopened,
}

/// Where a cutover is, for who waits for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Counts changes: a long poll waits for the next one.
    pub version: u64,
    /// Which attempt of this daemon it is.
    pub attempt: u64,
    /// What it is doing, in words.
    pub step: String,
    /// As they were last read.
    pub gates: Vec<Gate>,
    /// How it ended; null while it goes on.
    pub outcome: Option<Outcome>,
}

/// How a cutover ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing is ever written again.
    CutOver {
        report: Box<Sealed>,
        files: Vec<String>,
        /// MySQL has taken writes since: they are not in DynamoDB.
        warning: Option<String>,
    },
    /// Nothing was changed.
    DryRun { open: bool },
    /// Not now: the gates that are shut, each with reason and remedy. The stream goes on.
    Refused { shut: Vec<Gate> },
    /// An operator gave it up. The stream goes on.
    Aborted,
    /// It could not be carried out. The stream goes on, unless it is not known whether the cutover was made.
    Failed {
        kind: String,
        reason: String,
        remedy: String,
    },
}

/// What the comparison at the end found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Items that were written since the last full comparison.
    pub items: u64,
    pub mismatches: u64,
    pub undecided: u64,
}

/// How a cutover would go now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    pub gates: Vec<Gate>,
    /// All of them are open.
    pub open: bool,
    pub drain: Drain,
    pub parity: ParityCost,
}

/// How long the drain took: a real wait until the position that was read is durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drain {
    /// Null where it did not end in time.
    pub seconds: Option<f64>,
    /// Transactions of the source that were not durable when it began.
    pub transactions: u64,
    /// Mutations that DynamoDB had not acknowledged then.
    pub in_flight: u64,
    /// Transactions that became durable in the meantime, by the second.
    pub transactions_per_second: Option<f64>,
    /// The source took no writes meanwhile.
    pub source_stood_still: bool,
}

/// What the comparison costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityCost {
    /// Items of the last full comparison, and how long it took.
    pub full_items: Option<u64>,
    pub full_seconds: Option<f64>,
    /// Items written since: what the cutover compares. Null where it is not known.
    pub changed_items: Option<u64>,
    /// How long that takes at the pace of the last full comparison.
    pub changed_seconds: Option<f64>,
}
