//! What is accepted and not yet durable, in items, bytes and sequences; the feeding thread waits here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// The three budgets. Only one thread takes, any may give back; so what has been found to fit still fits when it is
/// taken.
pub(super) struct Budget {
    items: Gauge,
    bytes: Gauge,
    sequences: Gauge,
    /// The taker waits, or is about to, until this is reached.
    waiting: AtomicBool,
    goal: Goal,
    closed: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

struct Gauge {
    used: AtomicUsize,
    max: usize,
}

/// What may be held at the most for the taker to go on. Without items their bytes do not count.
struct Goal {
    items: AtomicUsize,
    bytes: AtomicUsize,
    sequences: AtomicUsize,
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
            goal: Goal {
                items: AtomicUsize::new(usize::MAX),
                bytes: AtomicUsize::new(usize::MAX),
                sequences: AtomicUsize::new(usize::MAX),
            },
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

    /// Waits until there is room for an item of `bytes`, and much more, so that the thread does not wake for every single
    /// answer. Returns at once when the budget is closed.
    pub fn wait_for_item(&self, bytes: usize) {
        let room = self.bytes.max.div_ceil(2).saturating_sub(bytes);
        self.wait_until(self.items.max / 2, room, usize::MAX);
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
        self.wait_until(usize::MAX, usize::MAX, self.sequences.max - 1);
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

    /// Waits until no more is held than so many items, bytes and sequences.
    fn wait_until(&self, items: usize, bytes: usize, sequences: usize) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.goal.items.store(items, SeqCst);
        self.goal.bytes.store(bytes, SeqCst);
        self.goal.sequences.store(sequences, SeqCst);
        // Said before the check: whoever gives back after the check sees it, and then waits for the lock.
        self.waiting.store(true, SeqCst);
        while !self.is_reached() && !self.is_closed() {
            guard = self
                .changed
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, SeqCst);
    }

    fn is_reached(&self) -> bool {
        let Goal {
            items,
            bytes,
            sequences,
        } = &self.goal;
        let held = self.items.used.load(SeqCst);
        let room = held == 0
            || (held <= items.load(SeqCst) && self.bytes.used.load(SeqCst) <= bytes.load(SeqCst));
        room && self.sequences.used.load(SeqCst) <= sequences.load(SeqCst)
    }

    /// Wakes the taker if it can go on: woken for less it would only wait again.
    fn wake(&self) {
        if self.waiting.load(SeqCst) && (self.is_reached() || self.is_closed()) {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    /// One that is not woken waits for good, and so does the test.
    #[test]
    fn whoever_waits_is_woken_by_the_last_that_it_waits_for() {
        let budget = Arc::new(Budget::new(40, 1000, 8));
        let (senders, givers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (sender, given) = channel::<usize>();
                let budget = Arc::clone(&budget);
                let giver = std::thread::spawn(move || {
                    for bytes in given {
                        budget.give_back(1, bytes);
                        budget.give_back_sequences(1);
                    }
                });
                (sender, giver)
            })
            .unzip();
        for n in 0..200_000 {
            // Now the items are what is scarce, now the bytes, now the sequences.
            let bytes = if n % 1000 < 500 { 10 } else { 90 };
            while !budget.try_take_sequence() {
                budget.wait_for_sequence();
            }
            while !budget.try_take(bytes) {
                budget.wait_for_item(bytes);
            }
            senders[n % 3].send(bytes).unwrap();
        }
        drop(senders);
        for giver in givers {
            giver.join().unwrap();
        }
        assert_eq!(budget.used(), (0, 0, 0));
    }

    #[test]
    fn a_wait_ends_where_half_is_free_and_not_before() {
        let budget = Arc::new(Budget::new(8, 1000, 1));
        for _ in 0..8 {
            assert!(budget.try_take(1));
        }
        assert!(!budget.try_take(1));
        let taker = {
            let budget = Arc::clone(&budget);
            std::thread::spawn(move || {
                budget.wait_for_item(1);
                budget.used().0
            })
        };
        while !budget.waiting.load(SeqCst) {
            std::thread::yield_now();
        }
        for _ in 0..4 {
            budget.give_back(1, 1);
        }
        assert_eq!(taker.join().unwrap(), 4);
    }
}
