//! How a drain goes, for whoever waits for a cutover or a rehearsal.

use std::time::Duration;

use super::bars::{Voice, Wait, Way};
use crate::admin::{Client, Status};
use crate::cutover::Progress;
use crate::error::Result;
use crate::phase::Phase;

const LOOK: Duration = Duration::from_millis(300);
/// A look that takes longer is given up: what is waited for comes first.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is waited for, and how much there was to do when it began.
pub(super) struct Drain {
    wait: Wait,
    behind: Left,
    step: String,
}

/// Transactions (or items) that are left, of the most that there were.
#[derive(Debug, Default)]
pub(super) struct Left {
    most: u64,
}

impl Left {
    /// How far it is with so many left.
    pub fn way(&mut self, left: u64) -> Way {
        self.most = self.most.max(left);
        Way {
            done: self.most - left,
            of: self.most,
        }
    }
}

impl Drain {
    pub fn new(name: &'static str) -> Self {
        Self {
            wait: Wait::new(name, Voice::Command),
            behind: Left::default(),
            step: String::new(),
        }
    }

    /// What the cutover does now.
    pub fn step(&mut self, now: &Progress) {
        let shut = now.gates.iter().filter(|gate| !gate.open);
        let shut: Vec<&str> = shut.map(|gate| gate.name.as_str()).collect();
        self.step = match shut.is_empty() {
            true => now.step.clone(),
            false => format!("{}, shut: {}", now.step, shut.join(", ")),
        };
        self.wait.step(&self.step);
    }

    /// Shows how much is left until `asked` has its answer.
    pub async fn shown<T>(
        &mut self,
        client: &Client,
        asked: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut asked = std::pin::pin!(asked);
        loop {
            tokio::select! {
                biased;
                answer = &mut asked => return answer,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Ok(Ok(Some(status))) = tokio::time::timeout(PATIENCE, client.status()).await {
                self.show(&status);
            }
        }
    }

    fn show(&mut self, status: &Status) {
        let drains = status.phase == Phase::Draining || self.step.is_empty();
        let (true, Some(left)) = (drains, status.behind_transactions) else {
            return;
        };
        let in_flight = format!("{} items in flight", status.in_flight);
        let way = self.behind.way(left);
        match way.of {
            0 => self.wait.show(way, &in_flight, ""),
            _ => self.wait.show(way, "transactions drained:", &in_flight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_meanwhile_is_not_done() {
        let mut left = Left::default();
        assert_eq!(left.way(10), Way { done: 0, of: 10 });
        assert_eq!(left.way(4), Way { done: 6, of: 10 });
        assert_eq!(left.way(12), Way { done: 0, of: 12 });
        assert_eq!(left.way(0), Way { done: 12, of: 12 });
    }
}
