//! Rows that have no valid item: kept until the row's next valid change or its deletion.

use serde::{Deserialize, Serialize};

/// A row that could not be replicated, once for each projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The projection's label: `orders`, `orders/ORDER`.
    pub projection: String,
    /// The row's primary key: a row value, never to be logged.
    pub source_key: String,
    /// The DynamoDB table that the item would be in.
    pub target: String,
    /// Why, without row values.
    pub reason: String,
    /// Milliseconds since 1970.
    pub first_seen_unix_ms: u64,
    pub last_seen_unix_ms: u64,
    /// How often it was seen.
    pub count: u64,
    /// Where in the stream it was last seen, as text; empty for the snapshot.
    pub position: String,
}

/// What a commit does to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterChange {
    /// Adds the letter; where there is one for this projection and key, it keeps its first time and counts on.
    Put(DeadLetter),
    /// The row has a valid item again, or is gone.
    Clear {
        projection: String,
        source_key: String,
    },
}

/// Some of the dead letters, ordered by projection and source key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeadLetterPage {
    pub letters: Vec<DeadLetter>,
    /// What to ask for next; `None` at the end.
    pub next: Option<String>,
    /// All there are.
    pub total: u64,
}

/// The first byte of a dead letter's key in the store.
pub(super) const PREFIX: &[u8] = b"d";

/// The key in the store: ordered by projection, then source key, and never the same for two pairs.
pub(super) fn store_key(projection: &str, source_key: &str) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    for byte in projection.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
    key.extend(source_key.as_bytes());
    key
}

impl DeadLetter {
    pub(super) fn store_key(&self) -> Vec<u8> {
        store_key(&self.projection, &self.source_key)
    }

    /// This letter, seen after `earlier`.
    pub(super) fn after(mut self, earlier: &DeadLetter) -> DeadLetter {
        self.first_seen_unix_ms = self.first_seen_unix_ms.min(earlier.first_seen_unix_ms);
        self.count = self.count.saturating_add(earlier.count);
        self
    }
}
