//! What cascades did to the rows of a chunk between its opening and its end.
//!
//! While a window is open on a table, every cascade into the table is noted, in order. A row of the chunk that the
//! stream has not touched was read at some moment within the window: before some of the notes, after others, and
//! nobody knows which. That is enough in almost all cases. After a note has taken the rows of a key, no untouched row
//! has that key until a later note gives it to rows: writes of other kinds touch them. So a row that has a key
//! which a note takes was read before that note, and what follows for it is told by that note and those after it. Only where
//! a later note gives the same key again both are possible; then the chunk is read once more.

use std::collections::HashMap;

/// Notes that a window may hold, and their bytes.
const MOST: usize = if cfg!(test) { 1 << 6 } else { 1 << 18 };
const MOST_BYTES: usize = 32 << 20;

/// What a cascade does to the rows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// They go.
    Delete,
    /// Their referencing columns become NULL.
    Null,
    /// Their referencing columns take the referenced columns of this row (the parent's, in its stored form), and with it
    /// this key.
    Set { parent: Vec<u8>, key: Vec<u8> },
}

/// A cascade through a foreign key (an index into `Plan::foreign_keys`).
#[derive(Debug)]
pub struct Note {
    pub foreign_key: usize,
    pub effect: Effect,
}

/// The cascades into one table, in order.
#[derive(Debug, Default)]
pub struct Notes {
    all: Vec<Note>,
    /// By foreign key and key: those that take it, ascending.
    taken: HashMap<(usize, Box<[u8]>), Vec<usize>>,
    /// By foreign key and key: the last one that gives it to rows.
    given: HashMap<(usize, Box<[u8]>), usize>,
    /// By foreign key: the last one that gives its rows any key.
    last_given: HashMap<usize, usize>,
    bytes: usize,
}

impl Notes {
    /// Adds a note; false: there are too many.
    pub fn push(&mut self, foreign_key: usize, key: &[u8], effect: &Effect) -> bool {
        let at = self.all.len();
        self.bytes += key.len() + 128;
        if let Effect::Set { parent, key: to } = effect {
            self.bytes += parent.len() + 2 * to.len() + 64;
            self.given.insert((foreign_key, to.as_slice().into()), at);
            self.last_given.insert(foreign_key, at);
        }
        if at >= MOST || self.bytes > MOST_BYTES {
            return false;
        }
        self.all.push(Note {
            foreign_key,
            effect: effect.clone(),
        });
        let taken = self.taken.entry((foreign_key, key.into())).or_default();
        taken.push(at);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The first note from `from` on that takes rows of this key, and its number.
    pub fn taking(&self, foreign_key: usize, key: &[u8], from: usize) -> Option<(usize, &Note)> {
        let taken = self.taken.get(&(foreign_key, Box::from(key)))?;
        let at = *taken.get(taken.partition_point(|at| *at < from))?;
        Some((at, self.all.get(at)?))
    }

    /// Whether a note after this one gives the key to rows again.
    pub fn given_after(&self, foreign_key: usize, key: &[u8], at: usize) -> bool {
        let given = self.given.get(&(foreign_key, Box::from(key)));
        given.is_some_and(|given| *given > at)
    }

    /// Whether a note after this one gives any key by the foreign key.
    pub fn gives_after(&self, foreign_key: usize, at: usize) -> bool {
        self.last_given
            .get(&foreign_key)
            .is_some_and(|given| *given > at)
    }
}
