//! Which rows a key's text tells.
//!
//! Take two driving rows whose items have one key. The columns whose texts the key gives back are equal in both, byte for
//! byte, and equal under every comparison. Then, again and again:
//!
//! - Where these columns cover a unique key over NOT NULL columns of a joined row's table, the two joined rows are one row,
//!   and all of its columns are equal.
//! - A joined row satisfies the conditions that join it. So a column that one of them holds equal to a column that is equal
//!   in both is equal in both itself, as its own comparison sees it ([`KeyRows::equalities`]).
//!
//! Where that comes to a unique key of the driving table, the two driving rows are one, and the key is unique. That needs of
//! a joined row only that it satisfies its conditions: whether others do too, and which of them is taken, is no matter,
//! and a further condition can only hold besides. What is needed is that it is there: rows of which the text holds
//! a column are, and so are those that their conditions name.

use std::collections::BTreeMap;

use super::key_rows::{Cell, DRIVING, Equality, KeyRows};
use super::suggest;
use crate::schema::Table;

/// A unique key over NOT NULL columns.
#[derive(Clone)]
pub(super) struct Unique {
    /// `the primary key`
    pub words: String,
    pub columns: Vec<usize>,
}

/// The keys that tell a table's rows apart, the primary key first.
pub(super) fn unique_keys(table: &Table) -> Vec<Unique> {
    let mut found = Vec::new();
    if !table.primary_key.is_empty() {
        found.push(Unique {
            words: "the primary key".into(),
            columns: table.primary_key.clone(),
        });
    }
    for key in &table.unique_keys {
        if key.columns.iter().all(|&c| !table.columns[c].nullable) && !key.columns.is_empty() {
            found.push(Unique {
                words: format!("the unique key `{}`", key.name),
                columns: key.columns.clone(),
            });
        }
    }
    found
}

/// Why a column is equal in both.
#[derive(Clone, Copy)]
enum Why {
    Text,
    /// It equals this one.
    Equals(Cell),
}

/// What follows from the columns whose texts a key gives back.
pub(super) struct Determined<'r> {
    rows: &'r KeyRows<'r>,
    /// By which keys each row may be told.
    keys: Vec<Vec<Unique>>,
    columns: BTreeMap<Cell, Why>,
    /// The key by which each row is told.
    told: Vec<Option<Unique>>,
}

impl<'r> Determined<'r> {
    pub fn from(rows: &'r KeyRows<'r>, text: &[Cell]) -> Self {
        let keys = (0..rows.len()).map(|row| unique_keys(rows.table(row)));
        Self::by(rows, text, keys.collect())
    }

    /// The same, where rows are told by the keys alone by which a state keeps them.
    pub fn in_a_state(rows: &'r KeyRows<'r>, text: &[Cell]) -> Self {
        let keys = (0..rows.len()).map(|row| {
            let mut keys = unique_keys(rows.table(row));
            keys.retain(|key| key.columns == rows.state_key(row));
            keys
        });
        Self::by(rows, text, keys.collect())
    }

    fn by(rows: &'r KeyRows<'r>, text: &[Cell], keys: Vec<Vec<Unique>>) -> Self {
        let mut determined = Self {
            rows,
            keys,
            columns: text.iter().map(|cell| (*cell, Why::Text)).collect(),
            told: vec![None; rows.len()],
        };
        let equalities = rows.equalities();
        let there = there(rows, text, &equalities);
        let hold: Vec<_> = equalities
            .into_iter()
            .filter(|equality| there[equality.joined])
            .collect();
        while determined.tell() || determined.follow(&hold) {}
        determined
    }

    /// The key by which the driving row is told, and how: "`email` of shop.users (the unique key …), which gives `id`".
    pub fn proof(&self) -> Option<(String, &Unique)> {
        let unique = self.told[DRIVING].as_ref()?;
        Some((self.how(DRIVING, &unique.columns), unique))
    }

    /// In words, what the key holds though that does not cover the driving row.
    pub fn held(&self) -> Option<String> {
        let of = |row: usize| self.columns.keys().copied().filter(move |c| c.row == row);
        let names = |cells: &mut dyn Iterator<Item = Cell>| {
            let names: Vec<_> = cells.map(|cell| self.name(cell)).collect();
            names.join(", ")
        };
        let is_text = |cell: &Cell| matches!(self.columns.get(cell), Some(Why::Text));
        let mut words = Vec::new();
        for row in 0..self.rows.len() {
            let is_given = |cell: &Cell| matches!(self.origin(*cell), Origin::Row(r) if r == row);
            let shown = names(&mut of(row).filter(is_text));
            let given = names(&mut of(DRIVING).filter(is_given));
            words.extend(match (shown.is_empty(), given.is_empty()) {
                (true, true) => None,
                (false, true) => Some(shown),
                (true, false) => Some(given),
                (false, false) => Some(format!("{shown}, which gives {given}")),
            });
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// Looks for rows whose unique key is known now.
    fn tell(&mut self) -> bool {
        let mut more = false;
        for row in 0..self.told.len() {
            if self.told[row].is_some() {
                continue;
            }
            let keys = &self.keys[row];
            let known = |columns: &[usize], by_text: bool| {
                columns.iter().all(|&column| {
                    let why = self.columns.get(&Cell { row, column });
                    matches!((why, by_text), (Some(Why::Text), _) | (Some(_), false))
                })
            };
            let by = |by_text| keys.iter().find(|key| known(&key.columns, by_text));
            let found = by(true).or_else(|| by(false)).cloned();
            more |= found.is_some();
            self.told[row] = found;
        }
        more
    }

    /// Takes what is known over to the other side of equalities.
    fn follow(&mut self, hold: &[Equality]) -> bool {
        let mut more = false;
        for equality in hold {
            let [a, b] = equality.cells;
            for (from, to) in [(a, b), (b, a)] {
                let known = self.columns.contains_key(&from) || self.told[from.row].is_some();
                if known && !self.columns.contains_key(&to) && self.told[to.row].is_none() {
                    self.columns.insert(to, Why::Equals(from));
                    more = true;
                }
            }
        }
        more
    }

    /// How the columns of a row are known.
    fn how(&self, row: usize, columns: &[usize]) -> String {
        let mut texts: Vec<String> = Vec::new();
        let mut given: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for &column in columns {
            let cell = Cell { row, column };
            match self.origin(cell) {
                Origin::Text(text) if text == cell => texts.push(self.name(cell)),
                Origin::Text(text) => texts.push(format!(
                    "{} (which equals {})",
                    self.name(text),
                    self.name(cell)
                )),
                Origin::Row(from) => given.entry(from).or_default().push(self.name(cell)),
            }
        }
        let mut parts = Vec::new();
        if !texts.is_empty() {
            parts.push(texts.join(", "));
        }
        for (from, names) in given {
            let Some(unique) = &self.told[from] else {
                continue;
            };
            parts.push(format!(
                "{} ({}), which gives {}",
                self.how(from, &unique.columns),
                unique.words,
                names.join(", ")
            ));
        }
        parts.join(", and ")
    }

    fn origin(&self, cell: Cell) -> Origin {
        match self.columns.get(&cell) {
            Some(Why::Text) => Origin::Text(cell),
            Some(Why::Equals(other)) => self.origin(*other),
            None => Origin::Row(cell.row),
        }
    }

    fn name(&self, cell: Cell) -> String {
        let column = suggest::list([self.rows.column(cell).name.as_str()]);
        match cell.row {
            DRIVING => column,
            row => format!("{column} of {}", self.rows.name(row)),
        }
    }
}

enum Origin {
    /// A text of the key.
    Text(Cell),
    /// A row that is told.
    Row(usize),
}

/// Which rows there are for certain, where there is a key.
fn there(rows: &KeyRows<'_>, text: &[Cell], equalities: &[Equality]) -> Vec<bool> {
    let mut there = vec![false; rows.len()];
    there[DRIVING] = true;
    for cell in text {
        there[cell.row] = true;
    }
    loop {
        let mut more = false;
        for equality in equalities {
            if there[equality.joined] {
                for cell in equality.cells {
                    more |= !std::mem::replace(&mut there[cell.row], true);
                }
            }
        }
        if !more {
            return there;
        }
    }
}
