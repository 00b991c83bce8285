//! What has been put since the last commit, in memory: versions by key, and the order of the sequences they belong to.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use ahash::RandomState;
use fjall::{UserKey, UserValue};
use hashbrown::HashTable;

/// A key with its space in front. The database's own kind of bytes: short ones lie in the version itself, and a commit
/// copies nothing.
pub(super) type Key = UserKey;

/// A value, or that there is none any more.
pub(super) type Slot = Option<UserValue>;

/// Bytes that a version takes besides its key and its value: itself and its place in the table, both with room to grow.
const VERSION_BYTES: usize = 192;
/// So many keys of a space that are gone may stay in its order, and as many as there are.
const STALE: usize = 1_024;
/// No newer version.
const NONE: u64 = u64::MAX;

/// The versions that are not committed, in the order in which they were put: so a commit and what leaves after it go
/// through memory from one end to the other.
#[derive(Default)]
pub(super) struct Overlay {
    versions: VecDeque<Version>,
    /// The number of the first of them; each has the number after the one before it.
    first: u64,
    /// The newest version of each key, by its number.
    newest: HashTable<u64>,
    hasher: RandomState,
    spaces: Vec<Ordered>,
    bytes: usize,
}

/// The keys of one space. Single keys are asked for all the time and ranges seldom, and of few spaces: they are put in order
/// when somebody asks for a range.
#[derive(Default)]
struct Ordered {
    /// How many there are.
    keys: usize,
    /// Since somebody has asked: all of them, and some that are gone.
    sorted: Option<BTreeSet<Key>>,
}

/// At most one for each key and sequence.
struct Version {
    key: Key,
    value: Slot,
    sequence: u64,
    hash: u64,
    /// The number of the next version of the key.
    newer: u64,
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
        self.versions.len()
    }

    /// The oldest sequence that it holds versions of.
    pub fn oldest(&self) -> Option<u64> {
        self.versions.front().map(|version| version.sequence)
    }

    /// The newest version of the key, if there is one.
    pub fn get(&self, key: &[u8]) -> Option<&Slot> {
        let hash = self.hasher.hash_one(key);
        let is = |number: &u64| self.version(*number).is_some_and(|v| *v.key == *key);
        let number = self.newest.find(hash, is)?;
        self.version(*number).map(|version| &version.value)
    }

    /// The newest versions of at most `limit` keys of the space of `prefix` that begin with it, in `from ..`; and the key
    /// behind which there may be more.
    pub fn range(
        &mut self,
        prefix: &[u8],
        from: Bound<&[u8]>,
        limit: usize,
    ) -> (Vec<(Key, Slot)>, Option<Key>) {
        self.sort(space(prefix));
        let mut found = Vec::new();
        let of = self.spaces.get(space(prefix));
        let Some(sorted) = of.and_then(|space| space.sorted.as_ref()) else {
            return (found, None);
        };
        for key in sorted.range::<[u8], _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            let Some(slot) = self.get(key) else {
                continue;
            };
            found.push((key.clone(), slot.clone()));
            if found.len() >= limit {
                return (found, Some(key.clone()));
            }
        }
        (found, None)
    }

    /// Puts a version; `sequence` is none that is older than what was put before.
    pub fn put(&mut self, sequence: u64, key: &[u8], value: Slot) {
        let hash = self.hasher.hash_one(key);
        let (versions, first) = (&mut self.versions, self.first);
        let number = first + versions.len() as u64;
        let is = |at: &u64| {
            versions
                .get(place(first, *at))
                .is_some_and(|v| *v.key == *key)
        };
        let before = self.newest.find_mut(hash, is);
        let is_new = before.is_none();
        if let Some(before) = before
            && let Some(version) = versions.get_mut(place(first, *before))
        {
            if version.sequence == sequence {
                self.bytes += size(&value);
                self.bytes -= size(&version.value);
                version.value = value;
                return;
            }
            version.newer = number;
            *before = number;
        }
        self.bytes += cost(key) + size(&value);
        let key = Key::from(key);
        if is_new {
            self.note(&key);
        }
        self.versions.push_back(Version {
            key,
            value,
            sequence,
            hash,
            newer: NONE,
        });
        if is_new {
            let (versions, first) = (&self.versions, self.first);
            let hash_of = |at: &u64| versions.get(place(first, *at)).map_or(0, |v| v.hash);
            self.newest.insert_unique(hash, number, hash_of);
        }
    }

    /// For each key that a sequence up to `through` has changed, once: its newest version of those. `at` is where to begin
    /// (0 at first) and where to go on; at most `limit` versions are looked at, false: there are no more.
    pub fn collect(
        &self,
        through: u64,
        at: &mut usize,
        limit: usize,
        each: &mut impl FnMut(Moved),
    ) -> bool {
        let versions = self.versions.range((*at).min(self.versions.len())..);
        for version in versions.take(limit) {
            if version.sequence > through {
                return false;
            }
            *at += 1;
            let newer = self.version(version.newer);
            if newer.is_none_or(|newer| newer.sequence > through) {
                each(Moved {
                    key: version.key.clone(),
                    sequence: version.sequence,
                    value: version.value.clone(),
                });
            }
        }
        *at < self.versions.len()
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
        while self.bytes > keep && taken.len() < limit {
            let Some(version) = self.pop() else { break };
            taken.push(Moved {
                key: version.key,
                sequence: version.sequence,
                value: version.value,
            });
        }
        taken
    }

    fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(place(self.first, number))
    }

    /// Takes the oldest version.
    fn pop(&mut self) -> Option<Version> {
        let version = self.versions.pop_front()?;
        let number = self.first;
        self.first += 1;
        self.bytes -= cost(&version.key) + size(&version.value);
        if version.newer == NONE {
            if let Ok(entry) = self.newest.find_entry(version.hash, |at| *at == number) {
                entry.remove();
            }
            if let Some(space) = self.spaces.get_mut(space(&version.key)) {
                space.keys -= 1;
            }
        }
        Some(version)
    }

    /// A key that was not there.
    fn note(&mut self, key: &Key) {
        let nth = space(key);
        if self.spaces.len() <= nth {
            self.spaces.resize_with(nth + 1, Ordered::default);
        }
        let Some(space) = self.spaces.get_mut(nth) else {
            return;
        };
        space.keys += 1;
        if let Some(sorted) = &mut space.sorted {
            sorted.insert(key.clone());
            // Given up when more of its keys are gone than there; the next range makes it anew.
            if sorted.len() > 2 * space.keys + STALE {
                space.sorted = None;
            }
        }
    }

    /// Puts the keys of a space in order.
    fn sort(&mut self, nth: usize) {
        let Some(of) = self.spaces.get_mut(nth).filter(|s| s.sorted.is_none()) else {
            return;
        };
        let newest = self.versions.iter().filter(|v| v.newer == NONE);
        let keys = newest.map(|version| &version.key);
        of.sorted = Some(keys.filter(|key| space(key) == nth).cloned().collect());
    }
}

fn place(first: u64, number: u64) -> usize {
    usize::try_from(number.wrapping_sub(first)).unwrap_or(usize::MAX)
}

/// Which space the key is of.
fn space(key: &[u8]) -> usize {
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
        let space = overlay.spaces.get(1).expect("its space");
        assert!(space.sorted.as_ref().map_or(0, BTreeSet::len) <= STALE + 16);
        assert_eq!(range(&mut overlay, 0, 9), (vec![], false));
    }
}
