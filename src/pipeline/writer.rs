//! What the lanes ask of the target.

use std::future::Future;

use super::{Action, Mutation};
use crate::error::Error;
use crate::plan::TargetId;

/// Most items of one request.
pub const MAX_REQUEST_ITEMS: usize = 25;
/// Most bytes of one request: DynamoDB takes 16 MB; this leaves room for what frames the items.
pub const MAX_REQUEST_BYTES: usize = 16_000_000;

/// What goes out in one request: at most [`MAX_REQUEST_ITEMS`], no key twice.
#[derive(Debug)]
pub struct Batch {
    pub writes: Vec<Mutation>,
}

/// What became of one mutation of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The target has it, durably.
    Written,
    /// The target does not have it and never will from this attempt.
    NotWritten,
    /// Nobody knows: it may have been written, and it may still be.
    Unknown,
    /// The target will never take it, for this reason (without values of the row). The key has no item now.
    Rejected(String),
}

/// What became of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// For each of the batch's writes, in order.
    pub fates: Vec<Fate>,
    /// Why some are not written, if the target said so.
    pub trouble: Option<Error>,
}

/// One attempt to write a batch to the target.
///
/// - **Order.** A lane calls `write` again only after the last call returned, so calls for the same key never overlap
///   and come in the order of the stream. Calls for different keys do overlap.
/// - **Duplicates.** A mutation may be written more than once: after `NotWritten` or `Unknown` the same one comes again,
///   or, after `NotWritten` only, a newer one in its place. Puts replace the whole item and deletes do not mind a
///   missing one, so repeating is harmless.
/// - **`Written`** means durable at the target: the checkpoint may move over it.
/// - **`Unknown`** is owed whenever the request may have reached the target and no answer tells what it did. The
///   lane then repeats exactly this value, and keeps newer ones back for as long as the first request may be late.
/// - An **error** means that retrying cannot help; it stops the pipeline. A writer does not wait and retry by itself,
///   but it may hold a call back to keep to a rate.
/// - The future may be dropped at any time; what was under way is then unknown, and is never acknowledged.
pub trait Writer: Send + Sync + 'static {
    fn write(&self, batch: &Batch) -> impl Future<Output = Result<Outcome, Error>> + Send;

    /// A mutation for `target` was replaced by a newer one before it was sent; to be counted.
    fn superseded(&self, _target: TargetId) {}
}

impl Outcome {
    /// All writes of `batch` share one fate.
    pub fn all(batch: &Batch, fate: &Fate, trouble: Option<Error>) -> Self {
        Self {
            fates: vec![fate.clone(); batch.writes.len()],
            trouble,
        }
    }
}

/// Bytes that a mutation takes in a request's body, with what frames it.
pub(super) fn request_bytes(mutation: &Mutation) -> usize {
    40 + match &mutation.action {
        Action::Put { item, .. } => item.len(),
        Action::Delete => mutation.key.0.len(),
    }
}
