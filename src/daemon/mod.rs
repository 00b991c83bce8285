//! The running daemon: puts source, view, pipeline, sink and checkpoint together, and takes them apart in order.
//!
//! ```text
//!  dump task ─► decode thread ─► view thread ─► lanes (tasks) ─► DynamoDB
//!                 snapshot workers (tasks) ─┘          │
//!                                   committer (task) ◄─┘
//! ```
//!
//! A terminal error of any part stops the stream, not the process: it stays up and tells the reason.

mod budget;
mod cascades;
mod committer;
mod control;
mod cutover;
mod deaths;
mod decode;
mod facts;
mod filing;
mod gauges;
mod inspect;
mod monitor;
mod opening;
mod outcome;
mod pause;
mod readings;
mod rehearse;
mod requests;
mod resnapshot;
mod rest;
mod resume;
mod rows;
mod seal;
mod series;
mod shape;
mod shared;
mod stage;
mod start;
mod status;
mod target;
mod touches;
mod trouble;
mod verifier;
mod views;
mod vitals;
mod xids;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use cutover::{Cutover, Verifier};
pub use facts::{Facts, fact_of, set_fact};
pub use filing::{MADE, PAUSE, RESNAPSHOT, stands_cut_over, words as done_words};
pub use monitor::Question;
pub use pause::{Pause, Paused};
pub use requests::{Removed, Requests};
pub use rest::{Rest, cut_over};
pub use rows::Rows;
pub use shared::{Failure, LagSeconds, Shared};
pub use stage::Completion;
pub use start::{Parts, Start};
pub use status::Answers;
pub use target::open_target;
pub use touches::{DirtySet, PassMark, Touches, Watch};
pub use vitals::Vitals;

use crate::error::{Error, Kind, Result};
use crate::phase::Phase;
use crate::pipeline::{Control, Left};

/// At SIGTERM: what is in flight has so long to become durable.
const DRAIN: Duration = Duration::from_secs(7);

/// What is being answered has so long to end.
const ANSWERS: Duration = Duration::from_millis(300);

/// A running daemon.
pub struct Daemon {
    pub shared: Arc<Shared>,
    pub answers: Arc<Answers>,
    pub cutover: Arc<Cutover>,
    /// Where HTTP is served.
    pub address: std::net::SocketAddr,
    /// The URL of the embedded DynamoDB, if that is the target.
    pub embedded_url: Option<String>,
    parts: Parts,
}

/// Why [`Daemon::until`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Snapshot complete, nothing in flight, stream at the source's position.
    CaughtUp,
    /// A terminal error: [`Shared::failure`].
    Stopped,
    /// An operator has taken a cutover back: to be started anew.
    Reopened,
}

/// What runs, in the order in which it is ended.
pub struct Running {
    /// Ends the dump and everything that reads.
    pub reading: CancellationToken,
    /// Ends the committer after what is durable is committed.
    pub committing: CancellationToken,
    pub view_stop: crossbeam_channel::Sender<()>,
    pub threads: Vec<(&'static str, JoinHandle<()>)>,
    pub committer: tokio::task::JoinHandle<()>,
    pub control: Control,
    pub failures: mpsc::UnboundedReceiver<Error>,
}

impl Daemon {
    /// Starts everything. Errors here are those of the preparation: nothing has been written yet.
    pub async fn start(start: Start) -> Result<Daemon> {
        start::start(start).await
    }

    /// To watch whether its parts live.
    pub fn vitals(&self) -> Vitals {
        let threads = self.parts.running.threads.iter();
        Vitals::new(Arc::clone(&self.shared), threads.map(|(name, _)| *name))
    }

    /// Waits until both sides are at the same place, or until an error stops the stream.
    pub async fn caught_up(&mut self) -> Event {
        loop {
            if self.answers.is_caught_up().await {
                return Event::CaughtUp;
            }
            tokio::select! {
                () = self.stopped() => return Event::Stopped,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }

    /// Waits until an error stops the stream, or (if asked for) until both sides are at the same place.
    pub async fn until(&mut self, caught_up: bool) -> Event {
        if caught_up {
            return self.caught_up().await;
        }
        let reopened = self.cutover.reopened.clone();
        tokio::select! {
            () = reopened.cancelled() => Event::Reopened,
            () = self.stopped() => Event::Stopped,
        }
    }

    /// Waits until an error has stopped the stream.
    pub async fn stopped(&mut self) {
        if self.shared.failure().is_some() {
            return;
        }
        match self.parts.running.failures.recv().await {
            Some(error) => {
                self.shared.stop(&error);
                // Nothing more is read; what was accepted may still become durable.
                self.parts.running.reading.cancel();
            }
            // Every part has ended without an error: only a drain does that.
            None => std::future::pending().await,
        }
    }

    /// Ends in order: reads nothing more, lets what is in flight become durable for a few seconds, commits.
    ///
    /// # Errors
    /// What could not be committed; the checkpoint is then an earlier one, and nothing is lost.
    pub async fn drain(self) -> Result<Left> {
        self.shared.enter(Phase::Draining);
        let Parts {
            running,
            servers,
            embedded,
            ..
        } = self.parts;
        let Running {
            reading,
            committing,
            view_stop,
            threads,
            committer,
            control,
            mut failures,
        } = running;
        let deadline = Instant::now() + DRAIN;
        reading.cancel();
        // The view ends after the change that it is at; it may be waiting for room in the pipeline, which drains.
        let _ = view_stop.try_send(());
        let left = control.drain(deadline).await;
        self.shared.seal.lose_what_is_under_way();
        committing.cancel();
        let committed = tokio::time::timeout(Duration::from_secs(2), committer).await;
        control.abort();
        for (name, thread) in threads {
            if !ended(&thread).await {
                tracing::warn!(thread = name, "did not end in time");
            }
        }
        servers.end(ANSWERS).await;
        if let Some(embedded) = embedded {
            let _ = tokio::task::spawn_blocking(move || embedded.stop()).await;
        }
        if committed.is_err() {
            return Err(Error::new(
                Kind::Store,
                "the last checkpoint was not committed in time",
            ));
        }
        match failures.try_recv() {
            Ok(error) if self.shared.failure().is_none() => Err(error),
            _ => Ok(left),
        }
    }
}

async fn ended(thread: &JoinHandle<()>) -> bool {
    for _ in 0..50 {
        if thread.is_finished() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
