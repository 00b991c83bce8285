//! The one writer's handle.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use super::base::spaced;
use super::meters::add;
use super::overlay::{Overlay, Slot};
use super::page;
use super::recent::Recent;
use super::store::{Shared, lock};
use crate::error::{Error, Kind, Result};
use crate::view::state::{Space, State, check_key};

/// The view's handle: reads what was put so far, puts under the sequence that was begun last.
pub struct Writer {
    shared: Arc<Shared>,
    out: Arc<AtomicBool>,
    sequence: Option<u64>,
    key: Vec<u8>,
    recent: Recent,
    /// By space; `None` where nothing is known.
    tops: Option<Vec<Option<Top>>>,
}

/// No key of the space is greater. Rows mostly come with ascending keys, and of those it tells at once that they are new.
type Top = Option<Vec<u8>>;

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, out: Arc<AtomicBool>) -> Writer {
        let untouched = lock(&shared.overlay).versions() == 0 && shared.scratch().is_none();
        Writer {
            tops: untouched.then(|| vec![None; usize::from(shared.spaces)]),
            shared,
            out,
            sequence: None,
            key: Vec::new(),
            recent: Recent::default(),
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
        if !self.is_beyond(space, key)? {
            self.recent.forget(&self.key);
        } else if value.is_some() {
            self.raise(space, key)?;
        }
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

    /// Whether the key is greater than every key of its space.
    fn is_beyond(&mut self, space: Space, key: &[u8]) -> Result<bool> {
        Ok(match self.top(space)? {
            Some(Some(top)) => key > top.as_slice(),
            Some(None) => true,
            None => false,
        })
    }

    /// The key, which is beyond it, is the space's greatest from now on.
    fn raise(&mut self, space: Space, key: &[u8]) -> Result<()> {
        if let Some(top) = self.top(space)? {
            let top = top.get_or_insert_default();
            top.clear();
            top.extend_from_slice(key);
        }
        Ok(())
    }

    /// Read from the base when the space is used first: nobody else puts anything there.
    fn top(&mut self, space: Space) -> Result<Option<&mut Top>> {
        let tops = self.tops.as_mut();
        let Some(top) = tops.and_then(|tops| tops.get_mut(usize::from(space.0))) else {
            return Ok(None);
        };
        if top.is_none() {
            *top = Some(self.shared.base.last(space)?);
        }
        Ok(top.as_mut())
    }

    /// Makes room, unless a commit does so already and there is some left.
    fn spill(&self, bytes: usize) -> Result<()> {
        use std::sync::TryLockError;
        if self.has_room_soon() {
            return Ok(());
        }
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

    /// Waits for a commit of what is older than the sequence at hand, where there is such.
    fn has_room_soon(&self) -> bool {
        let shared = &*self.shared;
        let full = |overlay: &mut Overlay| {
            let older = overlay.oldest() < self.sequence;
            older && overlay.bytes() > shared.overlay_bytes
        };
        let waited = shared
            .room
            .wait_timeout_while(lock(&shared.overlay), shared.patience, full);
        let (overlay, _) = waited.unwrap_or_else(PoisonError::into_inner);
        overlay.bytes() <= shared.overlay_bytes
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
        let beyond = self.is_beyond(space, key)?;
        let shared = &*self.shared;
        add(&shared.meters.gets, 1);
        if beyond {
            return Ok(false);
        }
        // What is known of the base is as new as any: a change would have ended it.
        if let Some(stored) = self.recent.get(&self.key) {
            return Ok(found_in_base(shared, stored, out));
        }
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
        self.recent.put(&self.key, stored.as_deref());
        Ok(found_in_base(shared, stored, out))
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
        self.change(space, key, Some(value.into()))
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

fn found_in_base(shared: &Shared, stored: Slot, out: &mut Vec<u8>) -> bool {
    if stored.is_some() {
        add(&shared.meters.base_hits, 1);
    }
    fill(out, stored.as_deref())
}

fn fill(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    if let Some(value) = value {
        out.extend_from_slice(value);
    }
    value.is_some()
}
