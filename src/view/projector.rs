//! Runs a plan's projections over the changes of rows.

use std::sync::Arc;

use bytes::Bytes;

use super::program::{Program, Workspace};
use super::reason::Reason;
use super::scene::Scene;
use super::source_key;
use crate::change::{Change, Row};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Action, Key, Mutation, Origin};
use crate::plan::{Plan, SourceId};

/// What follows from a change for one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To be written. A `Put` also says that its origin has a valid item now.
    Write(Mutation),
    /// The row has no valid item: a dead letter. Deletes of what it had go before it as writes.
    Unmappable { origin: Origin, reason: Reason },
    /// The row's key is another row's: a dead letter. Which of them has it follows from all rows that claim it.
    Contested { origin: Origin, owner: Origin },
    /// There is no such row any more (deleted, or another primary key): what was known of it can go.
    Gone(Origin),
}

/// Turns changes into outcomes. Keeps only buffers from one change to the next: the same change always gives the same
/// outcomes, byte for byte.
#[derive(Debug)]
pub struct Projector {
    plan: Arc<Plan>,
    /// For each source the projections that it drives.
    programs: Vec<Vec<Program>>,
    work: Workspace,
    names: Names,
    /// What is written after all deletes of the change.
    later: Vec<Outcome>,
}

impl Projector {
    /// Makes the plan's projections ready that need their driving row only.
    ///
    /// # Errors
    /// `Internal` for a plan whose parts do not fit.
    pub fn new(plan: Arc<Plan>) -> Result<Self> {
        let mut programs: Vec<Vec<Program>> = plan.sources.iter().map(|_| Vec::new()).collect();
        for projection in plan.projections.iter().filter(|p| p.graph.is_none()) {
            let program = Program::new(&plan, projection)?;
            if let Some(of_source) = programs.get_mut(usize::from(projection.driving.0)) {
                of_source.push(program);
            }
        }
        Ok(Self {
            plan,
            programs,
            work: Workspace::default(),
            names: Names::default(),
            later: Vec::new(),
        })
    }

    /// Appends what follows from `change` to `out`: first who is gone and all deletes, then puts and dead letters.
    ///
    /// With `suppress_unchanged` an update that touches nothing a projection reads gives nothing for it; without, the
    /// whole item is written again.
    ///
    /// # Errors
    /// `Internal` where the change does not fit the plan (an unknown source, rows of another width).
    pub fn project(
        &mut self,
        source: SourceId,
        change: &Change<'_>,
        suppress_unchanged: bool,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        let Self {
            plan,
            programs,
            work,
            names,
            later,
        } = self;
        let at = usize::from(source.0);
        let (Some(table), Some(programs)) = (plan.sources.get(at), programs.get(at)) else {
            return Err(Error::new(
                Kind::Internal,
                format!("no source {at} in the plan"),
            ));
        };
        let (before, after) = match change {
            Change::Insert { after } => (None, Some(after)),
            Change::Update { before, after } => (Some(before), Some(after)),
            Change::Delete { before } => (Some(before), None),
        };
        if before
            .iter()
            .chain(&after)
            .any(|row| row.values.len() != table.columns.len())
        {
            let message = format!("a row of {} does not have the plan's columns", table.name);
            return Err(Error::new(Kind::Internal, message));
        }
        names.take(table, before, after);
        for program in programs {
            let unchanged =
                matches!((before, after), (Some(b), Some(a)) if program.same_item(b, a));
            if suppress_unchanged && unchanged {
                continue;
            }
            let mut run = Run {
                plan,
                program,
                names,
                work,
                out,
                later,
            };
            run.project(before, after);
        }
        out.append(later);
        Ok(())
    }
}

/// The origins' names of the change at hand.
#[derive(Debug, Default)]
struct Names {
    before: Option<Arc<str>>,
    after: Option<Arc<str>>,
    text: String,
}

impl Names {
    fn take(
        &mut self,
        table: &crate::plan::SourceTable,
        before: Option<&Row<'_>>,
        after: Option<&Row<'_>>,
    ) {
        self.after = after.map(|row| self.name(table, row));
        self.before = before.map(|row| self.name(table, row));
    }

    fn name(&mut self, table: &crate::plan::SourceTable, row: &Row<'_>) -> Arc<str> {
        self.text.clear();
        source_key::write(table, row, &mut self.text);
        match &self.after {
            Some(after) if **after == *self.text => Arc::clone(after),
            _ => Arc::from(self.text.as_str()),
        }
    }
}

/// One projection over one change.
struct Run<'r> {
    plan: &'r Plan,
    program: &'r Program,
    names: &'r Names,
    work: &'r mut Workspace,
    out: &'r mut Vec<Outcome>,
    later: &'r mut Vec<Outcome>,
}

impl Run<'_> {
    fn project(&mut self, before: Option<&Row<'_>>, after: Option<&Row<'_>>) {
        if let Some(gone) = &self.names.before
            && self.names.after.as_ref() != Some(gone)
        {
            self.out.push(Outcome::Gone(self.origin(gone)));
        }
        let new_key = match after {
            Some(row) => self.put(row, before.is_some()),
            None => None,
        };
        if let Some(row) = before {
            let kept =
                new_key.is_some() && after.is_some_and(|after| self.program.same_key(row, after));
            if !kept {
                self.delete_old(row, new_key.as_ref());
            }
        }
    }

    /// The row's item, or why it has none; gives its key where that is valid and wanted.
    fn put(&mut self, row: &Row<'_>, wanted: bool) -> Option<Bytes> {
        let name = self.names.after.as_ref()?;
        let origin = self.origin(name);
        let scene = Scene::of(row);
        match self.program.passes(scene) {
            Ok(true) => {}
            Ok(false) => {
                // A row that has no item any more has no dead letter either.
                self.out.push(Outcome::Gone(origin));
                return None;
            }
            Err(reason) => {
                self.later.push(Outcome::Unmappable { origin, reason });
                return None;
            }
        }
        if let Err(reason) = self.program.write_key(self.plan, scene, self.work) {
            self.later.push(Outcome::Unmappable { origin, reason });
            return None;
        }
        let key = self.work.writer.closed();
        let given = wanted.then(|| key.clone());
        match self.program.write_rest(self.plan, scene, self.work) {
            Ok(()) => {
                let action = Action::Put {
                    item: self.work.writer.closed(),
                    size: self.work.writer.size(),
                };
                let write = self.mutation(key, origin, action);
                self.later.push(write);
            }
            Err(reason) => {
                // Whatever stands under the key is this row's, and no longer what the row says.
                let write = self.mutation(key, origin.clone(), Action::Delete);
                self.out.push(write);
                self.later.push(Outcome::Unmappable { origin, reason });
            }
        }
        given
    }

    /// Deletes the item of the old row, if it had a valid key that is not the new one.
    fn delete_old(&mut self, row: &Row<'_>, new_key: Option<&Bytes>) {
        let Some(name) = &self.names.before else {
            return;
        };
        let scene = Scene::of(row);
        if !matches!(self.program.passes(scene), Ok(true))
            || self.program.write_key(self.plan, scene, self.work).is_err()
        {
            return;
        }
        let key = self.work.writer.closed();
        if new_key != Some(&key) {
            let write = self.mutation(key, self.origin(name), Action::Delete);
            self.out.push(write);
        }
    }

    fn mutation(&self, key: Bytes, origin: Origin, action: Action) -> Outcome {
        Outcome::Write(Mutation {
            target: self.program.target,
            key: Key(key),
            origin,
            action,
        })
    }

    fn origin(&self, name: &Arc<str>) -> Origin {
        Origin {
            projection: self.program.projection,
            source_key: Arc::clone(name),
        }
    }
}

#[cfg(test)]
#[path = "projector_tests.rs"]
mod tests;
