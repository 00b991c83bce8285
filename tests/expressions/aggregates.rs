//! Aggregates, the order of values, and the keys under which equal values meet.

use std::cmp::Ordering;

use fastrand::Rng;
use penstock::change::Value;
use penstock::contract::model::AggregateOperation;
use penstock::expression::{Aggregate, Type, order};

use super::check::{self, describe, shown};
use super::{LEAST, Outcome, ROWS, cells, fill, outcome, rows, table, values};
use crate::invented::inside::server;
use crate::support::mysql::Database;

const OPERATIONS: [(&str, AggregateOperation); 5] = [
    ("SUM", AggregateOperation::Sum),
    ("AVG", AggregateOperation::Avg),
    ("COUNT", AggregateOperation::Count),
    ("MIN", AggregateOperation::Min),
    ("MAX", AggregateOperation::Max),
];

/// Every aggregate over every column, of groups of one row to all rows, and of none.
#[tokio::test(flavor = "multi_thread")]
async fn aggregates_give_what_the_server_gives() {
    let seed = crate::support::seed();
    let mut random = Rng::with_seed(seed);
    let database = Database::create(server()).await;
    let mut conn = database.conn().await;
    fill(&mut conn, &mut random).await;
    let columns = table::columns();
    let cells = cells(&mut conn, &columns).await;
    let values = values(&columns, &cells);
    let mut compared = [0; OPERATIONS.len()];
    for (index, column) in columns.iter().enumerate() {
        let ty = Type::from(column);
        let known: Vec<usize> = (0..OPERATIONS.len())
            .filter(|&o| Aggregate::new(OPERATIONS[o].1, Some(&ty)).is_ok())
            .collect();
        // A lone BIT is bytes for the protocol; a FLOAT shows six digits of its DOUBLE there.
        let text = match column.name.as_str() {
            "bt" => "bt + 0".to_owned(),
            name => format!("`{name}`"),
        };
        // As the SELECT of a plan has them, one for each row that drives; an aggregate of groups may be another value's.
        let over = |condition: &str| {
            let call = |&o: &usize| {
                let name = OPERATIONS[o].0;
                format!("(SELECT {name}({text}) FROM v WHERE {condition})")
            };
            known.iter().map(call).collect::<Vec<_>>().join(", ")
        };
        let mut groups = vec![(format!("SELECT {}", over("FALSE")), vec![&values[..0]])];
        for width in [1, 2, 3, 7, 50, ROWS] {
            let select = format!(
                "SELECT {} FROM v g WHERE g.id % {width} = 0 ORDER BY g.id",
                over(&format!("v.id >= g.id AND v.id < g.id + {width}"))
            );
            groups.push((select, values.chunks(width).collect()));
        }
        for (select, groups) in groups {
            let server = rows(&mut conn, &select).await.expect(&select);
            assert_eq!(server.len(), groups.len(), "{select}");
            for (cells, group) in server.iter().zip(groups) {
                for (cell, &o) in cells.iter().zip(&known) {
                    let (name, operation) = OPERATIONS[o];
                    let aggregate = Aggregate::new(operation, Some(&ty));
                    let mut aggregate = aggregate.expect("one that is known");
                    group.iter().for_each(|row| aggregate.add(&row[index]));
                    let (server, ours) = (outcome(Some(cell)), shown(&aggregate.finish()));
                    let equal = match name {
                        // Which of several equal values it is, nobody says.
                        "MIN" | "MAX" => same(&ty, &server, &ours, group, index),
                        _ => server == ours,
                    };
                    assert!(
                        equal,
                        "PENSTOCK_SEED={seed}: {name} in {select}, {} rows from {}\n the server says {}, we say {}",
                        group.len(),
                        group
                            .first()
                            .map_or("none".into(), |row| describe(&shown(&row[0]))),
                        describe(&server),
                        describe(&ours)
                    );
                    compared[o] += usize::from(server != Outcome::Null);
                }
            }
        }
    }
    for ((name, _), compared) in OPERATIONS.iter().zip(compared) {
        println!("{compared} values of {name} compared");
        assert!(
            compared >= LEAST,
            "only {compared} values of {name} compared"
        );
    }
}

/// Whether both are shown by values of the group that compare equal.
fn same(
    ty: &Type,
    server: &Outcome,
    ours: &Outcome,
    group: &[Vec<Value<'_>>],
    index: usize,
) -> bool {
    if server == ours {
        return true;
    }
    let find = |wanted: &Outcome| {
        let mut found = group.iter().map(|row| &row[index]);
        found.find(|value| shown(value) == *wanted)
    };
    match (find(server), find(ours), order(ty)) {
        (Some(a), Some(b), Ok(order)) => order.compare(a, b) == Some(Ordering::Equal),
        _ => false,
    }
}

/// What stands beside the columns as a side of an equality; `{}` is the row's name.
const COMPUTED: [&str; 13] = [
    "SHA2({}sn, 256)",
    "HEX({}i4)",
    "CONCAT({}i1)",
    "CAST({}i1 AS CHAR)",
    "UPPER({}sg)",
    "LEFT({}l1, 1)",
    "CONCAT({}en)",
    "{}i1 + 0",
    "{}js->>'$.a'",
    "{}js->'$.a'",
    "JSON_UNQUOTE(JSON_EXTRACT({}jt, '$.a'))",
    "DATE({}m3)",
    "DATE_ADD({}dt, INTERVAL 1 DAY)",
];

/// Pairs of values of every two columns, and of what is computed of them: equal as the server says, and under one key
/// exactly then.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_equal_exactly_where_values_are() {
    let seed = crate::support::seed();
    let mut random = Rng::with_seed(seed);
    let database = Database::create(server()).await;
    let mut conn = database.conn().await;
    fill(&mut conn, &mut random).await;
    let columns = table::columns();
    let catalog = table::catalog();
    let cells = cells(&mut conn, &columns).await;
    let values = values(&columns, &cells);
    let mut sides: Vec<String> = columns
        .iter()
        .map(|c| format!("{{}}`{}`", c.name))
        .collect();
    sides.extend(COMPUTED.map(str::to_owned));
    // What MySQL makes of incomplete dates beside moments depends on how it looks for them.
    let incomplete = |side: &String| side.contains("`dz`") || side.contains("`ts`");
    let (mut compared, mut met, mut pairs_met) = (0, 0, 0);
    let mut differences = Vec::new();
    for (i, a) in sides.iter().enumerate() {
        for b in &sides[i..] {
            if a != b && (incomplete(a) || incomplete(b)) {
                continue;
            }
            let text = format!("{a} = {b}");
            let Ok(condition) = check::compile(&text.replace("{}", ""), &catalog) else {
                continue;
            };
            let select = format!(
                "SELECT {} = {} FROM v l JOIN v r ON r.id BETWEEN l.id AND l.id + 3 ORDER BY l.id, r.id",
                a.replace("{}", "l."),
                b.replace("{}", "r.")
            );
            let server = rows(&mut conn, &select).await.expect(&select);
            let pairs = (0..ROWS).flat_map(|l| (l..ROWS.min(l + 4)).map(move |r| (l, r)));
            let before = met;
            for ((l, r), answer) in pairs.zip(&server) {
                let server = answer[0].as_ref().map(|text| text == b"1");
                let Ok([ours, by_key]) = condition.meet(&values[l], &values[r]) else {
                    continue;
                };
                let place = || {
                    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                    let of = |row: usize| check::involved(&condition, &values[row], &names);
                    format!("seed {seed}: {text}, of {} and {}", of(l), of(r))
                };
                if ours != server || by_key != server {
                    differences.push(format!(
                        "the server says {server:?}, we say {ours:?} and {by_key:?} by key, {}",
                        place()
                    ));
                    break;
                }
                compared += 1;
                met += usize::from(server == Some(true));
            }
            pairs_met += usize::from(met > before);
        }
    }
    println!("{compared} compared, {met} equal, {pairs_met} pairs of sides");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(
        compared > 100_000 && met > 10_000,
        "{compared} compared, {met} equal"
    );
}
