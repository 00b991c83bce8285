//! What was read from the base lately: rows that many items take a value from are read again and again.
//!
//! Only the one writer reads through it and changes what is there: what it has not changed since the read is still so.

use std::collections::HashMap;

use ahash::RandomState;

use super::overlay::{Key, Slot};

/// For each of the two halves; keys and values with what a map's entry takes.
const HALF_BYTES: usize = 4 << 20;
const ENTRY_BYTES: usize = 80;
/// What is larger is not kept: few would crowd out many.
const LONGEST: usize = 16 << 10;

/// Keys with what the base has under them; a full half is dropped when the other one is full too.
#[derive(Default)]
pub(super) struct Recent {
    young: HashMap<Key, Slot, RandomState>,
    old: HashMap<Key, Slot, RandomState>,
    /// Of the young half.
    bytes: usize,
}

impl Recent {
    /// What the base has under the key (a value, or none), if that is known.
    pub fn get(&mut self, key: &[u8]) -> Option<Slot> {
        if let Some(slot) = self.young.get(key) {
            return Some(slot.clone());
        }
        let (key, slot) = self.old.remove_entry(key)?;
        self.keep(key, slot.clone());
        Some(slot)
    }

    /// What was read. It is copied: a value from the database's hands holds all of the block that it was read in.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        if value.map_or(0, <[u8]>::len) <= LONGEST {
            self.keep(key.into(), value.map(Into::into));
        }
    }

    /// The key is about to change.
    pub fn forget(&mut self, key: &[u8]) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn keep(&mut self, key: Key, slot: Slot) {
        self.bytes += ENTRY_BYTES + key.len() + slot.as_ref().map_or(0, |value| value.len());
        self.young.insert(key, slot);
        if self.bytes > HALF_BYTES {
            self.bytes = 0;
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_forgotten_and_the_rest_is_bounded() {
        let mut recent = Recent::default();
        recent.put(b"a", Some(b"1"));
        recent.put(b"none", None);
        assert_eq!(recent.get(b"a"), Some(Some("1".into())));
        assert_eq!(recent.get(b"none"), Some(None));
        assert_eq!(recent.get(b"b"), None);
        recent.forget(b"a");
        assert_eq!(recent.get(b"a"), None);
        let most = 2 * HALF_BYTES / ENTRY_BYTES;
        for n in 0..4 * most as u64 {
            recent.put(&n.to_be_bytes(), None);
            // What is asked for all the time stays.
            assert_eq!(recent.get(b"none"), Some(None));
        }
        assert!(recent.young.len() + recent.old.len() <= most);
        recent.forget(b"none");
        assert_eq!(recent.get(b"none"), None);
        recent.put(b"large", Some(&[0; LONGEST + 1]));
        assert_eq!(recent.get(b"large"), None);
    }
}
