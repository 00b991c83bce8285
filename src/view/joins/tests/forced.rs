//! Items that are written whatever the state says of them.

use std::collections::BTreeSet;

use super::*;
use crate::plan::{ProjectionId, TargetId};

/// Random rows of all tables, and their items.
fn filled(plan: &Arc<Plan>, rng: &mut Rng) -> (Joins, MemoryState, Rows, Items) {
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(plan), &mut state).unwrap().unwrap();
    let mut rows = Rows::new();
    for _ in 0..60 {
        let source = rng.usize(..plan.sources.len());
        let keys = plan.sources[source].key.len();
        let key: Vec<i64> = match plan.sources[source].name.table.as_str() {
            "tiers" => vec![rng.i64(0..3)],
            _ => (0..keys).map(|_| rng.i64(1..8)).collect(),
        };
        let after = row(plan, source, &key, rng);
        let change = Change::Insert {
            after: after.clone(),
        };
        rows.insert((source, key), after);
        let id = SourceId(source as u16);
        joins
            .apply(&mut state, id, &change, &mut Vec::new())
            .unwrap();
    }
    let mut items = Items::new();
    pass(&mut joins, &mut state, &mut items);
    (joins, state, rows, items)
}

fn finish(joins: &mut Joins, state: &mut MemoryState, items: &mut Items) -> usize {
    let mut writes = 0;
    let mut out = |outcome: Outcome| {
        writes += usize::from(matches!(outcome, Outcome::Write(_)));
        write(items, &outcome);
        Ok(true)
    };
    joins.finish(state, &mut out).unwrap();
    writes
}

/// The target has lost items and holds wrong ones, of keys that several rows claim, too; the state knows nothing of it.
#[test]
fn a_forced_item_is_written_even_if_the_state_takes_it_for_right() {
    let mut rng = Rng::with_seed(seed());
    let plan = plan();
    for _ in 0..20 {
        let (mut joins, mut state, rows, mut items) = filled(&plan, &mut rng);
        let expected = fresh(&plan, &rows);
        assert_eq!(items, expected);
        items.retain(|_, _| rng.u8(..3) > 0);
        items
            .values_mut()
            .filter(|_| rng.u8(..3) == 0)
            .for_each(Vec::clear);
        for ((source, _), row) in &rows {
            joins.force_all(SourceId(*source as u16), row).unwrap();
        }
        // What is about to be written is promised, each key.
        let (mut after, mut promised) = (None, Vec::new());
        while let Some(promises) = joins.promises(&mut state, &mut after).unwrap() {
            promised.extend(promises);
        }
        for (_, key) in expected.keys() {
            assert!(promised.iter().any(|promise| promise.ends_with(key)));
        }
        assert!(finish(&mut joins, &mut state, &mut items) >= expected.len());
        assert_eq!(items, expected);
        assert_eq!(finish(&mut joins, &mut state, &mut items), 0);
    }
}

/// Who has an item is known, where a row has it and nowhere else.
#[test]
fn the_state_knows_whose_an_item_is() {
    let mut rng = Rng::with_seed(seed());
    let plan = plan();
    let (mut joins, mut state, _, items) = filled(&plan, &mut rng);
    for target in 0..plan.targets.len() as u16 {
        let of = items.keys().filter(|(of, _)| *of == target);
        let mut keys: BTreeSet<Vec<u8>> = of.map(|(_, key)| key.clone()).collect();
        let real = keys.clone();
        keys.insert(br#"{"id":{"N":"4711"}}"#.to_vec());
        let owners = joins.owners(&mut state, TargetId(target), &keys).unwrap();
        let owned: BTreeSet<Vec<u8>> = owners.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(owned, real);
        assert!(owners.iter().all(|(_, origin)| {
            plan.projection(origin.projection).target.0 == target && !origin.source_key.is_empty()
        }));
    }
}

/// Every row that an item is made of is named, and the driving row first of all.
#[test]
fn the_rows_of_an_item_are_named() {
    let mut rng = Rng::with_seed(seed());
    let plan = plan();
    let (mut joins, mut state, rows, _) = filled(&plan, &mut rng);
    let source = |name: &str| {
        let found = plan.sources.iter().position(|s| s.name.table == name);
        found.expect(name)
    };
    let (carts, lines) = (source("carts"), source("lines"));
    let projection = plan
        .projections
        .iter()
        .find(|p| usize::from(p.driving.0) == carts);
    let projection: ProjectionId = projection.expect("the carts").id;
    for ((_, key), cart) in rows.iter().filter(|((of, _), _)| *of == carts) {
        let parts = joins.parts(&mut state, projection, cart, 1000).unwrap();
        let parts = parts.expect("not too many");
        let of = |id: usize| parts.iter().filter(move |(s, _)| usize::from(s.0) == id);
        assert_eq!(of(carts).count(), 1);
        let own = rows.keys().filter(|(s, k)| *s == lines && k[0] == key[0]);
        assert_eq!(of(lines).count(), own.count());
        assert!(
            joins
                .parts(&mut state, projection, cart, 0)
                .unwrap()
                .is_none()
        );
    }
}
