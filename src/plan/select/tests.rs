//! Golden tests: the contracts of `tests/golden/select` against the tables of the plan's tests, as SQL.
//!
//! `PENSTOCK_BLESS=1` writes what came out as what is expected. That MySQL takes the statements, and that they mean
//! what the contract says, is tested against a server.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::plan::tests::{compiled, tables};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/select")
        .join(name)
}

fn compare(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("PENSTOCK_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "{name} differs, found:\n{found}");
}

#[test]
fn every_construct_has_its_sql() {
    let text = fs::read_to_string(golden("every-construct.json")).unwrap();
    let (plan, _) = compiled(&text, Some(&tables()));
    compare(
        "every-construct.sql",
        &crate::plan::explain::sql(&plan).unwrap(),
    );
    compare(
        "every-construct.sql.json",
        &crate::plan::explain::sql_json(&plan).unwrap(),
    );
}

#[test]
fn an_offline_plan_has_no_sql() {
    let text = fs::read_to_string(golden("every-construct.json")).unwrap();
    let (plan, _) = compiled(&text, None);
    assert_eq!(
        crate::plan::explain::sql(&plan).unwrap_err(),
        SelectError::Offline
    );
}

/// References inside strings and comments are none, and a reference is found by its place, however it is written.
#[test]
fn only_references_are_qualified() {
    let contract = |expression: &str| {
        serde_json::json!({"tables": [{
            "table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "id",
            "attributes": [
                {"name": "id", "type": "N", "source_column": "id"},
                {"name": "v", "type": "S", "source_column": "note", "calculation": {"type": "date-math", "expression": expression}},
            ],
        }]})
        .to_string()
    };
    for (expression, wanted) in [
        ("note", "d.`note`"),
        ("(`note`)", "(d.`note`)"),
        (
            "CONCAT (note, 'note', \"note\")",
            "CONCAT(d.`note`, 'note', \"note\")",
        ),
        ("orders.note", "d.`note`"),
        ("shop.orders.note", "d.`note`"),
        ("orders . `note` /* note */ IS NULL", "d.`note` IS NULL"),
        ("total -- note\n\t+ id", "d.`total` + d.`id`"),
        (
            "'ä''note' = note\nAND status = 'x\\'note'",
            "'ä''note' = d.`note` AND d.`status` = 'x\\'note'",
        ),
        ("note->>'$.note'", "d.`note`->>'$.note'"),
        (
            "status IN ('note', note)",
            "d.`status` IN ('note', d.`note`)",
        ),
        (
            "CASE note WHEN 'a' THEN total END",
            "CASE d.`note` WHEN 'a' THEN d.`total` END",
        ),
    ] {
        let (plan, _) = compiled(&contract(expression), Some(&tables()));
        let sql = select(&plan, &plan.projections[0]).unwrap().sql;
        let line = sql.lines().find(|l| l.contains("`v:S`")).unwrap();
        let found = line.trim().split(" AS `v:S`").next().unwrap();
        assert_eq!(found, wanted, "{expression}");
    }
}

/// More joins than a query can have are refused; equal ones are one.
#[test]
fn joins_are_shared_and_bounded() {
    let contract = |joins: usize, different: bool| {
        let mut attributes =
            vec![serde_json::json!({"name": "id", "type": "N", "source_column": "id"})];
        for n in 0..joins {
            let condition = match different {
                true => format!("orders.customer_id = customers.id AND customers.tier <> '{n}'"),
                false => "orders.customer_id = customers.id".into(),
            };
            attributes.push(serde_json::json!({"name": format!("a{n}"), "type": "S", "source_column": "customer_id",
                "join": {"type": "foreign-key", "target_table": "customers", "join_condition": condition, "select_column": "email"}}));
        }
        serde_json::json!({"tables": [{
            "table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "id", "attributes": attributes,
        }]})
        .to_string()
    };
    let sql = |text: &str| {
        let (plan, _) = compiled(text, Some(&tables()));
        select(&plan, &plan.projections[0]).map(|s| s.sql)
    };
    assert_eq!(
        sql(&contract(70, false))
            .unwrap()
            .matches("LEFT JOIN")
            .count(),
        1
    );
    assert_eq!(
        sql(&contract(30, true))
            .unwrap()
            .matches("LEFT JOIN")
            .count(),
        60
    );
    assert_eq!(
        sql(&contract(31, true)),
        Err(SelectError::TooManyJoins {
            label: "Orders".into(),
            joins: 62
        })
    );
}

/// What an item's key says about the driving row, and what it leaves to MySQL to search.
#[test]
fn a_key_finds_its_rows() {
    let contract = serde_json::json!({"tables": [{
        "table": "Shop", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {"entity_type": "ORDER", "source_table": "orders", "pk_template": "ORDER#{id}#{note}", "sk_template": "O", "attributes": [
                {"name": "id", "type": "N", "source_column": "id"}, {"name": "note", "type": "S", "source_column": "note"}]},
            {"entity_type": "CUSTOMER", "source_table": "customers", "pk_template": "{email}", "sk_template": "C#{id}", "attributes": [
                {"name": "id", "type": "N", "source_column": "id"}, {"name": "email", "type": "S", "source_column": "email"}]},
            {"entity_type": "NOTE", "source_table": "orders", "pk_template": "{note}#{id}", "sk_template": "b", "attributes": [
                {"name": "id", "type": "N", "source_column": "id"}, {"name": "note", "type": "S", "source_column": "note"}]},
            {"entity_type": "TEXTS", "source_table": "orders", "pk_template": "{note}#{status}", "sk_template": "x", "attributes": [
                {"name": "status", "type": "S", "source_column": "status"}, {"name": "note", "type": "S", "source_column": "note"}]},
        ]}]})
    .to_string();
    let (plan, _) = compiled(&contract, Some(&tables()));
    let condition = |entity: usize, keys: &[(&str, &str)]| {
        let keys: Vec<_> = keys
            .iter()
            .map(|(pk, sk)| ItemKey {
                pk: KeyText::S(pk),
                sk: Some(KeyText::S(sk)),
            })
            .collect();
        let narrow = Narrow::Items(&keys);
        let select = select_narrow(&plan, &plan.projections[entity], narrow).unwrap()?;
        let at = select.sql.find("WHERE ").expect("a condition") + 6;
        let condition = select.sql[at..].split("\nORDER BY").next();
        Some(condition.expect("a condition").to_string())
    };
    for (entity, keys, wanted) in [
        // Cut in one way only.
        (
            0,
            &[("ORDER#7#it's", "O")][..],
            Some("(d.`id` = 7 AND d.`note` = 'it''s')"),
        ),
        (
            0,
            &[("ORDER#7#a", "O"), ("ORDER#-8#", "O")],
            Some("(d.`id` = 7 AND d.`note` = 'a'\n    OR d.`id` = -8 AND d.`note` = '')"),
        ),
        // The note may hold a `#`, the number before it not.
        (0, &[("ORDER#7#a#b", "O")], Some("(d.`id` = 7)")),
        (2, &[("a#7", "b")], Some("(d.`note` = 'a' AND d.`id` = 7)")),
        (2, &[("a#b#7", "b")], Some("(d.`id` = 7)")),
        // Two texts: nothing is known of either, and MySQL compares the whole.
        (
            3,
            &[("a#b#c", "x")],
            Some("(CONCAT(CONCAT(d.`note`, '#', d.`status`)) = 'a#b#c' AND CONCAT('x') = 'x')"),
        ),
        // No row can have made it.
        (0, &[("ORDER#7", "O")], None),
        (0, &[("ORDER#7#a", "P")], None),
        (0, &[("order#7#a", "O")], None),
        (1, &[("a@b", "O")], None),
        (0, &[("ORDER#x#a", "O")], Some("(FALSE AND d.`note` = 'a')")),
        (
            1,
            &[("a@b", "C#3")],
            Some("(d.`email` = 'a@b' AND d.`id` = 3)"),
        ),
    ] {
        assert_eq!(condition(entity, keys).as_deref(), wanted, "{keys:?}");
    }
    let other = ItemKey {
        pk: KeyText::S("OTHER"),
        sk: Some(KeyText::S("y")),
    };
    assert!(plan.projections.iter().all(|p| !can_make(p, &other)));
}
