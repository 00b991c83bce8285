//! JSON documents in MySQL's binary form, printed as MySQL prints them.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::change::{write_double, write_int, write_uint};

use super::cursor::Cursor;
use super::{decimal, temporal};

/// MySQL allows 100 levels.
pub(super) const MAX_DEPTH: usize = 100;

/// A document's text: keys as stored, `", "` and `": "` between the parts. `None` where the bytes are no document.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 4);
    let mut budget = Budget::of(bytes);
    print(root(bytes, &mut budget)?, 0, &mut budget, &mut out)?;
    Some(out)
}

/// A value whose parts are not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    String(&'a str),
    /// A value of another MySQL type: its type code and bytes.
    Opaque(u8, &'a [u8]),
    Array(Container<'a>),
    Object(Container<'a>),
}

/// How many bytes of the document may still be visited. In a sound document every byte belongs to one value; offsets
/// that make values overlap could make a small document expand without end.
pub(super) struct Budget(usize);

impl Budget {
    pub fn of(bytes: &[u8]) -> Self {
        Budget(bytes.len())
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}

/// An array or object: counts and offsets of 2 (small) or 4 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    /// From the count on, as long as the container says it is.
    data: &'a [u8],
    width: usize,
    count: usize,
    object: bool,
}

/// The document's outermost value. No bytes at all stand for null.
pub(super) fn root<'a>(bytes: &'a [u8], budget: &mut Budget) -> Option<Node<'a>> {
    match bytes.split_first() {
        None => Some(Node::Null),
        Some((&kind, data)) => node(kind, data, budget),
    }
}

fn node<'a>(kind: u8, data: &'a [u8], budget: &mut Budget) -> Option<Node<'a>> {
    let mut cursor = Cursor::new(data, "JSON");
    Some(match kind {
        0 | 1 => Node::Object(Container::parse(data, kind == 1, true, budget)?),
        2 | 3 => Node::Array(Container::parse(data, kind == 3, false, budget)?),
        4 => match cursor.u8().ok()? {
            0 => Node::Null,
            1 => Node::Bool(true),
            2 => Node::Bool(false),
            _ => return None,
        },
        5 => Node::Int(i64::from(cursor.u16().ok()? as i16)),
        6 => Node::UInt(u64::from(cursor.u16().ok()?)),
        7 => Node::Int(i64::from(cursor.u32().ok()? as i32)),
        8 => Node::UInt(u64::from(cursor.u32().ok()?)),
        9 => Node::Int(cursor.uint(8).ok()? as i64),
        10 => Node::UInt(cursor.uint(8).ok()?),
        11 => Node::Double(f64::from_bits(cursor.uint(8).ok()?)),
        12 => Node::String(std::str::from_utf8(variable(&mut cursor, budget)?).ok()?),
        15 => {
            let type_code = cursor.u8().ok()?;
            Node::Opaque(type_code, variable(&mut cursor, budget)?)
        }
        _ => return None,
    })
}

/// Bytes after their length: seven bits a byte, the lowest first, the eighth bit says that more follow.
fn variable<'a>(cursor: &mut Cursor<'a>, budget: &mut Budget) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let byte = cursor.u8().ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            budget.spend(length)?;
            return cursor.take(length).ok();
        }
    }
    None
}

impl<'a> Container<'a> {
    fn parse(data: &'a [u8], large: bool, object: bool, budget: &mut Budget) -> Option<Self> {
        let width = if large { 4 } else { 2 };
        let mut cursor = Cursor::new(data, "JSON");
        let count = cursor.uint(width).ok()? as usize;
        let size = cursor.uint(width).ok()? as usize;
        let container = Container {
            data: data.get(..size)?,
            width,
            count,
            object,
        };
        // The entries of all keys and values must be there.
        let entries = container.value_entry(count)?;
        container.data.get(..entries)?;
        budget.spend(entries)?;
        Some(container)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Where the entry of the n-th value is.
    fn value_entry(&self, index: usize) -> Option<usize> {
        let keys = if self.object {
            self.count.checked_mul(self.width + 2)?
        } else {
            0
        };
        let values = index.checked_mul(self.width + 1)?;
        (2 * self.width).checked_add(keys)?.checked_add(values)
    }

    pub fn key(&self, index: usize, budget: &mut Budget) -> Option<&'a str> {
        let entry = 2 * self.width + index.checked_mul(self.width + 2)?;
        let mut cursor = Cursor::new(self.data.get(entry..)?, "JSON");
        let offset = cursor.uint(self.width).ok()? as usize;
        let length = usize::from(cursor.u16().ok()?);
        budget.spend(length)?;
        let key = self.data.get(offset..)?.get(..length)?;
        std::str::from_utf8(key).ok()
    }

    pub fn value(&self, index: usize, budget: &mut Budget) -> Option<Node<'a>> {
        let entry = self.data.get(self.value_entry(index)?..)?;
        let (&kind, entry) = entry.split_first()?;
        // Literals and integers that fit lie in the entry itself.
        let inlined = matches!(kind, 4..=6) || (self.width == 4 && matches!(kind, 7 | 8));
        if inlined {
            return node(kind, entry.get(..self.width)?, budget);
        }
        let offset = Cursor::new(entry, "JSON").uint(self.width).ok()? as usize;
        node(kind, self.data.get(offset..)?, budget)
    }
}

fn print(node: Node<'_>, depth: usize, budget: &mut Budget, out: &mut String) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match node {
        Node::Array(container) => {
            out.push('[');
            for index in 0..container.len() {
                separate(index, out);
                print(container.value(index, budget)?, depth + 1, budget, out)?;
            }
            out.push(']');
        }
        Node::Object(container) => {
            out.push('{');
            for index in 0..container.len() {
                separate(index, out);
                print_string(container.key(index, budget)?, out);
                out.push_str(": ");
                print(container.value(index, budget)?, depth + 1, budget, out)?;
            }
            out.push('}');
        }
        scalar => print_scalar(scalar, out)?,
    }
    Some(())
}

pub(super) fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

pub(super) fn print_scalar(node: Node<'_>, out: &mut String) -> Option<()> {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(true) => out.push_str("true"),
        Node::Bool(false) => out.push_str("false"),
        Node::Int(number) => write_int(number, out),
        Node::UInt(number) => write_uint(number, out),
        Node::Double(number) => print_double(number, out)?,
        Node::String(text) => print_string(text, out),
        Node::Opaque(type_code, bytes) => print_opaque(type_code, bytes, out)?,
        Node::Array(_) | Node::Object(_) => return None,
    }
    Some(())
}

/// A whole number keeps a `.0`, so that it stays a DOUBLE when read again.
fn print_double(number: f64, out: &mut String) -> Option<()> {
    if !number.is_finite() {
        return None;
    }
    let start = out.len();
    write_double(number, out);
    if !out.get(start..)?.contains(['.', 'e']) {
        out.push_str(".0");
    }
    Some(())
}

pub(super) fn print_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let Some((plain, special)) = rest.split_at_checked(at) else {
            break;
        };
        out.push_str(plain);
        let Some((special, after)) = special.split_at_checked(1) else {
            break;
        };
        match special {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            "\u{8}" => out.push_str("\\b"),
            "\t" => out.push_str("\\t"),
            "\n" => out.push_str("\\n"),
            "\u{c}" => out.push_str("\\f"),
            "\r" => out.push_str("\\r"),
            control => {
                let code = control.bytes().next().unwrap_or_default();
                let _ = write!(out, "\\u{code:04x}");
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out.push('"');
}

/// A value of another MySQL type: decimals as numbers, dates and times as strings, the rest in base64.
fn print_opaque(type_code: u8, bytes: &[u8], out: &mut String) -> Option<()> {
    match type_code {
        246 => {
            let (&[precision, scale], packed) = bytes.split_first_chunk()?;
            decimal::write(packed, precision, scale, out)?;
        }
        7 | 12 => {
            let t = temporal::json_date_time(bytes)?;
            write!(
                out,
                "\"{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}\"",
                t.year, t.month, t.day, t.hour, t.minute, t.second, t.micros
            )
            .ok()?;
        }
        10 => {
            let t = temporal::json_date_time(bytes)?;
            write!(out, "\"{:04}-{:02}-{:02}\"", t.year, t.month, t.day).ok()?;
        }
        11 => {
            let t = temporal::json_time(bytes)?;
            let sign = if t.negative { "-" } else { "" };
            write!(
                out,
                "\"{sign}{:02}:{:02}:{:02}.{:06}\"",
                t.hours, t.minutes, t.seconds, t.micros
            )
            .ok()?;
        }
        _ => print_base64(type_code, bytes, out)?,
    }
    Some(())
}

/// MySQL breaks base64 into lines of 76, and the string then shows each break as `\n`.
fn print_base64(type_code: u8, bytes: &[u8], out: &mut String) -> Option<()> {
    const LINE: usize = 57;
    write!(out, "\"base64:type{type_code}:").ok()?;
    for (index, line) in bytes.chunks(LINE).enumerate() {
        if index > 0 {
            out.push_str("\\n");
        }
        STANDARD.encode_string(line, out);
    }
    out.push('"');
    Some(())
}
