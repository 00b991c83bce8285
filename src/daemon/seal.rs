//! The seal on the sink: while it is closed nothing is written, whatever the lanes hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::error::Error;
use crate::pipeline::{Batch, Outcome, Writer};
use crate::plan::TargetId;

/// Closed for the moments of a cutover, and after it for good.
#[derive(Debug, Default)]
pub struct Seal {
    /// Who writes holds it shared.
    writing: Arc<RwLock<()>>,
    closed: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
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
        // Waits for as long as it is closed.
        let _writing = self.seal.writing.read().await;
        self.writer.write(batch).await
    }

    fn superseded(&self, target: TargetId) {
        self.writer.superseded(target);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::pipeline::Fate;

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
}
