//! What this version compiles and explains, but cannot run yet; and where foreign keys change rows behind the binlog.

use std::collections::{BTreeSet, VecDeque};

use super::model::*;
use crate::contract::diagnostic::Place;
use crate::schema::{Catalog, ForeignKey, ReferentialAction, TableName};

/// A part of the plan that `run` refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    pub place: Place,
    /// What it is: `a join (foreign-key) for attribute customer_name of orders`.
    pub what: String,
    pub why: String,
}

/// Everything in the plan that this version cannot run, in the plan's order. An offline plan's keys are not judged:
/// they are unknown, and the plan cannot run anyway.
pub fn unsupported(plan: &Plan) -> Vec<Unsupported> {
    let mut found = Vec::new();
    for projection in &plan.projections {
        if let Some(filter) = &projection.filter {
            found.push(Unsupported {
                place: filter.place.clone(),
                what: format!("the filter of {}", projection.label),
                why: "this version cannot evaluate SQL conditions yet".into(),
            });
        }
        for attribute in &projection.attributes {
            if let Some((what, why)) = beyond_the_row(&attribute.value) {
                found.push(Unsupported {
                    place: attribute.place.clone(),
                    what: format!(
                        "{what} for attribute {} of {}",
                        attribute.name, projection.label
                    ),
                    why: why.into(),
                });
            }
        }
        if let (Uniqueness::Unproved(why), false) = (&projection.uniqueness, plan.offline) {
            found.push(Unsupported {
                place: key_place(projection, plan),
                what: format!(
                    "the key of {}, which is not provably unique",
                    projection.label
                ),
                why: format!("two rows could overwrite each other's item: {why}"),
            });
        }
    }
    found
}

fn key_place(projection: &Projection, plan: &Plan) -> Place {
    let key = projection
        .attributes
        .iter()
        .find(|a| a.role == Role::PartitionKey);
    key.map_or_else(
        || plan.target(projection.target).place.clone(),
        |a| a.place.clone(),
    )
}

fn beyond_the_row(value: &ValueSource) -> Option<(String, &'static str)> {
    const ROWS: &str = "this version maps single rows only: it keeps no rows of other tables yet";
    const SQL: &str = "this version cannot evaluate SQL expressions yet";
    match value {
        ValueSource::Column(_) | ValueSource::Static(_) => None,
        ValueSource::Template(pieces) => pieces.iter().find_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Value(value) => beyond_the_row(value),
        }),
        ValueSource::Transformed { input, .. } => beyond_the_row(input),
        ValueSource::Join(join) => Some((format!("a join ({})", join.kind), ROWS)),
        ValueSource::Aggregate { .. } => Some(("a calculation (aggregate)".into(), ROWS)),
        ValueSource::Case { .. } => Some(("a calculation (case)".into(), SQL)),
        ValueSource::Concat { .. } => Some(("a calculation (concat)".into(), SQL)),
        ValueSource::Expression(_) => Some(("a calculation (expression)".into(), SQL)),
    }
}

/// A foreign key through which a change of its parent changes rows of the plan without a statement of their own.
/// Servers before MySQL 9.6 do not log such changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CascadeReach {
    /// The table of the contract.
    pub child: TableName,
    pub foreign_key: String,
    /// `ON DELETE CASCADE`, `ON UPDATE SET NULL`, …
    pub action: &'static str,
    pub parent: TableName,
    /// Tables from which a deletion or key change reaches the parent by cascades of its own, nearest first.
    pub from: Vec<TableName>,
}

/// The cascades that can change an item: every deletion of a row that the plan reads, and every change of a column
/// that it reads.
pub fn cascades(plan: &Plan, catalog: &Catalog) -> Vec<CascadeReach> {
    let mut found = Vec::new();
    for source in &plan.sources {
        let Some(table) = catalog.tables.get(&source.name) else {
            continue;
        };
        let read: BTreeSet<usize> = source.columns.iter().map(|c| c.ordinal).collect();
        for key in &table.foreign_keys {
            let read = key.columns.iter().any(|c| read.contains(c));
            for action in actions(key, read) {
                found.push(CascadeReach {
                    child: source.name.clone(),
                    foreign_key: key.name.clone(),
                    action,
                    parent: key.parent.clone(),
                    from: ancestors(catalog, &key.parent, &source.name),
                });
            }
        }
    }
    found
}

/// The actions of a foreign key that matter: those that only change its columns do where the plan reads them.
fn actions(key: &ForeignKey, read: bool) -> Vec<&'static str> {
    use ReferentialAction as A;
    let delete = match key.on_delete {
        A::Cascade => Some("ON DELETE CASCADE"),
        A::SetNull if read => Some("ON DELETE SET NULL"),
        A::SetNull | A::Restrict => None,
    };
    let update = match key.on_update {
        A::Cascade if read => Some("ON UPDATE CASCADE"),
        A::SetNull if read => Some("ON UPDATE SET NULL"),
        A::Cascade | A::SetNull | A::Restrict => None,
    };
    delete.into_iter().chain(update).collect()
}

/// The tables whose changes cascade to `parent`, over any number of levels.
fn ancestors(catalog: &Catalog, parent: &TableName, child: &TableName) -> Vec<TableName> {
    let mut order = Vec::new();
    let mut seen: BTreeSet<TableName> = BTreeSet::from([parent.clone(), child.clone()]);
    let mut open = VecDeque::from([parent.clone()]);
    while let Some(table) = open.pop_front() {
        let Some(table) = catalog.tables.get(&table) else {
            continue;
        };
        for key in table
            .foreign_keys
            .iter()
            .filter(|k| !actions(k, true).is_empty())
        {
            if seen.insert(key.parent.clone()) {
                order.push(key.parent.clone());
                open.push_back(key.parent.clone());
            }
        }
    }
    order
}
