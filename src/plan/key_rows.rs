//! The rows that a key's values come from: the driving row, and rows that its joins lead to; and which of their columns
//! the joins hold equal.
//!
//! Only what is a column of the one joined row and nothing else has a [`Cell`]: no expression, no `conditional`, no
//! `null_value`, no chain with a separator, no construction. Its text in a key is never NULL, because NULL makes the whole
//! key NULL and the row has no item then; so a joined row that a key shows is there, although the join is a LEFT JOIN.

use super::model::{JoinPlan, Piece, Projection, Role, RowRef, SourceId, Sql, SqlRef, ValueSource};
use super::scope::{equal_columns, lone_column};
use super::sources::Sources;
use crate::schema::{Column, ColumnType, Table};

/// A column of one of the rows; the driving row is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub row: usize,
    pub column: usize,
}

/// The driving row.
pub(super) const DRIVING: usize = 0;

pub(super) struct KeyRows<'p> {
    sources: &'p Sources<'p>,
    rows: Vec<KeyRow<'p>>,
}

struct KeyRow<'p> {
    source: SourceId,
    /// The rows before it: the driving one, then those of the hops that lead to it. Empty for the driving row.
    path: Vec<usize>,
    /// They hold for this row and those before it.
    conditions: &'p [Sql],
}

/// Two columns that a join's condition holds equal, and that compare in the same way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Equality {
    /// The row whose join has the condition.
    pub joined: usize,
    pub cells: [Cell; 2],
}

impl<'p> KeyRows<'p> {
    pub fn of(sources: &'p Sources<'p>, projection: &'p Projection) -> Self {
        let driving = KeyRow {
            source: projection.driving,
            path: Vec::new(),
            conditions: &[],
        };
        let mut found = Self {
            sources,
            rows: vec![driving],
        };
        for key in keys(projection) {
            found.add(&key.value);
        }
        found
    }

    /// The column that the value is, where it is one and nothing else.
    pub fn cell(&self, value: &ValueSource) -> Option<Cell> {
        match value {
            ValueSource::Column(column) => Some(Cell {
                row: DRIVING,
                column: *column,
            }),
            ValueSource::Join(join) => {
                let select = selected(join)?;
                self.at(&self.path(join)?, select)
            }
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn table(&self, row: usize) -> &Table {
        self.sources.table(self.rows[row].source)
    }

    /// The key by which a state keeps the row.
    pub fn state_key(&self, row: usize) -> &[usize] {
        self.sources.row_key(self.rows[row].source)
    }

    pub fn column(&self, cell: Cell) -> &Column {
        &self.table(cell.row).columns[cell.column]
    }

    /// The table's name; another row of the driving table is told from the driving row.
    pub fn name(&self, row: usize) -> String {
        let name = &self.table(row).name;
        match row != DRIVING && self.rows[row].source == self.rows[DRIVING].source {
            true => format!("the joined {name}"),
            false => name.to_string(),
        }
    }

    /// What the joins' conditions hold equal, as far as equality of the one tells the other: between columns that
    /// compare alike. Equalities within OR, NOT or a function are none, and neither are those with a literal.
    pub fn equalities(&self) -> Vec<Equality> {
        let mut found = Vec::new();
        for (joined, row) in self.rows.iter().enumerate() {
            let mut path = row.path.clone();
            path.push(joined);
            for (a, b) in row.conditions.iter().flat_map(equal_columns) {
                let (Some(a), Some(b)) = (self.at(&path, a), self.at(&path, b)) else {
                    continue;
                };
                if alike(&self.column(a).ty, &self.column(b).ty) {
                    found.push(Equality {
                        joined,
                        cells: [a, b],
                    });
                }
            }
        }
        found
    }

    fn add(&mut self, value: &'p ValueSource) {
        match value {
            ValueSource::Join(join) if selected(join).is_some() => self.add_path(join),
            ValueSource::Template(pieces) => {
                for piece in pieces {
                    if let Piece::Value(value) = piece {
                        self.add(value);
                    }
                }
            }
            ValueSource::Transformed { input, .. } => self.add(input),
            _ => {}
        }
    }

    fn add_path(&mut self, join: &'p JoinPlan) {
        let mut path = vec![DRIVING];
        for hop in &join.hops {
            let row = self.find(&path, hop.source, &hop.conditions);
            let row = row.unwrap_or_else(|| {
                self.rows.push(KeyRow {
                    source: hop.source,
                    path: path.clone(),
                    conditions: &hop.conditions,
                });
                self.rows.len() - 1
            });
            path.push(row);
        }
    }

    /// The driving row and the hops' rows.
    fn path(&self, join: &JoinPlan) -> Option<Vec<usize>> {
        let mut path = vec![DRIVING];
        for hop in &join.hops {
            path.push(self.find(&path, hop.source, &hop.conditions)?);
        }
        Some(path)
    }

    /// The row that is joined by the same conditions after the same rows: it is the same row, also where several match.
    fn find(&self, path: &[usize], source: SourceId, conditions: &[Sql]) -> Option<usize> {
        let same = |a: &Sql, b: &Sql| {
            let rows = |sql: &Sql| -> Vec<_> {
                let refs = sql.refs.iter();
                refs.map(|r| (r.row, r.source, r.slot)).collect()
            };
            a.expr == b.expr && rows(a) == rows(b)
        };
        self.rows.iter().position(|row| {
            row.path == path
                && row.source == source
                && row.conditions.len() == conditions.len()
                && row
                    .conditions
                    .iter()
                    .zip(conditions)
                    .all(|(a, b)| same(a, b))
        })
    }

    fn at(&self, path: &[usize], reference: &SqlRef) -> Option<Cell> {
        let row = match reference.row {
            RowRef::Driving => path.first(),
            RowRef::Joined(hop) => path.get(hop + 1),
        };
        Some(Cell {
            row: *row?,
            column: reference.slot,
        })
    }
}

/// The key attributes of the table itself.
pub(super) fn keys(projection: &Projection) -> impl Iterator<Item = &super::model::AttributePlan> {
    let is_key = |role| matches!(role, Role::PartitionKey | Role::SortKey);
    projection.attributes.iter().filter(move |a| is_key(a.role))
}

/// The column that a join gives, where it gives nothing else whatever the rows are.
fn selected(join: &JoinPlan) -> Option<&SqlRef> {
    let JoinPlan {
        kind: _,
        hops,
        nodes: _,
        condition: None,
        else_value: None,
        else_sql: None,
        null_value: None,
        separator: None,
        construction: None,
    } = join
    else {
        return None;
    };
    lone_column(hops.last()?.select.as_ref()?)
}

/// Whether columns of these types are compared as either compares with itself, so that of two values that equal a third
/// one the unique key of their column takes them for equal too. FLOAT and DOUBLE are not exact, ENUM and SET compare by
/// text beside text and are kept by number, and everything that is converted before it is compared has values that
/// differ and equal the same.
fn alike(a: &ColumnType, b: &ColumnType) -> bool {
    use ColumnType as C;
    match (a, b) {
        (C::Text { collation: a, .. }, C::Text { collation: b, .. }) => a == b,
        (C::Int { .. }, C::Int { .. })
        | (C::Decimal { .. }, C::Decimal { .. })
        | (C::Binary { .. } | C::Bytes { .. }, C::Binary { .. } | C::Bytes { .. })
        | (C::Date, C::Date)
        | (C::DateTime { .. }, C::DateTime { .. })
        | (C::Timestamp { .. }, C::Timestamp { .. })
        | (C::Time { .. }, C::Time { .. })
        | (C::Year, C::Year)
        | (C::Bit { .. }, C::Bit { .. }) => true,
        _ => false,
    }
}
