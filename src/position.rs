//! How far the stream has come: GTID sets, and the position that a checkpoint holds.

/// What has been executed or received: intervals of transaction numbers by server UUID and tag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GtidSet {}

/// A position in the binlog. Opaque outside `source`: it only moves at the ends of transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    pub gtids: GtidSet,
    /// For people, and to tell how much of the binlog is still to come; not used to resume.
    pub file: String,
    /// Counted in 64 bits: event headers wrap at 4 GiB.
    pub offset: u64,
}
