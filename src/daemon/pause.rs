//! A pause: an operator holds the stream, without losing its place.
//!
//! The view ends the transaction at hand and takes no more; then the dump connection is closed, so that MySQL has nobody to
//! wait for. What is in flight becomes durable. A resume goes on behind the last transaction that was received. The pause
//! belongs to the checkpoint: a restart is paused, too.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::facts::Facts;
use super::shared::Shared;
use crate::checkpoint::now_unix_ms;
use crate::error::{Error, Kind, Result};
use crate::phase::Phase;

/// The fact of the checkpoint.
const FACT: &str = "pause";

/// Who holds the stream, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    pub since_unix_ms: u64,
    /// The user and process at the other end of the socket.
    pub by: String,
}

/// The pause of one run.
pub struct Pause {
    paused: watch::Sender<Option<Paused>>,
    /// The view takes nothing more.
    held: watch::Sender<bool>,
}

impl Pause {
    /// As an earlier run has left it. What cannot be read holds the stream: somebody has wanted it.
    pub(super) fn of(facts: &Facts) -> Self {
        let paused = facts.get::<Paused>(FACT).unwrap_or_else(|error| {
            tracing::warn!(%error, "who paused the stream cannot be read");
            Some(Paused {
                since_unix_ms: now_unix_ms(),
                by: "somebody unknown".to_owned(),
            })
        });
        Self {
            held: watch::channel(paused.is_some()).0,
            paused: watch::channel(paused).0,
        }
    }

    /// Who holds the stream, if somebody does.
    pub fn paused(&self) -> Option<Paused> {
        self.paused.borrow().clone()
    }

    /// Whether the view takes nothing more.
    pub fn holds(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }
}

impl Shared {
    /// Holds the stream; when this returns, nothing is written any more and all that was is durable.
    ///
    /// # Errors
    /// `Usage` in a phase in which nothing streams that could be held; `Interrupted` where the daemon ends.
    pub async fn pause(&self, by: String) -> Result<Paused> {
        match self.phase() {
            Phase::Snapshot | Phase::Streaming | Phase::Ready | Phase::Aborted | Phase::Paused => {}
            phase @ (Phase::Draining
            | Phase::CutOver
            | Phase::Stopped
            | Phase::ResnapshotRequired) => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("nothing can be paused in phase {phase}"),
                )
                .with_remedy("see `penstock status`"));
            }
        }
        let paused = match self.pause.paused() {
            // Whoever came first holds it.
            Some(paused) => paused,
            None => {
                let paused = Paused {
                    since_unix_ms: now_unix_ms(),
                    by,
                };
                self.pause.paused.send_replace(Some(paused.clone()));
                paused
            }
        };
        self.facts.set_durably(FACT, &paused).await?;
        let last = self.stage.pause().await?;
        self.until_committed(last).await?;
        Ok(paused)
    }

    /// Lets the stream go on from where it is; false where it was not held.
    ///
    /// # Errors
    /// `Interrupted` where the daemon ends.
    pub async fn resume(&self) -> Result<bool> {
        if self.pause.paused.send_replace(None).is_none() {
            return Ok(false);
        }
        self.facts.remove_durably(FACT).await?;
        self.stage.resume()?;
        Ok(true)
    }

    /// The view takes the stream again.
    pub(super) fn goes_on(&self) {
        self.pause.hold(false);
        if self.phase() == Phase::Paused {
            self.enter(match self.is_copied() {
                true => Phase::Streaming,
                false => Phase::Snapshot,
            });
        }
    }
}
