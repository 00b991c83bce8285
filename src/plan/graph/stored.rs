//! What is kept of each source's rows.

use super::build::key_comparison;
use super::{Cardinality, Index, Stored};
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::expression::{self, Type};
use crate::plan::model::*;

/// What the graphs, indexes and foreign keys need of each source's rows.
pub(super) fn stored(plan: &Plan, d: &mut Diagnostics) -> Vec<Option<Stored>> {
    let mut all: Vec<Option<Stored>> = vec![None; plan.sources.len()];
    for (p, projection) in plan.projections.iter().enumerate() {
        for (n, node) in projection
            .graph
            .iter()
            .flat_map(|g| g.nodes.iter().enumerate())
        {
            let Some(slot) = all.get_mut(usize::from(node.source.0)) else {
                continue;
            };
            let stored = slot.get_or_insert_with(Stored::default);
            stored.slots.extend(&node.reads);
            stored.used.push((p, n));
            if n > 0 && node.cardinality != Cardinality::One {
                orderable(plan, projection, node.source, d);
            }
        }
    }
    for key in &plan.foreign_keys {
        if let Some(slot) = all.get_mut(usize::from(key.child.0)) {
            let stored = slot.get_or_insert_with(Stored::default);
            stored.slots.extend(&key.child_slots);
            // What its own children refer to: their cascades begin with the stored row.
            let own = plan
                .foreign_keys
                .iter()
                .filter(|own| own.parent == key.child);
            stored.slots.extend(own.flat_map(|own| &own.parent_slots));
        }
    }
    for (id, stored) in all.iter_mut().enumerate() {
        let (Some(stored), Some(table)) = (stored, plan.sources.get(id)) else {
            continue;
        };
        stored.slots.extend(&table.key);
        stored.slots.sort_unstable();
        stored.slots.dedup();
        stored.key = table
            .key
            .iter()
            .map(|slot| key_comparison(table, *slot))
            .collect();
        let of_table =
            |(_, index): &(usize, &Index)| usize::from(index.source.0) == id && !index.primary;
        let indexes = plan.indexes.iter().enumerate().filter(of_table);
        stored.indexes = indexes.map(|(id, _)| id).collect();
    }
    all
}

/// Rows that are taken in the order of their key need one that we can compare.
fn orderable(plan: &Plan, projection: &Projection, source: SourceId, d: &mut Diagnostics) {
    let table = plan.source(source);
    for slot in &table.key {
        let column = &table.columns[*slot].column;
        if let Err(refusal) = expression::order(&Type::from(column)) {
            let place: Place = projection.attributes.first().map_or_else(
                || plan.target(projection.target).place.clone(),
                |a| a.place.clone(),
            );
            d.error(
                "key-order-unknown",
                &place,
                format!(
                    "rows of `{}` are taken in the order of their key, and `{}` cannot be put in order: {}",
                    table.name, column.name, refusal.message
                ),
            );
        }
    }
}
