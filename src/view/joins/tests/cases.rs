//! Single cases, each of one rule.

use super::*;
use crate::plan::graph::Kept;

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

/// Whose claim is a dead letter keeps it under the name that it has now, where only the spelling of that changes.
#[test]
fn a_dead_letter_goes_on_under_the_rows_new_name() {
    const TABLES: &str = "
table shop.accounts
  code varchar(20)
  mail varchar(20)
  pk code
";
    let text = r#"{"tables": [{"table": "Mails", "type": "single-entity", "source_table": "accounts", "pk": "mail", "sk": null,
        "attributes": [{"name": "mail", "type": "S", "source_column": "mail"}]}]}"#;
    let plan = plan_of(TABLES, text);
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
    let mut items = Items::new();
    let row = |code: &'static str| row_of([Value::Text(code.into()), Value::Text("m".into())]);
    for code in ["anna", "bert"] {
        let change = Change::Insert { after: row(code) };
        transaction(&mut joins, &mut state, 0, &change, &mut items);
    }
    pass(&mut joins, &mut state, &mut items);
    let change = Change::Update {
        before: row("bert"),
        after: row("BERT"),
    };
    let told: Vec<String> = outcomes(&mut joins, &mut state, 0, &change)
        .iter()
        .map(|outcome| match outcome {
            Outcome::Gone(origin) => format!("gone {}", origin.source_key),
            Outcome::Contested { origin, owner } => {
                format!("{} behind {}", origin.source_key, owner.source_key)
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["gone bert", "BERT behind anna"]);
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

/// Aggregates that need no order read their rows one by one; the others hold them.
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
    let folded = nodes.iter().map(|node| matches!(node.kept, Kept::None));
    let folded: Vec<bool> = folded.collect();
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

/// However many rows a list with a limit is taken from, and whatever is added up beside it.
#[test]
fn a_list_with_a_limit_is_the_same_however_many_rows_it_is_taken_from() {
    const TABLES: &str = "
table shop.carts
  id int
  most int
  pk id
table shop.lines
  cart int
  line varchar(20)
  n int null
  pk cart,line
";
    let line = r#""target_table": "lines", "join_condition": "lines.cart = carts.id""#;
    let list = |name: &str, rest: &str| {
        format!(
            r#"{{"name": "{name}", "type": "S", "join": {{"type": "json-construction", {line}, "construction": {{{rest},
                "select_columns": {{"l": "lines.line", "n": "lines.n"}}}}}}}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "id", "sk": null, "attributes": [
            {{"name": "id", "type": "N", "source_column": "id"}}, {}, {}, {}, {}, {}]}}]}}"#,
        list(
            "most",
            r#""type": "array", "order_by": "lines.n DESC", "limit": 3"#
        ),
        list(
            "nearest",
            r#""type": "array", "order_by": "ABS(lines.n - carts.most)", "limit": 2"#
        ),
        list("first", r#""type": "object""#),
        r#"{"name": "sum", "type": "N", "calculation": {"type": "aggregate", "operation": "SUM", "target_table": "lines",
            "join_condition": "lines.cart = carts.id", "select_column": "lines.n"}}"#,
        r#"{"name": "any", "type": "S", "join": {"type": "foreign-key", "target_table": "lines",
            "join_condition": "lines.cart = carts.id AND lines.n >= 5", "select_column": "lines.line"}}"#,
    );
    let plan = plan_of(TABLES, &text);
    let nodes = &plan.projections[0].graph.as_ref().unwrap().nodes;
    assert!(
        nodes
            .iter()
            .any(|node| matches!(&node.kept, Kept::First(all) if all.len() == 3))
    );
    let mut rng = Rng::with_seed(seed());
    for count in [0, 1, 2, 3, 7, 8, 9, 40, 300] {
        let most = rng.i64(0..20);
        let mut rows = Rows::from([((0, vec![1]), row_of([Value::Int(1), Value::Int(most)]))]);
        let mut lines: Vec<(String, Option<i64>)> = Vec::new();
        for nth in 0..count {
            // In the collation's order short ones are not first, and capitals no others.
            let length = rng.usize(1..6);
            let mut name: String = (0..length)
                .map(|_| {
                    if rng.bool() {
                        rng.lowercase()
                    } else {
                        rng.uppercase()
                    }
                })
                .collect();
            if lines
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(&name))
            {
                name.push_str(&nth.to_string());
            }
            let n = (rng.u8(..5) > 0).then(|| rng.i64(0..20));
            let value = n.map_or(Value::Null, Value::Int);
            rows.insert(
                (1, vec![1, nth]),
                row_of([Value::Int(1), Value::Text(name.clone().into()), value]),
            );
            lines.push((name, n));
        }
        lines.sort_by_key(|(name, _)| name.to_lowercase());
        let item = fresh(&plan, &rows).into_values().next().unwrap();
        let item: serde_json::Value = serde_json::from_slice(&item).unwrap();
        let shown = |(line, n): &(String, Option<i64>)| {
            let n = n.map_or("null".to_owned(), |n| n.to_string());
            format!(r#"{{"l": "{line}", "n": {n}}}"#)
        };
        let list = |rows: &[(String, Option<i64>)]| {
            let rows: Vec<String> = rows.iter().map(shown).collect();
            format!("[{}]", rows.join(", "))
        };
        let mut sorted = lines.clone();
        sorted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        assert_eq!(
            item["most"]["S"],
            list(&sorted[..sorted.len().min(3)]),
            "{count} rows"
        );
        let mut sorted = lines.clone();
        sorted.sort_by_key(|(_, n)| n.map(|n| (n - most).abs()));
        assert_eq!(
            item["nearest"]["S"],
            list(&sorted[..sorted.len().min(2)]),
            "{count} rows"
        );
        match lines.first() {
            None => assert!(item.get("first").is_none()),
            Some(first) => assert_eq!(item["first"]["S"], shown(first), "{count} rows"),
        }
        match lines.iter().find(|(_, n)| n.is_some_and(|n| n >= 5)) {
            None => assert!(item.get("any").is_none()),
            Some((name, _)) => assert_eq!(item["any"]["S"], **name, "{count} rows"),
        }
        let numbers: Vec<i64> = lines.iter().filter_map(|(_, n)| *n).collect();
        match numbers.is_empty() {
            true => assert!(item.get("sum").is_none()),
            false => assert_eq!(item["sum"]["N"], numbers.iter().sum::<i64>().to_string()),
        }
    }
}

const ITEMS: &str = "
table shop.carts
  id int
  gone int
  pk id
table shop.lines
  id int
  cart int
  n bigint
  pk id
";

fn carts(condition: &str) -> Arc<Plan> {
    let text = format!(
        r#"{{"tables": [{{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "id", "sk": null,
            "filter": "gone = 0", "attributes": [{{"name": "id", "type": "N", "source_column": "id"}},
            {{"name": "lines", "type": "L", "join": {{"type": "json-construction", "target_table": "lines",
                "join_condition": "lines.cart = carts.id{condition}", "construction": {{"type": "array",
                "select_columns": {{"id": "lines.id"}}}}}}}}]}}]}}"#
    );
    plan_of(ITEMS, &text)
}

/// More rows than any item has room for are not read, and the row's dead letter names the list.
#[test]
fn a_list_that_no_item_has_room_for_is_not_loaded() {
    let plan = carts("");
    let mut counted = Counted::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut counted)
        .unwrap()
        .unwrap();
    pass(&mut joins, &mut counted.state, &mut Items::new());
    let mut outcomes = Vec::new();
    for id in 0..300_000 {
        let after = row_of([Value::Int(id), Value::Int(1), Value::Int(0)]);
        let change = Change::Insert { after };
        joins
            .apply(&mut counted, SourceId(1), &change, &mut outcomes)
            .unwrap();
    }
    let after = row_of([Value::Int(1), Value::Int(0)]);
    let change = Change::Insert { after };
    joins
        .apply(&mut counted, SourceId(0), &change, &mut outcomes)
        .unwrap();
    let before = counted.reads;
    let mut out = |outcome| {
        outcomes.push(outcome);
        Ok(true)
    };
    joins.finish(&mut counted, &mut out).unwrap();
    assert!(
        counted.reads - before < 300_000,
        "{} reads",
        counted.reads - before
    );
    let [Outcome::Unmappable { reason, .. }] = &*outcomes else {
        panic!("{outcomes:?}");
    };
    assert_eq!(&*reason.attribute, "lines");
    assert_eq!(reason.fault, crate::view::reason::Fault::ItemTooLarge);
}

/// A row that is to have no item has none, whatever is wrong with what it would be made of.
#[test]
fn what_the_filter_leaves_out_is_no_dead_letter() {
    let plan = carts(" AND lines.n + 9223372036854775807 > carts.id");
    for (gone, bad) in [(0, true), (1, false)] {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
        pass(&mut joins, &mut state, &mut Items::new());
        let line = Change::Insert {
            after: row_of([Value::Int(1), Value::Int(7), Value::Int(5)]),
        };
        outcomes(&mut joins, &mut state, 1, &line);
        let cart = Change::Insert {
            after: row_of([Value::Int(7), Value::Int(gone)]),
        };
        let outcomes = outcomes(&mut joins, &mut state, 0, &cart);
        let found = outcomes
            .iter()
            .any(|o| matches!(o, Outcome::Unmappable { .. }));
        assert_eq!(found, bad, "{outcomes:?}");
    }
}
