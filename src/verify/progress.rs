//! How far a comparison is, for who waits for it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Compare,
    Scan,
    Decide,
    Repair,
}

impl Step {
    /// What has been done with the items that are counted.
    pub fn words(self) -> &'static str {
        match self {
            Step::Compare => "compared",
            Step::Scan => "scanned for extra items",
            Step::Decide => "looked at again",
            Step::Repair => "put right",
        }
    }
}

const STEPS: [Step; 4] = [Step::Compare, Step::Scan, Step::Decide, Step::Repair];

/// Counted while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    step: AtomicU8,
    items: AtomicU64,
    scanned: AtomicU64,
    mismatches: AtomicU64,
    expected: AtomicU64,
    begun: Mutex<Option<(Instant, u64)>>,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub step: Step,
    /// Compared, or scanned, so far.
    pub items: u64,
    /// The optimizer's estimate of all.
    pub estimated: u64,
    pub mismatches: u64,
    /// At the present pace; null while there is none.
    pub seconds_left: Option<f64>,
}

impl Progress {
    /// It begins, with so many items of so many done.
    pub fn begin(&self, done: u64, estimated: u64) {
        self.items.store(done, Ordering::Relaxed);
        self.scanned.store(0, Ordering::Relaxed);
        self.mismatches.store(0, Ordering::Relaxed);
        self.expected.store(estimated, Ordering::Relaxed);
        self.enter(Step::Compare);
    }

    pub fn enter(&self, step: Step) {
        let number = STEPS.iter().position(|s| *s == step).unwrap_or(0);
        self.step.store(number as u8, Ordering::Relaxed);
        let now = (Instant::now(), self.done(step));
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    pub fn compared(&self, items: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
    }

    pub fn scanned(&self, items: u64) {
        self.scanned.fetch_add(items, Ordering::Relaxed);
    }

    pub fn mismatch(&self) {
        self.mismatches.fetch_add(1, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Snapshot {
        let step = STEPS
            .get(usize::from(self.step.load(Ordering::Relaxed)))
            .copied()
            .unwrap_or(Step::Compare);
        let items = self.done(step);
        let compared = self.items.load(Ordering::Relaxed);
        let estimated = match step {
            Step::Compare => self.expected.load(Ordering::Relaxed).max(items),
            _ => compared.max(items),
        };
        let begun = *self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = begun.and_then(|(at, from)| {
            let done = items.saturating_sub(from);
            (done > 0).then(|| at.elapsed().as_secs_f64() / done as f64)
        });
        Snapshot {
            step,
            items,
            estimated,
            mismatches: self.mismatches.load(Ordering::Relaxed),
            seconds_left: pace.map(|pace| estimated.saturating_sub(items) as f64 * pace),
        }
    }

    fn done(&self, step: Step) -> u64 {
        match step {
            Step::Compare => self.items.load(Ordering::Relaxed),
            Step::Scan | Step::Decide | Step::Repair => self.scanned.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// At the pace of this step; what an earlier process has done says nothing of it.
    #[test]
    fn the_time_left_follows_the_pace() {
        let progress = Progress::default();
        progress.begin(1_000, 2_000);
        assert_eq!(progress.snapshot().seconds_left, None);
        std::thread::sleep(Duration::from_millis(200));
        progress.compared(500);
        let now = progress.snapshot();
        assert_eq!((now.items, now.estimated), (1_500, 2_000));
        let left = now.seconds_left.expect("a time");
        assert!((0.2..2.0).contains(&left), "{left}");
        progress.enter(Step::Scan);
        progress.scanned(1_500);
        assert_eq!(progress.snapshot().seconds_left, Some(0.0));
    }
}
