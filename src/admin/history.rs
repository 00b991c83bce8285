//! The last hour, for the status page: a sample every few seconds, the oldest forgotten.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a sample is taken.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// An hour of them.
const MOST: usize = 720;

/// How it stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds behind the source; `None` while unknown.
    pub lag: Option<f64>,
    /// Transactions that this run has brought to DynamoDB.
    pub transactions: u64,
    /// Rows of the snapshot that are durable in DynamoDB.
    pub rows: u64,
}

/// Samples of one run, oldest first.
#[derive(Debug, Default)]
pub struct History {
    samples: Mutex<VecDeque<Sample>>,
}

impl History {
    pub fn push(&self, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == MOST {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    pub fn samples(&self) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().copied().collect()
    }
}

/// How much was done in each second between one sample and the next.
pub fn rates(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> Vec<Option<f64>> {
    samples
        .windows(2)
        .map(|pair| {
            let done = of(&pair[1]).saturating_sub(of(&pair[0]));
            Some(done as f64 / SAMPLE_EVERY.as_secs_f64())
        })
        .collect()
}
