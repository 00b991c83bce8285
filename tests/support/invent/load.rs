//! Rows, and transactions that change them.

use fastrand::Rng;

use super::schema::{Domain, Schema, Table, quoted};
use super::{once_in, pick};

/// Statements that fill all tables.
pub fn initial(schema: &Schema, rng: &mut Rng) -> Vec<String> {
    let mut statements = Vec::new();
    if schema.has_foreign_keys() {
        // Orphans stay orphans.
        statements.push("SET foreign_key_checks = 0".into());
    }
    for table in &schema.tables {
        let rows: Vec<_> = (0..rng.usize(10..120)).map(|_| row(table, rng)).collect();
        statements.push(insert("INSERT IGNORE", table, &rows));
    }
    if schema.has_foreign_keys() {
        statements.push("SET foreign_key_checks = 1".into());
    }
    statements
}

/// A transaction of one to six statements; one in eight is rolled back.
pub fn transaction(schema: &Schema, rng: &mut Rng) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned()];
    for _ in 0..rng.usize(1..=6) {
        let table = pick(rng, &schema.tables);
        if once_in(rng, 12) {
            statements.push("SAVEPOINT s".into());
            change(table, rng, &mut statements);
            statements.push("ROLLBACK TO SAVEPOINT s".into());
        } else {
            change(table, rng, &mut statements);
        }
    }
    let end = if once_in(rng, 8) {
        "ROLLBACK"
    } else {
        "COMMIT"
    };
    statements.push(end.into());
    statements
}

fn change(table: &Table, rng: &mut Rng, statements: &mut Vec<String>) {
    let name = quoted(table.name);
    match rng.u8(0..14) {
        0..=2 => {
            let rows: Vec<_> = (0..rng.usize(1..=4)).map(|_| row(table, rng)).collect();
            statements.push(insert("INSERT IGNORE", table, &rows));
        }
        3 => statements.push(insert("REPLACE", table, &[row(table, rng)])),
        4..=7 => statements.push(format!(
            "UPDATE IGNORE {name} SET {} WHERE {}",
            assignments(table, rng),
            where_key(table, rng)
        )),
        // Many rows at once.
        8 => statements.push(format!(
            "UPDATE IGNORE {name} SET {} ORDER BY {} LIMIT {}",
            assignments(table, rng),
            order(table, rng),
            rng.usize(2..12)
        )),
        9 => statements.push(format!(
            "UPDATE IGNORE {name} SET {} WHERE {}",
            key_change(table, rng),
            where_key(table, rng)
        )),
        10 => swap(table, rng, statements),
        11 | 12 => statements.push(format!(
            "DELETE IGNORE FROM {name} WHERE {}",
            where_key(table, rng)
        )),
        _ => statements.push(format!(
            "DELETE IGNORE FROM {name} ORDER BY {} LIMIT {}",
            order(table, rng),
            rng.usize(1..6)
        )),
    }
}

fn row(table: &Table, rng: &mut Rng) -> String {
    let values: Vec<_> = table.columns.iter().map(|c| c.value(rng)).collect();
    format!("({})", values.join(", "))
}

fn insert(verb: &str, table: &Table, rows: &[String]) -> String {
    format!(
        "{verb} INTO {} VALUES {}",
        quoted(table.name),
        rows.join(", ")
    )
}

/// `key = value`, in all columns of the key or in the first.
fn where_key(table: &Table, rng: &mut Rng) -> String {
    let length = if once_in(rng, 5) { 1 } else { table.key.len() };
    let parts: Vec<_> = table.key[..length]
        .iter()
        .map(|&c| {
            let column = &table.columns[c];
            format!("{} = {}", quoted(&column.name), column.value(rng))
        })
        .collect();
    parts.join(" AND ")
}

fn assignments(table: &Table, rng: &mut Rng) -> String {
    let free: Vec<_> = table
        .columns
        .iter()
        .filter(|c| !matches!(c.domain, Domain::Key(_)))
        .collect();
    let some: Vec<_> = (0..rng.usize(1..=3))
        .map(|_| {
            let column = pick(rng, &free);
            format!("{} = {}", quoted(&column.name), column.value(rng))
        })
        .collect();
    some.join(", ")
}

fn key_change(table: &Table, rng: &mut Rng) -> String {
    let column = &table.columns[*pick(rng, &table.key)];
    format!("{} = {}", quoted(&column.name), column.value(rng))
}

/// Two rows change their keys (those of them that are there), by way of a third.
fn swap(table: &Table, rng: &mut Rng, statements: &mut Vec<String>) {
    let column = &table.columns[table.key[0]];
    let Domain::Key(keys) = column.domain else {
        return;
    };
    let key = |n: usize| column.kind.key(n);
    let (a, b, between) = (rng.usize(0..keys), rng.usize(0..keys), keys + 7);
    for (from, to) in [(a, between), (b, a), (between, b)] {
        statements.push(format!(
            "UPDATE IGNORE {0} SET {1} = {2} WHERE {1} = {3}",
            quoted(table.name),
            quoted(&column.name),
            key(to),
            key(from)
        ));
    }
}

/// A total order, so that LIMIT always means the same rows.
fn order(table: &Table, rng: &mut Rng) -> String {
    let down = if rng.bool() { " DESC" } else { "" };
    let terms: Vec<_> = table
        .key
        .iter()
        .map(|&c| format!("{}{down}", quoted(&table.columns[c].name)))
        .collect();
    terms.join(", ")
}
