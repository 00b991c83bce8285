//! The first pass: once every table that a projection reads has been copied, its items are made, row by row in the order
//! of the driving rows' keys, while the stream goes on.
//!
//! Changes touch only items that the pass has come to; the others it will make from the state as it is then.

use std::sync::Arc;

use super::keys::{item_id, split_id};
use super::{Joins, PAGE, Space, corrupt, misfit};
use crate::error::Result;
use crate::pipeline::Action;
use crate::plan::SourceId;
use crate::plan::graph::sources;
use crate::view::projector::Outcome;
use crate::view::state::State;

/// Items of a page have about so many bytes at the most: all of them are in memory at the same time.
const PAGE_BYTES: usize = if cfg!(test) { 600 } else { 8 << 20 };
/// Items of the first page, before anything is known of their size.
pub(super) const FIRST_ITEMS: usize = 32;

/// How far a projection's first pass has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstPass {
    /// Tables that it needs are not copied yet.
    Waiting,
    /// Items of rows up to this key are made.
    Under(Vec<u8>),
    Done,
}

/// A page of a first pass.
#[derive(Debug)]
pub struct Page {
    pub outcomes: Vec<Outcome>,
    /// What it is about to write: to be made durable before the first of it is written.
    pub promises: Vec<Vec<u8>>,
    /// Whether the pass goes on after it.
    pub more: bool,
}

impl FirstPass {
    /// Whether changes can touch items.
    pub(super) fn begun(&self) -> bool {
        !matches!(self, FirstPass::Waiting)
    }

    /// Whether the pass has come to the row.
    pub(super) fn covers(&self, row_key: &[u8]) -> bool {
        match self {
            FirstPass::Waiting => false,
            FirstPass::Under(cursor) => row_key <= cursor.as_slice(),
            FirstPass::Done => true,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            FirstPass::Waiting => vec![0],
            FirstPass::Under(cursor) => [&[1], cursor.as_slice()].concat(),
            FirstPass::Done => vec![2],
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [0] => Ok(FirstPass::Waiting),
            [1, cursor @ ..] => Ok(FirstPass::Under(cursor.to_vec())),
            [2] => Ok(FirstPass::Done),
            _ => Err(corrupt("how far a first pass has come")),
        }
    }
}

impl Joins {
    /// How far each projection's pass has come; those that need their driving row only are done.
    pub fn passes(&self) -> &[FirstPass] {
        &self.passes
    }

    /// Whether every projection's items are made.
    pub fn all_made(&self) -> bool {
        self.passes.iter().all(|pass| *pass == FirstPass::Done)
    }

    /// The first projection whose pass is not done and whose tables are all copied, as `copied` says.
    pub fn due(&self, copied: impl Fn(SourceId) -> bool) -> Option<usize> {
        let passes = self.passes.iter().enumerate();
        let open = passes.filter(|(_, pass)| **pass != FirstPass::Done);
        open.map(|(projection, _)| projection).find(|projection| {
            let projection = self.plan.projections.get(*projection);
            projection.is_some_and(|p| sources(p).into_iter().all(&copied))
        })
    }

    /// Makes the next page of a projection's items. Between transactions only; all tables that the projection reads are
    /// copied.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written.
    pub fn first_pass(&mut self, state: &mut dyn State, projection: usize) -> Result<Page> {
        let cursor = match self.passes.get(projection) {
            Some(FirstPass::Under(cursor)) => Some(cursor.clone()),
            Some(FirstPass::Waiting) => None,
            Some(FirstPass::Done) | None => return Err(misfit("a first pass that is done")),
        };
        let driving = self.plan.projections.get(projection).map(|p| p.driving);
        let rows = self
            .spaces
            .rows(driving.ok_or_else(|| misfit("a projection"))?);
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let limit = self.page_items.min(PAGE);
        let more = state.page(rows, &[], cursor.as_deref(), limit, &mut |key, _| {
            keys.push(key.to_vec());
        })?;
        for key in &keys {
            self.mark_item(projection, key)?;
        }
        let pass = match (more, keys.last()) {
            (true, Some(last)) => FirstPass::Under(last.clone()),
            _ => FirstPass::Done,
        };
        self.set_pass(state, projection, pass)?;
        let mut outcomes = Vec::new();
        let mut bytes = 0;
        self.finish(state, &mut |outcome| {
            if let Outcome::Write(mutation) = &outcome {
                bytes += mutation.weight();
            }
            outcomes.push(outcome);
            Ok(true)
        })?;
        // The next items will be about as large as these.
        self.page_items = (PAGE_BYTES / (bytes / keys.len().max(1)).max(1)).clamp(1, PAGE);
        let mut promises = Vec::with_capacity(keys.len());
        for key in &keys {
            if let Some(entry) = self.entry(state, projection, key)? {
                promises.push(promise(projection, key, &entry.key));
            }
        }
        Ok(Page {
            outcomes,
            promises,
            more,
        })
    }

    /// What a crash between a promise and its commit may have left under a key. Where the state has an item there, that is
    /// marked to be written again: what stands there may be another row's, or of another time. Where it has none, there is
    /// a delete: nothing else would ever come to that key, if the row has another one by now.
    ///
    /// # Errors
    /// `Store` where the state or the promise cannot be read.
    pub fn broken_promise(
        &mut self,
        state: &mut dyn State,
        promise: &[u8],
    ) -> Result<Option<Outcome>> {
        let (projection, row_key, key) = split(promise)?;
        let target = self.target(projection)?;
        if self.is_contested(target) {
            if state.get(self.spaces.owners(target), key, &mut Vec::new())? {
                self.settle_again(target, key)?;
                return Ok(None);
            }
        } else if self
            .entry(state, projection, row_key)?
            .is_some_and(|entry| entry.key == key)
        {
            self.mark_forced(projection, row_key)?;
            return Ok(None);
        }
        let key = bytes::Bytes::copy_from_slice(key);
        self.mutation(projection, key, &Arc::from(""), Action::Delete)
            .map(Some)
    }

    pub(super) fn read_passes(&mut self, state: &mut dyn State) -> Result<()> {
        let mut bytes = Vec::new();
        for (id, projection) in self.plan.projections.iter().enumerate() {
            let pass = match &projection.graph {
                None => FirstPass::Done,
                Some(_) if state.get(self.progress(), &name(id), &mut bytes)? => {
                    FirstPass::decode(&bytes)?
                }
                Some(_) => FirstPass::Waiting,
            };
            self.passes.push(pass);
        }
        Ok(())
    }

    fn set_pass(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        pass: FirstPass,
    ) -> Result<()> {
        state.put(self.progress(), &name(projection), &pass.encode())?;
        if let Some(slot) = self.passes.get_mut(projection) {
            *slot = pass;
        }
        Ok(())
    }

    fn progress(&self) -> Space {
        Space(self.spaces.progress)
    }
}

/// Projection, row and key of an item, as one text of bytes.
pub(super) fn promise(projection: usize, row_key: &[u8], key: &[u8]) -> Vec<u8> {
    let id = item_id(projection, row_key);
    let mut bytes = Vec::with_capacity(4 + id.len() + key.len());
    bytes.extend_from_slice(&(id.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(key);
    bytes
}

fn split(promise: &[u8]) -> Result<(usize, &[u8], &[u8])> {
    let parts = || {
        let (length, rest) = promise.split_first_chunk::<4>()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    };
    let (id, key) = parts().ok_or_else(|| corrupt("a promised item"))?;
    let (projection, row_key) = split_id(id)?;
    Ok((projection, row_key, key))
}

fn name(projection: usize) -> [u8; 2] {
    (projection as u16).to_be_bytes()
}
