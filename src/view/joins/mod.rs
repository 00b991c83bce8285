//! Projections whose items are made of several rows, kept exact from row changes alone.
//!
//! The state holds for every table of a join the columns that it needs, by key, and indexes over the join's columns in
//! both directions. A change first moves the state and marks the items that it can touch (`apply`): those that are found
//! from the row as it was, in the state before, and from the row as it is, in the state after. At the end of the
//! transaction each marked item is computed once, from the state (`emit`), and compared with what was written for its
//! driving row before: its key and a hash of its content.
//!
//! | space | key → value |
//! |---|---|
//! | rows of a source | the row's key → its stored columns |
//! | an index | the parts' comparison keys, the row's key → nothing |
//! | items of a projection | the driving row's key → hash of the item; its key, where that does not follow from the row |
//! | owners of a table's keys | item key → hash of the item, projection, driving row's key |
//! | claims on a table's keys, but for the owner's | item key, projection, driving row's key → nothing |
//! | progress | projection → how far its first pass has come |
//!
//! Where a key may be contested (it is not proved unique), claims decide: the item belongs to the lowest projection and
//! source key of all that claim it.

mod apply;
mod cascade;
#[cfg(test)]
mod cascade_tests;
mod contest;
mod emit;
mod entry;
mod force;
mod kept;
mod keys;
mod load;
mod pass;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use bumpalo::Bump;
use sha2::{Digest, Sha256};

use super::encoding::RowShape;
use super::program::{Program, Workspace};
use super::projector::Outcome;
use super::state::{KeySet, MemorySet, Space, State};
use crate::change::Change;
use crate::error::{Error, Kind, Result};
use crate::plan::graph::{Graph, Stored};
use crate::plan::{Plan, ProjectionId, SourceId, TargetId};

pub use cascade::{Follow, Settled, Witness};
pub use force::Named;
pub use pass::{FirstPass, Page};

/// How many entries are taken from the state at a time; in unit tests so few that there are several pages.
const PAGE: usize = if cfg!(test) { 3 } else { 512 };

/// Keeps the items of a plan's projections with a graph.
pub struct Joins {
    plan: Arc<Plan>,
    spaces: Spaces,
    /// By projection; `None` for those that need their driving row only.
    programs: Vec<Option<Program>>,
    /// By source, how its stored rows are written.
    shapes: Vec<Option<RowShape>>,
    passes: Vec<FirstPass>,
    /// How many items the next page of a first pass is made of.
    page_items: usize,
    /// By target, whether claims decide about its keys.
    contested_targets: Vec<bool>,
    /// `(projection, driving key)` of the items that the transaction at hand touches.
    touched: Box<dyn KeySet + Send>,
    /// Which claims on contested keys the transaction at hand has moved.
    contested: Box<dyn KeySet + Send>,
    /// Of `touched`, what is written even if it stands there already; and of `contested`.
    forced: BTreeSet<Vec<u8>>,
    forced_keys: BTreeSet<Vec<u8>>,
    work: Workspace,
    /// Holds the rows of the item that is being made.
    arena: Bump,
}

/// Which map is what.
#[derive(Debug, Clone, Copy)]
struct Spaces {
    indexes: u16,
    items: u16,
    claims: u16,
    owners: u16,
    progress: u16,
}

impl Spaces {
    fn of(plan: &Plan) -> Result<Self> {
        let mut next = 0_usize;
        let mut take = |count: usize| {
            let first = next;
            next += count;
            u16::try_from(first)
                .ok()
                .filter(|_| next < usize::from(u16::MAX))
                .ok_or_else(|| Error::new(Kind::Usage, "the contract needs too many maps of state"))
        };
        take(plan.sources.len())?;
        Ok(Self {
            indexes: take(plan.indexes.len())?,
            items: take(plan.projections.len())?,
            claims: take(plan.targets.len())?,
            owners: take(plan.targets.len())?,
            progress: take(1)?,
        })
    }

    fn rows(self, source: SourceId) -> Space {
        Space(source.0)
    }

    fn index(self, index: usize) -> Space {
        Space(self.indexes + index as u16)
    }

    fn items(self, projection: usize) -> Space {
        Space(self.items + projection as u16)
    }

    fn claims(self, target: TargetId) -> Space {
        Space(self.claims + target.0)
    }

    fn owners(self, target: TargetId) -> Space {
        Space(self.owners + target.0)
    }
}

/// How many maps the state of a plan has.
///
/// # Errors
/// `Usage` for a plan of tens of thousands of tables.
pub fn spaces(plan: &Plan) -> Result<u16> {
    Ok(Spaces::of(plan)?.progress + 1)
}

/// What decides how the state of a plan is laid out: another layout is another state.
pub fn layout(plan: &Plan) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (source, stored) in plan.sources.iter().zip(&plan.stored) {
        let slots = stored.iter().flat_map(|s| &s.slots);
        let columns = slots.filter_map(|slot| source.columns.get(*slot));
        let names: Vec<&str> = columns.map(|c| c.column.name.as_str()).collect();
        let _ = writeln!(text, "rows {} {names:?}", source.name);
    }
    for index in &plan.indexes {
        let compared: Vec<_> = index.parts.iter().map(|part| &part.comparison).collect();
        let _ = writeln!(
            text,
            "index {:?} {:?} {} {compared:?}",
            index.source, index.text, index.primary
        );
    }
    for projection in &plan.projections {
        let _ = writeln!(
            text,
            "items {:?} {} {}",
            projection.label,
            projection.graph.is_some(),
            projection.claimed
        );
    }
    for target in &plan.targets {
        let _ = writeln!(text, "keys {:?}", target.name);
    }
    hex::encode(Sha256::digest(text))
}

/// The sources whose rows are kept.
pub fn stored_sources(plan: &Plan) -> BTreeSet<SourceId> {
    let stored = plan.sources.iter().zip(&plan.stored);
    stored
        .filter(|(_, stored)| stored.is_some())
        .map(|(source, _)| source.id)
        .collect()
}

impl Joins {
    /// Makes the plan's projections with a graph ready; `None` where there is none. How far their first passes have come
    /// is read from the state.
    ///
    /// # Errors
    /// `Internal` for a plan whose parts do not fit; `Store` where the state cannot be read.
    pub fn new(plan: Arc<Plan>, state: &mut dyn State) -> Result<Option<Self>> {
        if plan.projections.iter().all(|p| p.graph.is_none()) {
            return Ok(None);
        }
        let spaces = Spaces::of(&plan)?;
        let mut programs = Vec::new();
        for projection in &plan.projections {
            programs.push(match projection.graph {
                Some(_) => Some(Program::new(&plan, projection)?),
                None => None,
            });
        }
        let stored = plan.sources.iter().zip(&plan.stored);
        let shapes = stored.map(|(source, stored)| {
            let stored = stored.as_ref()?;
            Some(RowShape::new(stored.slots.clone(), source.columns.len()))
        });
        let mut contested_targets = vec![false; plan.targets.len()];
        for projection in &plan.projections {
            if projection.claimed && projection.graph.is_some() {
                let target = contested_targets.get_mut(usize::from(projection.target.0));
                *target.ok_or_else(|| misfit("a projection without a target"))? = true;
            }
        }
        let mut joins = Self {
            contested_targets,
            shapes: shapes.collect(),
            passes: Vec::new(),
            page_items: pass::FIRST_ITEMS,
            spaces,
            programs,
            touched: Box::new(MemorySet::default()),
            contested: Box::new(MemorySet::default()),
            forced: BTreeSet::new(),
            forced_keys: BTreeSet::new(),
            work: Workspace::default(),
            arena: Bump::new(),
            plan,
        };
        joins.read_passes(state)?;
        Ok(Some(joins))
    }

    /// Keeps what a transaction touches in these sets instead of in memory.
    pub fn with_sets(mut self, sets: [Box<dyn KeySet + Send>; 2]) -> Self {
        [self.touched, self.contested] = sets;
        self
    }

    /// Whether rows of the source are kept.
    pub fn keeps(&self, source: SourceId) -> bool {
        self.stored(source).is_some()
    }

    /// Moves the state by one change of a transaction, and marks what it touches; rows that are gone are told at once.
    ///
    /// The row as it was is taken from the state, not from the change: a change that is applied twice is harmless.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written; `Internal` where the change does not fit the plan.
    pub fn apply(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        change: &Change<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        if !self.keeps(source) {
            return Ok(());
        }
        match change {
            Change::Insert { after } => self.upsert(state, source, after, out),
            Change::Delete { before } => self.remove(state, source, before, out),
            Change::Update { before, after } => {
                if self.row_key(source, before)? != self.row_key(source, after)? {
                    self.remove(state, source, before, out)?;
                }
                self.upsert(state, source, after, out)
            }
        }
    }

    /// Ends a transaction: computes every marked item once and gives what follows to `out`, which says whether to go on.
    /// All deletes come before all puts.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written.
    pub fn finish(
        &mut self,
        state: &mut dyn State,
        out: &mut dyn FnMut(Outcome) -> Result<bool>,
    ) -> Result<bool> {
        if self.touched.is_empty() && self.contested.is_empty() {
            return Ok(true);
        }
        let went_on = self.emit(state, out)?;
        self.touched.clear()?;
        self.forced.clear();
        self.forced_keys.clear();
        Ok(went_on)
    }

    fn stored(&self, source: SourceId) -> Option<&Stored> {
        self.plan.stored.get(usize::from(source.0))?.as_ref()
    }

    fn graph(&self, projection: usize) -> Result<&Graph> {
        let graph = self.plan.projections.get(projection);
        graph
            .and_then(|p| p.graph.as_ref())
            .ok_or_else(|| misfit("a projection without a graph"))
    }

    /// Whether claims decide about the keys of the table.
    fn is_contested(&self, target: TargetId) -> bool {
        let contested = self.contested_targets.get(usize::from(target.0));
        contested.copied().unwrap_or_default()
    }

    fn projection_id(projection: usize) -> ProjectionId {
        ProjectionId(projection as u16)
    }
}

/// The projections whose items the source's rows drive.
fn driven(plan: &Plan, source: SourceId) -> impl Iterator<Item = usize> {
    let stored = plan.stored.get(usize::from(source.0));
    let stored = stored.and_then(Option::as_ref).into_iter();
    stored.flat_map(Stored::driven)
}

fn misfit(what: &str) -> Error {
    Error::new(
        Kind::Internal,
        format!("the plan of joins does not fit: {what}"),
    )
}

fn corrupt(what: &str) -> Error {
    Error::new(
        Kind::Store,
        format!("the state of joins cannot be read: {what}"),
    )
}
