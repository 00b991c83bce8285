//! A budget of bytes between two threads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::metrics::QueueGauges;

/// Blocks whoever wants to add bytes while too many are under way. One that is larger than the whole budget passes alone.
pub struct Budget {
    limit: usize,
    gauges: QueueGauges,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    closed: bool,
}

/// Bytes taken from a [`Budget`]; they go back when this is dropped.
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// `gauges` show what is under way.
    pub fn new(limit: usize, gauges: QueueGauges) -> Arc<Self> {
        Arc::new(Self {
            limit,
            gauges,
            state: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// Waits until `bytes` fit. `None` once the budget is closed.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.used > 0 && state.used + bytes > self.limit {
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        state.used += bytes;
        self.gauges.items.increment(1.0);
        self.gauges.bytes.increment(bytes as f64);
        Some(Share {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Wakes whoever waits: nothing is given any more.
    pub fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.freed.notify_all();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self
            .budget
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.used -= self.bytes;
        drop(state);
        self.budget.gauges.items.decrement(1.0);
        self.budget.gauges.bytes.decrement(self.bytes as f64);
        self.budget.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges() -> QueueGauges {
        crate::metrics::queue(crate::metrics::Queue::Rows, 0, 10)
    }

    #[test]
    fn takers_wait_until_bytes_are_given_back() {
        let budget = Budget::new(10, gauges());
        let first = budget.take(8).unwrap();
        let other = Arc::clone(&budget);
        let waiter = std::thread::spawn(move || other.take(5).map(|s| s.bytes));
        std::thread::sleep(std::time::Duration::from_millis(30));
        assert!(!waiter.is_finished());
        drop(first);
        assert_eq!(waiter.join().unwrap(), Some(5));
    }

    #[test]
    fn one_that_is_too_large_passes_alone_and_closing_wakes_everybody() {
        let budget = Budget::new(10, gauges());
        let large = budget.take(1000).unwrap();
        let other = Arc::clone(&budget);
        let waiter = std::thread::spawn(move || other.take(1).is_none());
        std::thread::sleep(std::time::Duration::from_millis(30));
        budget.close();
        assert!(waiter.join().unwrap());
        drop(large);
    }
}
