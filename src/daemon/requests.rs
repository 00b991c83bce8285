//! What tasks ask of the view thread while it runs: to watch it, and to take rows that were read beside the stream.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

use super::touches::Watch;
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Key, Origin, Sequence};
use crate::plan::{ProjectionId, SourceId, TargetId};
use crate::position::GtidSet;
use crate::source::snapshot::{self, Opened, RawRow};
use crate::view::joins::Named;

/// From a task to the view thread; snapshot workers have requests of their own.
pub enum Request {
    /// Watch what is written from now on.
    Watch {
        reply: oneshot::Sender<Watch>,
    },
    Reread(Reread),
    Remove(Extras),
    /// Take nothing more of the stream after the transaction at hand; answered with the last sequence.
    Pause {
        reply: oneshot::Sender<Sequence>,
    },
    Resume,
    /// Rows of the state, in its order.
    StatePage {
        source: SourceId,
        after: Option<Vec<u8>>,
        limit: usize,
        reply: oneshot::Sender<StatePage>,
    },
}

/// Some of the rows of a table that the state has.
#[derive(Debug, Default)]
pub struct StatePage {
    pub names: Vec<Arc<str>>,
    /// Where the next page begins, if there is one.
    pub more: Option<Vec<u8>>,
}

/// Rows that were read again for items of a projection, after everything that the windows' opening told was visible.
pub struct Reread {
    /// `None`: only the state takes them.
    pub projection: Option<ProjectionId>,
    /// The driving rows of the items.
    pub items: Vec<Arc<str>>,
    /// Open windows, one for each table that was read.
    pub windows: Vec<u64>,
    pub rows: Vec<(SourceId, RawRow)>,
    /// What was asked for by name: those that are not among the rows are gone.
    pub asked: BTreeSet<Named>,
    /// What was executed after the reading.
    pub high: GtidSet,
    pub reply: oneshot::Sender<Settling>,
}

/// What became of rows that were read again.
#[derive(Debug, PartialEq, Eq)]
pub enum Settling {
    /// Their items are on their way, in this sequence.
    Taken(Sequence),
    /// The items are made of these rows, too, as the state knows them: read them with the others.
    More(BTreeSet<Named>),
    /// An item is made of too many rows.
    TooMuch,
    /// The stream touched too much meanwhile: read again.
    Void,
}

/// Items that no row explains, as somebody found who has watched since before.
pub struct Extras {
    pub items: Vec<(TargetId, Key)>,
    pub watch: Arc<Watch>,
    pub reply: oneshot::Sender<(Removed, Sequence)>,
}

/// What became of items that no row explains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub deleted: u64,
    /// Written since somebody looked: to be looked at again.
    pub touched: u64,
    /// Rows that have some of them, as the state knows: not deleted, to be read again.
    pub owned: Vec<Origin>,
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

    /// Hands over rows that were read again.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) async fn reread(
        &self,
        make: impl FnOnce(oneshot::Sender<Settling>) -> Reread,
    ) -> Result<Settling> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Reread(make(reply)), answer).await
    }

    /// Has items removed.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) async fn remove(
        &self,
        items: Vec<(TargetId, Key)>,
        watch: Arc<Watch>,
    ) -> Result<(Removed, Sequence)> {
        let (reply, answer) = oneshot::channel();
        let extras = Extras {
            items,
            watch,
            reply,
        };
        self.ask(Request::Remove(extras), answer).await
    }

    /// Some rows that the state has of a table; none where it keeps none.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) async fn state_page(
        &self,
        source: SourceId,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<StatePage> {
        let (reply, answer) = oneshot::channel();
        let request = Request::StatePage {
            source,
            after,
            limit,
            reply,
        };
        self.ask(request, answer).await
    }

    /// Holds the stream at the end of the transaction at hand; gives the last sequence.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) async fn pause(&self) -> Result<Sequence> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Pause { reply }, answer).await
    }

    /// Lets the stream go on.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) fn resume(&self) -> Result<()> {
        self.requests.send(Request::Resume).map_err(|_| ended())
    }

    /// Opens a window on a table, as for a chunk.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub(super) async fn open(&self, source: SourceId) -> Result<Opened> {
        let (reply, answer) = oneshot::channel();
        let open = snapshot::Request::Open { source, reply };
        self.chunks.send(open).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Closes a window for which no rows will come.
    pub(super) fn abandon(&self, window: u64) {
        // Where the thread has ended there are no windows.
        let _ = self.chunks.send(snapshot::Request::Abandon { window });
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
