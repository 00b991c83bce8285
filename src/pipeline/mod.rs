//! From items to lanes: mutations in order, bounded in items and bytes, and what is durable.
//!
//! One thread pushes mutations into the [`Feed`], sequence by sequence. Each key belongs to one lane, a task that has at
//! most one request under way; while it waits for the answer the lane's newer mutations gather, and of several for one
//! key only the last is written. [`Progress`] tells which sequences are durable: always a prefix, never with a gap.
//!
//! ```text
//!  view ──► Feed ──► lane ──► Writer ──► DynamoDB
//!  (thread)   ▲       │ ╲
//!             │       │  late requests keep their keys blocked
//!          budget ◄───┴──► tracker ──► Progress
//! ```

mod budget;
mod feed;
mod lane;
mod slots;
mod tracker;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use feed::{Closed, Feed};
pub use tracker::{Control, Durable, Gauges, Left, Progress, Rejection};
pub use writer::{Batch, Fate, MAX_REQUEST_BYTES, MAX_REQUEST_ITEMS, Outcome, Writer};

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

/// How much may be under way, and how long the target may refuse.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of lanes, that is of requests at the same time; at least 1.
    pub lanes: usize,
    /// Most mutations that are accepted and not durable.
    pub max_items: usize,
    /// Most bytes ([`Mutation::weight`]) that are accepted and not durable. A mutation heavier than this passes alone.
    pub max_bytes: usize,
    /// Most sequences whose completion has not been handed out by [`Progress::next`].
    pub max_open_sequences: usize,
    /// Backoff after a round in which nothing could be written: a random time up to `base * 2^n`, `cap` at most.
    pub backoff_base: Duration,
    pub backoff_cap: Duration,
    /// An item that is not taken for so long, whatever becomes of others, stops the pipeline.
    pub retry_for: Duration,
    /// How long a request whose answer was lost may still be applied by the target.
    pub late_after: Duration,
}

impl Default for Options {
    /// For requests of ten seconds at most.
    fn default() -> Self {
        Self::for_requests_of(Duration::from_secs(10))
    }
}

impl Options {
    /// For a writer whose requests end after `timeout`, with or without an answer. One that is lost on the way may
    /// still be under way then: in the buffers of the network, or before a server that is busy.
    pub fn for_requests_of(timeout: Duration) -> Self {
        Self {
            lanes: 16,
            // Twenty full requests for each lane: none idles, and what waits stays in the processor's caches.
            max_items: 8_000,
            max_bytes: 128 << 20,
            max_open_sequences: 20_000,
            backoff_base: Duration::from_millis(25),
            backoff_cap: Duration::from_secs(5),
            retry_for: Duration::from_secs(15 * 60),
            late_after: timeout * 3,
        }
    }
}

/// Starts the lanes, on a thread of their own: that is enough for more than DynamoDB takes, and tasks that share a thread wake
/// each other without the kernel. Only where there is no such thread they run on `runtime`. The [`Feed`] goes to the thread that makes the mutations, [`Progress`] to the task
/// that commits what is durable; `C` is what a sequence carries from the one to the other. Dropping the feed ends the
/// pipeline once everything accepted is durable.
pub fn start<C: Send + 'static>(
    options: Options,
    writer: Arc<impl Writer>,
    runtime: &Handle,
) -> (Feed<C>, Progress<C>) {
    let budget = Arc::new(budget::Budget::new(
        options.max_items,
        options.max_bytes,
        options.max_open_sequences,
    ));
    let stop = CancellationToken::new();
    let depth = Arc::new(AtomicUsize::new(0));
    let tracker = Arc::new(tracker::Tracker::new(
        Arc::clone(&budget),
        stop.clone(),
        Arc::clone(&depth),
    ));
    let tasks = TaskTracker::new();
    let runtime = thread(tasks.clone()).unwrap_or_else(|| runtime.clone());
    let options = Arc::new(options);
    let lanes = (0..options.lanes.max(1))
        .map(|_| {
            let (sender, inbox) = tokio::sync::mpsc::unbounded_channel();
            let lane = lane::Lane::new(
                inbox,
                Arc::clone(&writer),
                Arc::clone(&tracker) as Arc<dyn tracker::Acknowledge>,
                Arc::clone(&budget),
                Arc::clone(&options),
                Arc::clone(&depth),
            );
            tasks.spawn_on(lane.run(stop.clone()), &runtime);
            sender
        })
        .collect();
    tasks.close();
    (
        Feed::new(lanes, budget, Arc::clone(&tracker)),
        Progress::new(tracker),
    )
}

/// A thread for tasks; it ends with the last of them.
fn thread(tasks: TaskTracker) -> Option<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("lanes".into())
        .spawn(move || runtime.block_on(tasks.wait()))
        .ok()?;
    Some(handle)
}
