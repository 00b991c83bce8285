//! Keys that several rows may claim: the item is the lowest claimant's, the others are told.
//!
//! The order is that of the projections in the contract, then that of the driving rows' keys as MySQL sorts them. Who has
//! a key stands in one map, who else claims it in another: a claim that comes or goes is compared with the owner alone,
//! however many there are. Only when the owner leaves the lowest of the others is looked for.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::emit::{Computed, Item, Sink};
use super::entry::HASH;
use super::keys::{item_id, split_id};
use super::{Joins, PAGE, corrupt, misfit};
use crate::error::Result;
use crate::pipeline::Action;
use crate::plan::TargetId;
use crate::view::construct::{by_key, key_order};
use crate::view::projector::Outcome;
use crate::view::state::State;

/// What a transaction did to a claim. Those that leave are noted before those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Left,
    Came,
    /// The claim stood already; what its row makes may be another item.
    Stayed,
    /// And the row was gone meanwhile, or has another name now.
    Again,
    /// No claim moved: the key is to be settled.
    None,
}

const MOVES: [Move; 5] = [
    Move::Left,
    Move::Came,
    Move::Stayed,
    Move::Again,
    Move::None,
];

/// What the notes of a key come to.
struct Contest {
    target: TargetId,
    key: Vec<u8>,
    /// What stands in the owners' map: the item's hash, and who has it.
    known: Option<Vec<u8>>,
    left: bool,
    /// The owner's item is put and all others are told, whatever is known: a row that was gone meanwhile has lost the dead
    /// letter of an item that DynamoDB refused.
    again: bool,
    /// Of those who came, the one who is before all others and before the owner.
    lowest: Option<Vec<u8>>,
}

impl Contest {
    fn owner(&self) -> Option<&[u8]> {
        self.known.as_ref()?.get(HASH..)
    }
}

impl Joins {
    /// Notes where the row's claim goes: from the key of its item before to that of its item now.
    pub(super) fn claim(&mut self, state: &mut dyn State, computed: &Computed) -> Result<bool> {
        let (projection, row_key) = (computed.projection, &computed.row_key);
        let target = self.target(projection)?;
        let id = item_id(projection, row_key);
        let new = computed.item.key();
        let known = computed.known.as_ref();
        let stayed = known.filter(|entry| new == Some(&entry.key));
        if let Some(old) = known.filter(|_| stayed.is_none()) {
            state.delete(self.spaces.items(projection), row_key)?;
            self.note(target, &old.key, Move::Left, &id)?;
        }
        if let (Some(key), true) = (new, computed.name.is_some()) {
            let moved = match stayed {
                None => Move::Came,
                Some(known) if known.whole => Move::Again,
                Some(_) => Move::Stayed,
            };
            if stayed.is_none_or(|known| known.whole) {
                self.keep(state, projection, row_key, None, key)?;
            }
            self.note(target, key, moved, &id)?;
            if self.is_forced(projection, row_key) {
                self.forced_keys.insert(item_id(usize::from(target.0), key));
            }
        }
        Ok(true)
    }

    /// Notes a key whose owner's item is to be put whatever is known of it.
    pub(super) fn settle_again(&mut self, target: TargetId, key: &[u8]) -> Result<()> {
        self.forced_keys.insert(item_id(usize::from(target.0), key));
        self.note(target, key, Move::None, &[])
    }

    /// Gives every noted key its owner's item, or none.
    pub(super) fn settle_contested(
        &mut self,
        state: &mut dyn State,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let mut after: Option<Vec<u8>> = None;
        // A key's notes may be on several pages.
        let mut open: Option<Contest> = None;
        loop {
            let (notes, more) = self.notes(after.as_deref())?;
            for note in &notes {
                let (target, key, moved, id) = split_note(note)?;
                let other = |c: &mut Contest| c.target != target || c.key != key;
                if let Some(done) = open.take_if(other)
                    && !self.settle(state, done, out)?
                {
                    return Ok(false);
                }
                let contest = match &mut open {
                    Some(contest) => contest,
                    none => none.insert(self.contest(state, target, key)?),
                };
                self.weigh(state, contest, moved, id)?;
            }
            if !more {
                break;
            }
            after = notes.into_iter().next_back();
        }
        if let Some(done) = open
            && !self.settle(state, done, out)?
        {
            return Ok(false);
        }
        self.contested.clear()?;
        Ok(true)
    }

    fn note(&mut self, target: TargetId, key: &[u8], moved: Move, id: &[u8]) -> Result<()> {
        let mut note = noted(target, key);
        note.push(moved as u8);
        note.extend_from_slice(id);
        self.contested.insert(&note).map(|_| ())
    }

    fn notes(&mut self, after: Option<&[u8]>) -> Result<(Vec<Vec<u8>>, bool)> {
        let mut notes = Vec::new();
        let more = self
            .contested
            .page(after, PAGE, &mut |note| notes.push(note.to_vec()))?;
        Ok((notes, more))
    }

    fn contest(&self, state: &mut dyn State, target: TargetId, key: &[u8]) -> Result<Contest> {
        let mut known = Vec::new();
        let found = state.get(self.spaces.owners(target), key, &mut known)?;
        Ok(Contest {
            target,
            key: key.to_vec(),
            known: found.then_some(known),
            left: false,
            again: false,
            lowest: None,
        })
    }

    /// One note more.
    fn weigh(
        &self,
        state: &mut dyn State,
        contest: &mut Contest,
        moved: Move,
        id: &[u8],
    ) -> Result<()> {
        let claims = self.spaces.claims(contest.target);
        let is_owner = contest.owner() == Some(id);
        match moved {
            Move::Left if is_owner => contest.left = true,
            Move::Left => state.delete(claims, &claim_key(&contest.key, id))?,
            Move::Again if is_owner => contest.again = true,
            Move::None => contest.again = true,
            Move::Stayed | Move::Again => {}
            Move::Came if is_owner => {}
            Move::Came => {
                let best = match &contest.lowest {
                    None => contest.owner(),
                    lowest => lowest.as_deref(),
                };
                let is_lowest = !contest.left
                    && match best {
                        None => true,
                        Some(best) => self.order(state, id, best)? == Ordering::Less,
                    };
                let behind = match is_lowest {
                    true => contest.lowest.replace(id.to_vec()),
                    false => Some(id.to_vec()),
                };
                if let Some(behind) = behind {
                    state.put(claims, &claim_key(&contest.key, &behind), &[])?;
                }
            }
        }
        Ok(())
    }

    /// Who has the key from now on is decided, written and told.
    fn settle(
        &mut self,
        state: &mut dyn State,
        contest: Contest,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let (target, key) = (contest.target, &*contest.key);
        let (owners, claims) = (self.spaces.owners(target), self.spaces.claims(target));
        let next = match &contest.lowest {
            _ if contest.left => self.lowest_claim(state, target, key)?,
            None => contest.owner().map(<[u8]>::to_vec),
            Some(lowest) => {
                if let Some(owner) = contest.owner() {
                    state.put(claims, &claim_key(key, owner), &[])?;
                }
                Some(lowest.clone())
            }
        };
        let Some(next) = next else {
            let Some(known) = &contest.known else {
                return Ok(true);
            };
            state.delete(owners, key)?;
            return self.delete_owned(key, known, out);
        };
        if contest.left {
            state.delete(claims, &claim_key(key, &next))?;
        }
        let (projection, row_key) = split_id(&next)?;
        let computed = self.compute(state, projection, row_key)?;
        // Only rows with an item claim a key.
        let (
            Some(name),
            Item::Valid {
                key: own,
                item,
                size,
                hash,
            },
        ) = (computed.name, computed.item)
        else {
            return Err(corrupt("a claim without its item"));
        };
        if own != key {
            return Err(corrupt("a claim on another key than its item's"));
        }
        let mut entry = hash.to_vec();
        entry.extend_from_slice(&next);
        let forced = contest.again
            || !self.forced_keys.is_empty()
                && self
                    .forced_keys
                    .contains(&item_id(usize::from(target.0), key));
        if contest.known.as_deref() != Some(&*entry) || forced {
            state.put(owners, key, &entry)?;
            if !out(self.mutation(projection, own, &name, Action::Put { item, size })?)? {
                return Ok(false);
            }
        }
        self.tell_others(state, &contest, &next, &name, out)
    }

    fn delete_owned(&self, key: &[u8], known: &[u8], out: &mut Sink<'_>) -> Result<bool> {
        let (projection, _) = split_id(known.get(HASH..).unwrap_or_default())?;
        let key = Bytes::copy_from_slice(key);
        out(self.mutation(projection, key, &Arc::from(""), Action::Delete)?)
    }

    /// The first of those who claim the key beside its owner.
    fn lowest_claim(
        &self,
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
                    // They stand in the map by projection, and in the order of their keys where those have it.
                    Some(known) if self.comes_behind(known, &id)? => return Ok(lowest),
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

    /// Whether this and all later claims in the map's order certainly come behind the one that was found.
    fn comes_behind(&self, found: &[u8], id: &[u8]) -> Result<bool> {
        let ((found, _), (projection, _)) = (split_id(found)?, split_id(id)?);
        let stored = self.stored(self.driving(projection)?);
        let stored = stored.ok_or_else(|| misfit("a source without state"))?;
        let ordered = |part: &Option<crate::expression::Comparison>| {
            part.as_ref().is_some_and(|part| part.keys_are_ordered())
        };
        Ok(found != projection || stored.key.iter().all(ordered))
    }

    /// The claims of those who do not have the key become dead letters: which row has it, they say. All, where it is
    /// another one than before, else those that moved.
    fn tell_others(
        &mut self,
        state: &mut dyn State,
        contest: &Contest,
        owner: &[u8],
        owner_name: &Arc<str>,
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let all = contest.again || contest.owner() != Some(owner);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (others, more) = match all {
                true => {
                    let from = after.as_deref();
                    let (ids, more, last) =
                        self.claimants(state, contest.target, &contest.key, from)?;
                    after = last;
                    (ids, more)
                }
                false => self.noted_claims(contest, &mut after)?,
            };
            for id in others.iter().filter(|id| *id != owner) {
                if !self.tell(state, id, (owner, owner_name), out)? {
                    return Ok(false);
                }
            }
            if !more {
                return Ok(true);
            }
        }
    }

    fn tell(
        &mut self,
        state: &mut dyn State,
        id: &[u8],
        (owner, owner_name): (&[u8], &Arc<str>),
        out: &mut Sink<'_>,
    ) -> Result<bool> {
        let (projection, row_key) = split_id(id)?;
        let (owner, _) = split_id(owner)?;
        let Some(entry) = self.entry(state, projection, row_key)? else {
            return Err(corrupt("a claim without its item"));
        };
        out(Outcome::Contested {
            origin: Self::origin(projection, &entry.name),
            owner: Self::origin(owner, owner_name),
        })
    }

    /// A page of those whose claims the transaction at hand has moved or found; whether there is more.
    fn noted_claims(
        &mut self,
        contest: &Contest,
        after: &mut Option<Vec<u8>>,
    ) -> Result<(Vec<Vec<u8>>, bool)> {
        let prefix = noted(contest.target, &contest.key);
        let (notes, more) = self.notes(Some(after.as_deref().unwrap_or(&prefix)))?;
        let own: Vec<&Vec<u8>> = notes
            .iter()
            .take_while(|n| n.starts_with(&prefix))
            .collect();
        let more = more && own.len() == notes.len();
        *after = own.last().map(|note| note.to_vec());
        let mut ids = Vec::with_capacity(own.len());
        for note in own {
            let (_, _, moved, id) = split_note(note)?;
            if !matches!(moved, Move::Left | Move::None) {
                ids.push(id.to_vec());
            }
        }
        Ok((ids, more))
    }

    /// A page of those who claim the key beside its owner, and the last claim's entry.
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

/// What the notes of a key begin with.
fn noted(target: TargetId, key: &[u8]) -> Vec<u8> {
    item_id(usize::from(target.0), &claim_key(key, &[]))
}

fn split_note(note: &[u8]) -> Result<(TargetId, &[u8], Move, &[u8])> {
    let parts = || {
        let (target, rest) = note.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (moved, id) = rest.split_first()?;
        let moved = MOVES.get(usize::from(*moved))?;
        Some((TargetId(u16::from_be_bytes(*target)), key, *moved, id))
    };
    parts().ok_or_else(|| corrupt("a note of a claim"))
}
