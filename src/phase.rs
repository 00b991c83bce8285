//! Where the daemon stands, as `/status`, `/readyz` and the metrics show it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The daemon's phases. Matched exhaustively wherever something depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Rows are being copied; the stream runs beside it.
    Snapshot,
    /// The copy is complete; the stream is behind the source.
    Streaming,
    /// The copy is complete and the stream is at the source's end.
    Ready,
    /// No more is read; what is in flight is being written.
    Draining,
    /// The application has moved: nothing is ever written again.
    CutOver,
    /// A cutover was given up.
    Aborted,
    /// An operator holds the stream.
    Paused,
    /// A terminal error; the process stays up to tell it.
    Stopped,
    /// Only a new snapshot helps.
    ResnapshotRequired,
}

impl Phase {
    /// Every phase, in the order of a migration.
    pub const ALL: [Phase; 9] = [
        Phase::Snapshot,
        Phase::Streaming,
        Phase::Ready,
        Phase::Draining,
        Phase::CutOver,
        Phase::Aborted,
        Phase::Paused,
        Phase::Stopped,
        Phase::ResnapshotRequired,
    ];

    /// The name in `/status`, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Snapshot => "snapshot",
            Phase::Streaming => "streaming",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
            Phase::CutOver => "cut_over",
            Phase::Aborted => "aborted",
            Phase::Paused => "paused",
            Phase::Stopped => "stopped",
            Phase::ResnapshotRequired => "resnapshot_required",
        }
    }

    /// Whether changes flow in this phase once the snapshot is complete.
    pub fn is_streaming(self) -> bool {
        match self {
            Phase::Streaming | Phase::Ready => true,
            Phase::Snapshot
            | Phase::Draining
            | Phase::CutOver
            | Phase::Aborted
            | Phase::Paused
            | Phase::Stopped
            | Phase::ResnapshotRequired => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_json_has() {
        for phase in Phase::ALL {
            let json = serde_json::to_string(&phase).unwrap();
            assert_eq!(json, format!("\"{}\"", phase.name()));
            assert_eq!(serde_json::from_str::<Phase>(&json).unwrap(), phase);
        }
    }
}
