//! The one writer's handle.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::base::spaced;
use super::meters::add;
use super::overlay::Slot;
use super::page;
use super::store::{Shared, lock};
use crate::error::{Error, Kind, Result};
use crate::view::state::{Space, State, check_key};

/// The view's handle: reads what was put so far, puts under the sequence that was begun last.
pub struct Writer {
    shared: Arc<Shared>,
    out: Arc<AtomicBool>,
    sequence: Option<u64>,
    key: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, out: Arc<AtomicBool>) -> Writer {
        Writer {
            shared,
            out,
            sequence: None,
            key: Vec::new(),
        }
    }

    /// What is put from now on belongs to this sequence.
    ///
    /// # Errors
    /// `Internal` where it is not higher than the one before it, or where a commit has been asked for it already.
    pub fn begin(&mut self, sequence: u64) -> Result<()> {
        let closed = self.shared.closed.load(Ordering::Acquire);
        if self.sequence.is_some_and(|before| sequence <= before) || sequence < closed {
            return Err(Error::new(
                Kind::Internal,
                format!(
                    "sequence {sequence} of the join state begins after {:?} (committed: all below {closed})",
                    self.sequence
                ),
            ));
        }
        self.sequence = Some(sequence);
        Ok(())
    }

    fn change(&mut self, space: Space, key: &[u8], value: Slot) -> Result<()> {
        check_key(key)?;
        self.set_key(space, key)?;
        let sequence = self
            .sequence
            .ok_or_else(|| Error::new(Kind::Internal, "no sequence of the join state is begun"))?;
        let mut overlay = lock(&self.shared.overlay);
        if sequence < self.shared.closed.load(Ordering::Acquire) {
            return Err(Error::new(
                Kind::Internal,
                format!("sequence {sequence} of the join state is committed and still changes"),
            ));
        }
        overlay.put(sequence, &self.key, value);
        let bytes = overlay.bytes();
        drop(overlay);
        if bytes > self.shared.overlay_bytes {
            self.spill(bytes)?;
        }
        Ok(())
    }

    /// Makes room, unless a commit does so already and there is some left.
    fn spill(&self, bytes: usize) -> Result<()> {
        use std::sync::TryLockError;
        let moving = match self.shared.moving.try_lock() {
            Ok(moving) => moving,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if bytes <= self.shared.overlay_bytes.saturating_mul(2) {
                    return Ok(());
                }
                lock(&self.shared.moving)
            }
        };
        // The commit that was waited for may have made the room.
        if lock(&self.shared.overlay).bytes() <= self.shared.overlay_bytes {
            return Ok(());
        }
        self.shared.spill(&moving)
    }

    fn set_key(&mut self, space: Space, key: &[u8]) -> Result<()> {
        if space.0 >= self.shared.spaces {
            return Err(Error::new(
                Kind::Internal,
                format!(
                    "the join state has {} spaces, not {}",
                    self.shared.spaces, space.0
                ),
            ));
        }
        self.key.clear();
        self.key.extend_from_slice(&space.0.to_be_bytes());
        self.key.extend_from_slice(key);
        Ok(())
    }
}

impl State for Writer {
    fn get(&mut self, space: Space, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        out.clear();
        self.set_key(space, key)?;
        let shared = &*self.shared;
        add(&shared.meters.gets, 1);
        if let Some(slot) = lock(&shared.overlay).get(&self.key) {
            add(&shared.meters.overlay_hits, 1);
            return Ok(fill(out, slot.as_deref()));
        }
        if let Some(scratch) = shared.scratch()
            && let Some(slot) = scratch.get(&self.key)?
        {
            add(&shared.meters.scratch_hits, 1);
            return Ok(fill(out, slot.as_deref()));
        }
        let stored = shared.base.get(&self.key)?;
        if stored.is_some() {
            add(&shared.meters.base_hits, 1);
        }
        Ok(fill(out, stored.as_deref()))
    }

    fn page(
        &mut self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        self.set_key(space, prefix)?;
        add(&self.shared.meters.pages, 1);
        let from = match after {
            Some(after) if after >= prefix => {
                if !after.starts_with(prefix) {
                    return Ok(false);
                }
                Bound::Excluded(spaced(space, after))
            }
            _ => Bound::Included(self.key.clone()),
        };
        let mut given = 0;
        let mut strip = |key: &[u8], value: &[u8]| {
            given += 1;
            each(key.get(size_of::<u16>()..).unwrap_or_default(), value);
        };
        let more = page::page(&self.shared, &self.key, from, limit, &mut strip);
        add(&self.shared.meters.page_entries, given);
        more
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        self.change(space, key, Some(Arc::from(value)))
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.change(space, key, None)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.out.store(false, Ordering::Release);
    }
}

fn fill(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    if let Some(value) = value {
        out.extend_from_slice(value);
    }
    value.is_some()
}
