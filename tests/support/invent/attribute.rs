//! Attributes of every construct, over a driving table.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::expression::{Row, condition, moment, number, text, written};
use super::schema::{Column, Kind, Link, Schema, Table};
use super::{once_in, one_of, pick};

pub struct Maker<'s> {
    pub schema: &'s Schema,
    pub driving: usize,
}

/// A step from one row to rows of another table.
#[derive(Clone, Copy)]
pub(super) struct Step<'s> {
    pub from: &'s Table,
    pub to: &'s Table,
    pub link: &'s Link,
    /// Against the link: from what is referred to, to what refers to it.
    pub back: bool,
}

impl Step<'_> {
    pub fn is_self(&self) -> bool {
        self.link.from == self.link.to
    }

    fn target(&self) -> usize {
        if self.back {
            self.link.from
        } else {
            self.link.to
        }
    }

    /// The columns of both sides, from first.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let pairs = self
            .link
            .columns
            .iter()
            .copied()
            .zip(self.link.to_columns.iter().copied());
        match self.back {
            false => pairs.collect(),
            true => pairs.map(|(a, b)| (b, a)).collect(),
        }
    }

    /// Now and then with one that no index answers.
    pub fn conditions(&self, target: &str, rng: &mut Rng) -> Vec<String> {
        let mut all = self.equalities(target, rng);
        let own_name = self.is_self() && target == self.to.name;
        if once_in(rng, 6) && !own_name {
            let row = Row {
                table: self.to,
                qualifier: Some(target),
            };
            let more = condition(row, rng, 0);
            // One that names no column says nothing of a row.
            if more.contains(&written(target)) {
                all.push(more);
            }
        }
        all
    }

    fn equalities(&self, target: &str, rng: &mut Rng) -> Vec<String> {
        // Only the columns themselves say which row of one table is which.
        let plain = self.is_self() && target == self.to.name;
        let side = |table: &str, column: &Column, rng: &mut Rng| {
            let name = format!("{}.{}", written(table), written(&column.name));
            match plain {
                true => name,
                false => computed_side(name, column.kind, rng),
            }
        };
        self.pairs()
            .iter()
            .map(|&(a, b)| {
                let here = side(self.from.name, &self.from.columns[a], rng);
                let there = side(target, &self.to.columns[b], rng);
                if rng.bool() {
                    format!("{here} = {there}")
                } else {
                    format!("{there} = {here}")
                }
            })
            .collect()
    }

    pub fn source_column(&self) -> Value {
        self.from.columns[self.pairs()[0].0].name.as_str().into()
    }
}

/// A column as a side of an equality; now and then something computed of it that can be equal to the same values.
fn computed_side(name: String, kind: Kind, rng: &mut Rng) -> String {
    // What is computed of such text has no bytes that are known.
    if kind.is_coded() || !once_in(rng, 8) {
        return name;
    }
    match kind {
        Kind::Text(_) => match rng.u8(0..3) {
            0 => format!("UPPER({name})"),
            1 => format!("LEFT({name}, 20)"),
            _ => {
                format!("JSON_UNQUOTE(JSON_EXTRACT(CONCAT('{{\"k\": \"', {name}, '\"}}'), '$.k'))")
            }
        },
        Kind::Int | Kind::BigUnsigned | Kind::Decimal => match rng.bool() {
            true => format!("CONCAT({name})"),
            false => format!("{name} + 0"),
        },
        Kind::Enum => format!("UPPER({name})"),
        Kind::Date | Kind::DateTime | Kind::Timestamp => format!("DATE({name})"),
        _ => name,
    }
}

impl<'s> Maker<'s> {
    fn table(&self) -> &'s Table {
        &self.schema.tables[self.driving]
    }

    /// All steps that lead away from a table.
    pub(super) fn steps(&self, from: usize) -> Vec<Step<'s>> {
        let table = |n: usize| &self.schema.tables[n];
        let mut steps = Vec::new();
        for link in &self.schema.links {
            if link.from == from {
                steps.push(Step {
                    from: table(from),
                    to: table(link.to),
                    link,
                    back: false,
                });
            }
            if link.to == from {
                steps.push(Step {
                    from: table(from),
                    to: table(link.from),
                    link,
                    back: true,
                });
            }
        }
        steps
    }

    /// A step to another table, or to the table itself where the contract has words for it: one column that
    /// `source_column` names.
    fn step(&self, from: usize, rng: &mut Rng) -> Option<Step<'s>> {
        let steps: Vec<_> = self
            .steps(from)
            .into_iter()
            .filter(|s| !s.is_self() || s.link.columns.len() == 1)
            .collect();
        (!steps.is_empty()).then(|| *pick(rng, &steps))
    }

    /// An attribute of this name, of whatever construct the tables allow.
    pub fn attribute(&self, name: &str, rng: &mut Rng) -> Value {
        loop {
            let made = match rng.u8(0..24) {
                0..=4 => Some(self.column(rng)),
                5 => self.transformed(rng),
                6 => self.template(rng),
                7..=9 => self.to_one(rng),
                10 => self.conditional(rng),
                11 => self.self_join(rng),
                12 | 13 => self.chain(rng),
                14..=16 => self.construction(rng),
                17..=19 => self.aggregate(rng),
                20 => Some(self.case(rng)),
                21 => Some(self.concat(rng)),
                22 => Some(self.expression(rng)),
                _ => Some(
                    json!({"type": "S", "transformation": {"type": "static", "value": "it's 1"}}),
                ),
            };
            if let Some(mut made) = made {
                made["name"] = name.into();
                return made;
            }
        }
    }

    fn column(&self, rng: &mut Rng) -> Value {
        let column = pick(rng, &self.table().columns);
        let types: &[&str] = match column.kind {
            Kind::Small
            | Kind::Int
            | Kind::BigUnsigned
            | Kind::Decimal
            | Kind::Year
            | Kind::Filled
            | Kind::Bit => &["N", "S", "BOOL"],
            Kind::Float | Kind::Double | Kind::Fixed => &["N", "S"],
            Kind::Text(_) | Kind::Char if once_in(rng, 6) => &["N", "BOOL", "NS", "BS"],
            Kind::Text(_) | Kind::Char => &["S", "S", "B", "SS"],
            Kind::JsonText => &["S"],
            Kind::Date | Kind::DateTime | Kind::Timestamp | Kind::Time | Kind::Enum => &["S"],
            Kind::Set => &["SS", "S"],
            Kind::Binary | Kind::Bytes => &["B", "BS"],
            Kind::Json => &["M", "S"],
        };
        json!({"type": pick(rng, types), "source_column": column.name})
    }

    fn transformed(&self, rng: &mut Rng) -> Option<Value> {
        let column = pick(rng, &self.table().columns);
        let (ty, transformation) = match column.kind {
            Kind::Date | Kind::DateTime | Kind::Timestamp => {
                let formats = [
                    "YYYY-MM-DD",
                    "DD.MM.YYYY HH:mm",
                    "epoch",
                    "epoch_ms",
                    "iso8601",
                    "YYYYMMDD'T'HHmmssSSS",
                ];
                let format = *pick(rng, &formats);
                let ty = if format.starts_with("epoch") {
                    "N"
                } else {
                    "S"
                };
                (ty, json!({"type": "date-format", "format": format}))
            }
            kind if kind.is_number() || matches!(kind, Kind::BigUnsigned | Kind::Float) => {
                let format = *pick(rng, &["0.00", "%08d", "000.0", "#.0", "%d", "%6d"]);
                ("S", json!({"type": "number-format", "format": format}))
            }
            Kind::JsonText => ("M", json!({"type": "json-parse"})),
            kind if kind.is_binary() => {
                let format = match kind {
                    Kind::Binary => *pick(rng, &["base64", "hex", "uuid"]),
                    _ => *pick(rng, &["base64", "hex"]),
                };
                ("S", json!({"type": "binary-format", "format": format}))
            }
            _ => return None,
        };
        Some(json!({"type": ty, "source_column": column.name, "transformation": transformation}))
    }

    fn template(&self, rng: &mut Rng) -> Option<Value> {
        let table = self.table();
        let usable: Vec<_> = table
            .columns
            .iter()
            .filter(|c| !c.kind.is_binary())
            .map(|c| c.name.as_str())
            .collect();
        let (a, b) = (*pick(rng, &usable), *pick(rng, &usable));
        match rng.bool() {
            true => Some(
                json!({"type": "S", "transformation": {"type": "template", "template": format!("{{{a}}}: {{{b}}} %'")}}),
            ),
            false if a != b => Some(json!({"type": "S", "source_column": [a, b]})),
            false => None,
        }
    }

    /// An expression over the joined row (the driving row is there too), and the type that it can have.
    fn selected(&self, row: Row<'_>, rng: &mut Rng) -> (&'static str, String) {
        match rng.u8(0..6) {
            0 => ("S", text(row, rng, 2)),
            1 => ("N", number(row, rng, 2)),
            2 => ("S", number(row, rng, 2)),
            3 => (
                "S",
                format!("COALESCE({}, {})", text(row, rng, 0), "'nobody'"),
            ),
            _ => {
                let plain: Vec<_> = row
                    .table
                    .columns
                    .iter()
                    .filter(|c| !c.kind.is_binary())
                    .collect();
                ("S", row.column(one_of(rng, &plain)))
            }
        }
    }

    fn to_one(&self, rng: &mut Rng) -> Option<Value> {
        let step = self.step(self.driving, rng)?;
        let conditions = step.conditions(step.to.name, rng);
        let (ty, select) = self.selected(Row::of(step.to), rng);
        let moments: Vec<_> = step
            .to
            .columns
            .iter()
            .filter(|c| c.kind.is_moment())
            .collect();
        if !moments.is_empty() && once_in(rng, 5) {
            let select = Row::of(step.to).column(one_of(rng, &moments));
            let format = *pick(rng, &["YYYY-MM-DD", "epoch", "iso8601", "DD.MM.YYYY HH:mm"]);
            return Some(json!({"type": "S", "source_column": step.source_column(),
                "join": {"type": "multi-column", "target_table": step.to.name, "join_conditions": conditions, "select_column": select},
                "transformation": {"type": "date-format", "format": format}}));
        }
        let join = match conditions.len() {
            1 => {
                json!({"type": pick(rng, &["foreign-key", "lookup-table"]), "target_table": step.to.name,
                "join_condition": conditions[0], "select_column": select})
            }
            _ => {
                json!({"type": "multi-column", "target_table": step.to.name, "join_conditions": conditions, "select_column": select})
            }
        };
        Some(json!({"type": ty, "source_column": step.source_column(), "join": join}))
    }

    fn conditional(&self, rng: &mut Rng) -> Option<Value> {
        let step = self.step(self.driving, rng)?;
        let row = match once_in(rng, 3) && !step.is_self() {
            true => Row::of(step.to),
            false => Row::of(self.table()),
        };
        let when = condition(row, rng, 1);
        let (_, select) = self.selected(Row::of(step.to), rng);
        let mut join = json!({"type": "conditional", "condition": when, "target_table": step.to.name,
            "join_condition": step.conditions(step.to.name, rng).join(" AND "), "select_column": select});
        match rng.u8(0..3) {
            0 => join["else_value"] = "'elsewhere'".into(),
            1 => join["else_value"] = json!(7),
            _ => {
                let plain: Vec<_> = self
                    .table()
                    .columns
                    .iter()
                    .filter(|c| c.kind.is_text())
                    .collect();
                if !step.is_self() && !plain.is_empty() {
                    join["else_value"] = Row::of(self.table()).column(one_of(rng, &plain)).into();
                }
            }
        }
        Some(json!({"type": "S", "source_column": step.source_column(), "join": join}))
    }

    fn self_join(&self, rng: &mut Rng) -> Option<Value> {
        let steps = self.steps(self.driving);
        let own: Vec<_> = steps.iter().filter(|s| s.is_self()).collect();
        let step = if own.is_empty() {
            return None;
        } else {
            *pick(rng, &own)
        };
        let alias = "other_one";
        let row = Row {
            table: step.to,
            qualifier: Some(alias),
        };
        let (_, select) = self.selected(row, rng);
        let mut join = json!({"type": "self-join", "join_alias": alias, "target_table": step.to.name,
            "join_condition": step.conditions(alias, rng).join(" AND "), "select_column": select});
        if rng.bool() {
            join["null_value"] = "nobody".into();
        }
        Some(json!({"type": "S", "source_column": step.source_column(), "join": join}))
    }

    /// Two or three hops over different tables: where a chain comes to a table twice, its name has two meanings.
    fn chain(&self, rng: &mut Rng) -> Option<Value> {
        let mut seen = vec![self.driving];
        let mut hops: Vec<Step<'s>> = Vec::new();
        while hops.len() < 3 {
            let at = *seen.last().expect("the driving table");
            let next: Vec<_> = self
                .steps(at)
                .into_iter()
                .filter(|s| !seen.contains(&s.target()))
                .collect();
            if next.is_empty() {
                break;
            }
            let step = *pick(rng, &next);
            seen.push(step.target());
            hops.push(step);
        }
        let first = *hops.first()?;
        let joins: Vec<_> = hops
            .iter()
            .map(|step| {
                let (_, select) = self.selected(Row::of(step.to), rng);
                json!({"target_table": step.to.name, "join_condition": step.conditions(step.to.name, rng).join(" AND "), "select_column": select})
            })
            .collect();
        let mut join = json!({"type": "chain", "joins": joins});
        if rng.bool() {
            join["chain_separator"] = (*pick(rng, &[" > ", "", "'"])).into();
        }
        Some(json!({"type": "S", "source_column": first.source_column(), "join": join}))
    }

    fn construction(&self, rng: &mut Rng) -> Option<Value> {
        let step = self.step(self.driving, rng)?;
        let row = Row::of(step.to);
        let mut members = Map::new();
        for key in ["a", "it's", "long name"].iter().take(rng.usize(1..=3)) {
            let plain: Vec<_> = step
                .to
                .columns
                .iter()
                .filter(|c| !c.kind.is_binary() && c.kind != Kind::Bit && c.kind != Kind::Float)
                .collect();
            let value = match rng.u8(0..4) {
                0 => number(row, rng, 1),
                1 => text(row, rng, 1),
                _ => row.column(one_of(rng, &plain)),
            };
            members.insert((*key).to_owned(), value.into());
        }
        let array = !once_in(rng, 4);
        let mut construction =
            json!({"type": if array { "array" } else { "object" }, "select_columns": members});
        if rng.bool() {
            let sortable: Vec<_> = step
                .to
                .columns
                .iter()
                .filter(|c| !matches!(c.kind, Kind::Json | Kind::JsonText))
                .collect();
            let mut terms = vec![row.column(one_of(rng, &sortable))];
            if once_in(rng, 3) {
                terms.push(number(row, rng, 1));
            }
            // Ties, for the limit above all.
            if once_in(rng, 4) {
                terms = vec![format!("{} IS NULL", terms[0])];
            }
            let down = |rng: &mut Rng| *pick(rng, &["", " DESC", " ASC"]);
            let terms: Vec<_> = terms
                .into_iter()
                .map(|t| format!("{t}{}", down(rng)))
                .collect();
            construction["order_by"] = terms.join(", ").into();
        }
        if array && rng.bool() {
            construction["limit"] = rng.usize(1..5).into();
        }
        let ty = match (array, once_in(rng, 4)) {
            (_, true) => "S",
            (true, _) => "L",
            (false, _) => "M",
        };
        let join = json!({"type": "json-construction", "target_table": step.to.name,
            "join_condition": step.conditions(step.to.name, rng).join(" AND "), "construction": construction});
        Some(json!({"type": ty, "source_column": step.source_column(), "join": join}))
    }

    fn aggregate(&self, rng: &mut Rng) -> Option<Value> {
        let step = self.step(self.driving, rng)?;
        let row = Row::of(step.to);
        let operation = *pick(rng, &["COUNT", "SUM", "AVG", "MIN", "MAX"]);
        let mut calculation = json!({"type": "aggregate", "operation": operation, "target_table": step.to.name,
            "join_condition": step.conditions(step.to.name, rng).join(" AND ")});
        let select = match operation {
            "COUNT" if rng.bool() => None,
            "SUM" | "AVG" => Some(number(row, rng, 1)),
            _ => {
                let kinds = |k: Kind| k.is_number() || k.is_text() || k.is_moment();
                let columns: Vec<_> = step.to.columns.iter().filter(|c| kinds(c.kind)).collect();
                match columns.is_empty() {
                    true => Some(number(row, rng, 1)),
                    false => Some(row.column(one_of(rng, &columns))),
                }
            }
        };
        if let Some(select) = select {
            calculation["select_column"] = select.into();
        }
        let ty = if matches!(operation, "COUNT" | "SUM" | "AVG") && rng.bool() {
            "N"
        } else {
            "S"
        };
        Some(json!({"type": ty, "source_column": step.source_column(), "calculation": calculation}))
    }

    fn case(&self, rng: &mut Rng) -> Value {
        let row = self.own_row(rng);
        let cases: Vec<_> = (0..rng.usize(1..=3))
            .map(|n| json!({"when": condition(row, rng, 2), "then": format!("'case {n}'")}))
            .collect();
        let mut calculation = json!({"type": "case", "cases": cases});
        if rng.bool() {
            calculation["else"] = text(row, rng, 1).into();
        }
        json!({"type": "S", "source_column": self.table().columns[0].name, "calculation": calculation})
    }

    fn concat(&self, rng: &mut Rng) -> Value {
        let row = self.own_row(rng);
        let parts: Vec<_> = (0..rng.usize(2..=3))
            .map(|_| {
                if rng.bool() {
                    text(row, rng, 1)
                } else {
                    number(row, rng, 1)
                }
            })
            .collect();
        let mut calculation = json!({"type": "concat", "expressions": parts});
        if rng.bool() {
            calculation["separator"] = "-".into();
        }
        json!({"type": "S", "source_column": self.table().columns[0].name, "calculation": calculation})
    }

    fn expression(&self, rng: &mut Rng) -> Value {
        let row = self.own_row(rng);
        let base = json!({"source_column": self.table().columns[0].name});
        let with = |ty: &str, expression: String| {
            let mut made = base.clone();
            made["type"] = ty.into();
            made["calculation"] = json!({"type": "date-math", "expression": expression});
            made
        };
        match moment(row, rng) {
            Some(expression) if rng.bool() => {
                let mut made = with("S", expression);
                if rng.bool() {
                    made["transformation"] = json!({"type": "date-format", "format": "DD.MM.YYYY"});
                }
                made
            }
            _ if rng.bool() => with("S", text(row, rng, 3)),
            _ => with("N", number(row, rng, 3)),
        }
    }

    fn own_row(&self, rng: &mut Rng) -> Row<'s> {
        match rng.bool() {
            true => Row::bare(self.table()),
            false => Row::of(self.table()),
        }
    }
}
