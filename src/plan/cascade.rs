//! Where foreign keys change rows behind the binlog.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::model::*;
use super::sources::Sources;
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::expression::{self, Type};
use crate::schema::{
    Catalog, Column, ColumnType, ForeignKey, Generated, ReferentialAction, TableName,
};

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

/// Whether the binlog has to tell what foreign keys do: the plan does not derive it.
pub fn needs_logged_cascades(plan: &Plan, catalog: &Catalog) -> bool {
    plan.foreign_keys.is_empty() && !cascades(plan, catalog).is_empty()
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

/// A foreign key that has to be followed, before its columns have slots.
pub(super) struct Link {
    child: SourceId,
    parent: SourceId,
    key: ForeignKey,
    /// Ordinals in the parent.
    parent_columns: Vec<usize>,
    place: Place,
}

/// The foreign keys whose unlogged cascades reach what the plan reads, upwards over all levels. Their parents become
/// sources, their columns are marked as needed.
pub(super) fn links(sources: &mut Sources<'_>, d: &mut Diagnostics) -> Vec<Link> {
    let mut found: Vec<Link> = Vec::new();
    if !sources.hides_cascades() {
        return found;
    }
    let mut seen: BTreeSet<(SourceId, usize)> = BTreeSet::new();
    loop {
        let before = seen.len();
        let mut next = 0;
        // A parent that is added here is looked at in its turn; columns that become needed call for another round.
        while next < sources.len() {
            let child = SourceId(next as u16);
            next += 1;
            for (nth, key) in sources
                .table(child)
                .foreign_keys
                .clone()
                .into_iter()
                .enumerate()
            {
                let read = key.columns.iter().any(|c| sources.uses(child, *c));
                if actions(&key, read).is_empty() || !seen.insert((child, nth)) {
                    continue;
                }
                found.extend(link(sources, child, key, d));
            }
        }
        if seen.len() == before {
            return found;
        }
    }
}

fn link(
    sources: &mut Sources<'_>,
    child: SourceId,
    key: ForeignKey,
    d: &mut Diagnostics,
) -> Option<Link> {
    let place = sources.place(child).clone();
    let name = sources.name(child).clone();
    let Some(parent) = sources.add(key.parent.clone(), &place, d) else {
        d.error_help(
            "cascade-parent-unknown",
            &place,
            format!(
                "foreign key {} of {name} changes rows when {} changes, which this server does not log, and that table cannot be seen",
                key.name, key.parent
            ),
            format!("GRANT SELECT ON {} to the account", key.parent.sql()),
        );
        return None;
    };
    let mut parent_columns = Vec::new();
    for column in &key.parent_columns {
        parent_columns.push(sources.need(parent, column, &place, d)?);
    }
    for ordinal in &key.columns {
        sources.use_column(child, *ordinal, &place, d);
    }
    let what = actions(&key, true).join(", ");
    d.warn_help(
        "cascade-derived",
        &place,
        format!(
            "this server does not log what foreign key {} ({what}) does to {name} when {} changes: penstock derives it",
            key.name, key.parent
        ),
        "nothing to do; MySQL 9.6 and later log it, without innodb_native_foreign_keys",
    );
    Some(Link {
        child,
        parent,
        key,
        parent_columns,
        place,
    })
}

/// Marks the sources that only their changes are needed of: those from `read` on that are no child themselves.
pub(super) fn mark_watched(sources: &mut [SourceTable], read: usize, links: &[Link]) {
    for source in sources.iter_mut().skip(read) {
        source.watched_only = links.iter().all(|link| link.child != source.id);
    }
}

/// The links with slots, in the order in which InnoDB follows them. What cannot be compared or set as InnoDB does it is
/// refused.
pub(super) fn foreign_keys(
    sources: &[SourceTable],
    links: Vec<Link>,
    slots: &[HashMap<usize, usize>],
    d: &mut Diagnostics,
) -> Vec<ForeignKeyPlan> {
    let mut found = Vec::new();
    for link in links {
        let slot = |source: SourceId, ordinal: &usize| {
            slots.get(usize::from(source.0))?.get(ordinal).copied()
        };
        let both = |source, ordinals: &[usize]| -> Vec<usize> {
            ordinals.iter().filter_map(|o| slot(source, o)).collect()
        };
        let mut plan = ForeignKeyPlan {
            name: link.key.name.clone(),
            parent: link.parent,
            child: link.child,
            parent_slots: both(link.parent, &link.parent_columns),
            child_slots: both(link.child, &link.key.columns),
            on_delete: link.key.on_delete,
            on_update: link.key.on_update,
            comparisons: Vec::new(),
            index: 0,
        };
        match comparisons(sources, &plan) {
            Ok(comparisons) => {
                plan.comparisons = comparisons;
                found.push(plan);
            }
            Err(why) => d.error_help(
                "cascade-unsupported",
                &link.place,
                format!(
                    "what foreign key {} of {} does is not in the binlog and cannot be derived: {why}",
                    link.key.name,
                    sources.get(usize::from(link.child.0)).map_or(String::new(), |s| s.name.to_string()),
                ),
                "use MySQL 9.6 or later without innodb_native_foreign_keys, or drop the foreign key for the time of the migration",
            ),
        }
    }
    let database = |key: &ForeignKeyPlan| {
        let child = sources.get(usize::from(key.child.0));
        child.map(|c| c.name.database.clone())
    };
    found.sort_by(|a, b| (database(a), &a.name).cmp(&(database(b), &b.name)));
    found
}

/// How the columns of a foreign key compare.
fn comparisons(
    sources: &[SourceTable],
    key: &ForeignKeyPlan,
) -> Result<Vec<expression::Comparison>, String> {
    let (Some(parent), Some(child)) = (
        sources.get(usize::from(key.parent.0)),
        sources.get(usize::from(key.child.0)),
    ) else {
        return Err("its tables are not known".into());
    };
    let sets =
        key.on_delete == ReferentialAction::SetNull || key.on_update != ReferentialAction::Restrict;
    let computed = child
        .columns
        .iter()
        .find(|c| c.column.generated != Generated::No);
    if let (true, Some(computed)) = (sets, computed) {
        return Err(format!(
            "`{}` is computed by MySQL, perhaps from its columns",
            computed.column.name
        ));
    }
    let mut found = Vec::new();
    for (from, to) in key.parent_slots.iter().zip(&key.child_slots) {
        let (Some(from), Some(to)) = (parent.columns.get(*from), child.columns.get(*to)) else {
            return Err("its columns are not known".into());
        };
        let (from, to) = (&from.column, &to.column);
        if !same_form(from, to) {
            return Err(format!(
                "`{}` and `{}` are not of one type",
                from.name, to.name
            ));
        }
        let comparison = expression::comparison(&Type::from(from), &Type::from(to));
        found.push(comparison.map_err(|refusal| format!("`{}`: {}", to.name, refusal.message))?);
    }
    match found.is_empty() || found.len() != key.child_slots.len() {
        true => Err("its columns are not known".into()),
        false => Ok(found),
    }
}

/// Whether a value of one column, put into the other as its bytes are, is the same value.
fn same_form(a: &Column, b: &Column) -> bool {
    use ColumnType as T;
    match (&a.ty, &b.ty) {
        (
            T::Text {
                charset,
                collation,
                fixed,
                ..
            },
            T::Text {
                charset: charset_b,
                collation: collation_b,
                fixed: fixed_b,
                ..
            },
        ) => charset == charset_b && collation == collation_b && fixed == fixed_b,
        (T::Bytes { .. }, T::Bytes { .. }) => true,
        (
            T::Int {
                bytes,
                unsigned,
                zerofill,
            },
            T::Int {
                bytes: bytes_b,
                unsigned: unsigned_b,
                zerofill: zerofill_b,
            },
        ) => bytes == bytes_b && unsigned == unsigned_b && zerofill == zerofill_b,
        (a, b) => a == b,
    }
}
