//! Where foreign keys change rows behind the binlog.

use std::collections::{BTreeSet, VecDeque};

use super::model::*;
use crate::schema::{Catalog, ForeignKey, ReferentialAction, TableName};

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
