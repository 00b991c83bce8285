//! Which items the view has written: what a comparison of both sides must not judge yet, and what it owes a second look.
//!
//! Every mutation is noted before it is handed to the lanes. While nobody asks, that costs the reading of one number.
//!
//! Two questions are answered, both within bounds. *Watches*: was this item written since the watch was opened? They share
//! one map of hashes, so that a false "yes" is possible (it delays a verdict, nothing else) and a false "no" is not. *Dirt*:
//! which items were written since a full pass began? These are kept whole, with their origin, to be compared at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pipeline::{Key, Origin};
use crate::plan::TargetId;
use crate::position::GtidSet;

/// Most items that watches remember: about 32 MiB.
const MOST_WATCHED: usize = if cfg!(test) { 64 } else { 1 << 20 };
/// Most items, and bytes, that are kept for the end.
const MOST_DIRTY: usize = if cfg!(test) { 64 } else { 1 << 20 };
const MOST_DIRTY_BYTES: usize = 192 << 20;
/// What a dirty item takes beside its key and its origin's name.
const DIRTY_OVERHEAD: usize = 96;

/// What the view has written, for those who compare.
#[derive(Default)]
pub struct Touches {
    /// Whether anything is noted at all.
    noting: AtomicBool,
    hasher: ahash::RandomState,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Counts what is noted; everything here is before or after something by this clock.
    clock: u64,
    /// By watch, when it was opened.
    watches: Vec<u64>,
    /// When each item was last written, by its hash.
    written: HashMap<u64, u64, ahash::RandomState>,
    /// What was written up to here was forgotten: watches from before count everything as touched.
    forgotten: u64,
    dirty: Dirty,
}

/// Items written since a full pass began.
#[derive(Default)]
struct Dirty {
    recording: bool,
    /// What was written up to here is not known.
    lost: Option<u64>,
    items: HashMap<(TargetId, Key), (Origin, u64), ahash::RandomState>,
    bytes: usize,
}

/// Watches what is written from its opening on. Dropping it ends it.
///
/// Whoever reads MySQL after `gtid_executed ⊇ received` sees everything that was written before the watch was opened.
pub struct Watch {
    pub received: GtidSet,
    opened: u64,
    touches: Arc<Touches>,
}

/// When a full pass began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassMark(u64);

/// Items that have to be compared before both sides count as equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirtySet {
    /// Whether these are all. Where they are not, a full pass is owed.
    pub complete: bool,
    /// Each item once, with the origin of what was written last.
    pub keys: Vec<(TargetId, Key, Origin)>,
}

impl Touches {
    /// Notes that the item is about to be written or deleted.
    pub fn note(&self, target: TargetId, key: &Key, origin: &Origin) {
        // Whoever begins to watch does so by a request to the view thread, which is the one that notes, or reads what it
        // compares after this.
        if !self.noting.load(Ordering::Acquire) {
            return;
        }
        let mut notes = self.lock();
        notes.clock += 1;
        let now = notes.clock;
        if !notes.watches.is_empty() {
            let hash = self.hash(target, key);
            notes.write(hash, now);
        }
        notes.dirty.write(target, key, origin, now);
    }

    /// Opens a watch; for the view thread, which knows what it has `received`, the transaction at hand included.
    pub(super) fn watch(self: &Arc<Self>, received: GtidSet) -> Watch {
        let mut notes = self.lock();
        let opened = notes.clock;
        notes.watches.push(opened);
        self.noting.store(true, Ordering::Release);
        Watch {
            received,
            opened,
            touches: Arc::clone(self),
        }
    }

    /// A full pass begins: what is written from now on is remembered until a later one has found both sides equal.
    pub fn begin_pass(&self) -> PassMark {
        let mut notes = self.lock();
        let now = notes.clock;
        if !notes.dirty.recording {
            notes.dirty.recording = true;
            notes.dirty.lost = Some(now);
            self.noting.store(true, Ordering::Release);
        }
        PassMark(now)
    }

    /// The pass that began at `mark` has found both sides equal: what was written before it is forgotten.
    pub fn pass_was_clean(&self, mark: PassMark) {
        let mut notes = self.lock();
        let dirty = &mut notes.dirty;
        if dirty.lost.is_some_and(|lost| lost <= mark.0) {
            dirty.lost = None;
        }
        dirty.items.retain(|_, (_, at)| *at > mark.0);
        let weights = dirty.items.iter().map(|((_, k), (o, _))| weight(k, o));
        dirty.bytes = weights.sum();
    }

    /// What was written since the last pass that was clean began.
    pub fn dirty(&self) -> DirtySet {
        let notes = self.lock();
        let items = notes.dirty.items.iter();
        DirtySet {
            complete: notes.dirty.recording && notes.dirty.lost.is_none(),
            keys: items
                .map(|((target, key), (origin, _))| (*target, key.clone(), origin.clone()))
                .collect(),
        }
    }

    /// Whether [`dirty`](Self::dirty) is complete, and how many items it has.
    pub fn dirt(&self) -> (bool, usize) {
        let notes = self.lock();
        let complete = notes.dirty.recording && notes.dirty.lost.is_none();
        (complete, notes.dirty.items.len())
    }

    fn hash(&self, target: TargetId, key: &Key) -> u64 {
        self.hasher.hash_one((target.0, key.0.as_ref()))
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // A panic elsewhere leaves nothing half noted.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn write(&mut self, hash: u64, now: u64) {
        if self.written.len() >= MOST_WATCHED && !self.written.contains_key(&hash) {
            let oldest = self.watches.iter().copied().min().unwrap_or(now);
            self.written.retain(|_, at| *at > oldest);
            if self.written.len() >= MOST_WATCHED {
                self.written = HashMap::default();
                self.forgotten = now;
            }
        }
        self.written.insert(hash, now);
    }
}

impl Dirty {
    fn write(&mut self, target: TargetId, key: &Key, origin: &Origin, now: u64) {
        if !self.recording {
            return;
        }
        let weighs = weight(key, origin);
        let earlier = self
            .items
            .insert((target, key.clone()), (origin.clone(), now));
        self.bytes += weighs;
        if let Some((earlier, _)) = earlier {
            self.bytes = self.bytes.saturating_sub(weight(key, &earlier));
        }
        if self.items.len() > MOST_DIRTY || self.bytes > MOST_DIRTY_BYTES {
            // More than can be compared at the end: the next full pass begins anew.
            *self = Dirty::default();
            tracing::warn!(
                "more items were written since the last full comparison than are remembered: another one is owed"
            );
        }
    }
}

fn weight(key: &Key, origin: &Origin) -> usize {
    key.0.len() + origin.source_key.len() + DIRTY_OVERHEAD
}

impl Watch {
    /// Whether the item was written since the watch was opened, or nobody can tell any more.
    pub fn is_touched(&self, target: TargetId, key: &Key) -> bool {
        let notes = self.touches.lock();
        if notes.forgotten > self.opened {
            return true;
        }
        let hash = self.touches.hash(target, key);
        notes.written.get(&hash).is_some_and(|at| *at > self.opened)
    }

    /// More was written than is remembered: everything counts as touched.
    pub fn has_overflown(&self) -> bool {
        self.touches.lock().forgotten > self.opened
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut notes = self.touches.lock();
        if let Some(at) = notes.watches.iter().position(|at| *at == self.opened) {
            notes.watches.swap_remove(at);
        }
        if notes.watches.is_empty() {
            notes.written = HashMap::default();
            let noting = notes.dirty.recording;
            self.touches.noting.store(noting, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ProjectionId;

    const ONE: TargetId = TargetId(1);

    fn key(n: usize) -> Key {
        Key(format!("{{\"id\":{{\"N\":\"{n}\"}}}}").into_bytes().into())
    }

    fn note(touches: &Touches, n: usize) {
        let origin = Origin {
            projection: ProjectionId(0),
            source_key: n.to_string().into(),
        };
        touches.note(ONE, &key(n), &origin);
    }

    fn dirty(touches: &Touches) -> (bool, Vec<String>) {
        let set = touches.dirty();
        let mut names: Vec<String> = set
            .keys
            .iter()
            .map(|k| k.2.source_key.to_string())
            .collect();
        names.sort();
        (set.complete, names)
    }

    #[test]
    fn a_watch_knows_what_was_written_since_it_was_opened() {
        let touches = Arc::new(Touches::default());
        note(&touches, 1);
        let first = touches.watch(GtidSet::new());
        note(&touches, 2);
        let second = touches.watch(GtidSet::new());
        note(&touches, 3);
        let seen = |watch: &Watch| [1, 2, 3, 4].map(|n| watch.is_touched(ONE, &key(n)));
        assert_eq!(seen(&first), [false, true, true, false]);
        assert_eq!(seen(&second), [false, false, true, false]);
        assert!(!first.is_touched(TargetId(2), &key(2)), "another table");
        drop(first);
        assert_eq!(seen(&second), [false, false, true, false]);
        drop(second);
        assert_eq!(touches.lock().written.len(), 0);
        assert!(!touches.noting.load(Ordering::Relaxed));
    }

    #[test]
    fn a_watch_of_too_much_counts_everything_as_touched() {
        let touches = Arc::new(Touches::default());
        let old = touches.watch(GtidSet::new());
        for n in 0..MOST_WATCHED {
            note(&touches, n);
        }
        assert!(!old.has_overflown());
        let young = touches.watch(GtidSet::new());
        note(&touches, 1000);
        assert!(old.has_overflown() && old.is_touched(ONE, &key(5000)));
        // Every watch that was open then: what it had seen is not known any more.
        assert!(young.has_overflown());
        let next = touches.watch(GtidSet::new());
        assert!(!next.has_overflown() && !next.is_touched(ONE, &key(1000)));
        // With the old ones gone, what only they needed makes room.
        drop((old, young));
        for n in 0..MOST_WATCHED {
            note(&touches, n);
        }
        assert!(!next.has_overflown() && next.is_touched(ONE, &key(0)));
    }

    #[test]
    fn what_was_written_since_the_last_clean_pass_is_dirty() {
        let touches = Touches::default();
        note(&touches, 1);
        assert_eq!(dirty(&touches), (false, vec![]), "nobody has looked yet");
        let first = touches.begin_pass();
        note(&touches, 2);
        let second = touches.begin_pass();
        note(&touches, 3);
        assert!(!dirty(&touches).0, "before the pass anything was written");
        touches.pass_was_clean(first);
        assert_eq!(dirty(&touches), (true, vec!["2".into(), "3".into()]));
        note(&touches, 2);
        touches.pass_was_clean(second);
        assert_eq!(dirty(&touches), (true, vec!["2".into(), "3".into()]));
        let third = touches.begin_pass();
        touches.pass_was_clean(third);
        assert_eq!(dirty(&touches), (true, vec![]));
    }

    #[test]
    fn too_much_dirt_owes_a_pass_that_began_after_it() {
        let touches = Touches::default();
        touches.pass_was_clean(touches.begin_pass());
        let early = touches.begin_pass();
        for n in 0..=MOST_DIRTY {
            note(&touches, n);
        }
        assert_eq!(dirty(&touches), (false, vec![]));
        touches.pass_was_clean(early);
        assert!(!dirty(&touches).0, "it began before what was forgotten");
        let late = touches.begin_pass();
        note(&touches, 7);
        touches.pass_was_clean(early);
        assert!(!dirty(&touches).0);
        touches.pass_was_clean(late);
        assert_eq!(dirty(&touches), (true, vec!["7".into()]));
    }
}
