//! The last hour, as the status page draws it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Status, StatusSource};

/// How often is looked, and how many looks are kept: an hour of them.
const EVERY: Duration = Duration::from_secs(5);
const KEPT: usize = 720;
/// What happens at present: the last minute.
const PRESENT: Duration = Duration::from_secs(60);

/// One look.
#[derive(Debug, Clone)]
pub struct Sample {
    pub at: Instant,
    /// Seconds behind the source; `None` while unknown.
    pub lag: Option<f64>,
    /// Transactions of this run that are in DynamoDB.
    pub applied: u64,
    /// Items of this run that DynamoDB has acknowledged.
    pub written: u64,
    /// Rows copied, by table in the order of [`Status::snapshot`].
    pub copied: Vec<u64>,
}

impl Sample {
    /// What is known now.
    pub fn of(status: &Status, applied: u64, written: u64) -> Self {
        Self {
            at: Instant::now(),
            lag: status.lag_seconds.apply,
            applied,
            written,
            copied: status.snapshot.iter().map(|table| table.rows).collect(),
        }
    }

    fn rows(&self) -> u64 {
        self.copied.iter().sum()
    }
}

/// The looks of the last hour.
#[derive(Debug, Default)]
pub struct History {
    samples: Mutex<VecDeque<Sample>>,
}

/// Per second, between two looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Seconds ago.
    pub ago: f64,
    pub transactions: f64,
    pub items: f64,
    pub rows: f64,
}

impl History {
    /// Looks from now on, for as long as somebody holds what is given back.
    pub fn watch(source: &Arc<dyn StatusSource>) -> Arc<Self> {
        let history = Arc::new(Self::default());
        let (held, source) = (Arc::downgrade(&history), Arc::downgrade(source));
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let (Some(history), Some(source)) = (held.upgrade(), source.upgrade()) else {
                    return;
                };
                let status = source.status();
                history.push(Sample::of(&status, source.applied(), source.written()));
            }
        });
        history
    }

    /// Adds a look.
    pub fn push(&self, sample: Sample) {
        let mut samples = self.lock();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Seconds ago, and the lag then.
    pub fn lag(&self) -> Vec<(f64, Option<f64>)> {
        let samples = self.lock();
        let looks = samples.iter();
        looks
            .map(|s| (s.at.elapsed().as_secs_f64(), s.lag))
            .collect()
    }

    /// How fast it went, from look to look.
    pub fn speeds(&self) -> Vec<Speed> {
        let samples = self.lock();
        let pairs = samples.iter().zip(samples.iter().skip(1));
        pairs.map(|(before, after)| speed(before, after)).collect()
    }

    /// How fast it goes now, if that can be told.
    pub fn present(&self) -> Option<Speed> {
        let samples = self.lock();
        let (first, last) = ends(&samples)?;
        Some(speed(first, last))
    }

    /// Seconds until the copy of the table at this place has as many rows as were estimated.
    pub fn time_left(&self, place: usize, rows: u64, estimated: u64) -> Option<f64> {
        let samples = self.lock();
        let (first, last) = ends(&samples)?;
        let copied = last
            .copied
            .get(place)?
            .checked_sub(*first.copied.get(place)?)?;
        let seconds = (last.at - first.at).as_secs_f64();
        let left = estimated.checked_sub(rows)?;
        (copied > 0 && seconds > 0.0).then(|| left as f64 * seconds / copied as f64)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        // Whatever panicked, each look is whole.
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ends of the last minute.
fn ends(samples: &VecDeque<Sample>) -> Option<(&Sample, &Sample)> {
    let last = samples.back()?;
    let first = samples.iter().find(|s| last.at - s.at <= PRESENT)?;
    (first.at < last.at).then_some((first, last))
}

fn speed(before: &Sample, after: &Sample) -> Speed {
    let seconds = (after.at - before.at).as_secs_f64().max(1e-3);
    // A copy that begins again goes back.
    let per_second = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
    Speed {
        ago: after.at.elapsed().as_secs_f64(),
        transactions: per_second(before.applied, after.applied),
        items: per_second(before.written, after.written),
        rows: per_second(before.rows(), after.rows()),
    }
}
