//! Keys that several rows may claim: the item is the lowest claimant's, the others are told.
//!
//! The order is that of the projections in the contract, then that of the driving rows' keys as MySQL sorts them.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::emit::{Computed, Entry, Item, Sink};
use super::keys::{item_id, split_id};
use super::{Joins, PAGE, corrupt, misfit};
use crate::error::Result;
use crate::pipeline::Action;
use crate::plan::TargetId;
use crate::view::construct::{by_key, key_order};
use crate::view::projector::Outcome;
use crate::view::state::State;

impl Joins {
    /// Moves the row's claim to the key that its item has now, and notes both keys as to be settled.
    pub(super) fn claim(&mut self, state: &mut dyn State, computed: &Computed) -> Result<bool> {
        let target = self.target(computed.projection)?;
        let id = item_id(computed.projection, &computed.row_key);
        let items = self.spaces.items(computed.projection);
        let new = computed.item.key();
        let known = computed.known.as_ref();
        if let Some(old) = known.filter(|entry| new != Some(&entry.key)) {
            state.delete(self.spaces.claims(target), &claim_key(&old.key, &id))?;
            state.delete(items, &computed.row_key)?;
            self.settle_later(target, &old.key)?;
        }
        if let (Some(key), Some(name)) = (new, &computed.name) {
            let entry = Entry {
                hash: [0; 16],
                name: Arc::clone(name),
                key: key.clone(),
            };
            state.put(items, &computed.row_key, &entry.encode())?;
            state.put(self.spaces.claims(target), &claim_key(key, &id), &[])?;
            self.settle_later(target, key)?;
            if self.is_forced(computed.projection, &computed.row_key) {
                self.forced_keys.insert(item_id(usize::from(target.0), key));
            }
        }
        Ok(true)
    }

    /// Gives every noted key its owner's item, or none.
    pub(super) fn settle_contested(
        &mut self,
        state: &mut dyn State,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            let more = self
                .contested
                .page(after.as_deref(), PAGE, &mut |key| keys.push(key.to_vec()))?;
            for noted in &keys {
                let (target, key) = split_id(noted)?;
                if !self.settle(state, TargetId(target as u16), key, out)? {
                    return Ok(false);
                }
            }
            if !more {
                break;
            }
            after = keys.pop();
        }
        self.contested.clear()?;
        Ok(true)
    }

    /// Notes a key whose owner's item is to be put whatever is known of it.
    pub(super) fn settle_again(&mut self, target: TargetId, key: &[u8]) -> Result<()> {
        self.forced_keys.insert(item_id(usize::from(target.0), key));
        self.settle_later(target, key)
    }

    fn settle_later(&mut self, target: TargetId, key: &[u8]) -> Result<()> {
        self.contested
            .insert(&item_id(usize::from(target.0), key))
            .map(|_| ())
    }

    fn settle(
        &mut self,
        state: &mut dyn State,
        target: TargetId,
        key: &[u8],
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let owners = self.spaces.owners(target);
        let mut known = Vec::new();
        let known = match state.get(owners, key, &mut known)? {
            true => Some(known),
            false => None,
        };
        let Some(owner) = self.owner(state, target, key)? else {
            let Some(known) = known else { return Ok(true) };
            state.delete(owners, key)?;
            return self.delete_owned(key, &known, out);
        };
        let (projection, row_key) = split_id(&owner)?;
        let computed = self.compute(state, projection, row_key)?;
        let name = computed
            .name
            .clone()
            .ok_or_else(|| corrupt("a claim without its row"))?;
        let went_on = match computed.item {
            Item::Valid {
                key: own,
                item,
                size,
                hash,
            } if own == key => {
                let mut entry = hash.to_vec();
                entry.extend_from_slice(&owner);
                let forced = !self.forced_keys.is_empty()
                    && self
                        .forced_keys
                        .contains(&item_id(usize::from(target.0), key));
                if known.as_deref() == Some(&*entry) && !forced {
                    true
                } else {
                    state.put(owners, key, &entry)?;
                    out(self.mutation(projection, own, &name, Action::Put { item, size })?)?
                }
            }
            // Only rows with an item claim a key.
            _ => match known {
                Some(known) => {
                    state.delete(owners, key)?;
                    self.delete_owned(key, &known, out)?
                }
                None => true,
            },
        };
        Ok(went_on && self.tell_others(state, target, key, &owner, &name, out)?)
    }

    fn delete_owned(&self, key: &[u8], known: &[u8], out: &mut Sink<'_>) -> Result<bool> {
        let (projection, _) = split_id(known.get(16..).unwrap_or_default())?;
        let key = Bytes::copy_from_slice(key);
        out(self.mutation(projection, key, &Arc::from(""), Action::Delete)?)
    }

    /// Who has the key: the lowest of all that claim it.
    fn owner(
        &mut self,
        state: &mut dyn State,
        target: TargetId,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let mut lowest: Option<Vec<u8>> = None;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (claimants, more, last) = self.claimants(state, target, key, after.as_deref())?;
            for id in claimants {
                let lower = match &lowest {
                    None => true,
                    Some(known) => self.order(state, &id, known)? == Ordering::Less,
                };
                if lower {
                    lowest = Some(id);
                }
            }
            if !more {
                return Ok(lowest);
            }
            after = last;
        }
    }

    /// The claims of those who do not have the key become dead letters: which row has it, they say.
    fn tell_others(
        &mut self,
        state: &mut dyn State,
        target: TargetId,
        key: &[u8],
        owner: &[u8],
        owner_name: &Arc<str>,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let (owner_projection, _) = split_id(owner)?;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (claimants, more, last) = self.claimants(state, target, key, after.as_deref())?;
            for id in claimants.iter().filter(|id| *id != owner) {
                let (projection, row_key) = split_id(id)?;
                let Some(entry) = self.entry(state, projection, row_key)? else {
                    continue;
                };
                let told = out(Outcome::Contested {
                    origin: Self::origin(projection, &entry.name),
                    owner: Self::origin(owner_projection, owner_name),
                })?;
                if !told {
                    return Ok(false);
                }
            }
            if !more {
                return Ok(true);
            }
            after = last;
        }
    }

    /// A page of those who claim the key, and the last claim's entry.
    #[expect(clippy::type_complexity, reason = "used here only")]
    fn claimants(
        &self,
        state: &mut dyn State,
        target: TargetId,
        key: &[u8],
        after: Option<&[u8]>,
    ) -> Result<(Vec<Vec<u8>>, bool, Option<Vec<u8>>)> {
        let prefix = claim_key(key, &[]);
        let mut claims: Vec<Vec<u8>> = Vec::new();
        let more = state.page(
            self.spaces.claims(target),
            &prefix,
            after,
            PAGE,
            &mut |claim, _| {
                claims.push(claim.to_vec());
            },
        )?;
        let ids = claims
            .iter()
            .map(|claim| claim.get(prefix.len()..).unwrap_or_default().to_vec());
        Ok((ids.collect(), more, claims.last().cloned()))
    }

    fn order(&self, state: &mut dyn State, a: &[u8], b: &[u8]) -> Result<Ordering> {
        let ((a_projection, a_key), (b_projection, b_key)) = (split_id(a)?, split_id(b)?);
        if a_projection != b_projection {
            return Ok(a_projection.cmp(&b_projection));
        }
        let source = self.plan.projections.get(a_projection).map(|p| p.driving);
        let source = source.ok_or_else(|| misfit("a projection"))?;
        let (mut a_bytes, mut b_bytes) = (Vec::new(), Vec::new());
        let rows = self.spaces.rows(source);
        let found =
            state.get(rows, a_key, &mut a_bytes)? && state.get(rows, b_key, &mut b_bytes)?;
        let (true, Ok(keys)) = (found, key_order(self.plan.source(source))) else {
            return Ok(a_key.cmp(b_key));
        };
        let (a, b) = (
            self.decode(source, &a_bytes)?,
            self.decode(source, &b_bytes)?,
        );
        Ok(by_key(&keys, &a, &b))
    }
}

fn claim_key(key: &[u8], id: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + key.len() + id.len());
    bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(id);
    bytes
}
