//! Which rows have a dead letter, as far as the view must know: who has one is cleared by its next valid change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;

use crate::checkpoint::{DeadLetter, DeadLetterChange, now_unix_ms};
use crate::metrics;
use crate::pipeline::Origin;
use crate::plan::Plan;

/// Dead letters on their way from the view to the committer. The channel is bounded: the committer stores them
/// before it moves the position past the rows that caused them.
pub struct Deaths {
    letters: Letters,
    out: Sender<DeadLetterChange>,
}

/// Who has a dead letter, and how one is written: what view and committer share.
#[derive(Clone)]
pub struct Letters {
    plan: Arc<Plan>,
    known: Arc<Known>,
}

/// Hashes of the origins that have a dead letter, and who found it. A false hit costs a needless removal, nothing
/// else.
struct Known {
    hashes: Mutex<HashMap<u64, Finder>>,
    count: AtomicUsize,
    /// Some have a letter and no hash here: from then on every valid change of a row removes a letter that may be there.
    overflown: AtomicBool,
    hasher: ahash::RandomState,
}

/// Most hashes that are kept; each takes some 20 bytes.
const MOST_KNOWN: usize = if cfg!(test) { 100 } else { 1_000_000 };

/// Who found that a row has no valid item. What the view finds is newer than anything that the sink has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finder {
    View,
    Sink,
}

impl Deaths {
    pub fn new(letters: Letters, out: Sender<DeadLetterChange>) -> Self {
        Self { letters, out }
    }

    /// The row has no valid item, since the transaction `at` (empty: as the snapshot read it). False when the committer
    /// has gone.
    pub fn died(&self, origin: &Origin, reason: &str, at: String) -> bool {
        self.letters.died(origin);
        let letter = DeadLetter {
            position: at,
            ..self.letters.letter(origin, reason)
        };
        self.out
            .blocking_send(DeadLetterChange::Put(letter))
            .is_ok()
    }

    /// The row has a valid item again, or is gone. False when the committer has gone.
    pub fn cleared(&self, origin: &Origin) -> bool {
        match self.letters.forget(origin) {
            Some(clear) => self.out.blocking_send(clear).is_ok(),
            None => true,
        }
    }
}

impl Letters {
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            known: Arc::new(Known {
                hashes: Mutex::default(),
                count: AtomicUsize::new(0),
                overflown: AtomicBool::new(false),
                hasher: ahash::RandomState::new(),
            }),
        }
    }

    /// Takes over the letters that an earlier run has stored.
    pub fn take_over(&self, stored: &[DeadLetter]) {
        let hasher = &self.known.hasher;
        for letter in stored {
            let hash = hasher.hash_one((letter.projection.as_str(), letter.source_key.as_str()));
            self.remember(hash, |_| Finder::View);
        }
    }

    /// The dead letter of a row; `reason` names no values.
    pub fn letter(&self, origin: &Origin, reason: &str) -> DeadLetter {
        let projection = self.plan.projection(origin.projection);
        let now = now_unix_ms();
        DeadLetter {
            projection: projection.label.clone(),
            source_key: origin.source_key.to_string(),
            target: self.plan.target(projection.target).name.clone(),
            reason: reason.to_owned(),
            first_seen_unix_ms: now,
            last_seen_unix_ms: now,
            count: 1,
            position: String::new(),
        }
    }

    /// The sink found that DynamoDB refuses the item; the committer stores the letter itself. False where the view
    /// has found something newer about the row.
    pub fn rejected(&self, origin: &Origin) -> bool {
        self.seen(origin);
        let found = |earlier: Option<Finder>| earlier.unwrap_or(Finder::Sink);
        self.remember(self.hash(origin), found) == Finder::Sink
    }

    /// Something newer of a rejected row has been written: what clears its letter, unless the view had the row die
    /// since, or has cleared it.
    pub fn healed(&self, origin: &Origin) -> Option<DeadLetterChange> {
        let found = self.lock().get(&self.hash(origin)).copied();
        (found == Some(Finder::Sink)).then(|| self.forget(origin))?
    }

    fn died(&self, origin: &Origin) {
        self.seen(origin);
        self.remember(self.hash(origin), |_| Finder::View);
    }

    /// Notes who found it, given who had found it before.
    fn remember(&self, hash: u64, finder: impl FnOnce(Option<Finder>) -> Finder) -> Finder {
        let mut hashes = self.lock();
        let earlier = hashes.get(&hash).copied();
        let finder = finder(earlier);
        if earlier.is_some() || hashes.len() < MOST_KNOWN {
            hashes.insert(hash, finder);
        } else if !self.known.overflown.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                rows = MOST_KNOWN,
                "so many rows have no valid item that every change of any row looks for its dead letter now"
            );
        }
        self.known.count.store(hashes.len(), Ordering::Release);
        finder
    }

    fn seen(&self, origin: &Origin) {
        let label = self.plan.projection(origin.projection).label.as_str();
        metrics::DEAD_LETTERS_SEEN.with([label]).increment(1);
    }

    fn hash(&self, origin: &Origin) -> u64 {
        let label = self.plan.projection(origin.projection).label.as_str();
        self.known.hasher.hash_one((label, &*origin.source_key))
    }

    /// What clears the row's letter, if it has one.
    fn forget(&self, origin: &Origin) -> Option<DeadLetterChange> {
        if self.known.count.load(Ordering::Acquire) == 0
            && !self.known.overflown.load(Ordering::Acquire)
        {
            return None;
        }
        let label = self.plan.projection(origin.projection).label.as_str();
        let mut hashes = self.lock();
        let removed = hashes.remove(&self.hash(origin));
        self.known.count.store(hashes.len(), Ordering::Release);
        let may_be_there = removed.is_some() || self.known.overflown.load(Ordering::Acquire);
        may_be_there.then(|| DeadLetterChange::Clear {
            projection: label.to_owned(),
            source_key: origin.source_key.to_string(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Finder>> {
        self.known
            .hashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
