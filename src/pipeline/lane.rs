//! A lane: one task, one request at a time, for the keys that hash to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::feed::Fed;
use super::slots::{Pending, Slots, Superseded};
use super::tracker::{Acknowledge, Rejection, Verdicts};
use super::writer::{Fate, Writer};
use super::{Options, Sequence};
use crate::error::{Error, Kind, Result};

/// A lane that cannot write says so this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// How long a request that is not full waits for more: far less than the target takes to answer.
const LINGER: Duration = Duration::from_millis(1);

pub(super) struct Lane<W> {
    inbox: UnboundedReceiver<Vec<Fed>>,
    /// The feed is gone and the inbox empty.
    inbox_ended: bool,
    slots: Slots,
    writer: Arc<W>,
    tracker: Arc<dyn Acknowledge>,
    budget: Arc<Budget>,
    options: Arc<Options>,
    patience: Patience,
    /// Shared by all lanes; `counted` is this lane's part.
    depth: Arc<AtomicUsize>,
    counted: usize,
}

/// Consecutive rounds in which nothing could be written.
#[derive(Default)]
struct Patience {
    rounds: u32,
    complained: Option<Instant>,
}

/// What the target did not take of a round.
struct Refused {
    /// Since when the item that waits longest is not taken.
    since: Instant,
    /// Others of the round were.
    progress: bool,
    trouble: Option<Error>,
}

impl<W: Writer> Lane<W> {
    pub fn new(
        inbox: UnboundedReceiver<Vec<Fed>>,
        writer: Arc<W>,
        tracker: Arc<dyn Acknowledge>,
        budget: Arc<Budget>,
        options: Arc<Options>,
        depth: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            inbox,
            inbox_ended: false,
            slots: Slots::new(options.late_after),
            writer,
            tracker,
            budget,
            options,
            patience: Patience::default(),
            depth,
            counted: 0,
        }
    }

    /// Runs until the feed is gone and everything is written, or until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            result = self.work() => {
                if let Err(error) = result {
                    self.tracker.fail(error);
                }
            }
        }
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            self.receive_what_is_there();
            if self.slots.has_some_but_not_enough() && !self.inbox_ended {
                self.linger().await;
            }
            self.slots.release(Instant::now());
            if self.slots.next_batch() {
                self.round().await?;
            } else if self.inbox_ended && self.slots.owes_nothing() {
                return Ok(());
            } else {
                self.wait().await;
            }
        }
    }

    fn receive_what_is_there(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(fed) => self.accept(fed),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.inbox_ended = true;
                    break;
                }
            }
        }
        self.count();
    }

    /// Waits a moment for mutations, once.
    async fn linger(&mut self) {
        tokio::time::sleep(LINGER).await;
        self.receive_what_is_there();
    }

    /// Waits for mutations, or until a blocked key may go on.
    async fn wait(&mut self) {
        let release = self.slots.next_release();
        let released = async {
            match release {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            fed = self.inbox.recv(), if !self.inbox_ended => match fed {
                Some(fed) => self.accept(fed),
                None => self.inbox_ended = true,
            },
            () = released => {}
        }
    }

    fn accept(&mut self, fed: Vec<Fed>) {
        let mut freed = Freed::default();
        for Fed {
            sequence,
            hash,
            mutation,
        } in fed
        {
            let target = mutation.target;
            let superseded = self.slots.insert(sequence, hash, mutation);
            if superseded.bytes > 0 {
                self.writer.superseded(target);
            }
            freed.add(superseded);
        }
        self.give_back(freed, Verdicts::default());
    }

    /// One request, and what follows from its answer.
    async fn round(&mut self) -> Result<()> {
        let outcome = self.writer.write(self.slots.batch()).await?;
        let ended = self.slots.end_batch();
        if outcome.fates.len() != ended.len() {
            return Err(Error::new(
                Kind::Internal,
                "the writer answered for another number of items than it was given",
            ));
        }
        let now = Instant::now();
        let mut freed = Freed::default();
        let mut verdicts = Verdicts::default();
        let mut progress = false;
        let mut refused: Option<Instant> = None;
        let watched = self.tracker.watches_origins();
        // Backwards: what comes again goes to the front of the queue, and keeps its order there.
        for (mut ended, fate) in ended.zip(outcome.fates).rev() {
            match fate {
                Fate::Written => {
                    progress = true;
                    let pending = self.slots.done(ended, now);
                    freed.items += pending.owed_count();
                    freed.bytes += pending.mutation.weight();
                    freed.settled.extend(pending.owed());
                    if watched {
                        let sequence = pending.sequence();
                        verdicts.written.push((sequence, pending.mutation.origin));
                    }
                }
                Fate::Rejected(reason) => {
                    progress = true;
                    let pending = self.slots.done(ended, now);
                    verdicts.held.items += pending.owed_count();
                    verdicts.held.bytes += pending.mutation.weight();
                    freed.settled.extend(pending.owed());
                    verdicts.rejected.push(rejection(pending, reason));
                }
                Fate::NotWritten => {
                    let since = ended.refused(now);
                    refused = Some(refused.map_or(since, |oldest| oldest.min(since)));
                    let target = ended.pending.mutation.target;
                    let superseded = self.slots.not_written(ended);
                    if superseded.bytes > 0 {
                        self.writer.superseded(target);
                    }
                    freed.add(superseded);
                }
                Fate::Unknown => {
                    let since = ended.refused(now);
                    refused = Some(refused.map_or(since, |oldest| oldest.min(since)));
                    self.slots.unknown(ended, now);
                }
            }
        }
        self.give_back(freed, verdicts);
        self.count();
        let Some(since) = refused else {
            self.patience = Patience::default();
            return Ok(());
        };
        self.back_off(Refused {
            since,
            progress,
            trouble: outcome.trouble,
        })
        .await
    }

    /// First the acknowledgement, then the budget: what is not held any more is known to be durable.
    fn give_back(&mut self, freed: Freed, verdicts: Verdicts) {
        if !freed.settled.is_empty() {
            self.tracker.settle(&freed.settled, verdicts);
        }
        if freed.items > 0 || freed.bytes > 0 {
            self.budget.give_back(freed.items, freed.bytes);
        }
    }

    async fn back_off(&mut self, refused: Refused) -> Result<()> {
        if refused.progress {
            self.patience.rounds = 0;
        }
        let now = Instant::now();
        let waited = now.saturating_duration_since(refused.since);
        if waited >= self.options.retry_for {
            return Err(given_up(waited, refused.trouble));
        }
        self.complain(now, waited, refused.trouble.as_ref());
        let ceiling = self
            .options
            .backoff_base
            .saturating_mul(1 << self.patience.rounds.min(16))
            .min(self.options.backoff_cap);
        self.patience.rounds = self.patience.rounds.saturating_add(1);
        tokio::time::sleep(ceiling.mul_f64(fastrand::f64())).await;
        Ok(())
    }

    fn complain(&mut self, now: Instant, waited: Duration, trouble: Option<&Error>) {
        let lately = |last| now.saturating_duration_since(last) < COMPLAIN_EVERY;
        if waited < COMPLAIN_EVERY || self.patience.complained.is_some_and(lately) {
            return;
        }
        self.patience.complained = Some(now);
        let reason = trouble.map_or_else(|| "items left unprocessed".into(), ToString::to_string);
        tracing::warn!(
            seconds = waited.as_secs(),
            reason,
            "DynamoDB has not taken an item for so long; trying again"
        );
    }

    fn count(&mut self) {
        let keys = self.slots.len();
        if keys >= self.counted {
            self.depth.fetch_add(keys - self.counted, Relaxed);
        } else {
            self.depth.fetch_sub(self.counted - keys, Relaxed);
        }
        self.counted = keys;
    }
}

impl<W> Drop for Lane<W> {
    fn drop(&mut self) {
        self.depth.fetch_sub(self.counted, Relaxed);
        if std::thread::panicking() {
            // Or the others would wait for this lane for ever.
            self.tracker.fail(Error::new(
                Kind::Internal,
                "a lane of the pipeline broke down",
            ));
        }
    }
}

/// What is owed and held no longer.
#[derive(Default)]
struct Freed {
    items: usize,
    bytes: usize,
    settled: Vec<Sequence>,
}

impl Freed {
    fn add(&mut self, superseded: Superseded) {
        self.items += usize::from(superseded.settled.is_some());
        self.bytes += superseded.bytes;
        self.settled.extend(superseded.settled);
    }
}

fn rejection(pending: Pending, reason: String) -> Rejection {
    Rejection {
        sequence: pending.sequence(),
        origin: pending.mutation.origin,
        target: pending.mutation.target,
        key: pending.mutation.key,
        reason,
    }
}

fn given_up(waited: Duration, trouble: Option<Error>) -> Error {
    let message = format!(
        "DynamoDB has not taken an item for {} seconds",
        waited.as_secs()
    );
    let error = Error::new(Kind::TargetUnavailable, message);
    match trouble {
        Some(trouble) => error.with_source(trouble),
        None => error,
    }
}
