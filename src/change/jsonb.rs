//! JSON documents in MySQL's binary form: walked, checked, and printed as MySQL prints them.

mod check;
mod opaque;

use std::fmt::Write;

use super::{write_double, write_int, write_uint};

pub(super) use check::check;

/// MySQL allows 100 levels.
pub(crate) const MAX_DEPTH: usize = 100;

/// Appends a document's text: keys as stored, `", "` and `": "` between the parts. `None` where the bytes are no
/// document; what has been appended then is worth nothing.
pub(crate) fn print(bytes: &[u8], out: &mut String) -> Option<()> {
    let mut budget = Budget::of(bytes);
    print_node(root(bytes, &mut budget)?, 0, &mut budget, out)
}

/// Whether a document is `null`.
pub(super) fn is_null(bytes: &[u8]) -> bool {
    matches!(bytes, [] | [4, 0, ..])
}

/// A value whose parts are not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node<'a> {
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
pub(crate) struct Budget(usize);

impl Budget {
    pub fn of(bytes: &[u8]) -> Self {
        Budget(bytes.len())
    }

    #[inline]
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}

/// An array or object: counts and offsets of 2 (small) or 4 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    /// From the count on, as long as the container says it is.
    data: &'a [u8],
    width: usize,
    count: usize,
    object: bool,
}

/// The document's outermost value. No bytes at all stand for null.
pub(crate) fn root<'a>(bytes: &'a [u8], budget: &mut Budget) -> Option<Node<'a>> {
    match bytes.split_first() {
        None => Some(Node::Null),
        Some((&kind, data)) => node(kind, data, budget),
    }
}

fn node<'a>(kind: u8, data: &'a [u8], budget: &mut Budget) -> Option<Node<'a>> {
    Some(match kind {
        0 | 1 => Node::Object(Container::parse(data, kind == 1, true, budget)?),
        2 | 3 => Node::Array(Container::parse(data, kind == 3, false, budget)?),
        4 => match data.first()? {
            0 => Node::Null,
            1 => Node::Bool(true),
            2 => Node::Bool(false),
            _ => return None,
        },
        5 => Node::Int(i64::from(i16::from_le_bytes(*data.first_chunk()?))),
        6 => Node::UInt(u64::from(u16::from_le_bytes(*data.first_chunk()?))),
        7 => Node::Int(i64::from(i32::from_le_bytes(*data.first_chunk()?))),
        8 => Node::UInt(u64::from(u32::from_le_bytes(*data.first_chunk()?))),
        9 => Node::Int(i64::from_le_bytes(*data.first_chunk()?)),
        10 => Node::UInt(u64::from_le_bytes(*data.first_chunk()?)),
        11 => Node::Double(f64::from_le_bytes(*data.first_chunk()?)),
        12 => Node::String(std::str::from_utf8(variable(data, budget)?).ok()?),
        15 => {
            let (&type_code, data) = data.split_first()?;
            Node::Opaque(type_code, variable(data, budget)?)
        }
        _ => return None,
    })
}

/// Bytes after their length: seven bits a byte, the lowest first, the eighth bit says that more follow.
#[inline]
fn variable<'a>(data: &'a [u8], budget: &mut Budget) -> Option<&'a [u8]> {
    let (&first, mut rest) = data.split_first()?;
    let mut length = usize::from(first & 0x7f);
    let mut more = first & 0x80 != 0;
    let mut shift = 7;
    while more {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        more = byte & 0x80 != 0;
        shift += 7;
        if more && shift >= 35 {
            return None;
        }
    }
    budget.spend(length)?;
    rest.get(..length)
}

/// A little endian number of 2 or 4 bytes at `at`.
#[inline]
fn number(data: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = data.get(at..)?;
    Some(match width {
        2 => usize::from(u16::from_le_bytes(*bytes.first_chunk()?)),
        _ => u32::from_le_bytes(*bytes.first_chunk()?) as usize,
    })
}

impl<'a> Container<'a> {
    #[inline]
    fn parse(data: &'a [u8], large: bool, object: bool, budget: &mut Budget) -> Option<Self> {
        let width = if large { 4 } else { 2 };
        let count = number(data, 0, width)?;
        let size = number(data, width, width)?;
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
    #[inline]
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
        let offset = number(self.data, entry, self.width)?;
        let length = number(self.data, entry + self.width, 2)?;
        budget.spend(length)?;
        let key = self.data.get(offset..)?.get(..length)?;
        std::str::from_utf8(key).ok()
    }

    pub fn value(&self, index: usize, budget: &mut Budget) -> Option<Node<'a>> {
        let entry = self.data.get(self.value_entry(index)?..)?;
        let (&kind, entry) = entry.split_first()?;
        if is_inlined(kind, self.width) {
            return node(kind, entry.get(..self.width)?, budget);
        }
        let offset = number(entry, 0, self.width)?;
        node(kind, self.data.get(offset..)?, budget)
    }
}

/// Literals and integers that fit lie in the entry itself.
#[inline]
fn is_inlined(kind: u8, width: usize) -> bool {
    matches!(kind, 4..=6) || (width == 4 && matches!(kind, 7 | 8))
}

fn print_node(node: Node<'_>, depth: usize, budget: &mut Budget, out: &mut String) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match node {
        Node::Array(container) => {
            out.push('[');
            for index in 0..container.len() {
                separate(index, out);
                print_node(container.value(index, budget)?, depth + 1, budget, out)?;
            }
            out.push(']');
        }
        Node::Object(container) => {
            out.push('{');
            for index in 0..container.len() {
                separate(index, out);
                print_string(container.key(index, budget)?, out);
                out.push_str(": ");
                print_node(container.value(index, budget)?, depth + 1, budget, out)?;
            }
            out.push('}');
        }
        scalar => print_scalar(scalar, out)?,
    }
    Some(())
}

pub(crate) fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

/// Appends a value that is no container.
pub(crate) fn print_scalar(node: Node<'_>, out: &mut String) -> Option<()> {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(true) => out.push_str("true"),
        Node::Bool(false) => out.push_str("false"),
        Node::Int(number) => write_int(number, out),
        Node::UInt(number) => write_uint(number, out),
        Node::Double(number) => print_double(number, out)?,
        Node::String(text) => print_string(text, out),
        Node::Opaque(type_code, bytes) => opaque::Opaque::parse(type_code, bytes)?.print(out),
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

/// Appends a string in quotes.
pub(crate) fn print_string(text: &str, out: &mut String) {
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

#[cfg(test)]
mod tests;
