//! What was written for a row: known in few bytes, and known to the end.

use super::*;
use crate::plan::ProjectionId;
use crate::view::joins::layout;

const SEATS: &str = "
table shop.seats
  id int
  seat int null
  name varchar(20) null
  pk id
";

fn seats() -> Arc<Plan> {
    let text = r#"{"tables": [{"table": "Seats", "type": "single-entity", "source_table": "seats", "pk": "seat#id", "sk": null,
        "attributes": [{"name": "id", "type": "N", "source_column": "id"}, {"name": "seat", "type": "N", "source_column": "seat"},
        {"name": "of", "type": "N", "calculation": {"type": "aggregate", "operation": "COUNT", "target_table": "seats",
            "join_condition": "seats.name = seats.name"}}]}]}"#;
    let plan = plan_of(SEATS, text);
    assert!(!plan.projections[0].claimed && plan.projections[0].graph.is_some());
    plan
}

fn seat(id: i64, seat: Value<'static>) -> Row<'static> {
    row_of([Value::Int(id), seat, Value::Null])
}

/// What is written, in words: `- S#10#1`, `+ S#11#1`.
fn writes(outcomes: &[Outcome]) -> Vec<String> {
    let writes = outcomes.iter().filter_map(|outcome| {
        let Outcome::Write(mutation) = outcome else {
            return None;
        };
        let key: serde_json::Value = serde_json::from_slice(&mutation.key.0).unwrap();
        let sign = match mutation.action {
            Action::Put { .. } => "+",
            Action::Delete => "-",
        };
        Some(format!("{sign} {}", key["seat#id"]["S"].as_str().unwrap()))
    });
    writes.collect()
}

struct Shop {
    joins: Joins,
    state: MemoryState,
}

impl Shop {
    fn open(plan: &Arc<Plan>) -> Self {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(plan), &mut state).unwrap().unwrap();
        pass(&mut joins, &mut state, &mut Items::new());
        Self { joins, state }
    }

    /// A transaction of the first table.
    fn run(&mut self, changes: &[Change<'_>]) -> Vec<Outcome> {
        self.run_of(SourceId(0), changes)
    }

    fn run_of(&mut self, source: SourceId, changes: &[Change<'_>]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for change in changes {
            self.joins
                .apply(&mut self.state, source, change, &mut outcomes)
                .unwrap();
        }
        let mut out = |outcome| {
            outcomes.push(outcome);
            Ok(true)
        };
        self.joins.finish(&mut self.state, &mut out).unwrap();
        outcomes
    }
}

fn update(before: Row<'static>, after: Row<'static>) -> Change<'static> {
    Change::Update { before, after }
}

/// The key of the item that stands there is deleted, whatever happened to the row in between.
#[test]
fn a_key_of_the_rows_own_columns_moves() {
    let mut shop = Shop::open(&seats());
    let at = |number: i64| seat(1, Value::Int(number));
    let nowhere = || seat(1, Value::Null);
    let cases: [(&[Change<'static>], &[&str]); 8] = [
        (&[Change::Insert { after: at(10) }], &["+ 10#1"]),
        (&[update(at(10), at(11))], &["- 10#1", "+ 11#1"]),
        (
            &[update(at(11), at(12)), update(at(12), at(13))],
            &["- 11#1", "+ 13#1"],
        ),
        (&[update(at(13), nowhere())], &["- 13#1"]),
        (&[update(nowhere(), at(14))], &["+ 14#1"]),
        (
            &[
                Change::Delete { before: at(14) },
                Change::Insert { after: at(15) },
            ],
            &["- 14#1", "+ 15#1"],
        ),
        (
            &[update(at(15), at(16)), update(at(16), at(15))],
            &["+ 15#1"],
        ),
        (
            &[update(at(15), at(16)), Change::Delete { before: at(16) }],
            &["- 15#1"],
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(writes(&shop.run(changes)), expected, "{changes:?}");
    }
    let left: Vec<_> = shop
        .state
        .entries()
        .filter(|(_, key, _)| key.len() > 2)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What DynamoDB refused of it is forgotten with the row, so it is asked again.
#[test]
fn a_row_that_is_replaced_by_itself_is_written_again() {
    let mut shop = Shop::open(&seats());
    let row = || seat(1, Value::Int(10));
    shop.run(&[Change::Insert { after: row() }]);
    assert!(writes(&shop.run(&[update(row(), row())])).is_empty());
    let replaced = [
        Change::Delete { before: row() },
        Change::Insert { after: row() },
    ];
    assert_eq!(writes(&shop.run(&replaced)), ["+ 10#1"]);
    assert!(writes(&shop.run(&[update(row(), row())])).is_empty());
}

/// Rows that are forgotten because their table is copied again: what was written for them is not.
#[test]
fn the_item_of_a_forgotten_row_goes_with_its_key_or_its_row() {
    let at = |number: i64| seat(1, Value::Int(number));
    let changes = [
        (update(at(10), at(11)), vec!["- 10#1", "+ 11#1"]),
        (Change::Delete { before: at(10) }, vec!["- 10#1"]),
        (Change::Insert { after: at(10) }, vec!["+ 10#1"]),
    ];
    for (change, expected) in changes {
        let mut shop = Shop::open(&seats());
        shop.run(&[Change::Insert { after: at(10) }]);
        shop.joins.forget(&mut shop.state, SourceId(0)).unwrap();
        let outcomes = shop.run(&[change]);
        assert_eq!(writes(&outcomes), expected);
    }
}

const MEMBERS: &str = "
table shop.members
  id int
  mail varchar(20)
  friend int null
  pk id
  unique by_mail mail
";

fn members(tables: &str) -> Arc<Plan> {
    let text = r#"{"tables": [{"table": "Members", "type": "single-entity", "source_table": "members", "pk": "mail", "sk": null,
        "attributes": [{"name": "mail", "type": "S", "source_column": "mail"}, {"name": "id", "type": "N", "source_column": "id"},
        {"name": "friend", "type": "S", "join": {"type": "self-join", "join_alias": "f", "join_condition": "members.friend = f.id",
            "select_column": "f.mail"}}]}]}"#;
    plan_of(tables, text)
}

/// A state that is being put right holds a row that MySQL has no more, and another one has its unique key by now.
#[test]
fn a_row_that_only_the_state_has_does_not_take_the_item_of_another_along() {
    let plan = members(MEMBERS);
    let mut shop = Shop::open(&plan);
    let row = |id: i64| row_of([Value::Int(id), Value::Text("a".into()), Value::Null]);
    for (old, new) in [(1, 2), (4, 3)] {
        let mut items = Items::new();
        let mut see = |outcomes: Vec<Outcome>| outcomes.iter().for_each(|o| write(&mut items, o));
        see(shop.run(&[Change::Insert { after: row(old) }]));
        // Its chunk.
        shop.joins.force(ProjectionId(0), &row(new)).unwrap();
        see(shop.run(&[Change::Insert { after: row(new) }]));
        // The sweep.
        see(shop.run(&[Change::Delete { before: row(old) }]));
        let item = items.into_values().next().expect("an item");
        assert!(
            String::from_utf8(item)
                .unwrap()
                .contains(&format!(r#""id":{{"N":"{new}"}}"#))
        );
        shop.run(&[Change::Delete { before: row(new) }]);
    }
}

/// A state in which nobody noted whose the keys are is not the state of a plan in which that matters.
#[test]
fn a_plan_whose_keys_are_claimed_has_another_state() {
    let other = MEMBERS.replace("  unique by_mail mail\n", "");
    assert_eq!(layout(&members(MEMBERS)), layout(&members(&other)));
    let by_id = |pk: &str| {
        let text = r#"{"tables": [{"table": "Members", "type": "single-entity", "source_table": "members", "pk": "id", "sk": null,
            "attributes": [{"name": "id", "type": "N", "source_column": "id"}, {"name": "friend", "type": "S",
            "join": {"type": "self-join", "join_alias": "f", "join_condition": "members.friend = f.id", "select_column": "f.mail"}}]}]}"#;
        let tables = MEMBERS
            .replace("pk id", pk)
            .replace("by_mail mail", "by_id id");
        plan_of(&tables, text)
    };
    let (primary, unique) = (by_id("pk id"), by_id("pk mail"));
    assert!(!primary.projections[0].claimed && unique.projections[0].claimed);
    assert_ne!(layout(&primary), layout(&unique));
}

/// The state does not keep a key that the row's own columns make, but renders it again: what was written under another
/// rendering would never be found. Where this fails because a rendering had to change, `state::FORMAT_VERSION` has to, too.
#[test]
fn keys_are_rendered_as_the_state_takes_them() {
    use crate::change::{Temporal, TimeOfDay};
    const TABLES: &str = "
table shop.things
  id int
  big bigint unsigned
  amount decimal(10,3)
  filled int zerofill=6
  small float
  real double
  shown double(8,2)
  word varchar(20)
  label enum('x','y')
  tags set('p','q')
  flags bit(8)
  day date
  at datetime(3)
  stamp timestamp(6)
  span time(2)
  born year
  doc json
  raw binary(4)
  pk id
";
    let names =
        "big amount filled small real shown word label tags flags day at stamp span born doc";
    let plain: Vec<String> = names.split(' ').map(|name| format!("{{{name}}}")).collect();
    let text = format!(
        r#"{{"tables": [{{"table": "Things", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [{{"entity_type": "thing",
            "source_table": "things", "pk_template": "{}|{{hex}}|{{month}}|{{round}}|{{upper}}", "sk_template": "{{id}}", "attributes": [
            {{"name": "hex", "type": "S", "source_column": "raw", "transformation": {{"type": "binary-format", "format": "hex"}}}},
            {{"name": "month", "type": "S", "source_column": "day", "transformation": {{"type": "date-format", "format": "YYYY-MM"}}}},
            {{"name": "round", "type": "S", "source_column": "amount", "transformation": {{"type": "number-format", "format": "0.00"}}}},
            {{"name": "upper", "type": "S", "calculation": {{"type": "concat", "expressions": ["UPPER(word)", "amount * 2"]}}}}]}}]}},
            {{"table": "Numbers", "type": "single-entity", "source_table": "things", "pk": "amount", "sk": "id",
            "attributes": [{{"name": "amount", "type": "N", "source_column": "amount"}}, {{"name": "id", "type": "N", "source_column": "id"}}]}}]}}"#,
        plain.join("|")
    );
    let plan = plan_of(TABLES, &text);
    let moment = Temporal {
        year: 2024,
        month: 2,
        day: 29,
        hour: 23,
        minute: 5,
        second: 9,
        micros: 120_000,
        fsp: 0,
    };
    let with = |fsp: u8| Temporal { fsp, ..moment };
    let value = |name: &str| match name {
        "id" => Value::Int(-7),
        "big" => Value::UInt(u64::MAX),
        "amount" => Value::Decimal("-12.340".into()),
        "filled" => Value::Decimal("000042".into()),
        "small" => Value::Float(0.1),
        "real" => Value::Double(1e20),
        "shown" => Value::Decimal("1.50".into()),
        "word" => Value::Text("Ünï #\"".into()),
        "label" => Value::Text("y".into()),
        "tags" => Value::Set("p,q".into()),
        "flags" => Value::Bit(129),
        "day" => Value::Date(Temporal {
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            ..moment
        }),
        "at" => Value::DateTime(with(3)),
        "stamp" => Value::Timestamp(with(6)),
        "span" => Value::Time(TimeOfDay {
            negative: true,
            hours: 100,
            minutes: 5,
            seconds: 9,
            micros: 120_000,
            fsp: 2,
        }),
        "born" => Value::Year(1999),
        "doc" => Value::Json(r#"{"a": [1, null]}"#.into()),
        "raw" => Value::Bytes(vec![0, 255, 16, 32].into()),
        other => panic!("{other}"),
    };
    let columns = &plan.sources[0].columns;
    let row = Row {
        values: columns.iter().map(|c| value(&c.column.name)).collect(),
    };
    let mut keys = Vec::new();
    for projection in &plan.projections {
        let program = crate::view::program::Program::new(&plan, projection).unwrap();
        assert!(program.has_own_key());
        let mut work = crate::view::program::Workspace::default();
        let scene = crate::view::scene::Scene::of(&row);
        program.write_key(&plan, scene, &mut work).unwrap();
        keys.push(String::from_utf8(work.writer.closed().to_vec()).unwrap());
    }
    assert_eq!(
        keys,
        [
            r##"{"PK":{"S":"18446744073709551615|-12.340|000042|0.1|1e20|1.50|Ünï #\"|y|p,q|129|2024-02-29|2024-02-29 23:05:09.120|2024-02-29 23:05:09.120000|-100:05:09.12|1999|{\"a\": [1, null]}|00ff1020|2024-02|-12.34|ÜNÏ #\"-24.680"},"SK":{"S":"-7"}}"##,
            r#"{"amount":{"N":"-12.34"},"id":{"N":"-7"}}"#
        ]
    );
}

/// The same of a joined row that only the state has: it gives the key of a driving row that is there.
#[test]
fn a_joined_row_that_only_the_state_has_does_not_take_an_item_along() {
    const TABLES: &str = "
table shop.profiles
  user_id int
  pk user_id
table shop.users
  id int
  mail varchar(20)
  pk id
  unique by_mail mail
";
    let text = r#"{"tables": [{"table": "Profiles", "type": "single-entity", "source_table": "profiles", "pk": "mail", "sk": null,
        "attributes": [{"name": "mail", "type": "S", "join": {"type": "foreign-key", "target_table": "users",
            "join_condition": "users.id = profiles.user_id", "select_column": "users.mail"}},
            {"name": "user_id", "type": "N", "source_column": "user_id"}]}]}"#;
    let plan = plan_of(TABLES, text);
    let projection = &plan.projections[0];
    assert!(matches!(
        projection.uniqueness,
        crate::plan::Uniqueness::Proved(_)
    ));
    assert!(projection.claimed);
    let user = |id: i64| row_of([Value::Int(id), Value::Text("a".into())]);
    for (ghost, user_id) in [(1, 2), (2, 1)] {
        let mut shop = Shop::open(&plan);
        let mut items = Items::new();
        let mut run = |source: u16, change: Change<'static>| {
            let outcomes = shop.run_of(SourceId(source), &[change]);
            outcomes
                .iter()
                .for_each(|outcome| write(&mut items, outcome));
        };
        for id in [1, 2] {
            let after = row_of([Value::Int(id)]);
            run(0, Change::Insert { after });
        }
        let after = user(ghost);
        run(1, Change::Insert { after });
        let after = user(user_id);
        run(1, Change::Insert { after });
        let before = user(ghost);
        run(1, Change::Delete { before });
        let item = items.into_values().next().expect("an item");
        let expected = format!(r#""user_id":{{"N":"{user_id}"}}"#);
        assert!(String::from_utf8(item).unwrap().contains(&expected));
    }
}
