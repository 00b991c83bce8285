//! The rows that an item is made of, and what is kept of each table for it; shared by all three forms.

use super::super::graph::{Cardinality, Index, IndexId, Kept, Stored};
use super::super::model::*;

/// Rows of one table that are part of an item.
pub(super) struct RowLine {
    /// Its number, and that of the row which it hangs on.
    pub node: usize,
    pub parent: Option<usize>,
    pub source: SourceId,
    pub table: String,
    pub rows: &'static str,
    /// What is equal, the parent's side first.
    pub equal: Vec<(String, String)>,
    /// Conditions that are looked at row by row.
    pub others: Vec<String>,
    /// How it is found from its parent's row, and the parent's row from it.
    pub found_by: Option<Way>,
    pub found_back_by: Option<Way>,
    /// A change of these columns can change the item; one of others cannot.
    pub reads: Vec<String>,
}

/// What a row is looked up by.
pub(super) struct Way {
    pub columns: String,
    /// The table's own key; otherwise an index of the state.
    pub key: bool,
}

impl Way {
    /// `its key id`, `an index on customer_id`
    pub fn words(&self) -> String {
        match self.key {
            true => format!("its key {}", self.columns),
            false => format!("an index on {}", self.columns),
        }
    }
}

/// The rows of a projection's item, the driving one first; none where the driving row is all that it needs.
pub(super) fn of(plan: &Plan, projection: &Projection) -> Vec<RowLine> {
    let nodes = projection.graph.iter().flat_map(|g| &g.nodes).enumerate();
    nodes
        .map(|(node, found)| {
            let join = found.join.as_ref();
            let table = plan.source(found.source);
            RowLine {
                node,
                parent: join.map(|j| j.parent),
                source: found.source,
                table: table.name.to_string(),
                rows: match (join, found.cardinality, &found.kept) {
                    (None, ..) => "drives",
                    (_, Cardinality::One, _) => "one row",
                    (_, Cardinality::First, _) => "the row with the lowest key",
                    (_, Cardinality::Many, Kept::None) => "many rows, added up",
                    (_, Cardinality::Many, Kept::First(_)) => "many rows, the first of them kept",
                    (_, Cardinality::Many, Kept::All) => "many rows",
                },
                equal: join.map(|j| j.equal.clone()).unwrap_or_default(),
                others: join
                    .into_iter()
                    .flat_map(|j| &j.residual)
                    .map(|residual| residual.text.clone())
                    .collect(),
                found_by: join.and_then(|j| way(plan, j.forward)),
                found_back_by: join.and_then(|j| way(plan, j.reverse)),
                reads: names(table, found.reads.iter().copied()),
            }
        })
        .collect()
}

fn way(plan: &Plan, index: IndexId) -> Option<Way> {
    plan.indexes.get(index).map(|index| Way {
        columns: index.text.clone(),
        key: index.primary,
    })
}

/// The columns that the state keeps of a table's rows, and the indexes over them.
pub(super) fn kept<'p>(
    plan: &'p Plan,
    source: &SourceTable,
) -> Option<(Vec<String>, Vec<&'p str>)> {
    let stored: &Stored = plan.stored.get(usize::from(source.id.0))?.as_ref()?;
    let indexes = stored.indexes.iter().filter_map(|id| plan.indexes.get(*id));
    Some((
        names(source, stored.slots.iter().copied()),
        indexes.map(|index: &Index| index.text.as_str()).collect(),
    ))
}

fn names(table: &SourceTable, slots: impl Iterator<Item = usize>) -> Vec<String> {
    let columns = slots.filter_map(|slot| table.columns.get(slot));
    columns.map(|c| c.column.name.clone()).collect()
}
