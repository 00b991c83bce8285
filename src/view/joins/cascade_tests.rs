//! What becomes of a chunk's rows after the cascades of its window.

use std::sync::Arc;

use super::{Joins, Settled};
use crate::change::{Row, Value};
use crate::plan::tests::fixture;
use crate::plan::{Mapping, Plan, SourceId, compile};
use crate::schema::Catalog;
use crate::view::cascade::{Effect, Notes};
use crate::view::encoding::RowShape;
use crate::view::joins::keys::key_of_columns;
use crate::view::state::MemoryState;

const TABLES: &str = "
table shop.owners
  id int
  pk id
table shop.things
  id int
  owner int null
  friend int null
  pk id
  fk a_owner owner -> shop.owners id delete=cascade update=cascade
  fk b_friend friend -> shop.owners id delete=null update=cascade
";

const CONTRACT: &str = r#"{"tables": [{"table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null, "attributes": [
    {"name": "id", "type": "N", "source_column": "id"}, {"name": "owner", "type": "N", "source_column": "owner"},
    {"name": "friend", "type": "N", "source_column": "friend"}]}]}"#;

const OWNER: usize = 0;
const FRIEND: usize = 1;

struct Case {
    joins: Joins,
    plan: Arc<Plan>,
    notes: Notes,
}

impl Case {
    fn new() -> Case {
        let (contract, mut d) = crate::contract::parse(CONTRACT, false);
        let catalog = Catalog {
            hides_cascades: true,
            ..fixture::catalog(TABLES)
        };
        let contract = contract.expect("a contract");
        let plan = compile(
            &contract,
            Some(&catalog),
            "shop",
            &Mapping::default(),
            &mut d,
        );
        let plan = Arc::new(plan.expect("a plan"));
        let joins = Joins::new(Arc::clone(&plan), &mut MemoryState::default());
        Case {
            joins: joins.expect("memory").expect("state"),
            plan,
            notes: Notes::default(),
        }
    }

    fn key(&self, foreign_key: usize, id: i64) -> Vec<u8> {
        let key = &self.plan.foreign_keys[foreign_key];
        let row = Row {
            values: vec![Value::Int(id)],
        };
        let mut bytes = Vec::new();
        assert!(key_of_columns(&key.parent_slots, &key.comparisons, &row, &mut bytes).unwrap());
        bytes
    }

    fn gone(&mut self, id: i64) -> &mut Case {
        let (owner, friend) = (self.key(OWNER, id), self.key(FRIEND, id));
        assert!(self.notes.push(OWNER, &owner, &Effect::Delete));
        assert!(self.notes.push(FRIEND, &friend, &Effect::Null));
        self
    }

    fn moved(&mut self, from: i64, to: i64) -> &mut Case {
        for key in [OWNER, FRIEND] {
            let mut parent = Vec::new();
            let row = Row {
                values: vec![Value::Int(to)],
            };
            RowShape::new(vec![0], 1).encode(&row, &mut parent).unwrap();
            let effect = Effect::Set {
                parent,
                key: self.key(key, to),
            };
            let taken = self.key(key, from);
            assert!(self.notes.push(key, &taken, &effect));
        }
        self
    }

    /// Owner and friend of the row after the notes: in words.
    fn row(&self, owner: i64, friend: i64) -> String {
        let row = Row {
            values: vec![Value::Int(1), Value::Int(owner), Value::Int(friend)],
        };
        match self.joins.settled(&self.notes, SourceId(0), row).unwrap() {
            Settled::Gone => "gone".into(),
            Settled::Unclear => "unclear".into(),
            Settled::Row(row) => format!("{:?} {:?}", row.values[1], row.values[2]),
        }
    }
}

#[test]
fn notes_are_followed_in_their_order() {
    let mut case = Case::new();
    case.gone(5).moved(6, 7).moved(7, 8).gone(9);
    assert_eq!(case.row(1, 1), "Int(1) Int(1)");
    assert_eq!(case.row(5, 1), "gone");
    assert_eq!(case.row(1, 5), "Int(1) Null");
    assert_eq!(case.row(6, 6), "Int(8) Int(8)");
    // Read after the first move, or after both: nobody has 7 in between but by it.
    assert_eq!(case.row(7, 9), "Int(8) Null");
    assert_eq!(case.row(8, 8), "Int(8) Int(8)");
    case.gone(8);
    assert_eq!(case.row(6, 1), "gone");
}

#[test]
fn a_key_that_was_taken_and_given_again_is_unclear() {
    let mut case = Case::new();
    case.gone(5).moved(6, 5);
    // Read before: gone. Read after, when it was 6 before: there.
    assert_eq!(case.row(5, 1), "unclear");
    assert_eq!(case.row(1, 5), "unclear");
    assert_eq!(case.row(6, 1), "Int(5) Int(1)");
    // Given first and taken later is one thing only.
    let mut case = Case::new();
    case.moved(6, 5).gone(5);
    assert_eq!(case.row(5, 1), "gone");
    assert_eq!(case.row(6, 1), "gone");
}

#[test]
fn notes_are_bounded() {
    let mut notes = Notes::default();
    let key = 1_u64.to_be_bytes();
    let kept = (0..1000).take_while(|_| notes.push(OWNER, &key, &Effect::Delete));
    assert!(kept.count() < 1000);
}
