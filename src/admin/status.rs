//! The answer to `/status`: the same shape for the daemon and for who asks.

use serde::{Deserialize, Serialize};

use crate::cutover::Gate;
use crate::phase::Phase;

/// Behind by more than this, `/readyz` says no.
pub const READY_LAG_SECONDS: f64 = 10.0;

/// Where the daemon stands. Holds no row values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub uptime_seconds: u64,
    pub phase: Phase,
    /// The snapshot is complete, nothing is in flight, and the stream is at the source's position as it was read
    /// after the question was asked.
    pub caught_up: bool,
    /// Everything up to here is durable in DynamoDB.
    pub position: PositionStatus,
    pub lag_seconds: LagSeconds,
    /// Transactions of the source that were not in DynamoDB when it last told its position; null while unknown.
    #[serde(default)]
    pub behind_transactions: Option<u64>,
    /// Mutations that DynamoDB has not acknowledged.
    #[serde(default)]
    pub in_flight: u64,
    /// One entry for each table of the contract.
    pub snapshot: Vec<TableStatus>,
    /// Who holds the stream, and since when; null while nobody does.
    #[serde(default)]
    pub paused: Option<crate::daemon::Paused>,
    /// Rows without a valid item, once for each projection.
    pub dead_letters: u64,
    /// The last comparison of both sides; null where there was none.
    pub parity: Option<serde_json::Value>,
    /// What must hold before the application may move.
    pub gates: Vec<Gate>,
    /// Why the stream stopped; null while it runs.
    pub stopped: Option<Stopped>,
    /// What holds it up at present and passes by itself (MySQL away, DynamoDB refusing); empty while all is well.
    #[serde(default)]
    pub trouble: Vec<String>,
    /// What is written to: `embedded http://127.0.0.1:8000`, `aws eu-central-1`.
    pub target: String,
    /// Seconds since the last checkpoint; null before the first.
    pub checkpoint_age_seconds: Option<f64>,
}

/// A position in the binlog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionStatus {
    /// As MySQL writes a GTID set.
    pub gtids: String,
    pub file: String,
    pub offset: u64,
}

/// Seconds behind the source; null while unknown, 0 only when known to be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LagSeconds {
    /// Received from the source.
    pub read: Option<f64>,
    /// Durable in DynamoDB.
    pub apply: Option<f64>,
}

/// The copy of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatus {
    /// `shop.orders`
    pub table: String,
    /// `pending`, `copying` or `done`.
    pub state: crate::checkpoint::TableState,
    /// Rows durable in DynamoDB.
    pub rows: u64,
    /// The optimizer's estimate, which may be off by a lot.
    pub estimated_rows: u64,
    /// Chunks handed out and not yet durable.
    pub open_chunks: u64,
}

/// A terminal error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// `error::Kind::name`
    pub kind: String,
    pub reason: String,
    pub remedy: String,
}

impl From<&crate::error::Error> for Stopped {
    fn from(error: &crate::error::Error) -> Self {
        Stopped {
            kind: error.kind().name().to_string(),
            reason: error.to_string(),
            remedy: error.remedy().to_string(),
        }
    }
}

impl From<&crate::position::Position> for PositionStatus {
    fn from(position: &crate::position::Position) -> Self {
        PositionStatus {
            gtids: position.gtids.to_string(),
            file: position.file.clone(),
            offset: position.offset,
        }
    }
}

impl From<&crate::checkpoint::TableProgress> for TableStatus {
    fn from(progress: &crate::checkpoint::TableProgress) -> Self {
        TableStatus {
            table: format!("{}.{}", progress.database, progress.table),
            state: progress.state,
            rows: progress.rows,
            estimated_rows: progress.estimated_rows,
            open_chunks: progress.open.len() as u64,
        }
    }
}

impl Status {
    /// Whether readers of DynamoDB see current data; if not, why.
    pub fn readiness(&self) -> Result<(), String> {
        match self.phase {
            Phase::Streaming | Phase::Ready => {}
            Phase::Snapshot => return Err("the snapshot is not complete".into()),
            Phase::Draining => return Err("draining".into()),
            Phase::CutOver => return Err("cut over: nothing is replicated any more".into()),
            Phase::Aborted => return Err("the cutover was given up".into()),
            Phase::Paused => return Err("paused by an operator".into()),
            Phase::Stopped | Phase::ResnapshotRequired => {
                return Err(match &self.stopped {
                    Some(stopped) => format!("stopped: {}; {}", stopped.kind, stopped.remedy),
                    None => format!("phase {}", self.phase),
                });
            }
        }
        match self.lag_seconds.apply {
            None => Err("the lag is not known yet".into()),
            Some(lag) if lag <= READY_LAG_SECONDS => Ok(()),
            Some(lag) => Err(format!("{lag:.0} s behind the source")),
        }
    }
}
