//! What changes lead to, step by step, must be what a fresh look at the same rows gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::{FirstPass, Joins};
use crate::change::{Change, Row, Value};
use crate::contract::diagnostic::Diagnostics;
use crate::pipeline::Action;
use crate::plan::tests::fixture;
use crate::plan::{Mapping, Plan, SourceId, compile};
use crate::view::projector::Outcome;
use crate::view::state::MemoryState;

const TABLES: &str = "
table shop.users
  id bigint unsigned
  email varchar(100)
  tier varchar(10) null
  pk id
table shop.tiers
  code varchar(10)
  name varchar(40) null
  pk code
table shop.nodes
  id int
  name varchar(20) null
  parent int null
  pk id
table shop.carts
  id bigint
  owner bigint unsigned null
  pk id
table shop.lines
  cart bigint
  line int
  node int null
  quantity int null
  pk cart,line
";

fn contract() -> String {
    let join = |kind: &str, rest: &str| format!(r#""join": {{"type": "{kind}", {rest}}}"#);
    let user = r#""target_table": "users", "join_condition": "users.id = carts.owner""#;
    let line = r#""target_table": "lines", "join_condition": "lines.cart = carts.id""#;
    let attribute = |name: &str, ty: &str, value: &str| {
        format!(r#"{{"name": "{name}", "type": "{ty}", {value}}}"#)
    };
    let carts = [
        attribute("id", "N", r#""source_column": "id""#),
        attribute(
            "email",
            "S",
            &join(
                "foreign-key",
                &format!(r#"{user}, "select_column": "users.email""#),
            ),
        ),
        attribute(
            "tier",
            "S",
            &join(
                "chain",
                &format!(
                    r#""joins": [{{{user}}}, {{"target_table": "tiers",
            "join_condition": "tiers.code = users.tier", "select_column": "tiers.name"}}]"#
                ),
            ),
        ),
        attribute(
            "lines",
            "L",
            &join(
                "json-construction",
                &format!(
                    r#"{line}, "construction": {{"type": "array",
            "order_by": "lines.quantity DESC", "limit": 2, "select_columns": {{"line": "lines.line", "n": "lines.quantity"}}}}"#
                ),
            ),
        ),
        attribute(
            "sum",
            "N",
            &format!(
                r#""calculation": {{"type": "aggregate", "operation": "SUM", {line}, "select_column": "lines.quantity"}}"#
            ),
        ),
    ];
    let nodes = [
        attribute("id", "N", r#""source_column": "id""#),
        attribute("name", "S", r#""source_column": "name""#),
        attribute(
            "above",
            "S",
            &join(
                "self-join",
                r#""join_alias": "up", "join_condition": "nodes.parent = up.id", "select_column": "up.name""#,
            ),
        ),
        attribute(
            "uses",
            "N",
            r#""calculation": {"type": "aggregate", "operation": "COUNT", "target_table": "lines", "join_condition": "lines.node = nodes.id"}"#,
        ),
    ];
    let names = [
        attribute("name", "S", r#""source_column": "name""#),
        attribute("id", "N", r#""source_column": "id""#),
    ];
    let table = |name: &str, source: &str, pk: &str, sk: &str, attributes: &[String]| {
        let attributes = attributes.join(", ");
        format!(
            r#"{{"table": "{name}", "type": "single-entity", "source_table": "{source}", "pk": "{pk}", "sk": {sk}, "attributes": [{attributes}]}}"#
        )
    };
    format!(
        r#"{{"tables": [{}, {}, {}]}}"#,
        table("Carts", "carts", "email", r#""id""#, &carts),
        table("Nodes", "nodes", "id", "null", &nodes),
        table("Names", "nodes", "name", "null", &names),
    )
}

fn plan() -> Arc<Plan> {
    plan_of(TABLES, &contract())
}

fn plan_of(tables: &str, text: &str) -> Arc<Plan> {
    let (contract, mut diagnostics) = crate::contract::parse(text, false);
    let catalog = fixture::catalog(tables);
    let contract = contract.unwrap_or_else(|| panic!("{:?}", diagnostics.all));
    let plan = compile(
        &contract,
        Some(&catalog),
        "shop",
        &Mapping::default(),
        &mut diagnostics,
    );
    Arc::new(plan.unwrap_or_else(|| panic!("{:?}", shown(&diagnostics))))
}

fn shown(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.all.iter().map(|d| d.message.clone()).collect()
}

type Items = BTreeMap<(u16, Vec<u8>), Vec<u8>>;
/// Rows by table and key.
type Rows = BTreeMap<(usize, Vec<i64>), Row<'static>>;

fn write(items: &mut Items, outcome: &Outcome) {
    if let Outcome::Write(mutation) = outcome {
        let key = (mutation.target.0, mutation.key.0.to_vec());
        match &mutation.action {
            Action::Put { item, .. } => {
                items.insert(key, item.to_vec());
            }
            Action::Delete => {
                items.remove(&key);
            }
        }
    }
}

/// Everything from the rows alone.
fn fresh(plan: &Arc<Plan>, rows: &Rows) -> Items {
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(plan), &mut state).unwrap().unwrap();
    for ((source, _), row) in rows {
        let change = Change::Insert { after: row.clone() };
        joins
            .apply(
                &mut state,
                SourceId(*source as u16),
                &change,
                &mut Vec::new(),
            )
            .unwrap();
    }
    let mut items = Items::new();
    pass(&mut joins, &mut state, &mut items);
    items
}

fn pass(joins: &mut Joins, state: &mut MemoryState, items: &mut Items) {
    while let Some(projection) = joins.due(|_| true) {
        for outcome in joins.first_pass(state, projection).unwrap().outcomes {
            write(items, &outcome);
        }
    }
    assert!(joins.all_made());
}

/// A row of the table with this number as its key; columns by the plan's slots.
fn row(plan: &Plan, source: usize, key: &[i64], rng: &mut Rng) -> Row<'static> {
    let table = &plan.sources[source];
    let values = table.columns.iter().enumerate().map(|(slot, column)| {
        if let Some(at) = table.key.iter().position(|k| *k == slot) {
            return match column.column.name.as_str() {
                "code" => Value::Text(["a", "b", "c"][key[at] as usize % 3].into()),
                "owner" | "id" if table.name.table == "users" => Value::UInt(key[at] as u64),
                _ => Value::Int(key[at]),
            };
        }
        if column.column.nullable && rng.u8(..4) == 0 {
            return Value::Null;
        }
        match column.column.name.as_str() {
            "email" => Value::Text(format!("e{}", rng.u8(..6)).into()),
            "tier" => Value::Text(["a", "B", "c", "d"][rng.usize(..4)].into()),
            "name" => Value::Text(format!("n{}", rng.u8(..4)).into()),
            "owner" => Value::UInt(rng.u64(..8)),
            _ => Value::Int(rng.i64(0..8)),
        }
    });
    Row {
        values: values.collect(),
    }
}

fn seed() -> u64 {
    let given = std::env::var("PENSTOCK_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("PENSTOCK_SEED={seed}");
    seed
}

#[test]
fn step_by_step_and_afresh_are_the_same() {
    let mut rng = Rng::with_seed(seed());
    let plan = plan();
    for _ in 0..20 {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
        let (mut items, mut rows) = (Items::new(), Rows::new());
        let begin = rng.usize(..30);
        for transaction in 0..60 {
            let mut outcomes = Vec::new();
            for _ in 0..rng.usize(1..6) {
                let source = rng.usize(..plan.sources.len());
                let keys = plan.sources[source].key.len();
                let key: Vec<i64> = (0..keys).map(|_| rng.i64(1..8)).collect();
                let key = match plan.sources[source].name.table.as_str() {
                    "tiers" => vec![key[0] % 3],
                    _ => key,
                };
                let after = row(&plan, source, &key, &mut rng);
                let change = match (rows.remove(&(source, key.clone())), rng.u8(..4)) {
                    (None, _) => Change::Insert { after },
                    (Some(before), 0) => Change::Delete { before },
                    (Some(before), _) => Change::Update { before, after },
                };
                if let Change::Insert { after } | Change::Update { after, .. } = &change {
                    rows.insert((source, key), after.clone());
                }
                joins
                    .apply(&mut state, SourceId(source as u16), &change, &mut outcomes)
                    .unwrap();
            }
            joins
                .finish(&mut state, &mut |outcome| {
                    outcomes.push(outcome);
                    Ok(true)
                })
                .unwrap();
            outcomes
                .iter()
                .for_each(|outcome| write(&mut items, outcome));
            // The first pass goes on page by page between the transactions.
            if transaction >= begin
                && let Some(projection) = joins.due(|_| true)
            {
                let page = joins.first_pass(&mut state, projection).unwrap();
                page.outcomes
                    .iter()
                    .for_each(|outcome| write(&mut items, outcome));
            }
            if joins.all_made() {
                assert_eq!(items, fresh(&plan, &rows), "transaction {transaction}");
            } else if transaction < begin {
                assert!(items.is_empty());
            }
        }
        pass(&mut joins, &mut state, &mut items);
        assert_eq!(items, fresh(&plan, &rows));
        assert!(joins.passes().iter().all(|pass| *pass == FirstPass::Done));
    }
}

/// Two joins over the same columns, each with the other's partners: they are two, whatever indexes they share.
#[test]
fn joins_whose_columns_cross_are_not_one() {
    const TABLES: &str = "
table shop.lefts
  id int
  a int
  b int
  pk id
table shop.rights
  id int
  x int
  y int
  pk id
";
    let count = |name: &str, condition: &str| {
        format!(
            r#"{{"name": "{name}", "type": "N", "calculation": {{"type": "aggregate", "operation": "COUNT",
                "target_table": "rights", "join_condition": "{condition}"}}}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Lefts", "type": "single-entity", "source_table": "lefts", "pk": "id", "sk": null,
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}}, {}, {}]}}]}}"#,
        count("straight", "rights.x = lefts.a AND rights.y = lefts.b"),
        count("crossed", "rights.x = lefts.b AND rights.y = lefts.a"),
    );
    let plan = plan_of(TABLES, &text);
    let row = |values: [i64; 3]| row_of(values.map(Value::Int));
    let rows = Rows::from([
        ((0, vec![1]), row([1, 10, 20])),
        ((1, vec![1]), row([1, 10, 20])),
    ]);
    let items = fresh(&plan, &rows);
    let item = String::from_utf8(items.into_values().next().unwrap()).unwrap();
    assert!(item.contains(r#""straight":{"N":"1"}"#), "{item}");
    assert!(item.contains(r#""crossed":{"N":"0"}"#), "{item}");
}

/// The key's own rows are the index of such a join, however long the key.
#[test]
fn a_join_to_a_long_key_finds_its_row() {
    const TABLES: &str = "
table shop.pages
  id int
  address varchar(700)
  pk id
table shop.addresses
  address varchar(700)
  title varchar(20)
  pk address
";
    let text = r#"{"tables": [{"table": "Pages", "type": "single-entity", "source_table": "pages", "pk": "id", "sk": null,
        "attributes": [{"name": "id", "type": "N", "source_column": "id"},
            {"name": "title", "type": "S", "join": {"type": "foreign-key", "target_table": "addresses",
                "join_condition": "addresses.address = pages.address", "select_column": "addresses.title"}}]}]}"#;
    let plan = plan_of(TABLES, text);
    for length in [10, 200, 700] {
        let address = || Value::Text("x".repeat(length).into());
        let title = Value::Text("found".into());
        let rows = Rows::from([
            ((0, vec![1]), row_of([Value::Int(1), address()])),
            ((1, vec![1]), row_of([address(), title])),
        ]);
        let items = fresh(&plan, &rows);
        let item = String::from_utf8(items.into_values().next().unwrap()).unwrap();
        assert!(
            item.contains(r#""title":{"S":"found"}"#),
            "{length}: {item}"
        );
    }
}

fn row_of<const N: usize>(values: [Value<'static>; N]) -> Row<'static> {
    Row {
        values: values.into(),
    }
}

/// As numbers, `1` and `01` are the same: the key's text is unique and the join is not.
#[test]
fn a_text_key_compared_with_a_number_can_match_twice() {
    const TABLES: &str = "
table shop.uses
  id int
  code int
  pk id
table shop.codes
  code varchar(10)
  title varchar(20)
  pk code
";
    let text = r#"{"tables": [{"table": "Uses", "type": "single-entity", "source_table": "uses", "pk": "id", "sk": null,
        "attributes": [{"name": "id", "type": "N", "source_column": "id"},
            {"name": "title", "type": "S", "join": {"type": "foreign-key", "target_table": "codes",
                "join_condition": "codes.code = uses.code", "select_column": "codes.title"}}]}]}"#;
    let plan = plan_of(TABLES, text);
    let text = |text: &'static str| Value::Text(text.into());
    let rows = Rows::from([
        ((0, vec![1]), row_of([Value::Int(1), Value::Int(1)])),
        ((1, vec![1]), row_of([text("1"), text("second")])),
        ((1, vec![2]), row_of([text("01"), text("first")])),
    ]);
    let items = fresh(&plan, &rows);
    let item = String::from_utf8(items.into_values().next().unwrap()).unwrap();
    assert!(item.contains(r#""title":{"S":"first"}"#), "{item}");
}

/// Whoever comes first: the lowest claimant has the item, and the next one when it leaves.
#[test]
fn the_owner_of_a_contested_key_is_the_lowest_whatever_the_order_of_arrival() {
    const TABLES: &str = "
table shop.early
  name varchar(20)
  mail varchar(20)
  pk name
table shop.late
  name varchar(20)
  mail varchar(20)
  pk name
";
    let entity = |name: &str| {
        format!(
            r#"{{"entity_type": "{name}", "source_table": "{name}", "pk_template": "M#{{mail}}", "sk_template": "X",
                "attributes": [{{"name": "who", "type": "S", "source_column": "name"}}]}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Mails", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [{}, {}]}}]}}"#,
        entity("early"),
        entity("late"),
    );
    let plan = plan_of(TABLES, &text);
    // In MySQL's order; the bytes of the keys would have the short ones first.
    let claimants = [(0, "aaa"), (0, "B"), (0, "ca"), (1, "a")];
    let row = |name: &'static str| row_of([Value::Text(name.into()), Value::Text("m".into())]);
    let mut rng = Rng::with_seed(seed());
    for _ in 0..50 {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
        let mut items = Items::new();
        let mut arrivals = claimants.to_vec();
        rng.shuffle(&mut arrivals);
        let first_pass = rng.usize(..=arrivals.len());
        for (nth, (source, name)) in arrivals.iter().enumerate() {
            if nth == first_pass {
                pass(&mut joins, &mut state, &mut items);
            }
            let change = Change::Insert { after: row(name) };
            transaction(&mut joins, &mut state, *source, &change, &mut items);
        }
        if first_pass == arrivals.len() {
            pass(&mut joins, &mut state, &mut items);
        }
        let mut there = claimants.to_vec();
        while !there.is_empty() {
            let owner = String::from_utf8(items.values().next().unwrap().clone()).unwrap();
            assert_eq!(items.len(), 1);
            let who = format!(r#""who":{{"S":"{}"}}"#, there[0].1);
            assert!(owner.contains(&who), "{arrivals:?}, {there:?}: {owner}");
            let (source, name) = there.remove(rng.usize(..there.len()));
            let change = Change::Delete { before: row(name) };
            transaction(&mut joins, &mut state, source, &change, &mut items);
        }
        assert!(items.is_empty());
    }
}

/// Keys that cross in one transaction: what one row leaves and another takes is not deleted.
#[test]
fn rows_that_swap_keys_in_one_transaction_keep_both_items() {
    const TABLES: &str = "
table shop.seats
  id int
  seat int
  pk id
  unique by_seat seat
table shop.people
  id int
  name varchar(10)
  pk id
";
    let text = r#"{"tables": [{"table": "Seats", "type": "single-entity", "source_table": "seats", "pk": "seat", "sk": null,
        "attributes": [{"name": "seat", "type": "N", "source_column": "seat"},
            {"name": "who", "type": "S", "join": {"type": "foreign-key", "target_table": "people",
                "join_condition": "people.id = seats.id", "select_column": "people.name"}}]}]}"#;
    let plan = plan_of(TABLES, text);
    let seat = |id: i64, seat: i64| row_of([Value::Int(id), Value::Int(seat)]);
    for [first, second] in [[1, 2], [2, 1]] {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
        let mut items = Items::new();
        for (id, name) in [(1, "ada"), (2, "bob")] {
            let after = seat(id, 10 * id);
            transaction(
                &mut joins,
                &mut state,
                0,
                &Change::Insert { after },
                &mut items,
            );
            let after = row_of([Value::Int(id), Value::Text(name.into())]);
            transaction(
                &mut joins,
                &mut state,
                1,
                &Change::Insert { after },
                &mut items,
            );
        }
        pass(&mut joins, &mut state, &mut items);
        let mut outcomes = Vec::new();
        for (id, from, to) in [
            (first, 10 * first, 99),
            (second, 10 * second, 10 * first),
            (first, 99, 10 * second),
        ] {
            let (before, after) = (seat(id, from), seat(id, to));
            let change = Change::Update { before, after };
            joins
                .apply(&mut state, SourceId(0), &change, &mut outcomes)
                .unwrap();
        }
        let mut out = |outcome| {
            outcomes.push(outcome);
            Ok(true)
        };
        joins.finish(&mut state, &mut out).unwrap();
        outcomes
            .iter()
            .for_each(|outcome| write(&mut items, outcome));
        let items: Vec<String> = items
            .into_values()
            .map(|i| String::from_utf8(i).unwrap())
            .collect();
        assert_eq!(
            items,
            [
                r#"{"seat":{"N":"10"},"who":{"S":"bob"}}"#,
                r#"{"seat":{"N":"20"},"who":{"S":"ada"}}"#
            ]
        );
    }
}

/// Tables that join each other: no item is made before both are copied, whichever is first.
#[test]
fn tables_that_join_in_a_cycle_go_live_together() {
    const TABLES: &str = "
table shop.left
  id int
  other int null
  pk id
table shop.right
  id int
  other int null
  pk id
";
    let table = |own: &str, other: &str| {
        format!(
            r#"{{"table": "{own}", "type": "single-entity", "source_table": "{own}", "pk": "id", "sk": null, "attributes": [
                {{"name": "id", "type": "N", "source_column": "id"}},
                {{"name": "other", "type": "N", "join": {{"type": "foreign-key", "target_table": "{other}",
                    "join_condition": "{other}.id = {own}.other", "select_column": "{other}.other"}}}}]}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{}, {}]}}"#,
        table("left", "right"),
        table("right", "left")
    );
    let plan = plan_of(TABLES, &text);
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
    let mut items = Items::new();
    for source in [0, 1] {
        assert_eq!(joins.due(|copied| usize::from(copied.0) == source), None);
        let after = row_of([Value::Int(1), Value::Int(1)]);
        let change = Change::Insert { after };
        transaction(&mut joins, &mut state, source, &change, &mut items);
        assert!(items.is_empty(), "made before all is there: {items:?}");
    }
    pass(&mut joins, &mut state, &mut items);
    assert_eq!(items.len(), 2);
    for item in items.values() {
        let item = String::from_utf8(item.clone()).unwrap();
        assert!(item.contains(r#""other":{"N":"1"}"#), "{item}");
    }
}

/// Aggregates that need no order read their rows one by one; the others, and those that share them with a list, hold them.
#[test]
fn aggregates_are_the_same_however_their_rows_are_read() {
    const TABLES: &str = "
table shop.carts
  id int
  most int
  pk id
table shop.lines
  cart int
  line int
  n int null
  name varchar(10) null
  x double null
  pk cart,line
";
    let aggregate = |name: &str, ty: &str, operation: &str, select: &str, more: &str| {
        format!(
            r#"{{"name": "{name}", "type": "{ty}", "calculation": {{"type": "aggregate", "operation": "{operation}",
                "target_table": "lines", "join_condition": "lines.cart = carts.id{more}", "select_column": "{select}"}}}}"#
        )
    };
    let few = " AND lines.n < carts.most";
    let text = format!(
        r#"{{"tables": [{{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "id", "sk": null, "attributes": [
            {{"name": "id", "type": "N", "source_column": "id"}}, {}, {}, {}, {}, {}, {}]}}]}}"#,
        aggregate("count", "N", "COUNT", "*", ""),
        aggregate("sum", "N", "SUM", "lines.n + carts.most", ""),
        aggregate("few", "N", "MAX", "lines.n", few),
        aggregate("fewer", "N", "COUNT", "lines.n", few),
        aggregate("name", "S", "MIN", "lines.name", " AND lines.n > 0"),
        aggregate("x", "N", "SUM", "lines.x", " AND lines.n >= 0"),
    );
    let plan = plan_of(TABLES, &text);
    let nodes = &plan.projections[0].graph.as_ref().unwrap().nodes;
    let folded: Vec<bool> = nodes.iter().map(|node| node.folded).collect();
    assert_eq!(folded, [false, true, true, true, false, false]);
    let line = |line: i64, n: Value<'static>, name: &'static str, x: f64| {
        let name = Value::Text(name.into());
        row_of([Value::Int(1), Value::Int(line), n, name, Value::Double(x)])
    };
    let mut rows = Rows::from([
        ((0, vec![1]), row_of([Value::Int(1), Value::Int(5)])),
        ((1, vec![1, 1]), line(1, Value::Int(4), "B", 1.5)),
        ((1, vec![1, 2]), line(2, Value::Int(7), "a", 2.0)),
        ((1, vec![1, 3]), line(3, Value::Null, "A", 0.25)),
        ((1, vec![1, 4]), line(4, Value::Int(0), "0", 0.25)),
    ]);
    let item = |rows: &Rows| {
        let items = fresh(&plan, rows);
        String::from_utf8(items.into_values().next().unwrap()).unwrap()
    };
    assert_eq!(
        item(&rows),
        r#"{"id":{"N":"1"},"count":{"N":"4"},"sum":{"N":"26"},"few":{"N":"4"},"fewer":{"N":"2"},"name":{"S":"a"},"x":{"N":"3.75"}}"#
    );
    rows.retain(|(source, _), _| *source == 0);
    assert_eq!(
        item(&rows),
        r#"{"id":{"N":"1"},"count":{"N":"0"},"fewer":{"N":"0"}}"#
    );
}

fn transaction(
    joins: &mut Joins,
    state: &mut MemoryState,
    source: usize,
    change: &Change<'_>,
    items: &mut Items,
) {
    let mut outcomes = Vec::new();
    let source = SourceId(source as u16);
    joins.apply(state, source, change, &mut outcomes).unwrap();
    let mut out = |outcome| {
        outcomes.push(outcome);
        Ok(true)
    };
    joins.finish(state, &mut out).unwrap();
    outcomes.iter().for_each(|outcome| write(items, outcome));
}
