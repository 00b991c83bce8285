//! json-construction: rows become the JSON text that MySQL's JSON_OBJECT and an ordered list of them give.

use std::cmp::Ordering;

use super::evaluate::{evaluated, is_boolean, is_column, member};
use super::reason::Fault;
use super::scene::{Path, Scene};
use crate::change::{Row, Temporal, Textual, TimeOfDay, Value, write_uint};
use crate::expression::{self, Comparison, Print, Type, TypeKind};
use crate::plan::graph::NodeId;
use crate::plan::{ConstructionPlan, RowRef, SourceTable, Sql};
use crate::schema::{Column, ColumnType};

/// Appends the document to `out`; false where it is NULL (an object of no row).
pub(super) fn write(
    construction: &ConstructionPlan,
    scene: Scene<'_>,
    node: NodeId,
    table: &SourceTable,
    out: &mut String,
) -> Result<bool, Fault> {
    let rows = scene.rows(node);
    let hops = [node];
    let path = scene.path(&hops);
    let members = members(construction);
    let mut first = first(construction, path, rows, table)?
        .into_iter()
        .filter_map(|place| rows.get(place));
    if !construction.array {
        let Some(row) = first.next() else {
            return Ok(false);
        };
        object(&members, path.with(row), out)?;
        return Ok(true);
    }
    out.push('[');
    for (nth, row) in first.enumerate() {
        if nth > 0 {
            out.push_str(", ");
        }
        object(&members, path.with(row), out)?;
    }
    out.push(']');
    Ok(true)
}

/// The rows in the order of their key.
pub(super) fn in_key_order<'r>(
    rows: &'r [Row<'r>],
    table: &SourceTable,
) -> Result<Vec<&'r Row<'r>>, Fault> {
    let keys = key_order(table)?;
    let mut sorted: Vec<&Row<'_>> = rows.iter().collect();
    sorted.sort_by(|a, b| by_key(&keys, a, b));
    Ok(sorted)
}

/// How a key column's values are put in order.
pub(super) enum KeyOrder {
    By(Comparison),
    /// ENUM and SET sort by their numbers: the place of the labels in the definition.
    Labels(Vec<String>),
}

/// How the table's key columns are put in order, by slot.
pub(super) fn key_order(table: &SourceTable) -> Result<Vec<(usize, KeyOrder)>, Fault> {
    table
        .key
        .iter()
        .map(|slot| {
            let column = &table.columns.get(*slot).ok_or(UNORDERED)?.column;
            Ok((*slot, order_of(column)?))
        })
        .collect()
}

impl KeyOrder {
    /// NULL comes first.
    fn compare(&self, a: &Value<'_>, b: &Value<'_>) -> Ordering {
        match (self, a, b) {
            (_, Value::Null, Value::Null) => Ordering::Equal,
            (_, Value::Null, _) => Ordering::Less,
            (_, _, Value::Null) => Ordering::Greater,
            (KeyOrder::By(comparison), ..) => comparison.compare(a, b).unwrap_or(Ordering::Equal),
            (KeyOrder::Labels(labels), ..) => number(labels, a).cmp(&number(labels, b)),
        }
    }
}

/// How a term of `order_by` sorts: a column of the joined rows as that column does, anything else as its type does.
fn term_order(term: &Sql, table: &SourceTable) -> Result<KeyOrder, Fault> {
    let joined = term.refs.first().filter(|r| r.row != RowRef::Driving);
    if let (Some(reference), true) = (joined, is_column(&term.expr)) {
        let column = table.columns.get(reference.slot).ok_or(UNORDERED)?;
        return order_of(&column.column);
    }
    let typed = term.typed.as_ref().ok_or(UNORDERED)?;
    expression::order(typed.ty())
        .map(KeyOrder::By)
        .map_err(|_| UNORDERED)
}

fn order_of(column: &Column) -> Result<KeyOrder, Fault> {
    match &column.ty {
        ColumnType::Enum { labels, .. } | ColumnType::Set { labels, .. } => {
            Ok(KeyOrder::Labels(labels.clone()))
        }
        _ => expression::order(&Type::from(column))
            .map(KeyOrder::By)
            .map_err(|_| UNORDERED),
    }
}

/// By the key's columns.
pub(super) fn by_key(keys: &[(usize, KeyOrder)], a: &Row<'_>, b: &Row<'_>) -> Ordering {
    for (slot, order) in keys {
        let (Some(a), Some(b)) = (a.values.get(*slot), b.values.get(*slot)) else {
            continue;
        };
        let order = order.compare(a, b);
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The number of an ENUM's label, the bits of a SET's; 0 for what has none.
fn number(labels: &[String], value: &Value<'_>) -> u64 {
    let place = |label: &str| labels.iter().position(|known| known == label);
    match value {
        Value::Text(label) => place(label).map_or(0, |at| at as u64 + 1),
        Value::Set(set) => set
            .split(',')
            .filter_map(place)
            .fold(0, |bits, at| bits | 1 << (at & 63)),
        _ => 0,
    }
}

/// The plan is refused where such an order would be needed.
const UNORDERED: Fault = Fault::WrongType {
    expected: "a key that can be put in order",
};

/// Keys as MySQL's documents have them: shorter ones first, then byte by byte.
fn members(construction: &ConstructionPlan) -> Vec<&(String, Sql)> {
    let mut members: Vec<_> = construction.select.iter().collect();
    members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
    members
}

fn object(members: &[&(String, Sql)], path: Path<'_>, out: &mut String) -> Result<(), Fault> {
    out.push('{');
    for (nth, (key, sql)) in members.iter().enumerate() {
        if nth > 0 {
            out.push_str(", ");
        }
        string(key, out);
        out.push_str(": ");
        let value = member(sql, path)?;
        match (&*value, sql.typed.as_ref().map(|typed| &typed.ty().kind)) {
            (Value::Decimal(_), Some(TypeKind::Fixed(print))) => fixed(&value, *print, out),
            _ => json(&value, is_boolean(&sql.expr), out)?,
        }
    }
    out.push('}');
    Ok(())
}

/// The places of the rows that the construction is made of, in its order: by `order_by`; ties, and rows without one, by
/// key.
pub(super) fn first(
    construction: &ConstructionPlan,
    path: Path<'_>,
    rows: &[Row<'_>],
    table: &SourceTable,
) -> Result<Vec<usize>, Fault> {
    let keys = key_order(table)?;
    let mut sorted: Vec<(usize, &Row<'_>)> = rows.iter().enumerate().collect();
    sorted.sort_by(|(_, a), (_, b)| by_key(&keys, a, b));
    let most = construction.most().unwrap_or(usize::MAX);
    let mut terms = Vec::new();
    for (term, descending) in &construction.order {
        terms.push((term, *descending, term_order(term, table)?));
    }
    if terms.is_empty() {
        return Ok(sorted
            .into_iter()
            .map(|(place, _)| place)
            .take(most)
            .collect());
    }
    let mut keyed = Vec::with_capacity(sorted.len());
    for (place, row) in sorted {
        let values = terms
            .iter()
            .map(|(term, ..)| {
                Ok(super::evaluate::owned(
                    evaluated(term, path.with(row))?.into_owned(),
                ))
            })
            .collect::<Result<Vec<Value<'static>>, Fault>>()?;
        keyed.push((values, place));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let pairs = terms.iter().zip(a.iter().zip(b));
        pairs.fold(Ordering::Equal, |order, ((_, descending, by), (a, b))| {
            let next = || by.compare(a, b);
            order.then_with(|| {
                if *descending {
                    next().reverse()
                } else {
                    next()
                }
            })
        })
    });
    Ok(keyed
        .into_iter()
        .map(|(_, place)| place)
        .take(most)
        .collect())
}

/// A SQL value as a JSON one, as JSON_OBJECT makes it.
fn json(value: &Value<'_>, boolean: bool, out: &mut String) -> Result<(), Fault> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Int(number) if boolean => out.push_str(if *number == 0 { "false" } else { "true" }),
        Value::Text(text) => string(text, out),
        Value::Set(text) => string(text, out),
        Value::Date(date) => {
            out.push('"');
            Value::Date(*date).write_text(out);
            out.push('"');
        }
        Value::DateTime(at) | Value::Timestamp(at) => {
            out.push('"');
            Value::DateTime(Temporal { fsp: 6, ..*at }).write_text(out);
            out.push('"');
        }
        Value::Time(time) => {
            out.push('"');
            Value::Time(TimeOfDay { fsp: 6, ..*time }).write_text(out);
            out.push('"');
        }
        Value::Float(number) => double(f64::from(*number), out),
        Value::Double(number) => double(*number, out),
        Value::Decimal(_) => {
            let start = out.len();
            value.write_text(out);
            unfilled(start, out);
        }
        // The year 0 is no `0000` there.
        Value::Year(year) => write_uint(u64::from(*year), out),
        Value::Int(_) | Value::UInt(_) | Value::Json(_) => {
            if value.write_text(out) != Textual::Written {
                return Err(Fault::Binary);
            }
        }
        Value::Bytes(_) | Value::Geometry(_) | Value::Vector(_) | Value::Bit(_) => {
            return Err(Fault::Binary);
        }
    }
    Ok(())
}

/// Takes away what ZEROFILL put before the number that begins at `start`: documents show none of it.
fn unfilled(start: usize, out: &mut String) {
    let digits = out.as_bytes().get(start..).unwrap_or_default();
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    let kept = usize::from(!digits.get(zeros).is_some_and(u8::is_ascii_digit));
    out.drain(start..start + zeros.saturating_sub(kept));
}

/// A number that its column prints with zeros before or behind it, as the number that it is.
fn fixed(value: &Value<'_>, print: Print, out: &mut String) {
    let mut text = String::new();
    value.write_text(&mut text);
    let number = match print {
        Print::RoundedDouble => rounded(&text),
        Print::RoundedFloat => rounded(&text).map(|number| f64::from(number as f32)),
        Print::Double | Print::SixDigits => None,
    };
    double(
        number.unwrap_or_else(|| text.parse().unwrap_or_default()),
        out,
    );
}

/// The DOUBLE that MySQL stored when it rounded to the printed digits: the whole number below, and the fraction above it
/// divided, which is now and then the neighbour of the nearest one. `None` where there is no point.
fn rounded(text: &str) -> Option<f64> {
    let (whole, decimals) = text.split_once('.')?;
    let (below, fraction): (f64, f64) = (whole.parse().ok()?, decimals.parse().ok()?);
    let unit = 10_f64.powi(i32::try_from(decimals.len()).ok()?);
    if !text.starts_with('-') {
        return Some(below + fraction / unit);
    }
    match fraction == 0.0 {
        true => Some(below),
        false => Some((below - 1.0) + (unit - fraction) / unit),
    }
}

/// MySQL prints a whole number of type DOUBLE with `.0` in a document.
fn double(number: f64, out: &mut String) {
    let start = out.len();
    Value::Double(number).write_text(out);
    if out
        .get(start..)
        .is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    {
        out.push_str(".0");
    }
}

/// A JSON string as MySQL prints it.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 => {
                out.push_str("\\u00");
                super::transform::write_hex(&[c as u8], out);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
