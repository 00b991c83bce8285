//! The hand-over from the thread that makes mutations to the lanes: the one place where a thread meets the runtime.

use std::fmt;
use std::sync::Arc;

use ahash::RandomState;
use tokio::sync::mpsc::UnboundedSender;

use super::budget::Budget;
use super::tracker::{Control, Tracker};
use super::{Key, Mutation, Sequence};
use crate::plan::TargetId;

/// Mutations of one lane that are handed over together: more than a request takes, so that requests are full.
const HAND_OVER: usize = 32;

/// A mutation on its way to its lane.
pub(super) struct Fed {
    pub sequence: Sequence,
    /// Of target and key.
    pub hash: u64,
    pub mutation: Mutation,
}

/// The pipeline takes no more: it was aborted, or it has stopped with an error, which `Progress` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pipeline has stopped")
    }
}

impl std::error::Error for Closed {}

/// Where mutations go in. Owned by one thread, which it blocks when the budgets are used up.
///
/// The order is strict: `open`, any number of `push`, `close`, and again. A sequence that is never closed is never
/// durable, nor is any after it.
pub struct Feed<C> {
    lanes: Vec<UnboundedSender<Vec<Fed>>>,
    /// For each lane, what waits for the hand-over.
    local: Vec<Vec<Fed>>,
    waiting: usize,
    hasher: RandomState,
    next: Sequence,
    open: Option<Sequence>,
    /// Pushed under the open sequence and not yet told to the tracker.
    untold: usize,
    budget: Arc<Budget>,
    tracker: Arc<Tracker<C>>,
}

impl<C> Feed<C> {
    pub(super) fn new(
        lanes: Vec<UnboundedSender<Vec<Fed>>>,
        budget: Arc<Budget>,
        tracker: Arc<Tracker<C>>,
    ) -> Self {
        Self {
            local: lanes.iter().map(|_| Vec::new()).collect(),
            lanes,
            waiting: 0,
            hasher: RandomState::new(),
            next: 1,
            open: None,
            untold: 0,
            budget,
            tracker,
        }
    }

    /// Opens the next sequence; blocks while too many are not durable. A sequence left open is continued.
    pub fn open(&mut self) -> Sequence {
        if let Some(open) = self.open {
            return open;
        }
        while !self.budget.try_take_sequence() && !self.budget.is_closed() {
            self.budget.wait_for_sequence();
        }
        let sequence = self.next;
        self.next += 1;
        self.open = Some(sequence);
        self.tracker.open(sequence);
        sequence
    }

    /// Hands a mutation in under the open sequence `sequence`. Blocks while the budgets are used up.
    pub fn push(&mut self, sequence: Sequence, mutation: Mutation) -> Result<(), Closed> {
        debug_assert_eq!(self.open, Some(sequence), "push outside of the sequence");
        let weight = mutation.weight();
        while !self.budget.try_take(weight) {
            // What waits here holds budget: it has to be under way before we may wait for it.
            self.flush();
            self.budget.wait_for_item(weight);
            if self.budget.is_closed() {
                return Err(Closed);
            }
        }
        let hash = self.hash(mutation.target, &mutation.key);
        let lane = self.lane(hash);
        self.waiting += 1;
        self.untold += 1;
        if let Some(local) = self.local.get_mut(lane) {
            local.push(Fed {
                sequence,
                hash,
                mutation,
            });
            if local.len() >= HAND_OVER {
                self.hand_over(lane);
            }
        }
        if self.budget.is_closed() {
            return Err(Closed);
        }
        Ok(())
    }

    /// Closes the sequence: when all of its mutations and all sequences before it are durable, `Progress` gives
    /// `completion`.
    pub fn close(&mut self, sequence: Sequence, completion: C) {
        debug_assert_eq!(self.open, Some(sequence), "close of another sequence");
        self.flush();
        self.open = None;
        self.tracker.close(sequence, completion);
    }

    /// Stops the lanes at once; what is not durable stays so. `Progress` ends.
    pub fn abort(&self) {
        self.tracker.end();
    }

    /// A handle for whoever watches or drains.
    pub fn control(&self) -> Control
    where
        C: Send + 'static,
    {
        Control::new(Arc::clone(&self.tracker) as _)
    }

    fn hash(&self, target: TargetId, key: &Key) -> u64 {
        self.hasher.hash_one((target.0, key.0.as_ref()))
    }

    /// From bits in the middle: a lane's own table of keys looks at both ends of the hash.
    fn lane(&self, hash: u64) -> usize {
        let middle = (hash >> 24) & 0xffff_ffff;
        let lane = (middle * self.lanes.len() as u64) >> 32;
        usize::try_from(lane).unwrap_or_default()
    }

    fn flush(&mut self) {
        self.tell();
        if self.waiting > 0 {
            for lane in 0..self.lanes.len() {
                self.hand_over(lane);
            }
        }
    }

    fn hand_over(&mut self, lane: usize) {
        self.tell();
        if let (Some(local), Some(lane)) = (self.local.get_mut(lane), self.lanes.get(lane))
            && !local.is_empty()
        {
            self.waiting -= local.len();
            // A lane that is gone has been stopped: the budget is closed then, and the next push says so.
            let _ = lane.send(std::mem::replace(local, Vec::with_capacity(HAND_OVER)));
        }
    }

    /// Tells the tracker, before a lane can acknowledge.
    fn tell(&mut self) {
        if self.untold > 0
            && let Some(open) = self.open
        {
            self.tracker.add(open, self.untold);
            self.untold = 0;
        }
    }
}

impl<C> Drop for Feed<C> {
    fn drop(&mut self) {
        self.flush();
        self.tracker.no_more();
    }
}
