//! Cascades that the source does not log, derived from the changes of the parents.
//!
//! InnoDB changes the children while it changes the parent's row, foreign key by foreign key in the order of their
//! names, and goes on with the children of each. So do we, over the state: after a parent's change the children that
//! refer to its old values are found by the index, changed like any row, and followed in turn.
//!
//! Why nothing is missed while tables are being copied:
//!
//! - A child that the state has is changed there.
//! - A child that the state does not have is in a range that is read later. If its window is open already, the cascade
//!   is noted in the window and applied to the chunk's rows ([`Notes`]). If not, the chunk is read after everything that
//!   the stream had delivered was visible, this cascade with it.
//! - A cascade that goes through a row needs that row. So a table waits until those are copied from which cascades pass
//!   on to it (`CopyOrder`), and until then its changes are not looked at: its chunks, read later, show them.
//! - Tables that wait for each other, such as a tree, are copied together. A cascade into them meanwhile may pass through
//!   a row that is not known yet, so their state is forgotten and their copy begins again. The same where a cascade
//!   changes the key by which the table is being cut into chunks: the row may move into a range that has been read.
//!
//! Items of such tables are made from the state, after the copy, so that nothing wrong is written in between.

use super::keys::key_of_columns;
use super::{Joins, PAGE, corrupt, misfit};
use crate::change::{Change, Row, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::{ForeignKeyPlan, SourceId};
use crate::schema::ReferentialAction;
use crate::view::cascade::{Effect, Note, Notes};
use crate::view::encoding::RowShape;
use crate::view::program::same_value;
use crate::view::projector::Outcome;
use crate::view::source_key::source_key;
use crate::view::state::State;

/// InnoDB refuses a statement whose cascades go deeper than 15 levels.
const DEEPEST: usize = 16;

/// Whether children are looked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Follow {
    Yes,
    /// Their table's copy has not begun.
    No,
    /// The copy of these tables begins again.
    Forget(Vec<SourceId>),
}

/// Is told of derived changes: who watches the copying of tables.
pub trait Witness {
    /// A cascade into the child table of a foreign key, for the rows of this key.
    fn cascades(&mut self, foreign_key: usize, key: &[u8], effect: &Effect) -> Result<Follow>;

    /// A row changes by a cascade.
    fn changes(&mut self, source: SourceId, change: &Change<'_>);
}

/// What becomes of a chunk's row.
#[derive(Debug)]
pub enum Settled<'r> {
    Row(Row<'r>),
    /// A cascade has deleted it.
    Gone,
    /// Nobody can tell: read it again.
    Unclear,
}

/// One step of a cascade: where it goes on.
struct Step<'s, 'w> {
    state: &'s mut dyn State,
    witness: &'w mut dyn Witness,
    out: &'s mut Vec<Outcome>,
}

impl Joins {
    /// Derives what the change of a row does to others by foreign keys; the change itself has been applied.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written; `Internal` where a cascade does not end.
    pub fn cascade(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        change: &Change<'_>,
        witness: &mut dyn Witness,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        let mut step = Step {
            state,
            witness,
            out,
        };
        self.follow(&mut step, source, change, 0)
    }

    /// What a row of a chunk is after the cascades that were noted in its window.
    ///
    /// # Errors
    /// `Internal` where the notes do not fit the plan.
    pub fn settled<'r>(
        &self,
        notes: &'r Notes,
        source: SourceId,
        mut row: Row<'r>,
    ) -> Result<Settled<'r>> {
        let plan = &self.plan;
        let keys: Vec<(usize, &ForeignKeyPlan)> = plan
            .foreign_keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.child == source)
            .collect();
        let mut from = 0;
        let mut bytes = Vec::new();
        loop {
            let mut first: Option<(usize, &ForeignKeyPlan, &'r Note)> = None;
            for (id, key) in &keys {
                bytes.clear();
                if !key_of_columns(&key.child_slots, &key.comparisons, &row, &mut bytes)? {
                    continue;
                }
                let Some((at, note)) = notes.taking(*id, &bytes, from) else {
                    continue;
                };
                let again = keys.iter().any(|(other, that)| match other == id {
                    true => notes.given_after(*id, &bytes, at),
                    false => overlap(key, that) && notes.gives_after(*other, at),
                });
                if again {
                    return Ok(Settled::Unclear);
                }
                if first.as_ref().is_none_or(|(known, ..)| at < *known) {
                    first = Some((at, *key, note));
                }
            }
            let Some((at, key, note)) = first else {
                return Ok(Settled::Row(row));
            };
            match self.affected(key, &note.effect, &row)? {
                None => return Ok(Settled::Gone),
                Some(changed) => row = changed,
            }
            from = at + 1;
        }
    }

    /// Removes all rows of a source that will be copied again. What was written for them stays known.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written.
    pub fn forget(&mut self, state: &mut dyn State, source: SourceId) -> Result<()> {
        let space = self.spaces.rows(source);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let more = state.page(space, &[], after.as_deref(), PAGE, &mut |key, row| {
                rows.push((key.to_vec(), row.to_vec()));
            })?;
            for (key, bytes) in &rows {
                let row = self.decode(source, bytes)?;
                let name = source_key(self.plan.source(source), &row);
                self.put_down(state, source, key, (&row, &name), (None, true))?;
                self.reindex(state, source, key, Some(&row), None)?;
                state.delete(space, key)?;
            }
            if !more {
                return Ok(());
            }
            after = rows.pop().map(|(key, _)| key);
        }
    }

    fn follow(
        &mut self,
        step: &mut Step<'_, '_>,
        source: SourceId,
        change: &Change<'_>,
        depth: usize,
    ) -> Result<()> {
        let (before, after) = match change {
            Change::Insert { .. } => return Ok(()),
            Change::Update { before, after } => (before, Some(after)),
            Change::Delete { before } => (before, None),
        };
        let plan = std::sync::Arc::clone(&self.plan);
        let keys = plan.foreign_keys.iter().enumerate();
        for (id, key) in keys.filter(|(_, key)| key.parent == source) {
            let Some(effect) = self.effect(key, before, after)? else {
                continue;
            };
            let mut referenced = Vec::new();
            if !key_of_columns(&key.parent_slots, &key.comparisons, before, &mut referenced)? {
                continue;
            }
            if depth >= DEEPEST {
                let message = format!("the cascades of foreign key {} do not end", key.name);
                return Err(Error::new(Kind::Internal, message));
            }
            match step.witness.cascades(id, &referenced, &effect)? {
                Follow::No => {}
                Follow::Yes => self.children(step, key, &referenced, &effect, depth)?,
                Follow::Forget(sources) => {
                    for source in sources {
                        self.forget(step.state, source)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes the children of a key, page by page, and follows each.
    fn children(
        &mut self,
        step: &mut Step<'_, '_>,
        key: &ForeignKeyPlan,
        referenced: &[u8],
        effect: &Effect,
        depth: usize,
    ) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut entries: Vec<Vec<u8>> = Vec::new();
            let space = self.spaces.index(key.index);
            let more = step.state.page(
                space,
                referenced,
                after.as_deref(),
                PAGE,
                &mut |entry, _| {
                    entries.push(entry.to_vec());
                },
            )?;
            for entry in &entries {
                let row_key = entry.get(referenced.len()..).unwrap_or_default();
                let mut bytes = Vec::new();
                // Gone by a cascade of one of its neighbours.
                if !step
                    .state
                    .get(self.spaces.rows(key.child), row_key, &mut bytes)?
                {
                    continue;
                }
                let row = self.decode(key.child, &bytes)?;
                let change = match self.affected(key, effect, &row)? {
                    None => Change::Delete { before: row },
                    Some(changed) => Change::Update {
                        before: row,
                        after: changed,
                    },
                };
                step.witness.changes(key.child, &change);
                self.apply(step.state, key.child, &change, step.out)?;
                self.follow(step, key.child, &change, depth + 1)?;
            }
            if !more {
                return Ok(());
            }
            after = entries.pop();
        }
    }

    /// What the change of a parent's row does to its children; `None`: nothing.
    fn effect(
        &self,
        key: &ForeignKeyPlan,
        before: &Row<'_>,
        after: Option<&Row<'_>>,
    ) -> Result<Option<Effect>> {
        let Some(after) = after else {
            return Ok(match key.on_delete {
                ReferentialAction::Restrict => None,
                ReferentialAction::Cascade => Some(Effect::Delete),
                ReferentialAction::SetNull => Some(Effect::Null),
            });
        };
        let mut slots = key.parent_slots.iter();
        // By value, not by collation: another spelling of the same key cascades too.
        if slots.all(|slot| same_value(before.values.get(*slot), after.values.get(*slot))) {
            return Ok(None);
        }
        Ok(match key.on_update {
            ReferentialAction::Restrict => None,
            ReferentialAction::SetNull => Some(Effect::Null),
            ReferentialAction::Cascade => {
                let mut parent = Vec::new();
                self.parent_shape(key).encode(after, &mut parent)?;
                let mut to = Vec::new();
                // A part that is NULL gives nobody a key.
                if !key_of_columns(&key.parent_slots, &key.comparisons, after, &mut to)? {
                    to.clear();
                }
                Some(Effect::Set { parent, key: to })
            }
        })
    }

    /// The child's row after the effect; `None`: gone.
    fn affected<'r>(
        &self,
        key: &ForeignKeyPlan,
        effect: &'r Effect,
        row: &Row<'r>,
    ) -> Result<Option<Row<'r>>> {
        let mut changed = row.clone();
        let parent = match effect {
            Effect::Delete => return Ok(None),
            Effect::Null => None,
            Effect::Set { parent, .. } => Some(self.parent_shape(key).decode(parent)?),
        };
        for (to, from) in key.child_slots.iter().zip(&key.parent_slots) {
            let value = match &parent {
                None => Value::Null,
                Some(parent) => parent
                    .values
                    .get(*from)
                    .cloned()
                    .ok_or_else(|| corrupt("a cascade's new values"))?,
            };
            let slot = changed.values.get_mut(*to);
            *slot.ok_or_else(|| misfit("a foreign key's column"))? = value;
        }
        Ok(Some(changed))
    }

    fn parent_shape(&self, key: &ForeignKeyPlan) -> RowShape {
        let width = self.plan.source(key.parent).columns.len();
        let mut slots = key.parent_slots.clone();
        slots.sort_unstable();
        slots.dedup();
        RowShape::new(slots, width)
    }
}

fn overlap(a: &ForeignKeyPlan, b: &ForeignKeyPlan) -> bool {
    a.child_slots
        .iter()
        .any(|slot| b.child_slots.contains(slot))
}
