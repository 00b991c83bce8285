//! What MySQL says an item is: the rows of a plan's SELECT in the one form.
//!
//! MySQL computes the values; here they only take their types. Everything that decides what an item is and is no matter of SQL is
//! written down here once more, apart from `view`: keys that are NULL, empty or too long (no item), index keys that do
//! not fit (left out), numbers beyond DynamoDB's, members of sets, an item's greatest size.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mysql_async::consts::ColumnType as Sort;
use mysql_async::{Column, Row, Value};

use super::canonical::{self, Invalid, Tag, Writer, compare_names};
use super::json::{Reader, Scalar};
use crate::contract::model::AttributeType;
use crate::plan::select::{Select, SelectColumn};
use crate::plan::{KeyAttribute, Role, TargetTable};

/// A partition key's and a sort key's longest values in bytes.
const LONGEST_PARTITION_KEY: usize = 2048;
const LONGEST_SORT_KEY: usize = 1024;
/// The character set "binary".
const BINARY: u16 = 63;

/// Rows read so far. Everything is in one buffer.
#[derive(Debug, Default)]
pub struct Expected {
    pub writer: Writer,
    pub source_keys: String,
    pub rows: Vec<ExpectedRow>,
    /// Rows whose key cannot be told: they have no item, and none can be looked for.
    pub without_key: u64,
}

/// A row, and the item that it must have.
#[derive(Debug, Clone)]
pub struct ExpectedRow {
    /// The key's values.
    pub key: Range<usize>,
    /// `None`: the row has no valid item, and so nothing may be there under its key.
    pub item: Option<Range<usize>>,
    /// The driving row's key as text, in [`Expected::source_keys`].
    pub source_key: Range<usize>,
}

impl Expected {
    pub fn clear(&mut self) {
        self.writer.bytes.clear();
        self.source_keys.clear();
        self.rows.clear();
        self.without_key = 0;
    }

    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.writer.bytes.get(range.clone()).unwrap_or_default()
    }

    pub fn source_key(&self, row: &ExpectedRow) -> &str {
        self.source_keys
            .get(row.source_key.clone())
            .unwrap_or_default()
    }
}

/// Reads the rows of one SELECT.
#[derive(Debug)]
pub struct ItemReader {
    columns: Vec<Attribute>,
    /// Columns of the source's key, which stand before the attributes.
    keys: usize,
    /// Which of them are parts of the row's name as they are.
    named: Vec<bool>,
    pk: usize,
    sk: Option<usize>,
    write_nulls: bool,
}

/// An attribute, in the order of the names.
#[derive(Debug)]
struct Attribute {
    /// Its column.
    at: usize,
    name: Box<str>,
    ty: AttributeType,
    role: Role,
    json: bool,
    /// A key's longest value.
    longest: Option<usize>,
}

/// What MySQL calls a column of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Json,
    Number,
    Bytes,
    Text,
    /// Dates and times.
    Moment,
}

impl ItemReader {
    pub fn new(select: &Select, target: &TargetTable, write_nulls: bool) -> Self {
        let keys = select.key.len();
        let mut columns: Vec<Attribute> = (keys..)
            .zip(&select.columns)
            .map(|(at, column)| Attribute {
                at,
                name: column.name.as_str().into(),
                ty: column.ty,
                role: column.role,
                json: column.json,
                longest: longest(column, target),
            })
            .collect();
        columns.sort_by(|a, b| compare_names(a.name.as_bytes(), b.name.as_bytes()));
        let of = |role| columns.iter().position(|c| c.role == role);
        Self {
            pk: of(Role::PartitionKey).unwrap_or(0),
            sk: of(Role::SortKey),
            columns,
            keys,
            named: select.named.clone(),
            write_nulls,
        }
    }

    /// What MySQL calls each column of the result.
    pub fn sent(columns: &[Column]) -> Vec<Sent> {
        columns.iter().map(sent).collect()
    }

    /// Takes a row of the result.
    pub fn read(&self, row: &Row, sent: &[Sent], out: &mut Expected) {
        let from = out.source_keys.len();
        for at in 0..self.keys {
            if at > 0 {
                out.source_keys.push(',');
            }
            match (self.named.get(at), cell(row, at)) {
                (Some(true), Some(part)) => {
                    out.source_keys.push_str(&String::from_utf8_lossy(part));
                }
                (_, cell) => write_source_key(cell, sent.get(at), &mut out.source_keys),
            }
        }
        let source_key = from..out.source_keys.len();
        let start = out.writer.start();
        let item = match self.item(row, sent, &mut out.writer) {
            Ok(()) => Some(start..out.writer.bytes.len()),
            Err(Invalid) => {
                out.writer.bytes.truncate(start);
                None
            }
        };
        let key = out.writer.bytes.len();
        if self.key(row, sent, &mut out.writer).is_err() {
            out.writer.bytes.truncate(key);
            out.without_key += 1;
            return;
        }
        let key = key..out.writer.bytes.len();
        out.rows.push(ExpectedRow {
            key,
            item,
            source_key,
        });
    }

    fn item(&self, row: &Row, sent: &[Sent], out: &mut Writer) -> Result<(), Invalid> {
        for column in &self.columns {
            let start = out.bytes.len();
            let size = out.size;
            out.name(column.name.as_bytes());
            let value = out.bytes.len();
            let written = column.write(row, sent, out);
            let there = match (column.role, written) {
                (_, Ok(true)) => true,
                (Role::IndexKey, _) => false,
                (_, Err(invalid)) => return Err(invalid),
                (Role::Plain, Ok(false)) => {
                    let null = column.is_null(row, sent);
                    let shown = column.ty == AttributeType::Null || (self.write_nulls && null);
                    if shown {
                        out.scalar(Tag::Null, b"");
                    }
                    shown
                }
                (Role::PartitionKey | Role::SortKey, Ok(false)) => return Err(Invalid),
            };
            let fits = !there || column.fits(out.bytes.get(value..).unwrap_or_default());
            if there && !fits && column.role != Role::IndexKey {
                return Err(Invalid);
            }
            if !(there && fits) {
                out.bytes.truncate(start);
                out.size = size;
            }
            if out.is_too_large() {
                return Err(Invalid);
            }
        }
        Ok(())
    }

    /// Appends the values of the key attributes.
    fn key(&self, row: &Row, sent: &[Sent], out: &mut Writer) -> Result<(), Invalid> {
        for at in [Some(self.pk), self.sk].into_iter().flatten() {
            let column = self.columns.get(at).ok_or(Invalid)?;
            let value = out.bytes.len();
            if !column.write(row, sent, out)? {
                return Err(Invalid);
            }
            if !column.fits(out.bytes.get(value..).unwrap_or_default()) {
                return Err(Invalid);
            }
        }
        Ok(())
    }
}

fn longest(column: &SelectColumn, target: &TargetTable) -> Option<usize> {
    let own = std::iter::once((&target.pk, target.sk.as_ref()));
    let indexes = target.gsis.iter().map(|g| (&g.pk, g.sk.as_ref()));
    let is = |key: &KeyAttribute| key.name == column.name;
    own.chain(indexes)
        .flat_map(|(pk, sk)| {
            let pk = is(pk).then_some(LONGEST_PARTITION_KEY);
            [pk, sk.filter(|sk| is(sk)).map(|_| LONGEST_SORT_KEY)]
        })
        .flatten()
        .min()
}

impl Attribute {
    /// Whether a key's value may be one.
    fn fits(&self, value: &[u8]) -> bool {
        if self.role == Role::Plain {
            return true;
        }
        match canonical::value(value) {
            Some((value, _)) => match value.tag {
                Tag::N => true,
                Tag::S | Tag::B => {
                    let length = value.payload.len();
                    length > 0 && self.longest.is_none_or(|longest| length <= longest)
                }
                _ => false,
            },
            None => false,
        }
    }

    /// Whether the value is NULL, or JSON's null.
    fn is_null(&self, row: &Row, sent: &[Sent]) -> bool {
        match cell(row, self.at) {
            None => true,
            Some(bytes) => {
                self.sent(sent) == Sent::Json
                    && !matches!(self.ty, AttributeType::S | AttributeType::B)
                    && bytes.trim_ascii() == b"null"
            }
        }
    }

    fn sent(&self, sent: &[Sent]) -> Sent {
        match self.json {
            true => Sent::Json,
            false => sent.get(self.at).copied().unwrap_or(Sent::Text),
        }
    }

    /// Writes the value; false leaves the attribute out.
    fn write(&self, row: &Row, sent: &[Sent], out: &mut Writer) -> Result<bool, Invalid> {
        let Some(bytes) = cell(row, self.at) else {
            return Ok(false);
        };
        if self.ty == AttributeType::Null || self.is_null(row, sent) {
            return Ok(false);
        }
        let sent = self.sent(sent);
        match self.ty {
            AttributeType::Null => return Ok(false),
            AttributeType::S if sent == Sent::Bytes => return Err(Invalid),
            AttributeType::S => {
                str::from_utf8(bytes).map_err(|_| Invalid)?;
                out.text(Tag::S, bytes);
            }
            AttributeType::B if matches!(sent, Sent::Number | Sent::Moment) => return Err(Invalid),
            AttributeType::B => out.text(Tag::B, bytes),
            AttributeType::N => return number(bytes, sent, out),
            AttributeType::Bool => {
                let value = boolean(bytes, sent)?;
                out.scalar(Tag::Bool, &[u8::from(value)]);
            }
            AttributeType::M | AttributeType::L => document(self.ty, bytes, sent, out)?,
            AttributeType::SS | AttributeType::NS | AttributeType::BS => {
                return set(self.ty, bytes, sent, out);
            }
        }
        Ok(true)
    }
}

fn cell(row: &Row, at: usize) -> Option<&[u8]> {
    match row.as_ref(at) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        // The text protocol sends nothing else.
        _ => None,
    }
}

fn sent(column: &Column) -> Sent {
    use Sort::*;
    match column.column_type() {
        MYSQL_TYPE_JSON => Sent::Json,
        MYSQL_TYPE_TINY
        | MYSQL_TYPE_SHORT
        | MYSQL_TYPE_INT24
        | MYSQL_TYPE_LONG
        | MYSQL_TYPE_LONGLONG
        | MYSQL_TYPE_FLOAT
        | MYSQL_TYPE_DOUBLE
        | MYSQL_TYPE_DECIMAL
        | MYSQL_TYPE_NEWDECIMAL
        | MYSQL_TYPE_YEAR
        | MYSQL_TYPE_BIT => Sent::Number,
        MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP
        | MYSQL_TYPE_TIME => Sent::Moment,
        MYSQL_TYPE_GEOMETRY | MYSQL_TYPE_VECTOR => Sent::Bytes,
        _ if column.character_set() == BINARY => Sent::Bytes,
        _ => Sent::Text,
    }
}

/// A zero date leaves the attribute out.
fn number(bytes: &[u8], sent: Sent, out: &mut Writer) -> Result<bool, Invalid> {
    match sent {
        Sent::Json => match scalar(bytes)? {
            Scalar::Number(text) => out.number(text)?,
            Scalar::Text(text) => out.number(text.as_bytes())?,
            Scalar::Bool(value) => out.number(if value { b"1" } else { b"0" })?,
            Scalar::Null => return Err(Invalid),
        },
        Sent::Moment if bytes.starts_with(b"0000-00-00") => return Ok(false),
        Sent::Moment | Sent::Bytes => return Err(Invalid),
        Sent::Number | Sent::Text => out.number(bytes)?,
    }
    Ok(true)
}

fn boolean(bytes: &[u8], sent: Sent) -> Result<bool, Invalid> {
    let word = |text: &[u8]| match text.trim_ascii() {
        b"1" => Ok(true),
        b"0" => Ok(false),
        text if text.eq_ignore_ascii_case(b"true") => Ok(true),
        text if text.eq_ignore_ascii_case(b"false") => Ok(false),
        _ => Err(Invalid),
    };
    let not_zero = |text: &[u8]| {
        let mut form = Vec::new();
        canonical::number(text, &mut form)?;
        Ok(form != b"0")
    };
    match sent {
        Sent::Number => not_zero(bytes),
        Sent::Text => word(bytes),
        Sent::Json => match scalar(bytes)? {
            Scalar::Bool(value) => Ok(value),
            Scalar::Number(text) => not_zero(text),
            Scalar::Text(text) => word(text.as_bytes()),
            Scalar::Null => Err(Invalid),
        },
        Sent::Bytes | Sent::Moment => Err(Invalid),
    }
}

fn scalar(bytes: &[u8]) -> Result<Scalar<'_>, Invalid> {
    let mut reader = Reader::new(bytes);
    let scalar = reader.scalar()?;
    reader.end()?;
    Ok(scalar)
}

fn document(ty: AttributeType, bytes: &[u8], sent: Sent, out: &mut Writer) -> Result<(), Invalid> {
    let wanted = match ty {
        AttributeType::M => b'{',
        _ => b'[',
    };
    let mut reader = Reader::new(bytes);
    if sent != Sent::Json || reader.peek() != Some(wanted) {
        return Err(Invalid);
    }
    reader.document(0, out)?;
    reader.end()
}

/// An empty set leaves the attribute out.
fn set(ty: AttributeType, bytes: &[u8], sent: Sent, out: &mut Writer) -> Result<bool, Invalid> {
    let tag = match ty {
        AttributeType::NS => Tag::NS,
        AttributeType::BS => Tag::BS,
        _ => Tag::SS,
    };
    let (before, size) = (out.bytes.len(), out.size);
    let open = out.open(tag);
    let start = out.bytes.len();
    let mut members = Vec::new();
    let mut member = |text: &[u8], out: &mut Writer| {
        members.push(out.bytes.len());
        match tag {
            Tag::NS => out.number_member(text),
            _ => {
                out.member(text);
                Ok(())
            }
        }
    };
    match sent {
        Sent::Bytes if tag == Tag::BS => member(bytes, out)?,
        Sent::Bytes => return Err(Invalid),
        Sent::Json => {
            let mut reader = Reader::new(bytes);
            reader.expect(b'[')?;
            let mut first = true;
            while reader.more(first, b']')? {
                first = false;
                match reader.scalar()? {
                    Scalar::Text(text) => member(text.as_bytes(), out)?,
                    Scalar::Number(text) => member(text, out)?,
                    Scalar::Bool(true) => member(b"true", out)?,
                    Scalar::Bool(false) => member(b"false", out)?,
                    Scalar::Null => return Err(Invalid),
                }
            }
            reader.end()?;
        }
        _ => {
            str::from_utf8(bytes).map_err(|_| Invalid)?;
            if !bytes.is_empty() {
                for text in bytes.split(|b| *b == b',') {
                    member(text, out)?;
                }
            }
        }
    }
    if members.is_empty() {
        out.bytes.truncate(before);
        out.size = size;
        return Ok(false);
    }
    out.order_set(start, &members);
    out.close(open);
    Ok(true)
}

/// A key column as a row's name has it: a comma or backslash has a backslash before it, bytes are hex.
fn write_source_key(bytes: Option<&[u8]>, sent: Option<&Sent>, out: &mut String) {
    let Some(bytes) = bytes else {
        out.push_str("NULL");
        return;
    };
    if sent == Some(&Sent::Bytes) {
        out.push_str("0x");
        out.push_str(&hex::encode(bytes));
        return;
    }
    for char in String::from_utf8_lossy(bytes).chars() {
        if matches!(char, ',' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
}

/// Appends a key as DynamoDB's wire has it: `{"PK":{"S":"x"},"SK":{"N":"7"}}`.
pub fn wire_key(target: &TargetTable, key: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut rest = key;
    for (nth, attribute) in [Some(&target.pk), target.sk.as_ref()]
        .into_iter()
        .flatten()
        .enumerate()
    {
        let Some((value, after)) = canonical::value(rest) else {
            break;
        };
        rest = after;
        if nth > 0 {
            out.push(b',');
        }
        write_string(attribute.name.as_bytes(), out);
        match value.tag {
            Tag::N => {
                out.extend_from_slice(b":{\"N\":\"");
                canonical::plain(value.payload, out);
                out.extend_from_slice(b"\"}");
            }
            Tag::B => {
                out.extend_from_slice(b":{\"B\":\"");
                out.extend_from_slice(STANDARD.encode(value.payload).as_bytes());
                out.extend_from_slice(b"\"}");
            }
            _ => {
                out.extend_from_slice(b":{\"S\":");
                write_string(value.payload, out);
                out.push(b'}');
            }
        }
    }
    out.push(b'}');
}

/// Appends text as a JSON string.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(hex::encode([*byte]).as_bytes());
            }
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}
