//! What follows from the items that a transaction touched.
//!
//! Two steps: first every key that an item had and has no more is given up, then every item is put. A key that one row
//! leaves and another takes in the same transaction ends with the other's item, whatever the order of the rows.

use std::sync::Arc;

use bumpalo::Bump;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::entry::{Entry, HASH, Record, lost, program};
use super::keys::{item_id, split_id};
use super::{Joins, PAGE, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::pipeline::{Action, Key, Mutation, Origin};
use crate::plan::Plan;
use crate::view::program::{Program, Workspace};
use crate::view::projector::Outcome;
use crate::view::reason::Reason;
use crate::view::scene::Scene;
use crate::view::source_key::source_key;
use crate::view::state::State;

/// So many items of a transaction are computed once and held; of more, each is computed for either step.
const HELD: u64 = if cfg!(test) { 4 } else { 4096 };
/// And so many bytes of them.
const HELD_BYTES: usize = if cfg!(test) { 200 } else { 16 << 20 };

/// Takes what follows; false: the pipeline has closed.
pub(super) type Sink<'o> = dyn FnMut(Outcome) -> Result<bool> + 'o;

/// What a driving row makes.
#[derive(Debug)]
pub(super) struct Computed {
    pub projection: usize,
    pub row_key: Vec<u8>,
    /// The row's name; `None` where there is no such row any more.
    pub name: Option<Arc<str>>,
    /// What was written for it before.
    pub known: Option<Entry>,
    pub item: Item,
}

/// The item of a row.
#[derive(Debug)]
pub(super) enum Item {
    /// None: the row is gone, or is not one that has an item.
    None,
    /// None, though there should be one.
    Bad(Reason),
    Valid {
        key: Bytes,
        item: Bytes,
        size: usize,
        hash: [u8; HASH],
    },
}

impl Item {
    pub(super) fn key(&self) -> Option<&Bytes> {
        match self {
            Item::None | Item::Bad(_) => None,
            Item::Valid { key, .. } => Some(key),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Item::None | Item::Bad(_) => 0,
            Item::Valid { key, item, .. } => key.len() + item.len(),
        }
    }
}

impl Joins {
    pub(super) fn emit(&mut self, state: &mut dyn State, out: &mut Sink<'_>) -> Result<bool> {
        if self.touched.len() <= HELD {
            return self.emit_held(state, out);
        }
        for step in [Joins::vacate, Joins::put] {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let (ids, more) = self.marked(after.as_deref(), PAGE)?;
                for id in &ids {
                    let (projection, row_key) = split_id(id)?;
                    let computed = self.compute(state, projection, row_key)?;
                    if !step(self, state, &computed, out)? {
                        return Ok(false);
                    }
                }
                if !more {
                    break;
                }
                after = ids.into_iter().next_back();
            }
        }
        self.settle_contested(state, out)
    }

    fn emit_held(&mut self, state: &mut dyn State, out: &mut Sink<'_>) -> Result<bool> {
        let (ids, _) = self.marked(None, HELD as usize)?;
        let mut held = Vec::with_capacity(ids.len());
        let mut bytes = 0;
        for id in &ids {
            let (projection, row_key) = split_id(id)?;
            let computed = self.compute(state, projection, row_key)?;
            if !self.vacate(state, &computed, out)? {
                return Ok(false);
            }
            bytes += computed.item.bytes();
            held.push((bytes <= HELD_BYTES).then_some(computed));
        }
        for (id, computed) in ids.iter().zip(held) {
            let (projection, row_key) = split_id(id)?;
            let computed = match computed {
                Some(computed) => computed,
                None => self.compute(state, projection, row_key)?,
            };
            if !self.put(state, &computed, out)? {
                return Ok(false);
            }
        }
        self.settle_contested(state, out)
    }

    fn marked(&mut self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Vec<u8>>, bool)> {
        let mut ids = Vec::new();
        let more = self
            .touched
            .page(after, limit, &mut |id| ids.push(id.to_vec()))?;
        Ok((ids, more))
    }

    /// What the driving row makes, as the state is now.
    pub(super) fn compute(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        row_key: &[u8],
    ) -> Result<Computed> {
        let mut arena = std::mem::take(&mut self.arena);
        let computed = self.compute_in(&arena, state, projection, row_key);
        arena.reset();
        self.arena = arena;
        computed
    }

    fn compute_in(
        &mut self,
        arena: &Bump,
        state: &mut dyn State,
        projection: usize,
        row_key: &[u8],
    ) -> Result<Computed> {
        let driving = self.driving(projection)?;
        let record = self.record(state, projection, row_key)?;
        let mut computed = Computed {
            projection,
            row_key: row_key.to_vec(),
            name: None,
            known: None,
            item: Item::None,
        };
        let mut bytes = Vec::new();
        if !state.get(self.spaces.rows(driving), row_key, &mut bytes)? {
            let whole = |record: Record| record.whole().ok_or_else(lost);
            computed.known = record.map(whole).transpose()?;
            return Ok(computed);
        }
        let row = self.decode(driving, &bytes)?;
        let name = source_key(self.plan.source(driving), &row);
        computed.name = Some(Arc::clone(&name));
        computed.item = match self.program(projection)?.passes(Scene::of(&row)) {
            Ok(true) => self.make(arena, state, projection, row)?,
            Ok(false) => Item::None,
            Err(reason) => Item::Bad(reason),
        };
        computed.known = match (record, computed.item.key()) {
            (None, _) => None,
            // The row is the one that it was written for, and so is the key.
            (
                Some(Record {
                    hash,
                    name: None,
                    key: None,
                }),
                Some(key),
            ) => Some(Entry {
                hash,
                name,
                key: key.clone(),
                whole: false,
            }),
            (Some(record), _) => {
                let row = self.decode(driving, &bytes)?;
                Some(self.complete(record, projection, name, &row)?)
            }
        };
        Ok(computed)
    }

    /// The item of a driving row that is to have one.
    fn make<'b>(
        &mut self,
        arena: &'b Bump,
        state: &mut dyn State,
        projection: usize,
        row: Row<'b>,
    ) -> Result<Item> {
        let loaded = match self.load(state, arena, projection, row)? {
            Ok(loaded) => loaded,
            Err(reason) => return Ok(Item::Bad(reason)),
        };
        let program = program(&self.programs, projection)?;
        Ok(item(program, &self.plan, loaded.scene(), &mut self.work))
    }

    /// Gives up the key that the row's item had, where it has it no more.
    fn vacate(
        &mut self,
        state: &mut dyn State,
        computed: &Computed,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        if self.is_contested(self.target(computed.projection)?) {
            return self.claim(state, computed);
        }
        let Some(entry) = &computed.known else {
            return Ok(true);
        };
        let kept = matches!(&computed.item, Item::Valid { key, .. } if *key == entry.key);
        if kept {
            return Ok(true);
        }
        let space = self.spaces.items(computed.projection);
        state.delete(space, &computed.row_key)?;
        let key = entry.key.clone();
        let delete = self.mutation(computed.projection, key, &entry.name, Action::Delete)?;
        out(delete)
    }

    /// Puts the row's item, unless it stands there already; tells of rows that have none.
    fn put(
        &mut self,
        state: &mut dyn State,
        computed: &Computed,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        // A row that is gone was told when it went.
        let Some(name) = &computed.name else {
            return Ok(true);
        };
        let origin = Self::origin(computed.projection, name);
        match &computed.item {
            Item::None => out(Outcome::Gone(origin)),
            Item::Bad(reason) => out(Outcome::Unmappable {
                origin,
                reason: reason.clone(),
            }),
            Item::Valid { .. } if self.is_contested(self.target(computed.projection)?) => Ok(true),
            Item::Valid {
                key,
                item,
                size,
                hash,
            } => {
                let (projection, row_key) = (computed.projection, &computed.row_key);
                let known = computed.known.as_ref();
                let same = known.is_some_and(|known| {
                    known.hash == Some(*hash) && known.key == key && known.name == *name
                });
                // A row that was gone meanwhile has lost its dead letter: the same item is put again, as DynamoDB may have
                // refused it.
                let stays = same && known.is_some_and(|known| !known.whole);
                if stays && !self.is_forced(projection, row_key) {
                    return Ok(true);
                }
                if !stays {
                    self.keep(state, projection, row_key, Some(*hash), key)?;
                }
                let action = Action::Put {
                    item: item.clone(),
                    size: *size,
                };
                out(self.mutation(projection, key.clone(), name, action)?)
            }
        }
    }

    pub(super) fn target(&self, projection: usize) -> Result<crate::plan::TargetId> {
        let projection = self.plan.projections.get(projection);
        Ok(projection.ok_or_else(|| misfit("a projection"))?.target)
    }

    pub(super) fn mutation(
        &self,
        projection: usize,
        key: Bytes,
        name: &Arc<str>,
        action: Action,
    ) -> Result<Outcome> {
        Ok(Outcome::Write(Mutation {
            target: self.target(projection)?,
            key: Key(key),
            origin: Self::origin(projection, name),
            action,
        }))
    }

    pub(super) fn origin(projection: usize, name: &Arc<str>) -> Origin {
        Origin {
            projection: Self::projection_id(projection),
            source_key: Arc::clone(name),
        }
    }

    /// Whether the row's item is written whatever stands there.
    pub(super) fn is_forced(&self, projection: usize, row_key: &[u8]) -> bool {
        !self.forced.is_empty() && self.forced.contains(&item_id(projection, row_key))
    }

    /// Marks the item of a row of the state.
    pub(super) fn mark_item(&mut self, projection: usize, row_key: &[u8]) -> Result<()> {
        self.touched
            .insert(&item_id(projection, row_key))
            .map(|_| ())
    }
}

/// What the program makes of a scene whose driving row is to have an item.
fn item(program: &Program, plan: &Plan, scene: Scene<'_>, work: &mut Workspace) -> Item {
    let mut write = || -> std::result::Result<Item, Reason> {
        program.write_key(plan, scene, work)?;
        let key = work.writer.closed();
        program.write_rest(plan, scene, work)?;
        let item = work.writer.closed();
        Ok(Item::Valid {
            hash: hash(&item),
            size: work.writer.size(),
            key,
            item,
        })
    };
    write().unwrap_or_else(Item::Bad)
}

/// Tells two items apart: half of SHA-256.
fn hash(item: &[u8]) -> [u8; HASH] {
    let mut half = [0; HASH];
    for (to, from) in half.iter_mut().zip(Sha256::digest(item)) {
        *to = from;
    }
    half
}
