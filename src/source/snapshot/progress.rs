//! Which ranges of which table are handed out, and which are done: the snapshot's part of the checkpoint.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::checkpoint::{Bound, Range, TableProgress, TableState};
use crate::plan::{CopyOrder, SourceId, SourceTable};

use super::width::Width;

/// The snapshot's progress, shared by workers (hand out), committer (done) and status (read).
pub struct Progress {
    tables: Mutex<Vec<Table>>,
    /// By source id: the table's snapshot is complete and durable, so no-op changes may be suppressed.
    complete: Vec<AtomicBool>,
    /// Ranges that may be handed out and not yet be committed as durable: what a restart reads twice.
    limit: usize,
    /// Which tables wait for which.
    order: CopyOrder,
}

/// A range that a worker is to read.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub source: SourceId,
    pub range_id: u64,
    pub range: Range,
    /// It was handed out before, by an earlier run or to a worker that could not finish it.
    pub again: bool,
}

/// What a worker does next.
pub enum Work {
    Read(Assignment),
    /// Find the next range's upper bound, then call [`Progress::hand_out`] or [`Progress::give_back_chunker`].
    Bound {
        source: SourceId,
        after: Option<Bound>,
    },
    /// All that remains is being read by others, or enough is under way.
    Wait,
    /// Every table is read and durable.
    Done,
}

struct Table {
    source: SourceId,
    progress: TableProgress,
    open: Vec<Open>,
    next_id: u64,
    chunker_busy: bool,
    restarts: u32,
    width: Width,
}

struct Open {
    id: u64,
    range: Range,
    assigned: bool,
    again: bool,
    /// Its items are durable, and no checkpoint says so yet.
    durable: bool,
}

impl Progress {
    /// Goes on from the tables' progress in a checkpoint (or from nothing); in the order in which tables are to be read.
    /// At most `limit` ranges are under way at a time, one for each worker.
    pub fn new(tables: Vec<(SourceId, TableProgress)>, limit: usize) -> Self {
        let count = tables.iter().map(|(s, _)| usize::from(s.0) + 1).max();
        // Tables that are not copied count as complete.
        let complete = |id| tables.iter().all(|(s, _)| usize::from(s.0) != id).into();
        let complete: Vec<AtomicBool> = (0..count.unwrap_or(0)).map(complete).collect();
        let tables: Vec<Table> = tables
            .into_iter()
            .map(|(source, progress)| Table::resume(source, progress))
            .collect();
        for table in &tables {
            if table.progress.state == TableState::Done {
                complete[usize::from(table.source.0)].store(true, Ordering::Release);
            }
        }
        Self {
            tables: Mutex::new(tables),
            complete,
            limit: limit.max(1),
            order: CopyOrder::default(),
        }
    }

    /// The same, where some tables wait for others.
    pub fn in_order(mut self, order: CopyOrder) -> Self {
        self.order = order;
        self
    }

    /// Whether the table waits until others are complete. One that is complete waits for nothing any more.
    pub fn waits(&self, source: SourceId) -> bool {
        if self.is_complete(source) {
            return false;
        }
        let before = self.order.before(source);
        !before.iter().all(|before| self.is_complete(*before))
    }

    /// Those that can only be copied together with the table, and are not complete yet; empty where there are none.
    pub fn under_way_together(&self, source: SourceId) -> &[SourceId] {
        let group = self.order.group(source);
        match group.iter().all(|member| self.is_complete(*member)) {
            true => &[],
            false => group,
        }
    }

    /// Begins the copy of tables again that are not complete, or that are copied together with such. Ranges under way end as
    /// if they had never been asked for.
    /// Tells how often that has happened in this run; `None`: all of them are complete by now, and nothing begins again.
    pub fn begin_again(&self, sources: &[SourceId]) -> Option<u32> {
        let mut times = 0;
        let mut tables = self.lock();
        // Tables become complete under this lock.
        if sources.iter().all(|source| self.is_complete(*source)) {
            return None;
        }
        for table in tables.iter_mut().filter(|t| sources.contains(&t.source)) {
            let fresh = TableProgress::pending(&table.progress.database, &table.progress.table);
            table.progress = TableProgress {
                estimated_rows: table.progress.estimated_rows,
                ..fresh
            };
            table.open.clear();
            if let Some(flag) = self.complete.get(usize::from(table.source.0)) {
                flag.store(false, Ordering::Release);
            }
            table.restarts += 1;
            times = times.max(table.restarts);
        }
        Some(times)
    }

    /// Begins the copy of a complete table again. From now on it counts as not copied.
    pub fn copy_again(&self, source: SourceId) {
        let mut tables = self.lock();
        if let Some(flag) = self.complete.get(usize::from(source.0)) {
            flag.store(false, Ordering::Release);
        }
        for table in tables.iter_mut().filter(|t| t.source == source) {
            let fresh = TableProgress::pending(&table.progress.database, &table.progress.table);
            table.progress = TableProgress {
                // What it had is a good estimate.
                estimated_rows: table.progress.rows.max(table.progress.estimated_rows),
                ..fresh
            };
            table.open.clear();
        }
    }

    /// Whether the table's snapshot is complete and durable.
    pub fn is_complete(&self, source: SourceId) -> bool {
        self.complete
            .get(usize::from(source.0))
            .is_some_and(|c| c.load(Ordering::Acquire))
    }

    /// Whether the table's snapshot will not begin again by itself: those that are copied together with it are complete, too.
    pub fn is_settled(&self, source: SourceId) -> bool {
        self.is_complete(source) && self.under_way_together(source).is_empty()
    }

    /// Whether every table's snapshot is.
    pub fn all_complete(&self) -> bool {
        self.complete.iter().all(|c| c.load(Ordering::Acquire))
    }

    /// What a worker does next. Ranges left over from an earlier run come first.
    pub fn next(&self) -> Work {
        let mut tables = self.lock();
        for table in tables.iter_mut() {
            if let Some(open) = table.open.iter_mut().find(|o| !o.assigned) {
                open.assigned = true;
                return Work::Read(Assignment {
                    source: table.source,
                    range_id: open.id,
                    range: open.range.clone(),
                    again: open.again,
                });
            }
        }
        let under_way = |t: &Table| t.open.len() + usize::from(t.chunker_busy);
        if tables.iter().map(under_way).sum::<usize>() >= self.limit {
            return Work::Wait;
        }
        // The table with the fewest ranges under way, so that several tables advance together.
        let ready = tables
            .iter_mut()
            .filter(|t| !t.progress.exhausted && !t.chunker_busy && !self.waits(t.source))
            .min_by_key(|t| t.open.len());
        if let Some(table) = ready {
            table.chunker_busy = true;
            return Work::Bound {
                source: table.source,
                after: table.progress.next.clone(),
            };
        }
        // A table that is read may begin again until that is committed.
        let read = tables.iter().all(|t| t.progress.state == TableState::Done);
        if read && self.all_complete() {
            Work::Done
        } else {
            Work::Wait
        }
    }

    /// The chunker found the next range's upper bound (`None`: the rest of the table); the range is assigned to the caller.
    pub fn hand_out(&self, source: SourceId, upto: Option<Bound>) -> Option<Assignment> {
        let mut tables = self.lock();
        let table = tables.iter_mut().find(|t| t.source == source)?;
        table.chunker_busy = false;
        let range = Range {
            after: table.progress.next.clone(),
            upto: upto.clone(),
        };
        match upto {
            Some(bound) => table.progress.next = Some(bound),
            None => table.progress.exhausted = true,
        }
        table.progress.state = TableState::Copying;
        let range_id = table.push(range.clone(), true, false);
        Some(Assignment {
            source,
            range_id,
            range,
            again: false,
        })
    }

    /// The bound could not be read; another worker may try.
    pub fn give_back_chunker(&self, source: SourceId) {
        if let Some(table) = self.lock().iter_mut().find(|t| t.source == source) {
            table.chunker_busy = false;
        }
    }

    /// The range was not read after all (an error, a voided window): it is to be read again.
    pub fn give_back(&self, assignment: &Assignment) {
        if let Some(open) = find(&mut self.lock(), assignment.source, assignment.range_id) {
            open.assigned = false;
            open.again = true;
        }
    }

    /// For how many rows of the table a SELECT asks.
    pub fn limit(&self, source: SourceId, table: &SourceTable) -> usize {
        let tables = self.lock();
        let known = tables.iter().find(|t| t.source == source);
        known.map(|t| t.width).unwrap_or_default().limit(table)
    }

    /// So many rows of the table were read, and weighed so much.
    pub fn weighed(&self, source: SourceId, rows: usize, bytes: usize) {
        if let Some(table) = self.lock().iter_mut().find(|t| t.source == source) {
            table.width.saw(rows, bytes);
        }
    }

    /// Only the rows up to `at` were read: the rest becomes a range of its own.
    pub fn cut(&self, assignment: &mut Assignment, at: Bound) {
        let mut tables = self.lock();
        let Some(table) = tables.iter_mut().find(|t| t.source == assignment.source) else {
            return;
        };
        let rest = Range {
            after: Some(at.clone()),
            upto: assignment.range.upto.clone(),
        };
        assignment.range.upto = Some(at);
        if let Some(open) = table.open.iter_mut().find(|o| o.id == assignment.range_id) {
            open.range = assignment.range.clone();
        }
        table.push(rest, false, assignment.again);
    }

    /// The range's items are durable. Returns true when that completes the table.
    pub fn done(&self, source: SourceId, range_id: u64, rows: u64) -> bool {
        let mut tables = self.lock();
        let Some(table) = tables.iter_mut().find(|t| t.source == source) else {
            return false;
        };
        if let Some(open) = table.open.iter_mut().find(|o| o.id == range_id) {
            open.durable = true;
        }
        table.progress.rows += rows;
        let finished = table.progress.exhausted && table.open.iter().all(|o| o.durable);
        if finished && table.progress.state != TableState::Done {
            table.progress.state = TableState::Done;
            return true;
        }
        false
    }

    /// Call once the checkpoint with these [`tables`](Self::tables) is committed: durable ranges make room for others, and
    /// from now on no-op changes of complete tables are suppressed.
    pub fn committed(&self) {
        for table in self.lock().iter_mut() {
            table.open.retain(|o| !o.durable);
            if table.progress.state == TableState::Done
                && let Some(flag) = self.complete.get(usize::from(table.source.0))
            {
                flag.store(true, Ordering::Release);
            }
        }
    }

    /// As it goes into a checkpoint.
    pub fn tables(&self) -> Vec<TableProgress> {
        self.lock()
            .iter()
            .map(|table| TableProgress {
                open: table
                    .open
                    .iter()
                    .filter(|o| !o.durable)
                    .map(|o| o.range.clone())
                    .collect(),
                ..table.progress.clone()
            })
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Table>> {
        // A panic elsewhere does not make the list wrong: every change is complete before the lock is released.
        self.tables
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Table {
    fn resume(source: SourceId, mut progress: TableProgress) -> Self {
        let ranges = std::mem::take(&mut progress.open);
        let mut table = Self {
            source,
            progress,
            open: Vec::new(),
            next_id: 0,
            chunker_busy: false,
            restarts: 0,
            width: Width::default(),
        };
        for range in ranges {
            table.push(range, false, true);
        }
        table
    }

    fn push(&mut self, range: Range, assigned: bool, again: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.open.push(Open {
            id,
            range,
            assigned,
            again,
            durable: false,
        });
        id
    }
}

fn find(tables: &mut [Table], source: SourceId, range_id: u64) -> Option<&mut Open> {
    tables
        .iter_mut()
        .find(|t| t.source == source)?
        .open
        .iter_mut()
        .find(|o| o.id == range_id)
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
