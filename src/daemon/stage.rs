//! The view thread: the stream's transactions and the snapshot's chunks become mutations, in one order.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::budget::Share;
use super::cascades::{self, Watch};
use super::deaths::Deaths;
use super::outcome::{Outlet, key_values, unreadable};
use super::requests::{Ends, Extras, Request, Reread, StatePage};
use super::shared::Shared;
use super::views::Views;
use crate::change::{Change, Row};
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::phase::Phase;
use crate::pipeline::{Feed, Sequence};
use crate::plan::{Plan, SourceId, SourceTable};
use crate::position::{Gtid, GtidSet};
use crate::source::decode::{DecodeError, Event, Layout, RowsEvent, RowsKind, TableMap};
use crate::source::snapshot::{Progress, Window, encode_key};
use crate::source::transaction::StreamItem;
use crate::view::{Outcome, Projector};

mod chunks;
mod reread;

use chunks::Held;

/// What a sequence was, told to the committer when it is durable.
#[derive(Debug, Clone)]
pub enum Completion {
    Transaction {
        gtid: Gtid,
        file: Arc<str>,
        offset: u64,
        committed_at_micros: u64,
    },
    /// No transaction, but the position in the file moved (rotate, heartbeat).
    Alive { file: Arc<str>, offset: u64 },
    /// An XA transaction that touches nothing of the plan was prepared, or ended.
    Xa { xid: String, prepared: bool },
    Chunk {
        source: SourceId,
        range_id: u64,
        rows: u64,
    },
    /// Something that was asked for beside the stream.
    Asked,
    /// Items of a projection's first pass; whether those of every projection have been made with it.
    Made { all: bool },
}

/// A stream item and its share of the queue's budget.
pub type Queued = (StreamItem, Option<Share>);

/// The view thread's state.
pub struct Stage {
    plan: Arc<Plan>,
    projector: Projector,
    /// Projections that are made of several rows.
    views: Option<Views>,
    out: Outlet,
    /// Every transaction that the stream has delivered whole, the start position included.
    received: GtidSet,
    layouts: Vec<Option<(Arc<TableMap>, Arc<Layout>)>>,
    windows: Vec<Window>,
    next_window: u64,
    held: Vec<Held>,
    /// Rows that were read again and wait for the stream, and items to be removed that wait for the transaction at hand.
    rereads: Vec<Reread>,
    extras: Vec<Extras>,
    /// An operator holds the stream, and these wait until it stands.
    paused: bool,
    pausing: Vec<tokio::sync::oneshot::Sender<Sequence>>,
    progress: Arc<Progress>,
    shared: Arc<Shared>,
    counters: Vec<Counters>,
    cascaded: Vec<cascades::Counters>,
    current: Option<Current>,
    outcomes: Vec<Outcome>,
    key: Vec<u8>,
}

/// A table's row changes, by kind.
struct Counters {
    insert: ::metrics::Counter,
    update: ::metrics::Counter,
    delete: ::metrics::Counter,
}

impl Counters {
    fn new(table: &SourceTable) -> Self {
        let counter = |kind| metrics::source_rows(&table.name, kind);
        Self {
            insert: counter(metrics::RowKind::Insert),
            update: counter(metrics::RowKind::Update),
            delete: counter(metrics::RowKind::Delete),
        }
    }
}

struct Current {
    sequence: Sequence,
    gtid: Gtid,
    /// The connection broke in its middle: it must come again, whole.
    abandoned: bool,
    /// Its row changes so far, and how many of those to come have been applied before the connection broke.
    seen: u64,
    known: u64,
    /// For the log at debug; nothing otherwise.
    span: tracing::Span,
}

impl Stage {
    pub fn new(
        feed: Feed<Completion>,
        received: GtidSet,
        deaths: Deaths,
        shared: Arc<Shared>,
        views: Option<Views>,
    ) -> Result<Self> {
        let plan = Arc::clone(&shared.plan);
        let counters = plan.sources.iter().map(Counters::new).collect();
        let cascaded = cascades::Counters::of(&plan);
        Ok(Self {
            projector: Projector::new(Arc::clone(&plan))?,
            views,
            layouts: vec![None; plan.sources.len()],
            out: Outlet {
                plan: Arc::clone(&plan),
                feed,
                deaths,
                touches: Arc::clone(&shared.touches),
            },
            plan,
            received,
            windows: Vec::new(),
            next_window: 1,
            held: Vec::new(),
            rereads: Vec::new(),
            extras: Vec::new(),
            paused: shared.pause.paused().is_some(),
            pausing: Vec::new(),
            progress: Arc::clone(&shared.progress),
            shared,
            counters,
            cascaded,
            current: None,
            outcomes: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Runs until `stop` or until the stream's side hangs up. What was accepted is the pipeline's to finish.
    pub fn run(
        mut self,
        stream: &Receiver<Queued>,
        ends: &Ends,
        stop: &Receiver<()>,
    ) -> Result<()> {
        if !self.keep_promises()? {
            return Ok(());
        }
        let nothing = crossbeam_channel::never();
        loop {
            let patience = self.patience();
            let stream = if self.holds() { &nothing } else { stream };
            select! {
                recv(stop) -> _ => return Ok(()),
                recv(stream) -> item => match item {
                    Ok((item, share)) => {
                        if !self.stream_item(item)? {
                            return Ok(());
                        }
                        drop(share);
                    }
                    Err(_) => return Ok(()),
                },
                // Neither hangs up while the daemon runs: others hold the other ends.
                recv(ends.chunks) -> chunk => if let Ok(chunk) = chunk && !self.chunk(chunk)? {
                    return Ok(());
                },
                recv(ends.requests) -> request => if let Ok(request) = request
                    && !self.request(request)?
                {
                    return Ok(());
                },
                default(patience) => {}
            }
            if !self.make()? {
                return Ok(());
            }
        }
    }

    /// A task's request.
    fn request(&mut self, request: Request) -> Result<bool> {
        match request {
            Request::Watch { reply } => {
                let watch = self.shared.touches.watch(self.arrived());
                // Who does not wait for it any more has ended it.
                let _ = reply.send(watch);
                return Ok(true);
            }
            Request::StatePage {
                source,
                after,
                limit,
                reply,
            } => {
                let page = match self.views.as_mut().filter(|v| v.keeps(source)) {
                    Some(views) => views.state_page(source, after.as_deref(), limit)?,
                    None => StatePage::default(),
                };
                let _ = reply.send(page);
                return Ok(true);
            }
            Request::Reread(reread) => self.rereads.push(reread),
            Request::Remove(extras) => self.extras.push(extras),
            Request::Pause { reply } => {
                self.paused = true;
                self.pausing.push(reply);
            }
            Request::Resume => {
                self.paused = false;
                self.shared.goes_on();
            }
        }
        self.rest()
    }

    /// What can be done between transactions: a pause begins, or what waits is taken.
    fn rest(&mut self) -> Result<bool> {
        if !self.holds() {
            return Ok(self.emit_held()? && self.take_asked()?);
        }
        if !self.pausing.is_empty() {
            let sequence = self.out.feed.open();
            self.out.feed.close(sequence, Completion::Asked);
            for reply in self.pausing.drain(..) {
                // Who does not wait any more has still asked for it.
                let _ = reply.send(sequence);
            }
        }
        // Whoever has asked need not be there any more to say so.
        self.shared.pause.hold(true);
        self.shared.enter(Phase::Paused);
        Ok(true)
    }

    /// Whether nothing of the stream is taken.
    fn holds(&self) -> bool {
        self.paused && self.current.is_none()
    }

    /// What the stream has brought, with the transaction at hand: rows of that may have passed already.
    fn arrived(&self) -> GtidSet {
        let mut arrived = self.received.clone();
        if let Some(current) = &self.current {
            arrived.add(&current.gtid);
        }
        arrived
    }

    /// How long to wait for something to do: not at all while items can be made.
    fn patience(&self) -> Duration {
        match &self.views {
            _ if self.holds() => Duration::from_secs(3600),
            Some(views) if self.current.is_none() && views.due(&self.progress).is_some() => {
                Duration::ZERO
            }
            Some(views) if !views.all_made() => Duration::from_millis(20),
            // Often enough to be seen to live: `vitals`.
            _ => Duration::from_secs(5),
        }
    }

    /// Makes a page of items whose tables are all copied. Between transactions only.
    fn make(&mut self) -> Result<bool> {
        let rests = self.current.is_some() || self.paused;
        let Some(views) = self.views.as_mut().filter(|_| !rests) else {
            return Ok(true);
        };
        let Some(projection) = views.due(&self.progress) else {
            return Ok(true);
        };
        let sequence = self.out.feed.open();
        let page = views.first_pass(sequence, projection)?;
        let all = views.all_made();
        for outcome in page.outcomes {
            if !self.out.deliver(None, sequence, outcome) {
                return Ok(false);
            }
        }
        self.out.feed.close(sequence, Completion::Made { all });
        Ok(true)
    }

    /// Deletes or writes again what an earlier run may have written and not committed, before anything else is written.
    fn keep_promises(&mut self) -> Result<bool> {
        let Some(views) = &mut self.views else {
            return Ok(true);
        };
        let out = &mut self.out;
        let sequence = out.feed.open();
        views.begin(sequence)?;
        let all = views.all_made();
        for delete in views.broken_promises()? {
            if !out.deliver(None, sequence, delete) {
                return Ok(false);
            }
        }
        if !views.finish(&mut |outcome| Ok(out.deliver(None, sequence, outcome)))? {
            return Ok(false);
        }
        self.out.feed.close(sequence, Completion::Made { all });
        Ok(true)
    }

    /// False when the pipeline has closed: the daemon is stopping.
    fn stream_item(&mut self, item: StreamItem) -> Result<bool> {
        let _of = self.current.as_ref().map(|c| c.span.clone().entered());
        match item {
            StreamItem::Begin { gtid, .. } => self.begin(gtid),
            StreamItem::Rows {
                source,
                table,
                event,
            } => self.rows(source, &table, &event),
            StreamItem::Commit {
                gtid,
                file,
                offset,
                committed_at_micros,
                ..
            } => {
                if !self.finish_views()? {
                    return Ok(false);
                }
                let Some(current) = self.current.take() else {
                    return Err(out_of_order("a commit without its beginning"));
                };
                self.shared.file_received(&file);
                let done = Completion::Transaction {
                    gtid: gtid.clone(),
                    file,
                    offset,
                    committed_at_micros,
                };
                tracing::debug!(rows = current.seen, "handed to the pipeline");
                self.out.feed.close(current.sequence, done);
                self.received.add(&gtid);
                self.shared
                    .transaction_received(&self.received, committed_at_micros);
                self.rest()
            }
            StreamItem::Alive { file, offset, .. } => {
                // In the middle of a transaction the position is not one to resume at.
                if self.current.is_some() {
                    return Ok(true);
                }
                self.shared.file_received(&file);
                let sequence = self.out.feed.open();
                self.out
                    .feed
                    .close(sequence, Completion::Alive { file, offset });
                Ok(true)
            }
            StreamItem::Xa { xid, prepared } => {
                let sequence = self.out.feed.open();
                self.out
                    .feed
                    .close(sequence, Completion::Xa { xid, prepared });
                Ok(true)
            }
            StreamItem::Abandoned { .. } => {
                if let Some(current) = &mut self.current {
                    current.abandoned = true;
                }
                Ok(true)
            }
        }
    }

    /// Ends the transaction at hand for the views: what it touched is computed and written.
    fn finish_views(&mut self) -> Result<bool> {
        let (Some(views), Some(current)) = (&mut self.views, &self.current) else {
            return Ok(true);
        };
        let out = &mut self.out;
        let (gtid, sequence) = (Some(&current.gtid), current.sequence);
        views.promise_where_unfounded(sequence)?;
        views.finish(&mut |outcome| Ok(out.deliver(gtid, sequence, outcome)))
    }

    fn begin(&mut self, gtid: Gtid) -> Result<bool> {
        match &mut self.current {
            None => {
                let sequence = self.out.feed.open();
                if let Some(views) = &mut self.views {
                    views.begin(sequence)?;
                }
                let span = tracing::debug_span!("transaction", %gtid);
                self.current = Some(Current {
                    span,
                    sequence,
                    gtid,
                    abandoned: false,
                    seen: 0,
                    known: 0,
                });
            }
            // Half of it was written before the connection broke; the whole comes again, in order, over it. A cascade
            // cannot be derived twice: by then other rows may have the key that it took. So what has been seen is skipped.
            Some(current) if current.abandoned && current.gtid == gtid => {
                current.abandoned = false;
                if !self.plan.foreign_keys.is_empty() {
                    current.known = current.seen;
                }
            }
            Some(current) if current.abandoned => {
                return Err(Error::new(
                    Kind::LineageDiffers,
                    format!(
                        "transaction {} had begun to stream when the connection broke, and the server does not send it again (it sends {gtid})",
                        current.gtid
                    ),
                ));
            }
            Some(_) => return Err(out_of_order("a transaction inside another")),
        }
        Ok(true)
    }

    fn rows(&mut self, source: SourceId, table: &Arc<TableMap>, event: &Event) -> Result<bool> {
        let Some(sequence) = self.current.as_ref().map(|c| c.sequence) else {
            return Err(out_of_order("rows outside a transaction"));
        };
        let layout = self.layout(source, table)?;
        let plan = Arc::clone(&self.plan);
        let source_table = plan.source(source);
        let unreadable = |e: DecodeError| unreadable(source_table, &e);
        let rows = RowsEvent::parse(event).map_err(unreadable)?;
        let watched = self.windows.iter().any(|w| w.source == source);
        // Whoever reads the table leaves to the stream what it touches: all of it is written.
        let suppress = self.progress.is_complete(source) && !watched;
        let waits = self.progress.waits(source);
        let cascades = !plan.foreign_keys.is_empty()
            && !rows.without_foreign_key_checks()
            && !rows.logs_cascades();
        let mut count = 0_u64;
        let mut changes = rows.rows(&layout).map_err(unreadable)?;
        while let Some(change) = changes.next() {
            let change = change.map_err(unreadable)?;
            count += 1;
            if self.is_known() {
                changes.recycle(change);
                continue;
            }
            // The copy of a table that waits will show what happens to its rows until then, but not what that does to the rows
            // of tables that are copied already.
            if !waits {
                if watched {
                    touch(&mut self.windows, &mut self.key, source_table, &change);
                }
                self.projector
                    .project(source, &change, suppress, &mut self.outcomes)?;
                if let Some(views) = self.views.as_mut().filter(|v| v.keeps(source)) {
                    views.apply(source, &change, &mut self.outcomes)?;
                }
            }
            if cascades {
                self.cascade(source, &change)?;
            }
            if !self.push(sequence)? {
                return Ok(false);
            }
            changes.recycle(change);
        }
        let counters = &self.counters[usize::from(source.0)];
        match rows.kind {
            RowsKind::Write => counters.insert.increment(count),
            RowsKind::Update | RowsKind::PartialUpdate => counters.update.increment(count),
            RowsKind::Delete => counters.delete.increment(count),
        }
        Ok(true)
    }

    fn layout(&mut self, source: SourceId, table: &Arc<TableMap>) -> Result<Arc<Layout>> {
        let slot = &mut self.layouts[usize::from(source.0)];
        if let Some((known, layout)) = slot
            // Equal maps may differ in their id: the server gives another one when it opens the table anew.
            && (Arc::ptr_eq(known, table) || (known == table && known.table_id == table.table_id))
        {
            return Ok(Arc::clone(layout));
        }
        let source_table = self.plan.source(source);
        let bound = if table.metadata.names.is_empty() {
            Layout::bind_by_ordinal(table, source_table, source_table.column_count)
        } else {
            Layout::bind(table, source_table)
        };
        let layout = bound.map_err(|e| {
            Error::new(
                Kind::TableChanged,
                format!(
                    "the row events of {} do not fit the table as the plan knows it: {e}",
                    source_table.name
                ),
            )
        })?;
        let layout = Arc::new(layout);
        *slot = Some((Arc::clone(table), Arc::clone(&layout)));
        Ok(layout)
    }

    /// Whether the change at hand was applied before the connection broke.
    fn is_known(&mut self) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        match current.known.checked_sub(1) {
            Some(left) => {
                current.known = left;
                true
            }
            None => {
                current.seen += 1;
                false
            }
        }
    }

    /// Derives what foreign keys do to other rows.
    fn cascade(&mut self, source: SourceId, change: &Change<'_>) -> Result<()> {
        let Some(views) = &mut self.views else {
            return Ok(());
        };
        let mut watch = Watch {
            plan: &self.plan,
            progress: &self.progress,
            trouble: &self.shared.trouble,
            windows: &mut self.windows,
            counters: &self.cascaded,
            key: &mut self.key,
        };
        views.cascade(source, change, &mut watch, &mut self.outcomes)
    }

    /// Hands the outcomes of one change on.
    fn push(&mut self, sequence: Sequence) -> Result<bool> {
        let gtid = self.current.as_ref().map(|c| &c.gtid);
        for outcome in self.outcomes.drain(..) {
            if !self.out.deliver(gtid, sequence, outcome) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Notes in the open windows of the table that the stream changed the row.
pub(super) fn touch(
    windows: &mut [Window],
    key: &mut Vec<u8>,
    table: &SourceTable,
    change: &Change<'_>,
) {
    let images: [Option<&Row<'_>>; 2] = match change {
        Change::Insert { after } => [Some(after), None],
        Change::Update { before, after } => [Some(before), Some(after)],
        Change::Delete { before } => [Some(before), None],
    };
    for row in images.into_iter().flatten() {
        encode_key(key_values(table, row), key);
        for window in windows.iter_mut().filter(|w| w.source == table.id) {
            window.touch(key);
        }
    }
}

fn out_of_order(what: &str) -> Error {
    Error::new(Kind::Internal, format!("events out of order: {what}"))
}

#[cfg(test)]
#[path = "tests/stage.rs"]
pub(super) mod tests;
