//! What holds the flow up at present: MySQL away, DynamoDB refusing. It passes by itself, so it is no error; `/status` tells it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::pipeline::{Batch, Fate, Outcome, Writer};

/// A target that refuses for less than this is throttling, which is no trouble.
const REFUSES_FOR: Duration = Duration::from_secs(1);

/// What is wrong now, on either side.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Why the binlog stream is not connected.
    stream: Mutex<Option<String>>,
    /// Why the source does not tell its position.
    question: Mutex<Option<String>>,
    /// Why a table's copy does not come to its end.
    copy: Mutex<Option<String>>,
    /// Since when no write succeeds, and why.
    target: Mutex<Option<(Instant, String)>>,
    target_refuses: AtomicBool,
    /// When the target last answered a write, whatever it said.
    answered: Mutex<Option<Instant>>,
}

impl Trouble {
    /// Each in one sentence; none while all is well.
    pub fn all(&self) -> Vec<String> {
        let stream = lock(&self.stream).clone();
        let source = stream.or_else(|| lock(&self.question).clone());
        let target = lock(&self.target)
            .as_ref()
            .filter(|(since, _)| since.elapsed() >= REFUSES_FOR)
            .map(|(since, reason)| {
                let seconds = since.elapsed().as_secs();
                format!("DynamoDB has taken no writes for {seconds} s: {reason}")
            });
        let copy = lock(&self.copy).clone();
        source.into_iter().chain(copy).chain(target).collect()
    }

    /// The binlog stream broke for this reason, or is connected.
    pub fn stream(&self, reason: Option<String>) {
        *lock(&self.stream) = reason;
    }

    /// The source did not tell its position for this reason, or told it.
    pub fn question(&self, reason: Option<String>) {
        *lock(&self.question) = reason;
    }

    /// A table's copy begins again and again for this reason, or a table is copied.
    pub fn copy(&self, reason: Option<String>) {
        *lock(&self.copy) = reason;
    }

    /// How long ago the target answered a write, or failed to; `None` before the first.
    pub fn target_silent_for(&self) -> Option<Duration> {
        lock(&self.answered).map(|at| at.elapsed())
    }

    fn target_answered(&self, outcome: &Outcome) {
        *lock(&self.answered) = Some(Instant::now());
        if outcome.fates.contains(&Fate::Written) {
            if self.target_refuses.swap(false, Ordering::Relaxed) {
                *lock(&self.target) = None;
            }
        } else if let Some(trouble) = &outcome.trouble {
            let reason = trouble.to_string();
            let mut target = lock(&self.target);
            let since = target
                .as_ref()
                .map_or_else(Instant::now, |(since, _)| *since);
            *target = Some((since, reason));
            self.target_refuses.store(true, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked, each of these values is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A writer whose answers are watched.
pub struct Watched<W> {
    pub writer: W,
    pub trouble: Arc<Trouble>,
}

impl<W: Writer> Writer for Watched<W> {
    async fn write(&self, batch: &Batch) -> Result<Outcome, Error> {
        let outcome = self.writer.write(batch).await?;
        self.trouble.target_answered(&outcome);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn outcome(fate: Fate) -> Outcome {
        let trouble = (fate != Fate::Written).then(|| Error::new(Kind::TargetUnavailable, "away"));
        Outcome {
            fates: vec![fate],
            trouble,
        }
    }

    #[test]
    fn a_target_that_refuses_for_long_is_trouble_until_it_writes() {
        let trouble = Trouble::default();
        trouble.target_answered(&outcome(Fate::NotWritten));
        assert!(trouble.all().is_empty(), "a moment is no trouble");
        std::thread::sleep(REFUSES_FOR);
        trouble.target_answered(&outcome(Fate::Unknown));
        let all = trouble.all();
        assert!(all.len() == 1 && all[0].ends_with("away"), "{all:?}");
        trouble.target_answered(&outcome(Fate::Written));
        assert!(trouble.all().is_empty());
    }

    #[test]
    fn the_source_is_named_once() {
        let trouble = Trouble::default();
        trouble.question(Some("no answer".into()));
        assert_eq!(trouble.all(), ["no answer"]);
        trouble.stream(Some("broken".into()));
        assert_eq!(trouble.all(), ["broken"]);
        trouble.stream(None);
        trouble.question(None);
        assert!(trouble.all().is_empty());
    }
}
