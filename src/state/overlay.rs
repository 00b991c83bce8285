//! What has been put since the last commit, in memory: versions by key, and the order of the sequences they belong to.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;

use ahash::RandomState;
use fjall::{UserKey, UserValue};

/// A key with its space in front. The database's own kind of bytes: short ones lie in the map itself, and a commit
/// copies nothing.
pub(super) type Key = UserKey;

/// A value, or that there is none any more.
pub(super) type Slot = Option<UserValue>;

/// Bytes that a version takes besides its key and its value: its places in the map, in the order of sequences and in that
/// of keys, each of them with room to grow.
const VERSION_BYTES: usize = 224;
/// So many keys of a part that are gone may stay in its order, and as many as there are.
const STALE: usize = 1_024;

/// The versions that are not committed.
#[derive(Default)]
pub(super) struct Overlay {
    /// By space.
    parts: Vec<Part>,
    /// The keys that each sequence has changed, oldest sequence first.
    order: VecDeque<Delta>,
    bytes: usize,
    versions: usize,
}

/// The versions of one space. Single keys are asked for all the time and ranges seldom, and of few spaces: keys are put in
/// order when somebody asks for a range.
#[derive(Default)]
struct Part {
    entries: HashMap<Key, Versions, RandomState>,
    /// Since somebody has asked for a range: every key of `entries`, and others, that are gone.
    sorted: Option<BTreeSet<Key>>,
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
        let entries = &self.parts.get(part(key))?.entries;
        entries.get(key).map(|v| &v.newest.value)
    }

    /// The newest versions of at most `limit` keys of the space of `prefix` that begin with it, in `from ..`; and the key
    /// behind which there may be more.
    pub fn range(
        &mut self,
        prefix: &[u8],
        from: Bound<&[u8]>,
        limit: usize,
    ) -> (Vec<(Key, Slot)>, Option<Key>) {
        let mut found = Vec::new();
        let Some(part) = self.parts.get_mut(part(prefix)) else {
            return (found, None);
        };
        let entries = &part.entries;
        let sorted = part
            .sorted
            .get_or_insert_with(|| entries.keys().cloned().collect());
        for key in sorted.range::<[u8], _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            let Some(versions) = entries.get(key) else {
                continue;
            };
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
        let nth = part(key);
        if self.parts.len() <= nth {
            self.parts.resize_with(nth + 1, Part::default);
        }
        let Some(part) = self.parts.get_mut(nth) else {
            return;
        };
        let version = Version { sequence, value };
        let key = match part.entries.entry(Key::from(key)) {
            Entry::Vacant(entry) => {
                let key = entry.key().clone();
                entry.insert(Versions {
                    older: Vec::new(),
                    newest: version,
                });
                if let Some(sorted) = &mut part.sorted {
                    sorted.insert(key.clone());
                    part.prune();
                }
                key
            }
            Entry::Occupied(mut entry) => {
                let key = entry.key().clone();
                let versions = entry.get_mut();
                let before = std::mem::replace(&mut versions.newest, version);
                if before.sequence == sequence {
                    self.bytes += added;
                    self.bytes -= size(&before.value);
                    return;
                }
                versions.older.push(before);
                key
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
                let entries = self.parts.get(part(key)).map(|part| &part.entries);
                let newest = entries.and_then(|e| e.get(key)?.up_to(through));
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
        let Entry::Occupied(mut entry) = self.parts.get_mut(part(&key))?.entries.entry(key) else {
            return None;
        };
        let (key, value) = if entry.get().newest.sequence == sequence {
            // The oldest sequence is the newest of this key: there is no other.
            let (key, versions) = entry.remove_entry();
            (key, versions.newest.value)
        } else {
            let older = &mut entry.get_mut().older;
            let at = older.iter().position(|v| v.sequence == sequence)?;
            (entry.key().clone(), entry.get_mut().older.remove(at).value)
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

impl Part {
    /// Gives the order up when more of its keys are gone than there; the next range makes it anew.
    fn prune(&mut self) {
        let kept = self.sorted.as_ref().map_or(0, BTreeSet::len);
        if kept > 2 * self.entries.len() + STALE {
            self.sorted = None;
        }
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

/// Which part has the key: its space.
fn part(key: &[u8]) -> usize {
    key.first_chunk()
        .map_or(0, |space| u16::from_be_bytes(*space).into())
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
        Some(UserValue::from(text))
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
    #[test]
    fn ranges_are_in_order_and_what_is_gone_does_not_pile_up() {
        let mut overlay = Overlay::default();
        let key = |n: u64| [&[0, 1], &n.to_be_bytes()[..]].concat();
        let range = |overlay: &mut Overlay, from: u64, limit: usize| {
            let (found, more) = overlay.range(&[0, 1], Bound::Excluded(&key(from)), limit);
            let keys: Vec<Vec<u8>> = found.iter().map(|(key, _)| key.to_vec()).collect();
            (keys, more.is_some())
        };
        for n in [5, 3, 9] {
            overlay.put(1, &key(n), slot("old"));
            overlay.put(
                1,
                &[&[0, 2], &key(n)[..]].concat(),
                slot("of another space"),
            );
        }
        assert_eq!(range(&mut overlay, 0, 2), (vec![key(3), key(5)], true));
        overlay.put(2, &key(4), None);
        overlay.put(2, &key(9), slot("new"));
        assert_eq!(
            range(&mut overlay, 3, 9),
            (vec![key(4), key(5), key(9)], false)
        );
        assert!(!overlay.forget(1, 100));
        assert_eq!(range(&mut overlay, 0, 9), (vec![key(4), key(9)], false));
        for sequence in 3..10_000 {
            overlay.put(sequence, &key(sequence % 7 + 100), slot("again"));
            overlay.put(sequence, &key(sequence + 1_000), slot("once"));
            while overlay.forget(sequence, 100) {}
        }
        let part = overlay.parts.get(1).expect("its part");
        assert!(part.sorted.as_ref().map_or(0, BTreeSet::len) <= STALE + 16);
        assert_eq!(range(&mut overlay, 0, 9), (vec![], false));
    }
}
