//! Invented cases: what is invented is valid, and MySQL computes every projection of it.

mod engine;
pub mod inside;
mod written;

use std::collections::BTreeSet;
use std::time::Instant;

use mysql_async::prelude::Queryable;
use serde_json::Value;

use crate::support::invent::{Case, SESSION, run};
use crate::support::mysql::{Database, Server};
use crate::support::oracle::select::of_plan;
use crate::support::{plan, seed};
use crate::verify::engine::agrees;

/// How many cases: PENSTOCK_CASES (millions run for hours), or `usual`.
fn cases(usual: u64) -> u64 {
    match std::env::var("PENSTOCK_CASES") {
        Ok(text) => text.parse().expect("PENSTOCK_CASES is a number"),
        Err(_) => usual,
    }
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..20 {
        let (mut a, mut b) = (Case::invent(seed), Case::invent(seed));
        assert_eq!(
            (&a.ddl, &a.initial, a.contract_json()),
            (&b.ddl, &b.initial, b.contract_json())
        );
        for _ in 0..20 {
            assert_eq!(a.next_transaction(), b.next_transaction());
        }
    }
}

/// Nothing that a contract can say is missing from what is invented.
#[test]
fn a_hundred_cases_hold_every_construct() {
    let mut words = BTreeSet::new();
    for seed in 0..100 {
        collect(&Case::invent(seed).contract, &mut words);
    }
    let wanted = [
        "foreign-key",
        "lookup-table",
        "multi-column",
        "self-join",
        "conditional",
        "chain",
        "json-construction",
        "array",
        "object",
        "aggregate",
        "SUM",
        "COUNT",
        "AVG",
        "MIN",
        "MAX",
        "case",
        "concat",
        "date-math",
        "static",
        "template",
        "date-format",
        "number-format",
        "json-parse",
        "binary-format",
        "single-entity",
        "multi-entity",
        "S",
        "N",
        "B",
        "SS",
        "BS",
        "M",
        "L",
        "BOOL",
        "filter:",
        "gsis:",
        "null_value:",
        "else_value:",
        "chain_separator:",
        "separator:",
        "order_by:",
        "limit:",
    ];
    let missing: Vec<_> = wanted.iter().filter(|w| !words.contains(**w)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// All texts, and the names of fields with a colon behind them.
fn collect(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            words.insert(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|v| collect(v, words)),
        Value::Object(fields) => {
            for (name, value) in fields {
                words.insert(format!("{name}:"));
                collect(value, words);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn mysql_computes_every_invented_contract() {
    let first = seed();
    let mut total = Totals::default();
    for number in 0..cases(25) {
        one(first.wrapping_add(number), &mut total).await;
    }
    println!("{total:?}");
    let few = cases(25) < 10;
    assert!(
        few || total.items > 200 && total.unmappable + total.contested > 0,
        "{total:?}"
    );
}

#[derive(Debug, Default)]
struct Totals {
    items: usize,
    unmappable: usize,
    contested: usize,
}

async fn one(seed: u64, total: &mut Totals) {
    println!("case PENSTOCK_SEED={seed}");
    let begin = Instant::now();
    let mut case = Case::invent(seed);
    let database = Database::create(Server::shared()).await;
    let mut conn = database.conn().await;
    let mut statements = vec![SESSION.to_owned()];
    statements.extend(case.ddl.iter().chain(&case.initial).cloned());
    for _ in 0..10 {
        statements.extend(case.next_transaction());
    }
    run(&mut conn, &statements).await;
    let contract = case.contract_json();
    let Some(plan) = plan::compile_unless_refused(&database, &contract).await else {
        return;
    };
    let computed = of_plan(&mut conn, &plan).await;
    total.items += computed.tables.values().map(|t| t.len()).sum::<usize>();
    total.unmappable += computed.unmappable;
    total.contested += computed.contested;
    agrees(&database, plan, &computed.tables).await;
    let drop = format!("DROP DATABASE `{}`", database.name);
    conn.query_drop(drop).await.expect("dropped");
    println!("  {:?}", begin.elapsed());
}
