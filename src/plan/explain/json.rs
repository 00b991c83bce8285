//! The plan as JSON, for tools.

use serde::Serialize;

use super::super::model::*;
use super::super::types::{column_type_name, type_name};
use super::{describe, rows};

#[derive(Serialize)]
struct Root<'p> {
    fingerprint: &'p str,
    offline: bool,
    nulls: &'static str,
    targets: Vec<Target<'p>>,
    sources: Vec<Source<'p>>,
}

#[derive(Serialize)]
struct Key<'p> {
    name: &'p str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Target<'p> {
    table: &'p str,
    partition_key: Key<'p>,
    sort_key: Option<Key<'p>>,
    indexes: Vec<Index<'p>>,
    projections: Vec<Item<'p>>,
}

#[derive(Serialize)]
struct Index<'p> {
    name: &'p str,
    partition_key: Key<'p>,
    sort_key: Option<Key<'p>>,
    projection: String,
}

#[derive(Serialize)]
struct Item<'p> {
    label: &'p str,
    entity: Option<&'p str>,
    driving_table: String,
    filter: Option<&'p str>,
    key_unique: bool,
    key_reason: &'p str,
    attributes: Vec<Attribute<'p>>,
    /// What an item is made of; the first one drives. None where that is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<ItemRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    derived_cascades: Vec<Cascade>,
}

#[derive(Serialize)]
struct ItemRow {
    number: usize,
    table: String,
    rows: &'static str,
    /// The number of the row that it hangs on.
    parent: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    equal: Vec<Equal>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_conditions: Vec<String>,
    found_by: Option<Way>,
    parent_found_by: Option<Way>,
    touched_by_changes_of: Vec<String>,
}

#[derive(Serialize)]
struct Equal {
    own: String,
    parent: String,
}

#[derive(Serialize)]
struct Way {
    columns: String,
    /// The table's own key, or an index of the state.
    kind: &'static str,
}

#[derive(Serialize)]
struct Kept<'p> {
    columns: Vec<String>,
    indexes: Vec<&'p str>,
}

#[derive(Serialize)]
struct Cascade {
    foreign_key: String,
    parent: String,
    child: String,
    actions: String,
    parent_watched_only: bool,
}

#[derive(Serialize)]
struct Attribute<'p> {
    name: &'p str,
    r#type: &'static str,
    role: &'static str,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    joins: Vec<Join>,
    pointer: &'p str,
}

#[derive(Serialize)]
struct Join {
    kind: &'static str,
    table: String,
    rows: &'static str,
    condition: String,
}

#[derive(Serialize)]
struct Source<'p> {
    table: String,
    key: Vec<&'p str>,
    columns: Vec<Column<'p>>,
    /// What the joins' state keeps of its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Kept<'p>>,
    touches: Vec<Touch<'p>>,
}

#[derive(Serialize)]
struct Column<'p> {
    name: &'p str,
    r#type: Option<String>,
}

#[derive(Serialize)]
struct Touch<'p> {
    projection: &'p str,
    drives: bool,
    joined_for: Vec<&'p str>,
}

/// The whole plan as indented JSON.
pub fn json(plan: &Plan) -> String {
    let root = Root {
        fingerprint: &plan.fingerprint,
        offline: plan.offline,
        nulls: if plan.settings.write_nulls {
            "null"
        } else {
            "omit"
        },
        targets: plan.targets.iter().map(|t| target(plan, t)).collect(),
        sources: plan.sources.iter().map(|s| source(plan, s)).collect(),
    };
    // Strings, numbers and booleans only: nothing in it can fail to serialize.
    serde_json::to_string_pretty(&root).unwrap_or_default()
}

fn key(key: &KeyAttribute) -> Key<'_> {
    Key {
        name: &key.name,
        r#type: type_name(key.ty),
    }
}

fn target<'p>(plan: &'p Plan, target: &'p TargetTable) -> Target<'p> {
    Target {
        table: &target.name,
        partition_key: key(&target.pk),
        sort_key: target.sk.as_ref().map(key),
        indexes: target
            .gsis
            .iter()
            .map(|gsi| Index {
                name: &gsi.name,
                partition_key: key(&gsi.pk),
                sort_key: gsi.sk.as_ref().map(key),
                projection: describe::index_projection(&gsi.projection),
            })
            .collect(),
        projections: plan
            .projections
            .iter()
            .filter(|p| p.target == target.id)
            .map(|p| item(plan, p))
            .collect(),
    }
}

fn item<'p>(plan: &'p Plan, projection: &'p Projection) -> Item<'p> {
    let driving = plan.source(projection.driving);
    let (key_unique, key_reason) = match &projection.uniqueness {
        Uniqueness::Proved(why) => (true, why),
        Uniqueness::Unproved(why) => (false, why),
    };
    Item {
        label: &projection.label,
        entity: projection.entity.as_deref(),
        driving_table: driving.name.to_string(),
        filter: projection.filter.as_ref().map(|f| f.text.as_str()),
        key_unique,
        key_reason,
        attributes: projection
            .attributes
            .iter()
            .map(|a| Attribute {
                name: &a.name,
                r#type: type_name(a.ty),
                role: describe::role(a.role),
                source: describe::value(plan, driving, &a.value),
                joins: describe::joins(plan, &a.value)
                    .into_iter()
                    .map(|j| Join {
                        kind: j.kind,
                        table: j.table,
                        rows: j.cardinality,
                        condition: j.condition,
                    })
                    .collect(),
                pointer: &a.place.pointer,
            })
            .collect(),
        rows: rows::of(plan, projection)
            .into_iter()
            .map(item_row)
            .collect(),
        derived_cascades: describe::cascades(plan, projection)
            .into_iter()
            .map(|c| Cascade {
                foreign_key: c.name,
                parent: c.parent,
                child: c.child,
                actions: c.actions,
                parent_watched_only: c.watched_only,
            })
            .collect(),
    }
}

fn item_row(line: rows::RowLine) -> ItemRow {
    let way = |way: rows::Way| Way {
        columns: way.columns,
        kind: if way.key { "key" } else { "index" },
    };
    let equal = line.equal.into_iter();
    ItemRow {
        number: line.node,
        table: line.table,
        rows: line.rows,
        parent: line.parent,
        equal: equal.map(|(parent, own)| Equal { own, parent }).collect(),
        other_conditions: line.others,
        found_by: line.found_by.map(way),
        parent_found_by: line.found_back_by.map(way),
        touched_by_changes_of: line.reads,
    }
}

fn source<'p>(plan: &'p Plan, source: &'p SourceTable) -> Source<'p> {
    Source {
        table: source.name.to_string(),
        key: source
            .key
            .iter()
            .map(|s| source.columns[*s].column.name.as_str())
            .collect(),
        columns: source
            .columns
            .iter()
            .map(|c| Column {
                name: &c.column.name,
                r#type: (!plan.offline).then(|| column_type_name(&c.column.ty)),
            })
            .collect(),
        kept: rows::kept(plan, source).map(|(columns, indexes)| Kept { columns, indexes }),
        touches: describe::touched(plan, source.id)
            .into_iter()
            .map(|(id, drives, joined_for)| Touch {
                projection: &plan.projection(id).label,
                drives,
                joined_for,
            })
            .collect(),
    }
}
