//! A limit of so many units a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nobody waits longer at once.
const LONGEST: f64 = 60.0;

/// Units a second; what is taken beyond them is waited for afterwards.
#[derive(Debug)]
pub struct Limit {
    per_second: Option<f64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: f64,
    filled: Instant,
}

impl Limit {
    /// `None`, or nothing, is no limit.
    pub fn new(per_second: Option<u64>) -> Self {
        Self {
            per_second: per_second.filter(|n| *n > 0).map(|n| n as f64),
            state: Mutex::new(State {
                left: 0.0,
                filled: Instant::now(),
            }),
        }
    }

    /// Takes units, and waits until there have been as many.
    pub async fn take(&self, units: f64) {
        let pause = self.book(units, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    fn book(&self, units: f64, now: Instant) -> Duration {
        let Some(rate) = self.per_second else {
            return Duration::ZERO;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.filled).as_secs_f64();
        state.filled = now;
        // A quiet second may be made up for, not more.
        state.left = (state.left + passed * rate).min(rate) - units;
        Duration::from_secs_f64((-state.left / rate).clamp(0.0, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_beyond_the_rate_is_waited_for() {
        let limit = Limit::new(Some(100));
        let start = Instant::now();
        assert!(limit.book(0.0, start).is_zero());
        let pause = limit.book(300.0, start).as_secs_f64();
        assert!((2.9..3.1).contains(&pause), "{pause}");
        let later = start + Duration::from_secs(10);
        assert!(limit.book(100.0, later).is_zero());
        assert!(!limit.book(10.0, later).is_zero());
        assert!(Limit::new(None).book(1e9, start).is_zero());
        assert!(Limit::new(Some(0)).book(1e9, start).is_zero());
    }
}
