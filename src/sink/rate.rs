//! How fast a table takes writes: no limit until it throttles, then as fast as it shows that it can.
//!
//! Every window the share of what was throttled is looked at. Where it is large, the limit falls to somewhat less than
//! what was taken; where nothing was throttled, it grows by a step. After a fall that was deep (a table that took nothing for
//! a while) it doubles until something is throttled again. Some throttling is left alone: it costs
//! little, and it shows where the limit is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(500);
/// A window in which more than this share was throttled lowers the limit.
const TOO_MUCH: f64 = 0.2;
const DECREASE: f64 = 0.85;
/// Of the limit, for each window without throttling.
const INCREASE: f64 = 0.04;
/// Write units a second.
const LEAST: f64 = 1.0;
/// A fall to less than this share of the limit says nothing of what the table takes otherwise.
const DEEP: f64 = 0.3;
/// Nobody waits longer: by then more may be known of the table.
const LONGEST: f64 = 5.0;
/// After so long without throttling there is no limit again.
const FORGET: Duration = Duration::from_secs(300);

/// The rate of one table, shared by all lanes.
pub struct Rate {
    state: Mutex<State>,
}

struct State {
    /// Write units a second.
    limit: Option<f64>,
    /// What the table takes is still to be found: the last fall was deep, or it took nothing.
    searching: bool,
    /// Units that may be sent now; below zero when lanes already wait for some.
    tokens: f64,
    refilled: Instant,
    window: Window,
    last_throttle: Option<Instant>,
}

#[derive(Default)]
struct Window {
    /// With the first record, so that a quiet time before it does not count.
    started: Option<Instant>,
    taken: f64,
    throttled: f64,
}

impl Rate {
    pub fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                limit: None,
                searching: false,
                tokens: 0.0,
                refilled: now,
                window: Window::default(),
                last_throttle: None,
            }),
        }
    }

    /// Books `units` and says how long to wait before sending them.
    pub fn book(&self, units: f64, now: Instant) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(limit) = state.limit else {
            return Duration::ZERO;
        };
        let passed = now.saturating_duration_since(state.refilled).as_secs_f64();
        state.refilled = now;
        // A burst of a quarter of a second at most.
        state.tokens = (state.tokens + passed * limit).min(limit / 4.0);
        state.tokens = (state.tokens - units).max(-limit * LONGEST);
        Duration::from_secs_f64((-state.tokens / limit).clamp(0.0, LONGEST))
    }

    /// Tells what became of units that were sent; the limit from now on.
    pub fn record(&self, taken: f64, throttled: f64, now: Instant) -> Option<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let started = *state.window.started.get_or_insert(now);
        state.window.taken += taken;
        state.window.throttled += throttled;
        if throttled > 0.0 {
            state.last_throttle = Some(now);
        }
        let elapsed = now.saturating_duration_since(started);
        if elapsed >= WINDOW {
            state.turn(elapsed.as_secs_f64(), now);
        }
        state.limit
    }

    /// Write units a second; `None` while there is no limit.
    pub fn limit(&self) -> Option<f64> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .limit
    }
}

impl State {
    fn turn(&mut self, seconds: f64, now: Instant) {
        let window = std::mem::take(&mut self.window);
        let sent = window.taken + window.throttled;
        if sent > 0.0 && window.throttled / sent > TOO_MUCH {
            if self.limit.is_none() {
                self.tokens = 0.0;
                self.refilled = now;
            }
            let lower = (window.taken / seconds * DECREASE).max(LEAST);
            let before = self.limit.unwrap_or(f64::INFINITY);
            // Where it took more than the limit allows, its level is still to be found.
            if window.taken == 0.0 || lower < before {
                self.searching = window.taken == 0.0 || lower < before * DEEP;
            }
            self.limit = Some(lower);
        } else if let Some(limit) = self.limit
            && window.throttled == 0.0
        {
            let quiet = self.last_throttle.is_none_or(|at| now - at >= FORGET);
            let more = match self.searching {
                true => 2.0 * limit.max(window.taken / seconds),
                false => limit + (limit * INCREASE).max(LEAST),
            };
            self.limit = (!quiet).then_some(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that takes `capacity` units a second, written to as fast as the rate allows, in batches of 25.
    fn settle(capacity: f64, seconds: u64) -> (f64, f64) {
        let start = Instant::now();
        let mut now = start;
        let rate = Rate::new(now);
        let (mut bucket, mut refused, mut sent) = (0.0_f64, 0.0, 0.0);
        let mut taken_late = 0.0;
        while now - start < Duration::from_secs(seconds) {
            // Sixteen lanes at 2 ms make 8000 requests a second at most.
            let step = rate.book(25.0, now).max(Duration::from_micros(125));
            now += step;
            bucket = (bucket + step.as_secs_f64() * capacity).min(capacity);
            let taken = bucket.min(25.0);
            bucket -= taken;
            rate.record(taken, 25.0 - taken, now);
            if now - start > Duration::from_secs(seconds / 2) {
                sent += 25.0;
                refused += 25.0 - taken;
                taken_late += taken;
            }
        }
        (
            taken_late / (seconds as f64 / 2.0) / capacity,
            refused / sent,
        )
    }

    #[test]
    fn finds_the_capacity_and_stays_near_it() {
        for capacity in [200.0, 1_000.0, 20_000.0] {
            let (use_of_capacity, refused) = settle(capacity, 60);
            assert!(use_of_capacity > 0.85, "{capacity}: used {use_of_capacity}");
            assert!(refused < 0.2, "{capacity}: refused {refused}");
        }
    }

    #[test]
    fn there_is_no_limit_without_throttling() {
        let now = Instant::now();
        let rate = Rate::new(now);
        rate.record(1e6, 0.0, now);
        rate.record(1e6, 0.0, now + WINDOW * 2);
        assert_eq!(rate.limit(), None);
        assert_eq!(rate.book(1e6, now), Duration::ZERO);
    }

    #[test]
    fn a_little_throttling_sets_no_limit() {
        let now = Instant::now();
        let rate = Rate::new(now);
        rate.record(95.0, 5.0, now);
        rate.record(95.0, 5.0, now + WINDOW * 2);
        assert_eq!(rate.limit(), None);
    }

    /// A table that took nothing for a while, and is as before: the rate finds that out in seconds.
    #[test]
    fn a_table_that_took_nothing_is_soon_written_to_as_before() {
        let mut now = Instant::now();
        let rate = Rate::new(now);
        let mut written = 0.0;
        let begun = now;
        while now - begun < Duration::from_secs(60) {
            let takes_nothing = now - begun < Duration::from_secs(30);
            // Sixteen requests at a time, which take 10 ms.
            let waits: Vec<Duration> = (0..16).map(|_| rate.book(25.0, now)).collect();
            for wait in &waits {
                let at = now + *wait + Duration::from_millis(10);
                let (taken, throttled) = match takes_nothing {
                    true => (0.0, 25.0),
                    false => (25.0, 0.0),
                };
                rate.record(taken, throttled, at);
                written += taken;
            }
            let longest = waits.into_iter().max().unwrap_or_default();
            now += longest + Duration::from_millis(10);
        }
        assert!(written > 200_000.0, "{written} in half a minute");
    }
}
