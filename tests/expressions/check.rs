//! One expression through the contract, the plan and the evaluation.

use std::cmp::Ordering;
use std::fmt::Write;

use penstock::change::{Row, Textual, Value};
use penstock::contract::{Severity, parse};
use penstock::expression::{self, Expression, Rows, TypeKind};
use penstock::plan::{self, Mapping, RowRef, ValueSource};
use penstock::schema::Catalog;

/// A compiled expression and which columns of the table are in its slots.
pub struct Compiled {
    pub expression: Expression,
    slots: Vec<usize>,
}

/// Compiles the expression as a contract's calculation; `Err` is why it is refused.
pub fn compile(text: &str, catalog: &Catalog) -> Result<Compiled, String> {
    let contract = serde_json::json!({"tables": [{
        "table": "Values", "type": "single-entity", "source_table": "v", "pk": "id", "sk": null,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "v", "source_column": "id"},
            {"name": "x", "type": "S", "source_table": "v",
             "calculation": {"type": "date-math", "expression": text}},
        ],
    }]});
    let (contract, mut diagnostics) = parse(&contract.to_string(), false);
    let plan = contract.and_then(|contract| {
        plan::compile(
            &contract,
            Some(catalog),
            "x",
            &Mapping::default(),
            &mut diagnostics,
        )
    });
    let Some(plan) = plan else {
        let errors = diagnostics
            .all
            .iter()
            .filter(|d| d.severity == Severity::Error);
        let errors: Vec<&str> = errors.map(|d| d.message.as_str()).collect();
        return Err(format!("plan: {}", errors.join("; ")));
    };
    let attribute = plan.projections[0]
        .attributes
        .iter()
        .find(|a| a.name == "x");
    let Some(ValueSource::Expression(sql)) = attribute.map(|a| &a.value) else {
        return Err("no expression in the plan".into());
    };
    let column = |source, slot: usize| plan.source(source).columns.get(slot).map(|c| &c.column);
    let expression = expression::compile(sql, &column).map_err(|refusal| refusal.message)?;
    let slots = plan.sources[0].columns.iter().map(|c| c.ordinal).collect();
    Ok(Compiled { expression, slots })
}

struct Driving<'a>(Row<'a>);

impl Rows for Driving<'_> {
    fn row(&self, _: RowRef) -> Option<&Row<'_>> {
        Some(&self.0)
    }
}

/// What the server or we say of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Null,
    Bytes(Vec<u8>),
    Error(String),
}

impl Compiled {
    /// Of `a = b`, each side over a row of its own: whether they compare equal, and whether they have one key.
    pub fn meet(
        &self,
        left: &[Value<'_>],
        right: &[Value<'_>],
    ) -> Result<[Option<bool>; 2], String> {
        let equality = self.expression.equality().ok_or("no equality")?;
        let (left, right) = (self.rows(left), self.rows(right));
        let (left, right) = (
            equality.left.evaluate(&left),
            equality.right.evaluate(&right),
        );
        let how = &equality.comparison;
        match (&left, &right) {
            (Ok(a), Ok(b)) => {
                let (mut x, mut y) = (Vec::new(), Vec::new());
                let keyed = how.key(a, &mut x) && how.key(b, &mut y);
                Ok([
                    how.compare(a, b).map(Ordering::is_eq),
                    keyed.then(|| x == y),
                ])
            }
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        }
    }

    fn rows<'v>(&self, row: &[Value<'v>]) -> Driving<'v> {
        Driving(Row {
            values: self.slots.iter().map(|&i| row[i].clone()).collect(),
        })
    }

    /// The value for a row of the whole table, as the text protocol would show it.
    pub fn run(&self, row: &[Value<'_>]) -> Outcome {
        let rows = self.rows(row);
        match self.expression.evaluate(&rows) {
            Ok(value) => shown(&value),
            Err(error) => Outcome::Error(error.to_string()),
        }
    }

    /// The value as a member of a document.
    pub fn run_in_document(&self, row: &[Value<'_>]) -> Outcome {
        let rows = self.rows(row);
        match self.expression.evaluate_in_document(&rows) {
            Ok(value) => shown(&value),
            Err(error) => Outcome::Error(error.to_string()),
        }
    }

    /// Whether documents can show other digits of it.
    pub fn is_decimal(&self) -> bool {
        matches!(self.expression.ty().kind, TypeKind::Decimal { .. })
            && self.expression.is_known_in_documents()
    }
}

pub fn shown(value: &Value<'_>) -> Outcome {
    if let Value::Bytes(bytes) = value {
        return Outcome::Bytes(bytes.to_vec());
    }
    let mut text = String::new();
    match value.write_text(&mut text) {
        Textual::Null => Outcome::Null,
        _ => Outcome::Bytes(text.into_bytes()),
    }
}

pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Null => "NULL".into(),
        Outcome::Error(error) => format!("error: {error}"),
        Outcome::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("x'{}'", hex::encode(bytes)),
        },
    }
}

/// The row's values of the columns that an expression names.
pub fn involved(compiled: &Compiled, row: &[Value<'_>], names: &[&str]) -> String {
    let mut out = String::new();
    for &slot in &compiled.slots {
        let _ = write!(out, "{}={} ", names[slot], describe(&shown(&row[slot])));
    }
    out
}
