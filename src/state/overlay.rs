//! What has been put since the last commit, in memory: versions by key, and the order of the sequences they belong to.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// A key with its space in front.
pub(super) type Key = Arc<[u8]>;

/// A value, or that there is none any more.
pub(super) type Slot = Option<Arc<[u8]>>;

/// Bytes that a version takes besides its key and its value: nodes, counters, the entry in the order.
const VERSION_BYTES: usize = 160;

/// The versions that are not committed.
#[derive(Default)]
pub(super) struct Overlay {
    entries: BTreeMap<Key, Versions>,
    /// The keys that each sequence has changed, oldest sequence first.
    order: VecDeque<Delta>,
    bytes: usize,
    versions: usize,
}

struct Delta {
    sequence: u64,
    keys: Vec<Key>,
}

/// The versions of a key, ascending by sequence; at most one for each sequence.
struct Versions {
    older: Vec<Version>,
    newest: Version,
}

struct Version {
    sequence: u64,
    value: Slot,
}

/// A version on its way out of memory.
pub(super) struct Moved {
    pub key: Key,
    pub sequence: u64,
    pub value: Slot,
}

impl Overlay {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many versions it holds.
    pub fn versions(&self) -> usize {
        self.versions
    }

    /// The oldest sequence that it holds versions of.
    pub fn oldest(&self) -> Option<u64> {
        self.order.front().map(|delta| delta.sequence)
    }

    /// The newest version of the key, if there is one.
    pub fn get(&self, key: &[u8]) -> Option<&Slot> {
        self.entries.get(key).map(|v| &v.newest.value)
    }

    /// The newest versions of at most `limit` keys in `from ..`, while `within`; and the key behind which there may be more.
    pub fn range(
        &self,
        from: Bound<&[u8]>,
        within: impl Fn(&[u8]) -> bool,
        limit: usize,
    ) -> (Vec<(Key, Slot)>, Option<Key>) {
        let mut found = Vec::new();
        for (key, versions) in self.entries.range::<[u8], _>((from, Bound::Unbounded)) {
            if !within(key) {
                break;
            }
            found.push((key.clone(), versions.newest.value.clone()));
            if found.len() >= limit {
                return (found, Some(key.clone()));
            }
        }
        (found, None)
    }

    /// Puts a version; `sequence` is none that is older than what was put before.
    pub fn put(&mut self, sequence: u64, key: &[u8], value: Slot) {
        let added = size(&value);
        if let Some(versions) = self.entries.get_mut(key)
            && versions.newest.sequence == sequence
        {
            self.bytes += added;
            self.bytes -= size(&versions.newest.value);
            versions.newest.value = value;
            return;
        }
        let version = Version { sequence, value };
        let key = match self.entries.entry(Key::from(key)) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                let key = entry.key().clone();
                entry.insert(Versions {
                    older: Vec::new(),
                    newest: version,
                });
                key
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let versions = entry.get_mut();
                let before = std::mem::replace(&mut versions.newest, version);
                versions.older.push(before);
                entry.key().clone()
            }
        };
        self.bytes += cost(&key) + added;
        self.versions += 1;
        match self.order.back_mut() {
            Some(delta) if delta.sequence == sequence => delta.keys.push(key),
            _ => self.order.push_back(Delta {
                sequence,
                keys: vec![key],
            }),
        }
    }

    /// For each key that a sequence up to `through` has changed, once: its newest version of those. `at` is where to begin
    /// (0 at first) and where to go on; at most `limit` keys are looked at, false: there are no more.
    pub fn collect(
        &self,
        through: u64,
        at: &mut usize,
        limit: usize,
        each: &mut impl FnMut(Moved),
    ) -> bool {
        let mut skip = *at;
        let mut looked = 0;
        for delta in self.order.iter().take_while(|d| d.sequence <= through) {
            if skip >= delta.keys.len() {
                skip -= delta.keys.len();
                continue;
            }
            for key in delta.keys.iter().skip(skip) {
                if looked == limit {
                    return true;
                }
                looked += 1;
                *at += 1;
                let newest = self.entries.get(key).and_then(|v| v.up_to(through));
                // A key stands in the order of each of its versions; it is told with the newest.
                if let Some(version) = newest
                    && version.sequence == delta.sequence
                {
                    each(Moved {
                        key: key.clone(),
                        sequence: version.sequence,
                        value: version.value.clone(),
                    });
                }
            }
            skip = 0;
        }
        false
    }

    /// Forgets the versions of the sequences up to `through`; at most `limit` of them at a time, true: there are more.
    pub fn forget(&mut self, through: u64, limit: usize) -> bool {
        for _ in 0..limit {
            if self.oldest().is_none_or(|oldest| oldest > through) {
                return false;
            }
            self.pop();
        }
        true
    }

    /// Takes the oldest versions out, each of them, until `keep` bytes are left or `limit` have been taken.
    pub fn take_oldest(&mut self, keep: usize, limit: usize) -> Vec<Moved> {
        let mut taken = Vec::new();
        while self.bytes > keep && taken.len() < limit && !self.order.is_empty() {
            taken.extend(self.pop());
        }
        taken
    }

    /// Takes the oldest version of the oldest sequence.
    fn pop(&mut self) -> Option<Moved> {
        let delta = self.order.front_mut()?;
        let sequence = delta.sequence;
        // From the end: the order within a sequence tells nothing.
        let key = delta.keys.pop();
        if delta.keys.is_empty() {
            self.order.pop_front();
        }
        let key = key?;
        let versions = self.entries.get_mut(&key)?;
        let value = if versions.newest.sequence == sequence {
            // The oldest sequence is the newest of this key: there is no other.
            self.entries.remove(&key)?.newest.value
        } else {
            let at = versions.older.iter().position(|v| v.sequence == sequence)?;
            versions.older.remove(at).value
        };
        self.bytes -= cost(&key) + size(&value);
        self.versions -= 1;
        Some(Moved {
            key,
            sequence,
            value,
        })
    }
}

impl Versions {
    /// The newest version of the sequences up to `through`.
    fn up_to(&self, through: u64) -> Option<&Version> {
        if self.newest.sequence <= through {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|v| v.sequence <= through)
    }
}

fn cost(key: &[u8]) -> usize {
    VERSION_BYTES + key.len()
}

fn size(value: &Slot) -> usize {
    value.as_ref().map_or(0, |v| v.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(text: &str) -> Slot {
        Some(Arc::from(text.as_bytes()))
    }

    fn collected(overlay: &Overlay, through: u64) -> Vec<(Vec<u8>, u64, Slot)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while overlay.collect(through, &mut at, 1, &mut |m: Moved| {
            found.push((m.key.to_vec(), m.sequence, m.value));
        }) {}
        found.sort();
        found
    }

    #[test]
    fn a_commit_takes_the_newest_version_up_to_its_sequence() {
        let mut overlay = Overlay::default();
        overlay.put(1, b"k", slot("k1"));
        overlay.put(1, b"gone", slot("x"));
        overlay.put(2, b"k", slot("k2"));
        overlay.put(2, b"k", slot("k2 again"));
        overlay.put(3, b"k", slot("k3"));
        overlay.put(3, b"gone", None);
        assert_eq!(
            collected(&overlay, 2),
            [
                (b"gone".to_vec(), 1, slot("x")),
                (b"k".to_vec(), 2, slot("k2 again"))
            ]
        );
        assert!(!overlay.forget(2, 100));
        assert_eq!(overlay.get(b"k"), Some(&slot("k3")));
        assert_eq!(overlay.get(b"gone"), Some(&None));
        assert_eq!(overlay.versions(), 2);
        assert_eq!(
            collected(&overlay, 3),
            [(b"gone".to_vec(), 3, None), (b"k".to_vec(), 3, slot("k3"))]
        );
        assert!(overlay.forget(3, 2));
        assert!(!overlay.forget(3, 1));
        assert_eq!((overlay.bytes(), overlay.versions()), (0, 0));
        assert_eq!(overlay.get(b"k"), None);
    }

    #[test]
    fn the_oldest_leave_first() {
        let mut overlay = Overlay::default();
        for sequence in 1..=4 {
            overlay.put(sequence, b"k", slot(&sequence.to_string()));
            overlay.put(sequence, format!("only {sequence}").as_bytes(), slot("1"));
        }
        let bytes = overlay.bytes();
        let taken = overlay.take_oldest(bytes / 2, 100);
        let sequences: Vec<u64> = taken.iter().map(|m| m.sequence).collect();
        assert_eq!(sequences, [1, 1, 2, 2]);
        assert_eq!(overlay.bytes(), bytes / 2);
        assert_eq!(overlay.oldest(), Some(3));
        assert_eq!(overlay.get(b"only 2"), None);
        assert_eq!(overlay.get(b"k"), Some(&slot("4")));
        // A sequence that was moved in part may go on.
        overlay.put(4, b"k", slot("more"));
        assert_eq!(overlay.take_oldest(0, 100).len(), 4);
        overlay.put(4, b"k", slot("after"));
        assert_eq!(overlay.get(b"k"), Some(&slot("after")));
        assert_eq!(overlay.oldest(), Some(4));
    }
}
