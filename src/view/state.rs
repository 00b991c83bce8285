//! What the view asks of the state of joins: ordered maps of bytes, and sets of keys that may outgrow the memory.
//!
//! The view sees neither disk nor checkpoint. It reads what it has put so far, in key order where it asks for pages;
//! whatever implements these traits decides what of that is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::error::{Error, Kind, Result};

/// A key may have that many bytes, no more.
pub const MAX_KEY_BYTES: usize = 65_000;

/// One ordered map of the join state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space(pub u16);

/// The join state, as its one writer sees it.
pub trait State {
    /// The value under the key as of now (everything put so far, durable or not) into `out`, which is emptied first;
    /// false: none.
    ///
    /// # Errors
    /// `Store` where the store cannot be read.
    fn get(&mut self, space: Space, key: &[u8], out: &mut Vec<u8>) -> Result<bool>;

    /// The entries whose keys begin with `prefix` and are greater than `after` (a whole key, the prefix included), in key
    /// order, at most `limit`, key and value to `each`; true: there may be more.
    ///
    /// # Errors
    /// `Store` where the store cannot be read.
    fn page(
        &mut self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool>;

    /// Puts a value under the key.
    ///
    /// # Errors
    /// `Store` where the store cannot be written; `Internal` where the key is longer than [`MAX_KEY_BYTES`].
    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes what is under the key; nothing happens where there is nothing.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()>;
}

/// An ordered set of keys: those that a transaction affects, however many. It does not survive a restart.
pub trait KeySet {
    /// Adds a key; true: it was not in the set.
    ///
    /// # Errors
    /// `Store` where the disk that large sets are kept on fails; `Internal` where the key is longer than
    /// [`MAX_KEY_BYTES`].
    fn insert(&mut self, key: &[u8]) -> Result<bool>;

    /// The keys greater than `after`, in order, at most `limit`; true: there may be more.
    ///
    /// # Errors
    /// `Store` where the disk fails.
    fn page(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<bool>;

    /// How many keys there are.
    fn len(&self) -> u64;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all of them.
    ///
    /// # Errors
    /// `Store` where the disk fails.
    fn clear(&mut self) -> Result<()>;
}

/// An error for a key that is too long.
///
/// # Errors
/// `Internal` where it is longer than [`MAX_KEY_BYTES`].
pub fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(Error::new(
        Kind::Internal,
        format!(
            "a key of the join state has {} bytes, more than {MAX_KEY_BYTES}",
            key.len()
        ),
    ))
}

/// State in memory, for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryState {
    entries: BTreeMap<(Space, Vec<u8>), Vec<u8>>,
}

impl MemoryState {
    /// Every entry, in order.
    pub fn entries(&self) -> impl Iterator<Item = (Space, &[u8], &[u8])> {
        self.entries
            .iter()
            .map(|((space, key), value)| (*space, key.as_slice(), value.as_slice()))
    }
}

impl State for MemoryState {
    fn get(&mut self, space: Space, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        out.clear();
        let found = self.entries.get(&(space, key.to_vec()));
        if let Some(value) = found {
            out.extend_from_slice(value);
        }
        Ok(found.is_some())
    }

    fn page(
        &mut self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded((space, after.to_vec())),
            _ => Bound::Included((space, prefix.to_vec())),
        };
        let within = self
            .entries
            .range((from, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == space && key.starts_with(prefix));
        for (count, ((_, key), value)) in within.enumerate() {
            if count == limit {
                return Ok(true);
            }
            each(key, value);
        }
        Ok(false)
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        check_key(key)?;
        self.entries.insert((space, key.to_vec()), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        check_key(key)?;
        self.entries.remove(&(space, key.to_vec()));
        Ok(())
    }
}

/// A set in memory, for tests and for what is known to be small.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySet {
    keys: BTreeSet<Vec<u8>>,
}

impl KeySet for MemorySet {
    fn insert(&mut self, key: &[u8]) -> Result<bool> {
        check_key(key)?;
        Ok(!self.keys.contains(key) && self.keys.insert(key.to_vec()))
    }

    fn page(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<bool> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.range::<[u8], _>((from, Bound::Unbounded));
        for (count, key) in keys.enumerate() {
            if count == limit {
                return Ok(true);
            }
            each(key);
        }
        Ok(false)
    }

    fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    fn clear(&mut self) -> Result<()> {
        self.keys.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(state: &mut MemoryState, prefix: &[u8], after: Option<&[u8]>) -> (Vec<Vec<u8>>, bool) {
        let mut found = Vec::new();
        let more = state
            .page(Space(1), prefix, after, 2, &mut |key, _| {
                found.push(key.to_vec());
            })
            .expect("memory");
        (found, more)
    }

    #[test]
    fn pages_keep_to_their_space_and_prefix() {
        let mut state = MemoryState::default();
        for key in ["a", "b", "b1", "b2", "b3", "c"] {
            state.put(Space(1), key.as_bytes(), b"1").expect("memory");
            state.put(Space(2), key.as_bytes(), b"2").expect("memory");
        }
        let page = |list: &[&str]| {
            list.iter()
                .map(|k| k.as_bytes().to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&mut state, b"b", None), (page(&["b", "b1"]), true));
        assert_eq!(
            keys(&mut state, b"b", Some(b"b1")),
            (page(&["b2", "b3"]), false)
        );
        assert_eq!(keys(&mut state, b"b", Some(b"b3")), (page(&[]), false));
        assert_eq!(keys(&mut state, b"", Some(b"b3")), (page(&["c"]), false));
        // A start before the prefix is no start at all.
        assert_eq!(keys(&mut state, b"b", Some(b"a")).0, page(&["b", "b1"]));
        assert_eq!(keys(&mut state, b"b", Some(b"c")), (page(&[]), false));
    }

    #[test]
    fn a_set_tells_what_is_new() {
        let mut set = MemorySet::default();
        assert!(set.insert(b"k").expect("memory"));
        assert!(!set.insert(b"k").expect("memory"));
        assert_eq!(set.len(), 1);
        assert!(set.insert(&[0; MAX_KEY_BYTES + 1]).is_err());
        set.clear().expect("memory");
        assert!(set.is_empty());
    }
}
