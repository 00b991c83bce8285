//! The name of a source row: its primary key as text.

use std::sync::Arc;

use super::transform::write_hex;
use crate::change::{Row, Value};
use crate::plan::SourceTable;

/// What stands before the bytes of a text in a name; no other part of a name begins so.
pub const CODES: &str = "\\0x";

/// The row's primary key as text, its values joined by `,`. A `,` or `\` inside a value has a `\` before it, so that no
/// two keys of several columns look alike; bytes are `0x` and hex. A text whose characters do not give back its bytes is
/// [`CODES`] and the hex of these.
pub fn source_key(table: &SourceTable, row: &Row<'_>) -> Arc<str> {
    let mut out = String::new();
    write(table, row, &mut out);
    Arc::from(out)
}

/// Appends what [`source_key`] gives.
pub(super) fn write(table: &SourceTable, row: &Row<'_>, out: &mut String) {
    for (nth, slot) in table.key.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        match row.values.get(*slot) {
            None | Some(Value::Null) => out.push_str("NULL"),
            Some(Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes)) => {
                out.push_str("0x");
                write_hex(bytes, out);
            }
            Some(Value::Text(text)) if text.codes().is_some() => {
                out.push_str(CODES);
                write_hex(text.codes().unwrap_or_default(), out);
            }
            Some(value) => {
                let start = out.len();
                value.write_text(out);
                escape(start, out);
            }
        }
    }
}

/// Puts a backslash before each comma and backslash from `start` on.
fn escape(start: usize, out: &mut String) {
    let special = |c: char| c == ',' || c == '\\';
    if out.get(start..).is_none_or(|text| !text.contains(special)) {
        return;
    }
    for c in out.split_off(start).chars() {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
    }
}
