//! Promises: what is about to be written that does not follow from the binlog, durable before the first of it is written.
//!
//! A promise of a sequence is forgotten by the commit of that sequence, together with it. What is found at a start was
//! promised by a run that ended in between.

use std::ops::Bound;

use fjall::PersistMode;

use super::base::{Base, Batch, RESERVED, spaced};
use super::store::Store;
use crate::error::Result;

const PROMISE: &[u8] = b"promise/";

impl Store {
    /// Makes promises of a sequence durable; `first` is how many it has already made.
    ///
    /// # Errors
    /// `Store` where the disk fails.
    pub fn promise(&self, sequence: u64, first: u32, promises: &[Vec<u8>]) -> Result<()> {
        if promises.is_empty() {
            return Ok(());
        }
        let mut batch = self.base().batch();
        for (number, promise) in (first..).zip(promises) {
            batch.put(key(sequence, number), Some(promise));
        }
        batch.commit(Some(PersistMode::SyncAll))
    }

    /// Every promise that an earlier run did not keep, in the order in which they were made. Numbers of sequences begin
    /// anew with each run: from now on these belong to sequence 0.
    ///
    /// # Errors
    /// `Store` where the state cannot be read or written.
    pub fn take_over_promises(&self) -> Result<Vec<Vec<u8>>> {
        let range = self.base().range(Bound::Included(key(0, 0)), end(u64::MAX));
        let mut batch = self.base().batch();
        let mut found = Vec::new();
        for entry in range {
            let (stored, value) = entry?;
            batch.remove(stored);
            found.extend(value.map(|value| value.to_vec()));
        }
        for (number, promise) in (0_u32..).zip(&found) {
            batch.put(key(0, number), Some(promise));
        }
        if !found.is_empty() {
            batch.commit(Some(PersistMode::SyncAll))?;
        }
        Ok(found)
    }
}

/// Forgets the promises of the sequences up to `through` with the batch that commits these. A promise that outlived its
/// sequence would be taken for broken, and what another row has under that key by then would be deleted.
pub(super) fn forget(base: &Base, through: u64, batch: &mut Batch<'_>) -> Result<()> {
    // The first commit of a run comes before anything is written: what an earlier run promised stays promised.
    if through == 0 {
        return Ok(());
    }
    for entry in base.range(Bound::Included(key(0, 0)), end(through)) {
        batch.remove(entry?.0);
    }
    Ok(())
}

fn key(sequence: u64, number: u32) -> Vec<u8> {
    let mut key = spaced(RESERVED, PROMISE);
    key.extend_from_slice(&sequence.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Behind the promises of the sequence.
fn end(sequence: u64) -> Vec<u8> {
    let mut key = key(sequence, u32::MAX);
    key.push(0);
    key
}
