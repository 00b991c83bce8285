//! Single rows and items put right beside the stream: what a repair does, and a retry of dead letters.
//!
//! A row is read again as a chunk of one. No stored payload is ever written: what is written is what MySQL has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::Conn;
use tokio::sync::Mutex;

use super::requests::{Removed, Reread, Settling};
use super::shared::Shared;
use super::touches::Watch;
use crate::error::{Error, Kind, Result};
use crate::phase::Phase;
use crate::pipeline::{Key, Sequence};
use crate::plan::graph::sources;
use crate::plan::select::{JoinedRows, joined_rows};
use crate::plan::{ProjectionId, SourceId, TargetId};
use crate::source::Options;
use crate::source::connect::connect_snapshot;
use crate::source::snapshot::{Reading, Wanted, reread, too_much};
use crate::view::joins::Named;

/// Items that are read again together.
const TOGETHER: usize = 100;
/// A join's rows lead to others so many times at most before somebody must have changed them in between.
const ROUNDS: usize = 32;
/// The stream touches too much at present: so long until the next attempt.
const VOID_PAUSE: Duration = Duration::from_secs(1);

/// Reads rows again and removes items, one request at a time.
pub struct Rows {
    options: Arc<Options>,
    shared: Arc<Shared>,
    conn: Mutex<Option<Conn>>,
}

impl Rows {
    /// On the source of the running daemon.
    pub fn new(options: Arc<Options>, shared: Arc<Shared>) -> Self {
        Self {
            options,
            shared,
            conn: Mutex::new(None),
        }
    }

    /// Reads driving rows of a projection again, by their names, and writes their items whatever is known of them; what has no
    /// row any more is deleted where the state knows of it. For items of several rows all of these are read again.
    ///
    /// Returns when all of it is durable.
    ///
    /// # Errors
    /// `Usage` while rows are still being copied, and for a name that is no row's; `SourceUnavailable` and its like where
    /// MySQL cannot be read; `Unsupported` for an item of too many rows; `Interrupted` where the stream has ended.
    pub async fn reread(&self, projection: ProjectionId, names: &[Arc<str>]) -> Result<()> {
        self.may_write()?;
        let plan = Arc::clone(&self.shared.plan);
        let joins = match &plan.projection(projection).graph {
            Some(_) => joined_rows(&plan, plan.projection(projection))
                .map_err(|e| Error::new(Kind::Unsupported, e.to_string()))?,
            None => Vec::new(),
        };
        let mut conn = self.conn.lock().await;
        let mut last = None;
        for items in names.chunks(TOGETHER) {
            let mut session = match conn.take() {
                Some(session) => session,
                None => connect_snapshot(&self.options).await?,
            };
            last = Some(self.items(&mut session, projection, items, &joins).await?);
            // Kept where nothing has gone wrong with it.
            *conn = Some(session);
        }
        drop(conn);
        match last {
            Some(sequence) => self.shared.until_committed(sequence).await,
            None => Ok(()),
        }
    }

    /// Deletes items that no row explains, unless they were written since `watch` was opened. Those that the state knows a
    /// row of are left to that row, which is read again.
    ///
    /// Returns when all of it is durable.
    ///
    /// # Errors
    /// As [`reread`](Self::reread).
    pub async fn remove(&self, items: Vec<(TargetId, Key)>, watch: &Arc<Watch>) -> Result<Removed> {
        self.may_write()?;
        let asked = self.shared.stage.remove(items, Arc::clone(watch));
        let (removed, sequence) = asked.await?;
        for origin in &removed.owned {
            let name = std::slice::from_ref(&origin.source_key);
            self.reread(origin.projection, name).await?;
        }
        self.shared.until_committed(sequence).await?;
        Ok(removed)
    }

    /// Whether anything may be written beside the stream now.
    fn may_write(&self) -> Result<()> {
        if let Some(paused) = self.shared.pause.paused() {
            let message = format!("the stream is paused by {}: nothing is written", paused.by);
            let error = Error::new(Kind::Usage, message);
            return Err(error.with_remedy("`penstock resume`, then again"));
        }
        let refused =
            |why: &str, remedy: &str| Err(Error::new(Kind::Usage, why).with_remedy(remedy));
        match self.shared.phase() {
            // What is compared at a cutover must be what stays.
            Phase::Draining => refused(
                "a cutover, or the end of the daemon, is under way",
                "ask again afterwards",
            ),
            phase @ (Phase::CutOver | Phase::Stopped | Phase::ResnapshotRequired) => refused(
                &format!("nothing is written in phase {phase}"),
                "see `penstock status`",
            ),
            _ if !self.shared.is_copied() => refused(
                "the snapshot is not complete yet",
                "wait until it is: rows are being read anyway",
            ),
            Phase::Snapshot | Phase::Streaming | Phase::Ready | Phase::Aborted | Phase::Paused => {
                Ok(())
            }
        }
    }

    /// Reads until the items' rows are all seen; gives the sequence that writes them.
    async fn items(
        &self,
        conn: &mut Conn,
        projection: ProjectionId,
        items: &[Arc<str>],
        joins: &[JoinedRows],
    ) -> Result<Sequence> {
        let driving = self.shared.plan.projection(projection).driving;
        let mut asked: BTreeSet<Named> = items
            .iter()
            .map(|name| (driving, Arc::clone(name)))
            .collect();
        for _ in 0..ROUNDS {
            let settled = self.round(conn, projection, items, joins, &asked).await?;
            match settled {
                Settling::Taken(sequence) => return Ok(sequence),
                Settling::More(parts) => asked.extend(parts),
                Settling::TooMuch => return Err(too_much(self.shared.plan.source(driving))),
                Settling::Void => tokio::time::sleep(VOID_PAUSE).await,
            }
        }
        Err(too_fast())
    }

    /// Looks for rows of a table that the state has: those that MySQL has not are forgotten, the others are taken as they
    /// are. Gives the sequence that does it.
    ///
    /// # Errors
    /// As [`reread`](Self::reread), but for the snapshot.
    pub(super) async fn sweep(
        &self,
        source: SourceId,
        names: &BTreeSet<Named>,
    ) -> Result<Sequence> {
        let mut conn = self.conn.lock().await;
        let mut session = match conn.take() {
            Some(session) => session,
            None => connect_snapshot(&self.options).await?,
        };
        let wanted = Wanted {
            rows: names,
            items: &[],
            driving: source,
            joins: &[],
        };
        for _ in 0..ROUNDS {
            let settled = self.read(&mut session, None, &[source], &wanted).await?;
            match settled {
                Settling::Taken(sequence) => {
                    *conn = Some(session);
                    return Ok(sequence);
                }
                _ => tokio::time::sleep(VOID_PAUSE).await,
            }
        }
        Err(too_fast())
    }

    async fn round(
        &self,
        conn: &mut Conn,
        projection: ProjectionId,
        items: &[Arc<str>],
        joins: &[JoinedRows],
        asked: &BTreeSet<Named>,
    ) -> Result<Settling> {
        let of = self.shared.plan.projection(projection);
        let wanted = Wanted {
            rows: asked,
            items,
            driving: of.driving,
            joins,
        };
        self.read(conn, Some(projection), &sources(of), &wanted)
            .await
    }

    /// Reads between its watermarks, and hands over.
    async fn read(
        &self,
        conn: &mut Conn,
        projection: Option<ProjectionId>,
        tables: &[SourceId],
        wanted: &Wanted<'_>,
    ) -> Result<Settling> {
        let shared = &self.shared;
        let windows = Windows::open(shared, tables).await?;
        let (options, received) = (&self.options, &windows.received);
        let Reading { rows, high } = reread(options, &shared.plan, conn, received, wanted).await?;
        let ids = windows.hand_over();
        let make = |reply| Reread {
            projection,
            items: wanted.items.to_vec(),
            windows: ids,
            rows,
            asked: wanted.rows.clone(),
            high,
            reply,
        };
        shared.stage.reread(make).await
    }
}

fn too_fast() -> Error {
    Error::new(
        Kind::SourceUnavailable,
        "rows change faster than they can be read again",
    )
    .with_remedy("try again when less is written to them")
}

/// Open windows, abandoned where nothing comes of them.
struct Windows<'s> {
    shared: &'s Shared,
    ids: Vec<u64>,
    received: crate::position::GtidSet,
}

impl<'s> Windows<'s> {
    async fn open(shared: &'s Shared, tables: &[SourceId]) -> Result<Self> {
        let mut windows = Self {
            shared,
            ids: Vec::new(),
            received: crate::position::GtidSet::new(),
        };
        for table in tables {
            let opened = shared.stage.open(*table).await?;
            windows.ids.push(opened.window);
            // Each is told all that the one before was told.
            windows.received = opened.received;
        }
        Ok(windows)
    }

    fn hand_over(mut self) -> Vec<u64> {
        std::mem::take(&mut self.ids)
    }
}

impl Drop for Windows<'_> {
    fn drop(&mut self) {
        for window in self.ids.drain(..) {
            self.shared.stage.abandon(window);
        }
    }
}
