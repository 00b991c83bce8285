//! Rows that were read again for their items, and items that no row explains: what somebody asks for beside the stream.
//!
//! The rows of a reading are a chunk: those that the stream touched since its windows were opened are the stream's. The
//! state takes the rest first, then the items are written, whatever is known of them. Items made of several rows are
//! written only once the state holds no row of theirs that the reading has not seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::chunks::chunk_row;
use super::{Completion, Stage, key_values, out_of_order};
use crate::change::Change;
use crate::daemon::requests::{Extras, Removed, Reread, Settling};
use crate::error::Result;
use crate::pipeline::{Action, Mutation, Origin, Sequence};
use crate::plan::{ProjectionId, SourceId, TargetId};
use crate::source::row_key::RowKey;
use crate::source::snapshot::{MOST_ROWS, Window, encode_key};
use crate::view::Outcome;
use crate::view::joins::{Named, Settled};
use crate::view::source_key;

/// The windows of a reading, one for each of its tables.
struct Windows(Vec<Window>);

impl Windows {
    fn of(&self, source: SourceId) -> Result<&Window> {
        let found = self.0.iter().find(|w| w.source == source);
        found.ok_or_else(|| out_of_order("rows that were read again without a window"))
    }
}

impl Stage {
    /// Takes what waits and whose time has come. Between transactions only.
    pub(super) fn take_asked(&mut self) -> Result<bool> {
        if self.current.is_some() || self.paused {
            return Ok(true);
        }
        for extras in std::mem::take(&mut self.extras) {
            if !self.remove(extras)? {
                return Ok(false);
            }
        }
        while let Some(i) = self
            .rereads
            .iter()
            .position(|r| r.high.is_subset(&self.received))
        {
            let reread = self.rereads.swap_remove(i);
            if !self.reread(reread)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn reread(&mut self, reread: Reread) -> Result<bool> {
        let mut windows = Vec::new();
        for id in &reread.windows {
            let Some(at) = self.windows.iter().position(|w| w.id == *id) else {
                return Err(out_of_order("rows that were read again without a window"));
            };
            windows.push(self.windows.swap_remove(at));
        }
        let windows = Windows(windows);
        if windows.0.iter().any(Window::is_void) || self.has_unclear(&reread, &windows)? {
            let _ = reread.reply.send(Settling::Void);
            return Ok(true);
        }
        let sequence = self.out.feed.open();
        if let Some(views) = &mut self.views {
            views.begin(sequence)?;
        }
        let seen = self.take_rows(&reread, &windows)?;
        self.take_gone(&reread, &windows, &seen)?;
        let more = self.force(&reread, &seen)?;
        if !self.push(sequence)? || !self.finish_promised(sequence)? {
            return Ok(false);
        }
        self.out.feed.close(sequence, Completion::Asked);
        let _ = reread.reply.send(match more {
            None => Settling::TooMuch,
            Some(more) if more.is_empty() => Settling::Taken(sequence),
            Some(more) => Settling::More(more),
        });
        Ok(true)
    }

    fn has_unclear(&self, reread: &Reread, windows: &Windows) -> Result<bool> {
        let plan = Arc::clone(&self.plan);
        for (source, raw) in &reread.rows {
            let table = plan.source(*source);
            let row = chunk_row(table, raw)?;
            let settled = self.settled(table, row, windows.of(*source)?)?;
            if matches!(settled, Settled::Unclear) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the rows that the stream has not touched; tells which rows are known to be right now.
    fn take_rows(&mut self, reread: &Reread, windows: &Windows) -> Result<Seen> {
        let plan = Arc::clone(&self.plan);
        let driven = reread
            .projection
            .filter(|projection| !self.makes(*projection))
            .map(|projection| plan.projection(projection).driving);
        let mut seen = Seen::default();
        for (source, raw) in &reread.rows {
            let table = plan.source(*source);
            let row = chunk_row(table, raw)?;
            seen.names.insert((*source, source_key(table, &row)));
            if let Some(views) = self.views.as_ref().filter(|v| v.keeps(*source)) {
                seen.keys.insert((*source, views.state_key(*source, &row)?));
            }
            encode_key(key_values(table, &row), &mut self.key);
            let window = windows.of(*source)?;
            if window.is_touched(&self.key) {
                continue;
            }
            let Settled::Row(row) = self.settled(table, row, window)? else {
                continue;
            };
            let change = Change::Insert { after: row };
            if Some(*source) == driven {
                self.projector
                    .project(*source, &change, false, &mut self.outcomes)?;
            }
            if let Some(views) = self.views.as_mut().filter(|v| v.keeps(*source)) {
                views.apply(*source, &change, &mut self.outcomes)?;
            }
        }
        Ok(seen)
    }

    /// Rows that were asked for by name, and that MySQL does not have.
    fn take_gone(&mut self, reread: &Reread, windows: &Windows, seen: &Seen) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        for (source, name) in &reread.asked {
            if seen.names.contains(&(*source, Arc::clone(name))) {
                continue;
            }
            let table = plan.source(*source);
            let key = RowKey::parse(table, name)?;
            let row = key.row()?;
            encode_key(key_values(table, &row), &mut self.key);
            if windows.of(*source)?.is_touched(&self.key) {
                continue;
            }
            if let Some(projection) = reread.projection
                && *source == plan.projection(projection).driving
            {
                self.outcomes.push(Outcome::Gone(Origin {
                    projection,
                    source_key: Arc::clone(name),
                }));
            }
            if let Some(views) = self.views.as_mut().filter(|v| v.keeps(*source)) {
                // Found under another spelling of the same key: that row has its place.
                let known = (*source, views.state_key(*source, &row)?);
                if !seen.keys.contains(&known) {
                    let change = Change::Delete { before: row };
                    views.apply(*source, &change, &mut self.outcomes)?;
                }
            }
        }
        Ok(())
    }

    /// Marks the items to be written whatever is known of them; gives the rows of theirs that the reading has not seen, if they
    /// are not too many.
    fn force(&mut self, reread: &Reread, seen: &Seen) -> Result<Option<BTreeSet<Named>>> {
        let mut more = BTreeSet::new();
        let Some(projection) = reread.projection.filter(|p| self.makes(*p)) else {
            return Ok(Some(more));
        };
        let plan = Arc::clone(&self.plan);
        let table = plan.source(plan.projection(projection).driving);
        let Some(views) = &mut self.views else {
            return Ok(Some(more));
        };
        for name in &reread.items {
            let key = RowKey::parse(table, name)?;
            let row = key.row()?;
            views.force(projection, &row)?;
            let Some(parts) = views.parts(projection, &row, MOST_ROWS)? else {
                return Ok(None);
            };
            let unseen = parts
                .into_iter()
                .filter(|part| !seen.names.contains(part) && !reread.asked.contains(part));
            more.extend(unseen);
        }
        Ok(Some(more))
    }

    fn makes(&self, projection: ProjectionId) -> bool {
        let views = self.views.as_ref();
        views.is_some_and(|views| views.makes(projection))
    }

    /// Ends a sequence that does not follow from the binlog: what it is about to write is promised before the first of it is
    /// written.
    pub(super) fn finish_promised(&mut self, sequence: Sequence) -> Result<bool> {
        let Some(views) = &mut self.views else {
            return Ok(true);
        };
        views.promise(sequence)?;
        let out = &mut self.out;
        views.finish(&mut |outcome| Ok(out.deliver(None, sequence, outcome)))
    }

    /// Deletes items that no row explains, but for those that were written since somebody looked, and those that the state
    /// knows a row of: that row is to be read again first.
    fn remove(&mut self, extras: Extras) -> Result<bool> {
        let mut removed = Removed::default();
        let mut left: BTreeMap<TargetId, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (target, key) in &extras.items {
            match extras.watch.is_touched(*target, key) {
                true => removed.touched += 1,
                false => _ = left.entry(*target).or_default().insert(key.0.to_vec()),
            }
        }
        let mut owned: HashSet<(TargetId, Vec<u8>)> = HashSet::new();
        if let Some(views) = &mut self.views {
            for (target, keys) in &left {
                for (key, origin) in views.owners(*target, keys)? {
                    owned.insert((*target, key));
                    removed.owned.push(origin);
                }
            }
        }
        let sequence = self.out.feed.open();
        for (target, key) in extras.items {
            let known = (target, key.0.to_vec());
            let untouched = left
                .get(&target)
                .is_some_and(|keys| keys.contains(&known.1));
            if !untouched || owned.contains(&known) {
                continue;
            }
            removed.deleted += 1;
            let delete = Outcome::Write(Mutation {
                target,
                key,
                origin: self.nobody(target),
                action: Action::Delete,
            });
            if !self.out.deliver(None, sequence, delete) {
                return Ok(false);
            }
        }
        self.out.feed.close(sequence, Completion::Asked);
        let _ = extras.reply.send((removed, sequence));
        Ok(true)
    }

    /// The origin of an item that no row explains: the table's first projection, and no name.
    fn nobody(&self, target: TargetId) -> Origin {
        let first = self.plan.projections.iter().find(|p| p.target == target);
        Origin {
            projection: first.map_or(ProjectionId(0), |p| p.id),
            source_key: Arc::from(""),
        }
    }
}

/// Rows that MySQL has, or that the stream keeps right.
#[derive(Default)]
struct Seen {
    names: BTreeSet<Named>,
    /// As the state knows them.
    keys: BTreeSet<(SourceId, Vec<u8>)>,
}
