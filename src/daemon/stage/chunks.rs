//! The snapshot's chunks: windows opened, and their rows emitted once the stream has passed them.

use std::sync::Arc;

use super::{Completion, Stage, key_values, out_of_order, unreadable};
use crate::change::{Change, Row, Value};
use crate::error::Result;
use crate::plan::SourceTable;
use crate::position::GtidSet;
use crate::source::decode::text;
use crate::source::snapshot::{Assignment, Emitted, Opened, RawRow, Request, Window, encode_key};
use crate::view::joins::Settled;

/// A chunk that waits until the stream has passed its high watermark.
pub(super) struct Held {
    window: u64,
    assignment: Assignment,
    rows: Vec<RawRow>,
    high: GtidSet,
    reply: tokio::sync::oneshot::Sender<Emitted>,
}

impl Stage {
    pub(super) fn chunk(&mut self, request: Request) -> Result<bool> {
        match request {
            Request::Open { source, reply } => {
                let id = self.next_window;
                self.next_window += 1;
                self.windows.push(Window::new(id, source));
                let opened = Opened {
                    window: id,
                    received: self.arrived(),
                };
                if reply.send(opened).is_err() {
                    self.close_window(id);
                }
                Ok(true)
            }
            Request::Abandon { window } => {
                self.close_window(window);
                Ok(true)
            }
            Request::Chunk {
                window,
                assignment,
                rows,
                high,
                reply,
            } => {
                self.held.push(Held {
                    window,
                    assignment,
                    rows,
                    high,
                    reply,
                });
                self.emit_held()
            }
        }
    }

    /// Emits every held chunk whose high watermark the stream has passed. Between transactions only.
    pub(super) fn emit_held(&mut self) -> Result<bool> {
        if self.current.is_some() || self.paused {
            return Ok(true);
        }
        while let Some(i) = self
            .held
            .iter()
            .position(|h| h.high.is_subset(&self.received))
        {
            let held = self.held.swap_remove(i);
            if !self.emit(held)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn emit(&mut self, held: Held) -> Result<bool> {
        let Some(i) = self.windows.iter().position(|w| w.id == held.window) else {
            return Err(out_of_order("a chunk without its window"));
        };
        let window = self.windows.swap_remove(i);
        if window.is_void() {
            let _ = held.reply.send(Emitted::Void);
            return Ok(true);
        }
        let plan = Arc::clone(&self.plan);
        let table = plan.source(held.assignment.source);
        if self.is_unclear(table, &held.rows, &window)? {
            let _ = held.reply.send(Emitted::Void);
            return Ok(true);
        }
        let sequence = self.out.feed.open();
        if let Some(views) = &mut self.views {
            views.begin(sequence)?;
        }
        for raw in &held.rows {
            let row = chunk_row(table, raw)?;
            encode_key(key_values(table, &row), &mut self.key);
            // Where the items are made already, a copy is there to put them right.
            if let Some(views) = self.views.as_mut().filter(|v| v.keeps(table.id)) {
                views.force_all(table.id, &row)?;
            }
            if window.is_touched(&self.key) {
                continue;
            }
            let Settled::Row(row) = self.settled(table, row, &window)? else {
                continue;
            };
            let change = Change::Insert { after: row };
            self.projector
                .project(table.id, &change, false, &mut self.outcomes)?;
            if let Some(views) = self.views.as_mut().filter(|v| v.keeps(table.id)) {
                views.apply(table.id, &change, &mut self.outcomes)?;
            }
            if !self.push(sequence)? {
                return Ok(false);
            }
        }
        if !self.finish_promised(sequence)? {
            return Ok(false);
        }
        let done = Completion::Chunk {
            source: table.id,
            range_id: held.assignment.range_id,
            rows: held.rows.len() as u64,
        };
        self.out.feed.close(sequence, done);
        // A worker that has gone meanwhile needs no answer.
        let _ = held.reply.send(Emitted::Accepted);
        Ok(true)
    }

    /// Whether a row of the chunk can be one thing or another after the cascades of its window.
    fn is_unclear(&self, table: &SourceTable, rows: &[RawRow], window: &Window) -> Result<bool> {
        if window.cascades().is_empty() {
            return Ok(false);
        }
        for raw in rows {
            let settled = self.settled(table, chunk_row(table, raw)?, window)?;
            if matches!(settled, Settled::Unclear) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn settled<'r>(
        &self,
        table: &SourceTable,
        row: Row<'r>,
        window: &'r Window,
    ) -> Result<Settled<'r>> {
        match &self.views {
            Some(views) if !window.cascades().is_empty() => {
                views.settled(window.cascades(), table.id, row)
            }
            _ => Ok(Settled::Row(row)),
        }
    }

    fn close_window(&mut self, id: u64) {
        self.windows.retain(|w| w.id != id);
    }
}

pub(super) fn chunk_row<'a>(table: &SourceTable, raw: &'a RawRow) -> Result<Row<'a>> {
    if raw.len() != table.columns.len() {
        return Err(out_of_order(
            "a snapshot row with another number of columns",
        ));
    }
    let mut values = Vec::with_capacity(raw.len());
    for (slot, bytes) in table.columns.iter().zip(raw) {
        values.push(match bytes {
            None => Value::Null,
            Some(bytes) => text::value(&slot.column, bytes).map_err(|e| unreadable(table, &e))?,
        });
    }
    Ok(Row { values })
}
