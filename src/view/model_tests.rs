//! The projector against a model of DynamoDB: whatever happens to rows, the items are those of the rows as they are.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What DynamoDB and the list of dead letters hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    items: BTreeMap<Key, Bytes>,
    dead: BTreeSet<Origin>,
}

impl Model {
    fn apply(&mut self, projector: &mut Projector, change: &Change<'_>, suppress: bool) {
        let mut out = Vec::new();
        projector
            .project(SourceId(0), change, suppress, &mut out)
            .unwrap();
        for outcome in out {
            match outcome {
                Outcome::Write(Mutation {
                    key,
                    origin,
                    action,
                    ..
                }) => match action {
                    Action::Put { item, .. } => {
                        self.dead.remove(&origin);
                        self.items.insert(key, item);
                    }
                    Action::Delete => {
                        self.items.remove(&key);
                    }
                },
                Outcome::Unmappable { origin, .. } | Outcome::Contested { origin, .. } => {
                    self.dead.insert(origin);
                }
                Outcome::Gone(origin) => {
                    self.dead.remove(&origin);
                }
            }
        }
    }
}

/// A row's columns but for its primary key; some have no valid item.
fn columns() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    (
        prop::sample::select(vec!["anna", "berta", "", "NULL"]),
        prop::sample::select(vec!["new", "", "NULL"]),
        prop::sample::select(vec!["{}", r#"{"a": [1, null]}"#, "NULL", "[]", "no json"]),
    )
}

proptest! {
    #[test]
    fn items_follow_the_rows(
        steps in prop::collection::vec((1_i64..4, 1_i64..4, prop::option::of(columns()), any::<bool>()), 1..30),
    ) {
        let mut projector = Projector::new(Arc::new(plan())).unwrap();
        let mut rows: BTreeMap<i64, Row<'static>> = BTreeMap::new();
        let mut model = Model::default();
        for (id, new_id, columns, suppress) in steps {

            let change = match (rows.remove(&id), columns) {
                (None, None) => continue,
                (None, Some((n, s, t))) => {
                    rows.insert(id, row(id, n, s, t));
                    insert(row(id, n, s, t))
                }
                (Some(before), None) => Change::Delete { before },
                (Some(before), Some((n, s, t))) => {
                    // As in MySQL, no two rows have one primary key.
                    let new_id = if rows.contains_key(&new_id) { id } else { new_id };
                    rows.insert(new_id, row(new_id, n, s, t));
                    update(before, row(new_id, n, s, t))
                }
            };
            model.apply(&mut projector, &change, suppress);
        }
        let mut expected = Model::default();
        for row in rows.into_values() {
            expected.apply(&mut projector, &insert(row), true);
        }
        prop_assert_eq!(model, expected);
    }
}
