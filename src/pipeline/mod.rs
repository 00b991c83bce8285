//! From items to lanes: mutations in order, bounded in items and bytes, and what is durable.

use std::sync::Arc;

use bytes::Bytes;

use crate::plan::{ProjectionId, TargetId};

/// The number of a transaction (or of a snapshot chunk), in the order of the stream; starts at 1 with each run.
pub type Sequence = u64;

/// An item's key: the JSON object of its key attributes as DynamoDB's wire has it
/// (`{"PK":{"S":"USER#1"},"SK":{"N":"7"}}`), partition key first, numbers normalized. Two keys are the same
/// item exactly when table and these bytes are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Bytes);

/// Which row an item comes from: what a dead letter names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub projection: ProjectionId,
    /// The driving row's primary key: its values as text, joined by `,`.
    pub source_key: Arc<str>,
}

/// What is to be written for one key. The last one for a key wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    pub target: TargetId,
    pub key: Key,
    pub origin: Origin,
    pub action: Action,
}

/// Put or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The whole item, as the JSON object that DynamoDB's wire has under `Item`; key attributes included.
    /// `size` is the item's size as DynamoDB counts it, in bytes.
    Put {
        item: Bytes,
        size: usize,
    },
    Delete,
}

impl Mutation {
    /// Bytes that this mutation holds in memory, near enough for a budget.
    pub fn weight(&self) -> usize {
        let item = match &self.action {
            Action::Put { item, .. } => item.len(),
            Action::Delete => 0,
        };
        item + self.key.0.len() + self.origin.source_key.len() + 160
    }
}
