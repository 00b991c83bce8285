//! What the writer counts: for Prometheus by table, and in sum for whoever holds the writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::classify::{Failure, Meaning};
use crate::metrics as declared;
use crate::metrics::{Operation, Outcome, RetryReason};
use crate::pipeline::{Action, Mutation};

/// The operation's name in metrics.
const BATCH_WRITE: &str = "batch_write";

/// What the writer has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub requests: u64,
    pub puts: u64,
    pub deletes: u64,
    /// Bytes of request bodies.
    pub bytes: u64,
    /// Requests that were throttled as a whole.
    pub throttled: u64,
    /// Items that DynamoDB left unprocessed.
    pub unprocessed: u64,
    /// Requests whose outcome stayed unknown.
    pub unknown: u64,
    /// Items that DynamoDB will never take.
    pub rejected: u64,
}

#[derive(Default)]
struct Sums {
    requests: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
    bytes: AtomicU64,
    throttled: AtomicU64,
    unprocessed: AtomicU64,
    unknown: AtomicU64,
    rejected: AtomicU64,
}

/// Handles of all metrics that the writer keeps.
pub(super) struct Meters {
    sums: Sums,
    tables: Vec<TableMeters>,
    ok: Counter,
    partial: Counter,
    error: Counter,
    duration: Histogram,
    /// In the order of `RetryReason::ALL`.
    retries: Vec<(RetryReason, Counter)>,
}

struct TableMeters {
    puts: Counter,
    deletes: Counter,
    bytes: Counter,
    throttles: Counter,
    unprocessed: Counter,
    coalesced: Counter,
    rate: Gauge,
}

impl TableMeters {
    fn new(table: &str) -> Self {
        let meters = Self {
            puts: declared::target_items(table, Operation::Put),
            deletes: declared::target_items(table, Operation::Delete),
            bytes: declared::TARGET_BYTES.with([table]),
            throttles: declared::TARGET_THROTTLES.with([table]),
            unprocessed: declared::TARGET_UNPROCESSED.with([table]),
            coalesced: declared::COALESCED.with([table]),
            rate: declared::TARGET_RATE.with([table]),
        };
        for counter in [
            &meters.puts,
            &meters.deletes,
            &meters.bytes,
            &meters.throttles,
            &meters.unprocessed,
            &meters.coalesced,
        ] {
            counter.increment(0);
        }
        meters.rate.set(f64::INFINITY);
        meters
    }
}

impl Meters {
    /// For tables in the order of the targets' ids.
    pub fn new<'a>(tables: impl Iterator<Item = &'a str>) -> Self {
        let outcome = |outcome: Outcome| {
            let counter = declared::TARGET_REQUESTS.with([BATCH_WRITE, outcome.word()]);
            counter.increment(0);
            counter
        };
        Self {
            sums: Sums::default(),
            tables: tables.map(TableMeters::new).collect(),
            ok: outcome(Outcome::Ok),
            partial: outcome(Outcome::Partial),
            error: outcome(Outcome::Error),
            duration: declared::TARGET_REQUEST_DURATION.with([BATCH_WRITE]),
            retries: RetryReason::ALL
                .iter()
                .map(|reason| (*reason, declared::target_retries(*reason)))
                .collect(),
        }
    }

    pub fn stats(&self) -> Stats {
        let sums = &self.sums;
        Stats {
            requests: sums.requests.load(Relaxed),
            puts: sums.puts.load(Relaxed),
            deletes: sums.deletes.load(Relaxed),
            bytes: sums.bytes.load(Relaxed),
            throttled: sums.throttled.load(Relaxed),
            unprocessed: sums.unprocessed.load(Relaxed),
            unknown: sums.unknown.load(Relaxed),
            rejected: sums.rejected.load(Relaxed),
        }
    }

    /// A request has ended; with `Ok` the number of items that came back.
    pub fn request(&self, bytes: usize, took: Duration, ended: Result<usize, &Failure>) {
        self.sums.requests.fetch_add(1, Relaxed);
        self.sums.bytes.fetch_add(bytes as u64, Relaxed);
        self.duration.record(took);
        match ended {
            Ok(0) => self.ok.increment(1),
            Ok(_) => {
                self.partial.increment(1);
                self.retry(RetryReason::Unprocessed);
            }
            Err(failure) => {
                self.error.increment(1);
                match failure.meaning {
                    Meaning::Throttled | Meaning::NotWritten | Meaning::Unknown => {
                        self.retry(failure.retry);
                    }
                    Meaning::Invalid | Meaning::Fatal(_) => {}
                }
            }
        }
    }

    fn retry(&self, reason: RetryReason) {
        let counter = self.retries.iter().find(|(known, _)| *known == reason);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }

    /// A request for this table was throttled as a whole.
    pub fn throttled(&self, table: usize) {
        if let Some(table) = self.tables.get(table) {
            table.throttles.increment(1);
        }
    }

    pub fn throttled_request(&self) {
        self.sums.throttled.fetch_add(1, Relaxed);
    }

    pub fn unknown_request(&self) {
        self.sums.unknown.fetch_add(1, Relaxed);
    }

    pub fn rejected(&self) {
        self.sums.rejected.fetch_add(1, Relaxed);
    }

    pub fn coalesced(&self, table: usize) {
        if let Some(table) = self.tables.get(table) {
            table.coalesced.increment(1);
        }
    }

    /// What the table's rate allows now; `None` is no limit.
    pub fn rate(&self, table: usize, limit: Option<f64>) {
        if let Some(table) = self.tables.get(table) {
            table.rate.set(limit.unwrap_or(f64::INFINITY));
        }
    }

    /// The items of one table in a request: those written, and how many came back.
    pub fn items<'a>(
        &self,
        table: usize,
        written: impl Iterator<Item = &'a Mutation>,
        unprocessed: u64,
    ) {
        let (mut puts, mut deletes, mut bytes) = (0, 0, 0);
        for write in written {
            match &write.action {
                Action::Put { size, .. } => {
                    puts += 1;
                    bytes += *size as u64;
                }
                Action::Delete => deletes += 1,
            }
        }
        self.sums.puts.fetch_add(puts, Relaxed);
        self.sums.deletes.fetch_add(deletes, Relaxed);
        self.sums.unprocessed.fetch_add(unprocessed, Relaxed);
        if let Some(table) = self.tables.get(table) {
            table.puts.increment(puts);
            table.deletes.increment(deletes);
            table.bytes.increment(bytes);
            table.unprocessed.increment(unprocessed);
        }
    }
}
