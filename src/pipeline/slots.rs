//! A lane's keys: what is to be written for each, in what order, and which must wait.
//!
//! Three things can hold a key: it is queued, it is under way, or it is blocked because an earlier request for it may
//! still be applied late. A mutation whose request had no answer is *pinned*: it is repeated as it is, and only after
//! it has been written, and the late request can no longer come, does a newer one follow.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry as MapEntry, HashMap};
use std::time::{Duration, Instant};

use ahash::RandomState;

use super::writer::{MAX_REQUEST_BYTES, MAX_REQUEST_ITEMS, request_bytes};
use super::{Key, Mutation, Sequence};
use crate::plan::TargetId;

type Id = (TargetId, Key);

/// A mutation, and the sequences that are owed until it is durable: its own and those of the mutations that it
/// superseded, each once, in order.
pub(super) struct Pending {
    pub mutation: Mutation,
    debt: Debt,
}

/// What a mutation carries besides itself.
pub(super) struct Debt {
    owed: Vec<Sequence>,
    /// When an attempt last ended without an answer.
    unknown_since: Option<Instant>,
    /// When the target first did not take it, or what it superseded.
    refused_since: Option<Instant>,
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
    slots: HashMap<Id, Slot, RandomState>,
    /// Each queued key once.
    queue: VecDeque<Id>,
    /// Each blocked key once, and until when.
    blocked: VecDeque<(Instant, Id)>,
    late_after: Duration,
}

struct Slot {
    state: State,
    /// To be repeated before anything newer.
    pinned: Option<Pending>,
    newest: Option<Pending>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    UnderWay,
    Blocked,
}

impl Slots {
    pub fn new(late_after: Duration) -> Self {
        Self {
            slots: HashMap::with_hasher(RandomState::new()),
            queue: VecDeque::new(),
            blocked: VecDeque::new(),
            late_after,
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a request now would go out, and not be full.
    pub fn has_some_but_not_enough(&self) -> bool {
        (1..MAX_REQUEST_ITEMS).contains(&self.queue.len())
    }

    /// Takes a mutation in; the last one for a key wins.
    pub fn insert(&mut self, sequence: Sequence, mutation: Mutation) -> Superseded {
        let id = (mutation.target, mutation.key.clone());
        match self.slots.entry(id) {
            MapEntry::Vacant(vacant) => {
                self.queue.push_back(vacant.key().clone());
                vacant.insert(Slot {
                    state: State::Queued,
                    pinned: None,
                    newest: Some(Pending::new(sequence, mutation)),
                });
                Superseded::default()
            }
            MapEntry::Occupied(mut occupied) => match &mut occupied.get_mut().newest {
                Some(newest) => newest.supersede(sequence, mutation),
                none => {
                    *none = Some(Pending::new(sequence, mutation));
                    Superseded::default()
                }
            },
        }
    }

    /// The next batch, in the order in which the keys arrived; empty if nothing may be written now.
    pub fn take_batch(&mut self) -> Vec<Pending> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < MAX_REQUEST_ITEMS {
            let Some(id) = self.queue.front() else { break };
            let Some(slot) = self.slots.get_mut(id) else {
                self.queue.pop_front();
                continue;
            };
            let Some(next) = slot.pinned.as_ref().or(slot.newest.as_ref()) else {
                self.queue.pop_front();
                continue;
            };
            let size = request_bytes(&next.mutation);
            if !batch.is_empty() && bytes + size > MAX_REQUEST_BYTES {
                break;
            }
            bytes += size;
            slot.state = State::UnderWay;
            batch.extend(slot.pinned.take().or_else(|| slot.newest.take()));
            self.queue.pop_front();
        }
        batch
    }

    /// The target has it, or never will.
    pub fn done(&mut self, done: &Pending, now: Instant) {
        let id = done.id();
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let blocked_until = done.debt.unknown_since.map(|since| since + self.late_after);
        if let Some(until) = blocked_until.filter(|until| *until > now) {
            slot.state = State::Blocked;
            self.blocked.push_back((until, id));
        } else if slot.newest.is_some() {
            slot.state = State::Queued;
            self.queue.push_back(id);
        } else {
            self.slots.remove(&id);
        }
    }

    /// The target does not have it: it comes again, before the others, unless there is a newer one already.
    pub fn not_written(&mut self, mut pending: Pending) -> Superseded {
        let id = pending.id();
        let Some(slot) = self.slots.get_mut(&id) else {
            return Superseded::default();
        };
        slot.state = State::Queued;
        let mut superseded = Superseded::default();
        if pending.debt.unknown_since.is_some() {
            slot.pinned = Some(pending);
        } else if let Some(newer) = slot.newest.take() {
            superseded = pending.absorb(newer);
            slot.newest = Some(pending);
        } else {
            slot.newest = Some(pending);
        }
        self.queue.push_front(id);
        superseded
    }

    /// Nobody knows: exactly this comes again, before the others.
    pub fn unknown(&mut self, mut pending: Pending, now: Instant) {
        pending.debt.unknown_since = Some(now);
        self.not_written(pending);
    }

    /// Lets the keys go that no late request can reach any more.
    pub fn release(&mut self, now: Instant) {
        let mut index = 0;
        while let Some((until, _)) = self.blocked.get(index) {
            if *until > now {
                index += 1;
                continue;
            }
            let Some((_, id)) = self.blocked.remove(index) else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            if slot.newest.is_some() {
                slot.state = State::Queued;
                self.queue.push_back(id);
            } else {
                self.slots.remove(&id);
            }
        }
    }

    /// When the first blocked key may go on.
    pub fn next_release(&self) -> Option<Instant> {
        self.blocked.iter().map(|(until, _)| *until).min()
    }

    /// Whether anything waits to be written, now or later.
    pub fn owes_nothing(&self) -> bool {
        self.slots
            .values()
            .all(|slot| slot.pinned.is_none() && slot.newest.is_none() && !slot.is_under_way())
    }
}

impl Slot {
    fn is_under_way(&self) -> bool {
        self.state == State::UnderWay
    }
}

impl Pending {
    fn new(sequence: Sequence, mutation: Mutation) -> Self {
        Self {
            mutation,
            debt: Debt {
                owed: vec![sequence],
                unknown_since: None,
                refused_since: None,
            },
        }
    }

    /// The newest of the sequences that wait.
    pub fn sequence(&self) -> Sequence {
        self.debt.owed.last().copied().unwrap_or_default()
    }

    /// The target did not take it at `now`: since when that is so.
    pub fn refused(&mut self, now: Instant) -> Instant {
        *self.debt.refused_since.get_or_insert(now)
    }

    /// The sequences that wait for this mutation.
    pub fn owed(&self) -> &[Sequence] {
        &self.debt.owed
    }

    /// The mutation, and the rest that stays with the lane.
    pub fn split(self) -> (Mutation, Debt) {
        (self.mutation, self.debt)
    }

    pub fn join((mutation, debt): (Mutation, Debt)) -> Self {
        Self { mutation, debt }
    }

    fn id(&self) -> Id {
        (self.mutation.target, self.mutation.key.clone())
    }

    fn supersede(&mut self, sequence: Sequence, mutation: Mutation) -> Superseded {
        let bytes = self.mutation.weight();
        self.mutation = mutation;
        let settled = (self.debt.owed.last() == Some(&sequence)).then_some(sequence);
        if settled.is_none() {
            self.debt.owed.push(sequence);
        }
        Superseded { settled, bytes }
    }

    /// Takes a newer mutation's place and debts.
    fn absorb(&mut self, newer: Pending) -> Superseded {
        let bytes = self.mutation.weight();
        self.mutation = newer.mutation;
        let twice = newer
            .debt
            .owed
            .first()
            .copied()
            .filter(|sequence| self.debt.owed.last() == Some(sequence));
        let skip = usize::from(twice.is_some());
        self.debt
            .owed
            .extend(newer.debt.owed.into_iter().skip(skip));
        Superseded {
            settled: twice,
            bytes,
        }
    }
}
