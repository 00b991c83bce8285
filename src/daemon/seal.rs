//! The seal on the sink: while it is closed nothing is written, whatever the lanes hold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::checkpoint::now_unix_ms;
use crate::error::Error;
use crate::pipeline::{Batch, Fate, Outcome, Writer};
use crate::plan::TargetId;

/// Closed for the moments of a cutover, and after it for good.
#[derive(Debug, Default)]
pub struct Seal {
    /// Who writes holds it shared.
    writing: Arc<RwLock<()>>,
    closed: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
    /// When a request last ended without an answer: it may yet be applied.
    unanswered: Mutex<Option<Instant>>,
    /// The same, of this process's own requests, in milliseconds since 1970; 0 for never.
    lost_unix_ms: AtomicU64,
    /// Nothing is written before.
    held_until: Mutex<Option<Instant>>,
    written: AtomicU64,
}

impl Seal {
    /// Closes it once nothing is being written; false where that does not come to pass within `patience`.
    pub async fn close(&self, patience: Duration) -> bool {
        if self.closed().is_some() {
            return true;
        }
        let writing = Arc::clone(&self.writing);
        match tokio::time::timeout(patience, writing.write_owned()).await {
            Ok(closed) => {
                *self.closed() = Some(closed);
                true
            }
            Err(_) => false,
        }
    }

    /// Another process has written before this one: what it had sent may still be under way.
    pub fn follows_another(&self) {
        self.unanswered_now();
    }

    /// How long a request without an answer may still be on its way to the target, where one is `late` after so long.
    /// What it carries has been written again since; over a later write of somebody else's it would be wrong.
    pub fn late_for(&self, late: Duration) -> Duration {
        let unanswered = *self
            .unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unanswered.map_or(Duration::ZERO, |at| late.saturating_sub(at.elapsed()))
    }

    /// When a request of this process last ended without an answer, in milliseconds since 1970.
    pub fn lost_unix_ms(&self) -> Option<u64> {
        Some(self.lost_unix_ms.load(Ordering::Acquire)).filter(|at| *at > 0)
    }

    /// The process ends: a request that is under way now will have no answer.
    pub fn lose_what_is_under_way(&self) {
        if self.closed().is_none() && self.writing.try_write().is_err() {
            self.lose();
        }
    }

    /// Nothing is written for so long: what an earlier process had sent may still be applied, and would undo a later write.
    pub fn hold_for(&self, long: Duration) {
        *self.held_until() = Some(Instant::now() + long);
    }

    async fn held(&self) {
        let until = *self.held_until();
        if let Some(until) = until.filter(|until| *until > Instant::now()) {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    fn lose(&self) {
        self.unanswered_now();
        self.lost_unix_ms.store(now_unix_ms(), Ordering::Release);
    }

    fn held_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.held_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Items that DynamoDB has acknowledged since the start.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn note(&self, outcome: &Outcome) {
        let written = outcome.fates.iter().filter(|f| **f == Fate::Written);
        let written = written.count() as u64;
        self.written.fetch_add(written, Ordering::Relaxed);
        if outcome.fates.contains(&Fate::Unknown) {
            self.lose();
        }
    }

    fn unanswered_now(&self) {
        let unanswered = self.unanswered.lock();
        *unanswered.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Lets the sink write again.
    pub fn open(&self) {
        *self.closed() = None;
    }

    fn closed(&self) -> MutexGuard<'_, Option<OwnedRwLockWriteGuard<()>>> {
        // Whatever panicked, it is closed or it is not.
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer behind a seal.
pub struct Sealable<W> {
    pub writer: W,
    pub seal: Arc<Seal>,
}

impl<W: Writer> Writer for Sealable<W> {
    async fn write(&self, batch: &Batch) -> Result<Outcome, Error> {
        self.seal.held().await;
        // Waits for as long as it is closed.
        let _writing = self.seal.writing.read().await;
        let outcome = self.writer.write(batch).await?;
        self.seal.note(&outcome);
        Ok(outcome)
    }

    fn superseded(&self, target: TargetId) {
        self.writer.superseded(target);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes 100 ms for a batch.
    #[derive(Default)]
    struct Slow {
        begun: AtomicUsize,
        done: AtomicUsize,
    }

    impl Writer for Arc<Slow> {
        async fn write(&self, batch: &Batch) -> Result<Outcome, Error> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.done.fetch_add(1, Ordering::SeqCst);
            Ok(Outcome::all(batch, &Fate::Written, None))
        }
    }

    #[tokio::test]
    async fn nothing_is_written_behind_it() {
        let (slow, seal) = (Arc::new(Slow::default()), Arc::new(Seal::default()));
        let write = || {
            let writer = Sealable {
                writer: Arc::clone(&slow),
                seal: Arc::clone(&seal),
            };
            tokio::spawn(async move { writer.write(&Batch { writes: Vec::new() }).await })
        };
        let first = write();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            !seal.close(Duration::from_millis(10)).await,
            "one is being written"
        );
        assert!(seal.close(Duration::from_secs(30)).await);
        assert!(first.is_finished() && slow.done.load(Ordering::SeqCst) == 1);
        assert!(seal.close(Duration::ZERO).await, "it is closed already");
        let second = write();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
        seal.open();
        second.await.expect("no panic").expect("written");
        assert_eq!(slow.done.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_request_without_an_answer_is_waited_for() {
        let seal = Seal::default();
        let late = Duration::from_secs(30);
        let outcome = |fate| Outcome {
            fates: vec![Fate::Written, fate],
            trouble: None,
        };
        for fate in [
            Fate::Written,
            Fate::NotWritten,
            Fate::Rejected(String::new()),
        ] {
            seal.note(&outcome(fate));
            assert_eq!(seal.late_for(late), Duration::ZERO);
        }
        seal.note(&outcome(Fate::Unknown));
        let left = seal.late_for(late);
        assert!(left > Duration::from_secs(25) && left <= late, "{left:?}");
        assert_eq!(seal.late_for(Duration::ZERO), Duration::ZERO);
        // Nobody knows what an earlier process had sent.
        let next = Seal::default();
        next.follows_another();
        assert!(next.late_for(late) > Duration::from_secs(25));
    }
}
