//! What is durable: for each sequence how many mutations are still owed, and the prefix that owes nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::{Key, Origin, Sequence};
use crate::error::{Error, Result};
use crate::plan::TargetId;

/// Most rejected rows that are remembered until something newer of them is written. A row beyond that keeps a dead
/// letter too many, if its next change overtakes the news of the rejection.
const MOST_BAD: usize = 100_000;

/// What DynamoDB will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Of the mutation that was refused.
    pub sequence: Sequence,
    pub origin: Origin,
    pub target: TargetId,
    pub key: Key,
    /// In DynamoDB's words, without values of the row.
    pub reason: String,
}

/// News of what is durable.
#[derive(Debug)]
pub struct Durable<C> {
    /// Of all sequences up to the low watermark that were not told before, in order.
    pub completions: Vec<C>,
    /// The low watermark: every sequence up to it is durable.
    pub through: Sequence,
    /// Each is told no later than the completion of the sequence that it belongs to: store these first.
    pub rejected: Vec<Rejection>,
    /// Rejected rows (of now or of before) for which something newer has been written: an item in its place, or its
    /// deletion. To be taken after `rejected`.
    pub healed: Vec<Origin>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    pub items: usize,
    pub bytes: usize,
    /// Opened, and not yet handed out as durable.
    pub sequences: usize,
    /// Keys that the lanes hold, those of the requests under way included.
    pub lane_keys: usize,
}

/// What was not durable when the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    pub items: usize,
    pub sequences: usize,
}

/// Where the committer learns what is durable.
pub struct Progress<C> {
    tracker: Arc<Tracker<C>>,
}

/// Watches, drains and aborts a pipeline; any number of them, anywhere.
#[derive(Clone)]
pub struct Control {
    tracker: Arc<dyn Watch>,
}

/// What the lanes tell.
pub(super) trait Acknowledge: Send + Sync {
    /// One entry of `done` for each mutation that is owed no longer. The budget of rejections stays taken until they
    /// are handed out.
    fn settle(&self, done: &[Sequence], verdicts: Verdicts);
    /// Whether [`Verdicts::written`] is wanted: some row was rejected.
    fn watches_origins(&self) -> bool;
    /// Stops the pipeline.
    fn fail(&self, error: Error);
}

/// What a round of a lane says of rows.
#[derive(Default)]
pub(super) struct Verdicts {
    pub rejected: Vec<Rejection>,
    /// The budget of `rejected`.
    pub held: Held,
    pub written: Vec<(Sequence, Origin)>,
}

/// Budget that rejections hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub items: usize,
    pub bytes: usize,
}

trait Watch: Send + Sync {
    fn gauges(&self) -> Gauges;
    fn left(&self) -> Left;
    fn is_over(&self) -> bool;
    fn idle(&self) -> &Notify;
    fn end(&self);
}

pub(super) struct Tracker<C> {
    state: Mutex<State<C>>,
    news: Notify,
    /// Nothing is owed, or nothing will be any more.
    idle: Notify,
    budget: Arc<Budget>,
    stop: CancellationToken,
    lane_keys: Arc<AtomicUsize>,
    /// Rows in `State::bad`.
    bad: AtomicUsize,
}

struct State<C> {
    /// The sequence of the first entry.
    base: Sequence,
    entries: VecDeque<Entry<C>>,
    /// Owed mutations, over all sequences.
    owed: usize,
    rejected: Vec<Rejection>,
    healed: Vec<Origin>,
    /// Rows that were rejected last, and in which sequence.
    bad: HashMap<Origin, Sequence>,
    held: Held,
    failure: Option<Error>,
    /// Failed or aborted: nothing is acknowledged any more.
    over: bool,
    /// The feed is gone.
    no_more: bool,
}

struct Entry<C> {
    owed: usize,
    completion: Option<C>,
}

impl<C> Tracker<C> {
    pub fn new(budget: Arc<Budget>, stop: CancellationToken, lane_keys: Arc<AtomicUsize>) -> Self {
        Self {
            state: Mutex::new(State {
                base: 1,
                entries: VecDeque::new(),
                owed: 0,
                rejected: Vec::new(),
                healed: Vec::new(),
                bad: HashMap::new(),
                held: Held::default(),
                failure: None,
                over: false,
                no_more: false,
            }),
            news: Notify::new(),
            idle: Notify::new(),
            budget,
            stop,
            lane_keys,
            bad: AtomicUsize::new(0),
        }
    }

    pub fn open(&self, sequence: Sequence) {
        let mut state = self.lock();
        if state.entries.is_empty() {
            state.base = sequence;
        }
        state.entries.push_back(Entry {
            owed: 0,
            completion: None,
        });
    }

    pub fn add(&self, sequence: Sequence, count: usize) {
        let mut state = self.lock();
        state.owed += count;
        if let Some(entry) = state.entry(sequence) {
            entry.owed += count;
        }
    }

    pub fn close(&self, sequence: Sequence, completion: C) {
        let mut state = self.lock();
        if let Some(entry) = state.entry(sequence) {
            entry.completion = Some(completion);
        }
        if state.front_is_durable() {
            self.news.notify_one();
        }
    }

    /// The feed is gone: what is owed is the last.
    pub fn no_more(&self) {
        self.lock().no_more = true;
        self.news.notify_one();
    }

    /// Ends without an error.
    pub fn end(&self) {
        self.lock().over = true;
        self.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.stop.cancel();
        self.budget.close();
        self.news.notify_one();
        self.idle.notify_waiters();
    }

    /// `None`: wait for news. `Some(Ok(None))`: there will be none.
    fn take(&self) -> Option<Result<Option<Durable<C>>>> {
        let mut state = self.lock();
        let mut completions = Vec::new();
        while state.front_is_durable() {
            state.base += 1;
            completions.extend(state.entries.pop_front().and_then(|e| e.completion));
        }
        let through = state.base.saturating_sub(1);
        let rejected = std::mem::take(&mut state.rejected);
        let healed = std::mem::take(&mut state.healed);
        if completions.is_empty() && rejected.is_empty() && healed.is_empty() {
            if let Some(error) = state.failure.take() {
                return Some(Err(error));
            }
            let ended = state.over || (state.no_more && state.owed == 0);
            return ended.then_some(Ok(None));
        }
        let held = std::mem::take(&mut state.held);
        drop(state);
        self.budget.give_back_sequences(completions.len());
        self.budget.give_back(held.items, held.bytes);
        Some(Ok(Some(Durable {
            completions,
            through,
            rejected,
            healed,
        })))
    }
}

impl<C: Send> Acknowledge for Tracker<C> {
    fn watches_origins(&self) -> bool {
        self.bad.load(Relaxed) > 0
    }

    fn settle(&self, done: &[Sequence], verdicts: Verdicts) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        state.owed = state.owed.saturating_sub(done.len());
        for &sequence in done {
            if let Some(entry) = state.entry(sequence) {
                entry.owed = entry.owed.saturating_sub(1);
            }
        }
        state.judge(verdicts);
        self.bad.store(state.bad.len(), Relaxed);
        let told = !state.rejected.is_empty() || !state.healed.is_empty();
        let news = told || state.front_is_durable() || state.owed == 0;
        let idle = state.owed == 0;
        drop(state);
        if news {
            self.news.notify_one();
        }
        if idle {
            self.idle.notify_waiters();
        }
    }

    fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !state.over {
            state.over = true;
            state.failure = Some(error);
        }
        drop(state);
        self.wake_all();
    }
}

impl<C: Send> Watch for Tracker<C> {
    fn gauges(&self) -> Gauges {
        let (items, bytes, sequences) = self.budget.used();
        Gauges {
            items,
            bytes,
            sequences,
            lane_keys: self.lane_keys.load(Relaxed),
        }
    }

    fn left(&self) -> Left {
        let state = self.lock();
        let durable = |entry: &&Entry<C>| entry.owed == 0 && entry.completion.is_some();
        let ready = state.entries.iter().take_while(durable).count();
        Left {
            items: state.owed,
            sequences: state.entries.len() - ready,
        }
    }

    fn is_over(&self) -> bool {
        self.lock().over
    }

    fn idle(&self) -> &Notify {
        &self.idle
    }

    fn end(&self) {
        Tracker::end(self);
    }
}

impl<C> State<C> {
    fn entry(&mut self, sequence: Sequence) -> Option<&mut Entry<C>> {
        let index = sequence.checked_sub(self.base)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    /// Of all that is said of a row, what was said of its newest sequence counts, in whatever order it comes.
    fn judge(&mut self, verdicts: Verdicts) {
        self.held.items += verdicts.held.items;
        self.held.bytes += verdicts.held.bytes;
        for rejection in verdicts.rejected {
            self.healed.retain(|origin| *origin != rejection.origin);
            if self.bad.len() < MOST_BAD || self.bad.contains_key(&rejection.origin) {
                let newest = self.bad.entry(rejection.origin.clone()).or_default();
                *newest = rejection.sequence.max(*newest);
            }
            self.rejected.push(rejection);
        }
        for (sequence, origin) in verdicts.written {
            if self.bad.get(&origin).is_some_and(|bad| *bad < sequence) {
                self.bad.remove(&origin);
                // Stays in `rejected`: its sequence is not complete without it, and healing is told after it.
                self.healed.push(origin);
            }
        }
    }

    fn front_is_durable(&self) -> bool {
        self.entries
            .front()
            .is_some_and(|entry| entry.owed == 0 && entry.completion.is_some())
    }
}

impl<C> Progress<C> {
    pub(super) fn new(tracker: Arc<Tracker<C>>) -> Self {
        Self { tracker }
    }

    /// Waits for news. `Ok(None)`: the feed is gone and everything is durable, or the pipeline was aborted.
    /// An error is told once, after everything that was durable before it; then comes `Ok(None)`. May be cancelled.
    pub async fn next(&mut self) -> Result<Option<Durable<C>>> {
        loop {
            if let Some(news) = self.tracker.take() {
                return news;
            }
            self.tracker.news.notified().await;
        }
    }

    /// A handle for whoever watches or drains.
    pub fn control(&self) -> Control
    where
        C: Send + 'static,
    {
        Control::new(Arc::clone(&self.tracker) as _)
    }
}

impl Control {
    pub(super) fn new<C: Send + 'static>(tracker: Arc<Tracker<C>>) -> Self {
        Self { tracker }
    }

    /// What is under way now.
    pub fn gauges(&self) -> Gauges {
        self.tracker.gauges()
    }

    /// Waits until everything accepted is durable, the pipeline stops, or `deadline` passes; tells what is left.
    /// The feed should be quiet: each sequence closed, or the feed dropped. Completions still come through
    /// `Progress`, which must go on being asked.
    pub async fn drain(&self, deadline: Instant) -> Left {
        loop {
            let idle = self.tracker.idle().notified();
            let mut idle = std::pin::pin!(idle);
            idle.as_mut().enable();
            let left = self.tracker.left();
            if left.items == 0 || self.tracker.is_over() {
                return left;
            }
            if tokio::time::timeout_at(deadline.into(), idle)
                .await
                .is_err()
            {
                return self.tracker.left();
            }
        }
    }

    /// Stops the lanes at once; what is not durable stays so.
    pub fn abort(&self) {
        self.tracker.end();
    }
}
