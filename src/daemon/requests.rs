//! What tasks ask of the view thread while it runs: to watch it, and to take rows that were read beside the stream.

use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

use super::touches::Watch;
use crate::error::{Error, Kind, Result};
use crate::source::snapshot;

/// From a task to the view thread; snapshot workers have requests of their own.
pub enum Request {
    /// Watch what is written from now on.
    Watch { reply: oneshot::Sender<Watch> },
}

/// Where requests to the view thread go in, for as long as it runs. Each caller has one request under way, so that few
/// callers make a short queue.
pub struct Requests {
    requests: Sender<Request>,
    chunks: Sender<snapshot::Request>,
    /// Until the view thread takes them.
    ends: Mutex<Option<Ends>>,
}

/// The view thread's ends.
pub struct Ends {
    pub requests: Receiver<Request>,
    pub chunks: Receiver<snapshot::Request>,
}

impl Default for Requests {
    fn default() -> Self {
        let (requests, of_tasks) = unbounded();
        let (chunks, of_workers) = unbounded();
        let ends = Ends {
            requests: of_tasks,
            chunks: of_workers,
        };
        Self {
            requests,
            chunks,
            ends: Mutex::new(Some(ends)),
        }
    }
}

impl Requests {
    /// Opens a watch: what the stream has received by then, and from then on what is written.
    ///
    /// # Errors
    /// `Interrupted` where the stream has ended.
    pub async fn watch(&self) -> Result<Watch> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Watch { reply }, answer).await
    }

    /// What snapshot workers send to.
    pub fn chunks(&self) -> Sender<snapshot::Request> {
        self.chunks.clone()
    }

    /// The other ends, once.
    pub(super) fn take_ends(&self) -> Result<Ends> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.take()
            .ok_or_else(|| Error::new(Kind::Internal, "the view thread runs already"))
    }

    async fn ask<T>(&self, request: Request, answer: oneshot::Receiver<T>) -> Result<T> {
        self.requests.send(request).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::new(Kind::Interrupted, "the stream has ended").with_remedy(
        "see `penstock status` for the reason why it stopped; ask again when the daemon runs",
    )
}
