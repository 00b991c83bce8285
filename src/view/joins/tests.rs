//! What changes lead to, step by step, must be what a fresh look at the same rows gives.

mod cases;
mod claims;
mod conditions;
mod entries;
mod forced;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::{FirstPass, Joins};
use crate::change::{Change, Row, Value};
use crate::contract::diagnostic::Diagnostics;
use crate::error::Result;
use crate::pipeline::Action;
use crate::plan::tests::fixture;
use crate::plan::{Mapping, Plan, SourceId, compile};
use crate::view::projector::Outcome;
use crate::view::state::{MemoryState, Space, State};

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
    let mails = [carts[0].clone(), carts[1].clone()];
    let table = |name: &str, source: &str, pk: &str, sk: &str, attributes: &[String]| {
        let attributes = attributes.join(", ");
        format!(
            r#"{{"table": "{name}", "type": "single-entity", "source_table": "{source}", "pk": "{pk}", "sk": {sk}, "attributes": [{attributes}]}}"#
        )
    };
    format!(
        r#"{{"tables": [{}, {}, {}, {}]}}"#,
        table("Carts", "carts", "email", r#""id""#, &carts),
        table("Nodes", "nodes", "id", "null", &nodes),
        table("Names", "nodes", "name", "null", &names),
        table("Mails", "carts", "email", "null", &mails),
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
    fresh_state(plan, rows).0
}

/// The same, and the state that it leaves.
fn fresh_state(plan: &Arc<Plan>, rows: &Rows) -> (Items, MemoryState) {
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
    (items, state)
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
                let fresh = fresh_state(&plan, &rows);
                assert_eq!(items, fresh.0, "transaction {transaction}");
                // Nothing is left behind, and everything is as short as it can be.
                assert!(state == fresh.1, "transaction {transaction}");
            } else if transaction < begin {
                assert!(items.is_empty());
            }
        }
        pass(&mut joins, &mut state, &mut items);
        assert_eq!(items, fresh(&plan, &rows));
        assert!(joins.passes().iter().all(|pass| *pass == FirstPass::Done));
    }
}

fn row_of<const N: usize>(values: [Value<'static>; N]) -> Row<'static> {
    Row {
        values: values.into(),
    }
}

fn transaction(
    joins: &mut Joins,
    state: &mut MemoryState,
    source: usize,
    change: &Change<'_>,
    items: &mut Items,
) {
    let outcomes = outcomes(joins, state, source, change);
    outcomes.iter().for_each(|outcome| write(items, outcome));
}

/// What a transaction of one change leads to.
fn outcomes(
    joins: &mut Joins,
    state: &mut MemoryState,
    source: usize,
    change: &Change<'_>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let source = SourceId(source as u16);
    joins.apply(state, source, change, &mut outcomes).unwrap();
    let mut out = |outcome| {
        outcomes.push(outcome);
        Ok(true)
    };
    joins.finish(state, &mut out).unwrap();
    outcomes
}

/// Counts what is asked of a state.
#[derive(Default)]
struct Counted {
    state: MemoryState,
    reads: usize,
}

impl State for Counted {
    fn get(&mut self, space: Space, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        self.reads += 1;
        self.state.get(space, key, out)
    }

    fn page(
        &mut self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        let reads = &mut self.reads;
        self.state
            .page(space, prefix, after, limit, &mut |key, value| {
                *reads += 1;
                each(key, value);
            })
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        self.state.put(space, key, value)
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.state.delete(space, key)
    }
}
