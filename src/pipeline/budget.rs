//! What is accepted and not yet durable, in items, bytes and sequences; the feeding thread waits here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// The three budgets. Only one thread takes, any may give back; so what has been found to fit still fits when it is
/// taken.
pub(super) struct Budget {
    items: Gauge,
    bytes: Gauge,
    sequences: Gauge,
    /// The taker waits, or is about to.
    waiting: AtomicBool,
    closed: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

struct Gauge {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub fn new(items: usize, bytes: usize, sequences: usize) -> Self {
        let gauge = |max: usize| Gauge {
            used: AtomicUsize::new(0),
            max: max.max(1),
        };
        Self {
            items: gauge(items),
            bytes: gauge(bytes),
            sequences: gauge(sequences),
            waiting: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Takes one item of `bytes` if it fits, or if nothing else is held.
    pub fn try_take(&self, bytes: usize) -> bool {
        let items = self.items.used.load(SeqCst);
        let fits = items == 0
            || (items < self.items.max
                && self.bytes.used.load(SeqCst).saturating_add(bytes) <= self.bytes.max);
        if fits {
            self.items.used.fetch_add(1, SeqCst);
            self.bytes.used.fetch_add(bytes, SeqCst);
        }
        fits
    }

    /// Waits until there is room for an item of `bytes`, and some more so that the thread does not wake for every
    /// single answer. Returns at once when the budget is closed.
    pub fn wait_for_item(&self, bytes: usize) {
        let items = self.items.max - self.items.max / 8;
        let room = (self.bytes.max - self.bytes.max / 8).saturating_sub(bytes);
        self.wait_until(|| {
            let held = self.items.used.load(SeqCst);
            held == 0 || (held < items && self.bytes.used.load(SeqCst) <= room)
        });
    }

    /// Takes a sequence if one is left.
    pub fn try_take_sequence(&self) -> bool {
        let fits = self.sequences.used.load(SeqCst) < self.sequences.max;
        if fits {
            self.sequences.used.fetch_add(1, SeqCst);
        }
        fits
    }

    pub fn wait_for_sequence(&self) {
        self.wait_until(|| self.sequences.used.load(SeqCst) < self.sequences.max);
    }

    pub fn give_back(&self, items: usize, bytes: usize) {
        self.items.used.fetch_sub(items, SeqCst);
        self.bytes.used.fetch_sub(bytes, SeqCst);
        self.wake();
    }

    pub fn give_back_sequences(&self, count: usize) {
        self.sequences.used.fetch_sub(count, SeqCst);
        self.wake();
    }

    /// Nobody waits any longer.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Items, bytes and sequences that are held.
    pub fn used(&self) -> (usize, usize, usize) {
        (
            self.items.used.load(SeqCst),
            self.bytes.used.load(SeqCst),
            self.sequences.used.load(SeqCst),
        )
    }

    fn wait_until(&self, ready: impl Fn() -> bool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Said before the check: whoever gives back after the check sees it, and then waits for the lock.
        self.waiting.store(true, SeqCst);
        while !ready() && !self.is_closed() {
            guard = self
                .changed
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, SeqCst);
    }

    fn wake(&self) {
        if self.waiting.load(SeqCst) {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.changed.notify_all();
        }
    }
}
