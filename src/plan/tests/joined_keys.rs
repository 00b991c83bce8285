//! Proofs of keys through joins against brute force: random tables, joins and keys; where two rows can never share a key, no
//! two of random rows do.
//!
//! `PENSTOCK_SEED` replays a run, `PENSTOCK_CASES` makes it longer.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use fastrand::Rng;

use super::*;
use crate::change::{Row, Value};
use crate::expression::Rows;

/// Sets of rows that a proof is held against.
const FILLINGS: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Folded,
    Exact,
    Double,
}

struct Table {
    name: &'static str,
    /// `id`, which is the primary key, then the others; whether each allows NULL.
    columns: Vec<(Kind, bool)>,
    unique: Vec<Vec<usize>>,
}

const NAMES: [&str; 5] = ["id", "k", "l", "m", "n"];

impl Table {
    fn invent(name: &'static str, random: &mut Rng) -> Self {
        let mut columns = vec![(Kind::Int, false)];
        for _ in 0..random.usize(1..NAMES.len()) {
            let kinds = [
                Kind::Int,
                Kind::Int,
                Kind::Folded,
                Kind::Folded,
                Kind::Exact,
                Kind::Double,
            ];
            columns.push((kinds[random.usize(..kinds.len())], random.u8(..5) == 0));
        }
        let unique = (0..random.usize(..4)).map(|_| {
            let mut key = vec![random.usize(1..columns.len())];
            let more = random.usize(1..columns.len());
            if random.bool() && more != key[0] {
                key.push(more);
            }
            key
        });
        let unique = unique.collect();
        Self {
            name,
            columns,
            unique,
        }
    }

    fn text(&self) -> String {
        let mut out = format!("table shop.{}\n", self.name);
        for (name, (kind, nullable)) in NAMES.iter().zip(&self.columns) {
            let ty = match kind {
                Kind::Int => "bigint",
                Kind::Folded => "varchar(9)",
                Kind::Exact => "varchar(9) collate=utf8mb4_bin",
                Kind::Double => "double",
            };
            let _ = writeln!(out, " {name} {ty}{}", if *nullable { " null" } else { "" });
        }
        out += " pk id\n";
        for (number, key) in self.unique.iter().enumerate() {
            let names: Vec<_> = key.iter().map(|&c| NAMES[c]).collect();
            let _ = writeln!(out, " unique u{number} {}", names.join(","));
        }
        out
    }

    /// Some rows, of few values, that the keys allow.
    fn fill(&self, random: &mut Rng) -> Vec<Vec<Value<'static>>> {
        let mut seen: Vec<HashSet<String>> = vec![HashSet::new(); self.unique.len()];
        let mut rows = Vec::new();
        for id in 1..=random.i64(2..7) {
            let mut row = vec![Value::Int(id)];
            row.extend(self.columns[1..].iter().map(|c| value(*c, random)));
            let keys: Vec<Option<String>> = self
                .unique
                .iter()
                .map(|key| folded(key, self, &row))
                .collect();
            let taken = keys.iter().zip(&seen);
            if taken
                .clone()
                .any(|(key, seen)| key.as_ref().is_some_and(|key| seen.contains(key)))
            {
                continue;
            }
            for (key, seen) in keys.into_iter().zip(&mut seen) {
                seen.extend(key);
            }
            rows.push(row);
        }
        rows
    }

    fn column(&self, random: &mut Rng) -> &'static str {
        NAMES[random.usize(..self.columns.len())]
    }

    fn column_of(&self, kind: Kind, random: &mut Rng) -> &'static str {
        let alike: Vec<_> = (0..self.columns.len())
            .filter(|&c| self.columns[c].0 == kind)
            .collect();
        match alike.is_empty() || random.u8(..8) == 0 {
            true => self.column(random),
            false => NAMES[alike[random.usize(..alike.len())]],
        }
    }

    fn kind(&self, name: &str) -> Kind {
        let at = NAMES.iter().position(|n| *n == name);
        self.columns[at.expect("a column")].0
    }
}

/// Numbers that a DOUBLE takes for one; texts that a collation, or a number, takes for one.
fn value((kind, nullable): (Kind, bool), random: &mut Rng) -> Value<'static> {
    if nullable && random.u8(..3) == 0 {
        return Value::Null;
    }
    let large = 1 << 53;
    match kind {
        Kind::Int => Value::Int([1, 2, 3, large, large + 1][random.usize(..5)]),
        Kind::Double => Value::Double([1.0, 2.0, large as f64][random.usize(..3)]),
        Kind::Folded | Kind::Exact => {
            Value::Text(["a", "A", "b", "1", "01", "a#1"][random.usize(..6)].into())
        }
    }
}

/// A unique key's values as its columns compare; `None` where NULL is among them.
fn folded(key: &[usize], table: &Table, row: &[Value<'_>]) -> Option<String> {
    let mut out = String::new();
    for &column in key {
        let mut text = String::new();
        row[column].write_text(&mut text);
        match (&row[column], table.columns[column].0) {
            (Value::Null, _) => return None,
            (_, Kind::Folded) => out += &text.to_lowercase(),
            _ => out += &text,
        }
        out.push('\0');
    }
    Some(out)
}

/// A condition that joins `to` (called `alias`) to one of the rows before it.
fn condition(before: &[(&str, &Table)], alias: &str, to: &Table, random: &mut Rng) -> String {
    let pair = |random: &mut Rng| {
        let (name, table) = before[random.usize(..before.len())];
        let from = table.column(random);
        let own = to.column_of(table.kind(from), random);
        match random.u8(..12) {
            0 => format!("{alias}.{own} = COALESCE({name}.{from}, {name}.id)"),
            1 => format!("UPPER({alias}.{own}) = {name}.{from}"),
            _ if random.bool() => format!("{alias}.{own} = {name}.{from}"),
            _ => format!("{name}.{from} = {alias}.{own}"),
        }
    };
    let mut all = vec![pair(random)];
    if random.u8(..3) == 0 {
        all.push(pair(random));
    }
    match random.u8(..8) {
        0 => all.push(format!("{alias}.id > 1")),
        1 => all.push(format!("({} OR {alias}.id = 2)", pair(random))),
        2 => all.push(format!("{alias}.id <=> {}.id", before[0].0)),
        _ => {}
    }
    random.shuffle(&mut all);
    all.join(" AND ")
}

/// An attribute that joins, over the tables of which the first drives.
fn attribute(name: &str, tables: &[Table], random: &mut Rng) -> String {
    let own = (tables[0].name, &tables[0]);
    let select = |rows: &[(&str, &Table)], random: &mut Rng| {
        let (row, table) = match random.u8(..8) {
            0 => rows[random.usize(..rows.len())],
            _ => rows[rows.len() - 1],
        };
        let column = format!("{row}.{}", table.column(random));
        match random.u8(..10) {
            0 => format!("COALESCE({column}, 'a')"),
            1 => format!("LOWER({column})"),
            _ => column,
        }
    };
    let b = (tables[1].name, &tables[1]);
    let join = match random.u8(..6) {
        0..=2 => format!(
            r#"{{"type": "foreign-key", "target_table": "b", "join_condition": "{}", "select_column": "{}"}}"#,
            condition(&[own], "b", b.1, random),
            select(&[own, b], random)
        ),
        3 => {
            let rows = [own, b, (tables[2].name, &tables[2])];
            let first = condition(&rows[..1], "b", b.1, random);
            let second = condition(&rows[..2], "c", rows[2].1, random);
            let separator = ["", r#", "chain_separator": "-""#][usize::from(random.u8(..8) == 0)];
            format!(
                r#"{{"type": "chain", "joins": [{{"target_table": "b", "join_condition": "{first}", "select_column": "b.id"}},
                    {{"target_table": "c", "join_condition": "{second}", "select_column": "{}"}}]{separator}}}"#,
                select(&rows, random)
            )
        }
        4 => {
            let null = ["", r#", "null_value": "a""#][usize::from(random.u8(..4) == 0)];
            let rows = [own, ("s", own.1)];
            format!(
                r#"{{"type": "self-join", "join_alias": "s", "target_table": "a", "join_condition": "{}", "select_column": "{}"{null}}}"#,
                condition(&rows[..1], "s", own.1, random),
                select(&rows, random)
            )
        }
        _ => format!(
            r#"{{"type": "conditional", "condition": "a.id > 2", "target_table": "b", "join_condition": "{}", "select_column": "{}", "else_value": "1"}}"#,
            condition(&[own], "b", b.1, random),
            select(&[own, b], random)
        ),
    };
    format!(r#"{{"name": "{name}", "type": "S", "join": {join}}}"#)
}

/// A contract over the tables, with one projection.
fn contract(tables: &[Table], random: &mut Rng) -> String {
    let mut attributes = vec![attribute("x", tables, random)];
    let mut parts = vec!["{x}".to_string()];
    match random.u8(..4) {
        0 => {
            // The same row, or another of the same table.
            let column = format!("b.{}", tables[1].column(random));
            let other = match attributes[0].rsplit_once("\"select_column\": \"b.") {
                Some((before, after)) if random.bool() => {
                    let rest = after.split_once('"').map_or("", |(_, rest)| rest);
                    format!("{before}\"select_column\": \"{column}\"{rest}")
                }
                Some(_) => format!(
                    r#"{{"name": "x", "type": "S", "join": {{"type": "foreign-key", "target_table": "b", "join_condition": "{}", "select_column": "{column}"}}}}"#,
                    condition(&[("a", &tables[0])], "b", &tables[1], random)
                ),
                None => attribute("x", tables, random),
            };
            attributes.push(other.replacen("\"name\": \"x\"", "\"name\": \"y\"", 1));
            parts.push("{y}".into());
        }
        1 => parts.push(format!("{{{}}}", tables[0].column(random))),
        _ => {}
    }
    random.shuffle(&mut parts);
    let separators = ["#", "#", "/", "-", "", "1"];
    let template = parts.join(separators[random.usize(..separators.len())]);
    format!(
        r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {{"entity_type": "E", "source_table": "a", "pk_template": "T", "sk_template": "{template}", "attributes": [{}]}}]}}]}}"#,
        attributes.join(", ")
    )
}

/// The rows of a join so far.
struct Path<'r> {
    driving: &'r Row<'r>,
    joined: Vec<Option<&'r Row<'r>>>,
}

impl Rows for Path<'_> {
    fn row(&self, row: RowRef) -> Option<&Row<'_>> {
        match row {
            RowRef::Driving => Some(self.driving),
            RowRef::Joined(hop) => self.joined.get(hop).copied().flatten(),
        }
    }
}

/// The text of a part of the key; `None` is NULL, or cannot be computed.
fn text(
    value: &ValueSource,
    driving: &Row<'_>,
    rows: &HashMap<SourceId, Vec<Row<'_>>>,
) -> Option<String> {
    let mut out = String::new();
    let written = |value: &Value<'_>, out: &mut String| {
        value.write_text(out);
        !matches!(value, Value::Null)
    };
    match value {
        ValueSource::Column(slot) => written(&driving.values[*slot], &mut out).then_some(out),
        ValueSource::Join(join) => {
            let mut path = Path {
                driving,
                joined: Vec::new(),
            };
            for hop in &join.hops {
                path.joined.push(None);
                let last = path.joined.len() - 1;
                for row in &rows[&hop.source] {
                    path.joined[last] = Some(row);
                    let holds = |c: &Sql| {
                        let typed = c.typed.as_ref().expect("a typed condition");
                        typed.is_true(&path).unwrap_or(false)
                    };
                    if hop.conditions.iter().all(holds) {
                        break;
                    }
                    path.joined[last] = None;
                }
            }
            let evaluate = |sql: &Sql| {
                let typed = sql.typed.as_ref().expect("a typed expression");
                let mut text = String::new();
                let value = typed.evaluate(&path).ok()?;
                written(&value, &mut text).then_some(text)
            };
            if let Some(condition) = &join.condition
                && !condition
                    .typed
                    .as_ref()
                    .expect("typed")
                    .is_true(&path)
                    .ok()?
            {
                return Some("1".into());
            }
            if let Some(separator) = &join.separator {
                let all = join
                    .hops
                    .iter()
                    .filter_map(|hop| evaluate(hop.select.as_ref()?));
                return Some(all.collect::<Vec<_>>().join(separator));
            }
            let selected = evaluate(join.hops.last()?.select.as_ref()?);
            selected.or(join.null_value.as_ref().map(|_| "a".into()))
        }
        _ => panic!("{value:?} is not invented"),
    }
}

/// Two rows with one key, if there are such.
fn collision(plan: &Plan, tables: &[Table], random: &mut Rng) -> Option<String> {
    let all: Vec<_> = tables.iter().map(|table| table.fill(random)).collect();
    let mut rows: HashMap<SourceId, Vec<Row<'_>>> = HashMap::new();
    for source in &plan.sources {
        let at = tables.iter().position(|t| t.name == source.name.table)?;
        let slots = |row: &Vec<Value<'static>>| Row {
            values: source
                .columns
                .iter()
                .map(|c| row[c.ordinal].clone())
                .collect(),
        };
        rows.insert(source.id, all[at].iter().map(slots).collect());
    }
    let projection = &plan.projections[0];
    let key = projection
        .attributes
        .iter()
        .find(|a| a.role == Role::SortKey)?;
    let mut seen = HashSet::new();
    for row in &rows[&projection.driving] {
        let rendered = match &key.value {
            ValueSource::Template(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(literal) => Some(literal.clone()),
                    Piece::Value(value) => text(value, row, &rows),
                })
                .collect::<Option<String>>(),
            value => text(value, row, &rows),
        };
        if let Some(rendered) = rendered
            && !seen.insert(rendered.clone())
        {
            return Some(format!("{rendered:?} twice among {all:?}"));
        }
    }
    None
}

#[test]
fn joined_proofs_hold_against_brute_force() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|n| n.parse::<u64>().expect("a number"))
    };
    let seed = number("PENSTOCK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let cases = number("PENSTOCK_CASES").unwrap_or(4000);
    let (mut proofs, mut by_joins, mut refuted) = (0, 0, 0);
    for case in 0..cases {
        let seed = seed.wrapping_add(case);
        let mut random = Rng::with_seed(seed);
        let tables = ["a", "b", "c"].map(|name| Table::invent(name, &mut random));
        let catalog: String = tables.iter().map(Table::text).collect();
        let text = contract(&tables, &mut random);
        let (parsed, mut d) = parsed(&text);
        let parsed = parsed.unwrap_or_else(|| panic!("PENSTOCK_SEED={seed}: {}", shown(&text, &d)));
        let known = fixture::catalog(&catalog);
        let Some(plan) = compile(&parsed, Some(&known), "shop", &Mapping::default(), &mut d) else {
            continue;
        };
        match &plan.projections[0].uniqueness {
            Uniqueness::Proved(why) => {
                proofs += 1;
                by_joins += usize::from(why.contains(", which gives"));
                for _ in 0..FILLINGS {
                    if let Some(found) = collision(&plan, &tables, &mut random) {
                        panic!(
                            "PENSTOCK_SEED={seed} PENSTOCK_CASES=1: {why}, and {found}\n{catalog}{text}"
                        );
                    }
                }
            }
            Uniqueness::Unproved(_) => {
                let found = (0..10).any(|_| collision(&plan, &tables, &mut random).is_some());
                refuted += usize::from(found);
            }
        }
    }
    println!("{proofs} proofs, {by_joins} by joins, {refuted} of the others refuted");
    assert!(
        cases < 1000 || by_joins > 50 && refuted > 200,
        "PENSTOCK_SEED={seed}: {proofs} proofs, {by_joins} by joins, {refuted} of the others refuted"
    );
}
