//! A lane's keys: what is to be written for each, in what order, and which must wait.
//!
//! Three things can hold a key: it is queued, it is under way, or it is blocked because an earlier request for it may
//! still be applied late. A mutation whose request had no answer is *pinned*: it is repeated as it is, and only after
//! it has been written, and the late request can no longer come, does a newer one follow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashTable;

use super::writer::{Batch, MAX_REQUEST_BYTES, MAX_REQUEST_ITEMS, request_bytes};
use super::{Key, Mutation, Sequence};
use crate::plan::TargetId;

/// The place of a slot in its lane.
type Place = usize;

/// A mutation, and the sequences that are owed until it is durable: its own and those of the mutations that it
/// superseded, each once, in order.
pub(super) struct Pending {
    pub mutation: Mutation,
    debt: Debt,
}

/// What a mutation carries besides itself.
struct Debt {
    first: Sequence,
    /// Newer ones; mostly there are none.
    more: Vec<Sequence>,
    /// When an attempt last ended without an answer.
    unknown_since: Option<Instant>,
    /// When the target first did not take it, or what it superseded.
    refused_since: Option<Instant>,
}

/// A mutation whose request has ended, and its place in the lane.
pub(super) struct Ended {
    pub pending: Pending,
    place: Place,
}

/// What coalescing set free.
#[derive(Default)]
pub(super) struct Superseded {
    /// The same sequence wrote this key before: it is owed one mutation less.
    pub settled: Option<Sequence>,
    /// Bytes that are no longer held.
    pub bytes: usize,
}

pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Places that hold no key.
    vacant: Vec<Place>,
    /// The place of each key, by the hash that its slot keeps.
    places: HashTable<Place>,
    /// Each queued key once.
    queue: VecDeque<Place>,
    /// Each blocked key once, and until when.
    blocked: VecDeque<(Instant, Place)>,
    /// The request under way, and what belongs to each of its writes.
    batch: Batch,
    debts: Vec<(Debt, Place)>,
    late_after: Duration,
}

struct Slot {
    hash: u64,
    state: State,
    /// To be repeated before anything newer. Rare, and so elsewhere: slots are small.
    pinned: Option<Box<Pending>>,
    newest: Option<Pending>,
}

enum State {
    Vacant,
    Queued,
    /// The index of its mutation in the batch.
    UnderWay(usize),
    /// Written; an earlier request for this key may still be applied.
    Blocked(Box<(TargetId, Key)>),
}

impl Slots {
    pub fn new(late_after: Duration) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            places: HashTable::new(),
            queue: VecDeque::new(),
            blocked: VecDeque::new(),
            batch: Batch { writes: Vec::new() },
            debts: Vec::new(),
            late_after,
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether a request now would go out, and not be full.
    pub fn has_some_but_not_enough(&self) -> bool {
        (1..MAX_REQUEST_ITEMS).contains(&self.queue.len())
    }

    /// Takes a mutation in, with the hash of its target and key; the last one for a key wins.
    pub fn insert(&mut self, sequence: Sequence, hash: u64, mutation: Mutation) -> Superseded {
        let id = (mutation.target, &mutation.key);
        let (slots, batch) = (&self.slots, &self.batch);
        let found = self.places.find(hash, |place| {
            slots
                .get(*place)
                .is_some_and(|slot| slot.hash == hash && slot.id(batch) == Some(id))
        });
        let Some(slot) = found.and_then(|place| self.slots.get_mut(*place)) else {
            self.enter(hash, Pending::new(sequence, mutation));
            return Superseded::default();
        };
        match &mut slot.newest {
            Some(newest) => newest.supersede(sequence, mutation),
            none => {
                *none = Some(Pending::new(sequence, mutation));
                Superseded::default()
            }
        }
    }

    /// A key that is not here yet.
    fn enter(&mut self, hash: u64, pending: Pending) {
        let slot = Slot {
            hash,
            state: State::Queued,
            pinned: None,
            newest: Some(pending),
        };
        let place = match self.vacant.pop() {
            Some(place) => place,
            None => self.slots.len(),
        };
        match self.slots.get_mut(place) {
            Some(vacant) => *vacant = slot,
            None => self.slots.push(slot),
        }
        let slots = &self.slots;
        let hash_of = |place: &Place| slots.get(*place).map_or(0, |slot| slot.hash);
        self.places.insert_unique(hash, place, hash_of);
        self.queue.push_back(place);
    }

    /// Makes the next batch, in the order in which the keys arrived; false if nothing may be written now. The batch
    /// before it must have ended.
    pub fn next_batch(&mut self) -> bool {
        debug_assert!(self.debts.is_empty(), "the last batch has not ended");
        let mut bytes = 0;
        while self.debts.len() < MAX_REQUEST_ITEMS {
            let Some(place) = self.queue.front().copied() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(place) else {
                break;
            };
            let size = slot.next().map_or(0, |p| request_bytes(&p.mutation));
            if !self.debts.is_empty() && bytes + size > MAX_REQUEST_BYTES {
                break;
            }
            bytes += size;
            let pinned = slot.pinned.take().map(|pinned| *pinned);
            if let Some(Pending { mutation, debt }) = pinned.or_else(|| slot.newest.take()) {
                slot.state = State::UnderWay(self.debts.len());
                self.batch.writes.push(mutation);
                self.debts.push((debt, place));
            }
            self.queue.pop_front();
        }
        !self.debts.is_empty()
    }

    /// The batch under way.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Takes the batch back: each of it is then told to be [`done`](Self::done), [`not_written`](Self::not_written)
    /// or [`unknown`](Self::unknown), before anything is inserted.
    pub fn end_batch(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = Ended> + ExactSizeIterator + use<> {
        let writes = std::mem::take(&mut self.batch.writes);
        let debts = std::mem::take(&mut self.debts);
        writes
            .into_iter()
            .zip(debts)
            .map(|(mutation, (debt, place))| Ended {
                pending: Pending { mutation, debt },
                place,
            })
    }

    /// The target has it, or never will.
    pub fn done(&mut self, done: Ended, now: Instant) -> Pending {
        let Ended { pending, place } = done;
        let Some(slot) = self.slots.get_mut(place) else {
            return pending;
        };
        let unknown_since = pending.debt.unknown_since;
        let blocked_until = unknown_since.map(|since| since + self.late_after);
        if let Some(until) = blocked_until.filter(|until| *until > now) {
            let id = (pending.mutation.target, pending.mutation.key.clone());
            slot.state = State::Blocked(Box::new(id));
            self.blocked.push_back((until, place));
        } else {
            self.go_on(place);
        }
        pending
    }

    /// What is newer for a key is queued; where there is nothing, the key leaves.
    fn go_on(&mut self, place: Place) {
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if slot.newest.is_some() {
            slot.state = State::Queued;
            self.queue.push_back(place);
            return;
        }
        slot.state = State::Vacant;
        let held = self.places.find_entry(slot.hash, |other| *other == place);
        if let Ok(entry) = held {
            entry.remove();
            self.vacant.push(place);
        }
    }

    /// The target does not have it: it comes again, before the others, unless there is a newer one already.
    pub fn not_written(&mut self, ended: Ended) -> Superseded {
        let Ended { mut pending, place } = ended;
        let Some(slot) = self.slots.get_mut(place) else {
            return Superseded::default();
        };
        slot.state = State::Queued;
        let mut superseded = Superseded::default();
        if pending.debt.unknown_since.is_some() {
            slot.pinned = Some(Box::new(pending));
        } else if let Some(newer) = slot.newest.take() {
            superseded = pending.absorb(newer);
            slot.newest = Some(pending);
        } else {
            slot.newest = Some(pending);
        }
        self.queue.push_front(place);
        superseded
    }

    /// Nobody knows: exactly this comes again, before the others.
    pub fn unknown(&mut self, mut ended: Ended, now: Instant) {
        ended.pending.debt.unknown_since = Some(now);
        self.not_written(ended);
    }

    /// Lets the keys go that no late request can reach any more.
    pub fn release(&mut self, now: Instant) {
        let mut index = 0;
        while let Some((until, _)) = self.blocked.get(index) {
            if *until > now {
                index += 1;
                continue;
            }
            let Some((_, place)) = self.blocked.remove(index) else {
                break;
            };
            self.go_on(place);
        }
    }

    /// When the first blocked key may go on.
    pub fn next_release(&self) -> Option<Instant> {
        self.blocked.iter().map(|(until, _)| *until).min()
    }

    /// Whether nothing waits to be written, now or later.
    pub fn owes_nothing(&self) -> bool {
        self.debts.is_empty()
            && self
                .slots
                .iter()
                .all(|slot| slot.pinned.is_none() && slot.newest.is_none())
    }
}

impl Slot {
    /// What is to be written next.
    fn next(&self) -> Option<&Pending> {
        self.pinned.as_deref().or(self.newest.as_ref())
    }

    /// Whose slot it is.
    fn id<'s>(&'s self, batch: &'s Batch) -> Option<(TargetId, &'s Key)> {
        let mutation = match &self.state {
            State::Vacant => return None,
            State::Blocked(id) => return Some((id.0, &id.1)),
            State::UnderWay(index) => batch.writes.get(*index)?,
            State::Queued => &self.next()?.mutation,
        };
        Some((mutation.target, &mutation.key))
    }
}

impl Ended {
    /// The target did not take it at `now`: since when that is so.
    pub fn refused(&mut self, now: Instant) -> Instant {
        *self.pending.debt.refused_since.get_or_insert(now)
    }
}

impl Pending {
    fn new(sequence: Sequence, mutation: Mutation) -> Self {
        Self {
            mutation,
            debt: Debt {
                first: sequence,
                more: Vec::new(),
                unknown_since: None,
                refused_since: None,
            },
        }
    }

    /// The newest of the sequences that wait.
    pub fn sequence(&self) -> Sequence {
        self.debt.newest()
    }

    /// The sequences that wait for this mutation.
    pub fn owed(&self) -> impl Iterator<Item = Sequence> {
        std::iter::once(self.debt.first).chain(self.debt.more.iter().copied())
    }

    /// How many they are.
    pub fn owed_count(&self) -> usize {
        1 + self.debt.more.len()
    }

    fn supersede(&mut self, sequence: Sequence, mutation: Mutation) -> Superseded {
        let bytes = self.mutation.weight();
        self.mutation = mutation;
        let settled = (self.debt.newest() == sequence).then_some(sequence);
        if settled.is_none() {
            self.debt.more.push(sequence);
        }
        Superseded { settled, bytes }
    }

    /// Takes a newer mutation's place and debts.
    fn absorb(&mut self, newer: Pending) -> Superseded {
        let bytes = self.mutation.weight();
        self.mutation = newer.mutation;
        let Debt { first, more, .. } = newer.debt;
        let twice = (self.debt.newest() == first).then_some(first);
        if twice.is_none() {
            self.debt.more.push(first);
        }
        self.debt.more.extend(more);
        Superseded {
            settled: twice,
            bytes,
        }
    }
}

impl Debt {
    fn newest(&self) -> Sequence {
        self.more.last().copied().unwrap_or(self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::{Action, Origin};
    use super::*;
    use crate::plan::ProjectionId;

    fn mutation(key: u64, version: u64) -> Mutation {
        Mutation {
            target: TargetId(0),
            key: Key(Bytes::from(key.to_string())),
            origin: Origin {
                projection: ProjectionId(0),
                source_key: Arc::from("row"),
            },
            action: Action::Put {
                item: Bytes::from(version.to_string()),
                size: 1,
            },
        }
    }

    /// Keys and versions of the batch under way.
    fn under_way(slots: &Slots) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let write = |write: &Mutation| match &write.action {
            Action::Put { item, .. } => (text(&write.key.0), text(item)),
            Action::Delete => (text(&write.key.0), String::new()),
        };
        slots.batch().writes.iter().map(write).collect()
    }

    fn pairs(pairs: &[(u64, u64)]) -> Vec<(String, String)> {
        let text = |(key, version): &(u64, u64)| (key.to_string(), version.to_string());
        pairs.iter().map(text).collect()
    }

    #[test]
    fn keys_of_one_hash_stay_apart() {
        let mut slots = Slots::new(Duration::ZERO);
        for (sequence, key) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            slots.insert(sequence, 7, mutation(key, sequence));
        }
        assert_eq!(slots.len(), 3);
        assert!(slots.next_batch());
        assert_eq!(under_way(&slots), pairs(&[(1, 3), (2, 2), (3, 4)]));
        for ended in slots.end_batch() {
            slots.done(ended, Instant::now());
        }
        assert_eq!(slots.len(), 0);
        assert!(slots.owes_nothing());
    }

    #[test]
    fn a_key_under_way_is_not_taken_a_second_time() {
        let mut slots = Slots::new(Duration::ZERO);
        slots.insert(1, 7, mutation(1, 1));
        assert!(slots.next_batch());
        slots.insert(2, 7, mutation(1, 2));
        assert_eq!(slots.len(), 1);
        assert!(!slots.owes_nothing());
        for ended in slots.end_batch() {
            slots.done(ended, Instant::now());
        }
        assert!(slots.next_batch());
        assert_eq!(under_way(&slots), pairs(&[(1, 2)]));
    }

    #[test]
    fn a_blocked_key_holds_back_what_is_newer_and_leaves_its_place_to_others() {
        let late = Duration::from_secs(10);
        let mut slots = Slots::new(late);
        let now = Instant::now();
        slots.insert(1, 7, mutation(1, 1));
        assert!(slots.next_batch());
        for ended in slots.end_batch() {
            slots.unknown(ended, now);
        }
        slots.insert(2, 7, mutation(1, 2));
        assert!(slots.next_batch());
        assert_eq!(
            under_way(&slots),
            pairs(&[(1, 1)]),
            "not repeated as it was"
        );
        for ended in slots.end_batch() {
            slots.done(ended, now);
        }
        slots.insert(3, 7, mutation(1, 3));
        assert_eq!(slots.len(), 1, "a blocked key was taken for another");
        assert!(!slots.next_batch());
        slots.release(now + late);
        assert!(slots.next_batch());
        assert_eq!(under_way(&slots), pairs(&[(1, 3)]));
        for ended in slots.end_batch() {
            slots.done(ended, now + late);
        }
        assert_eq!(slots.len(), 0);
        slots.insert(4, 7, mutation(2, 4));
        assert_eq!((slots.len(), slots.slots.len()), (1, 1), "a place was lost");
    }
}
