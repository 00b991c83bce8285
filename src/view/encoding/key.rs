//! Keys: injective, and each value tells where it ends.

use super::take::Input;
use super::write;
use crate::change::{Value, short};

const NULL: u8 = 0;
/// Numbers: the middle is 0, beside it a byte for each length, negative ones below.
const ZERO: u8 = 0x20;
const LONGEST_NUMBER: u8 = 8;
const FLOAT: u8 = 0x30;
const DOUBLE: u8 = 0x31;
const BIT: u8 = 0x32;
const YEAR: u8 = 0x33;
const DATE: u8 = 0x34;
const DATE_TIME: u8 = 0x35;
const TIMESTAMP: u8 = 0x36;
const TIME: u8 = 0x37;
const TEXT: u8 = 0x40;
const BYTES: u8 = 0x41;
const SET: u8 = 0x42;
const DECIMAL: u8 = 0x43;
const JSON: u8 = 0x44;
const GEOMETRY: u8 = 0x45;
const VECTOR: u8 = 0x46;
/// Text by its bytes in its own character set.
const CODED: u8 = 0x47;

const TEMPORAL_BYTES: usize = 12;
const TIME_BYTES: usize = 10;

/// In text and bytes a zero byte is followed by `ESCAPED`, their end is a zero byte followed by `END`.
const END: u8 = 0x01;
const ESCAPED: u8 = 0xff;

/// Appends the exact values. Equal numbers are equal bytes, whether signed or not.
pub fn encode_key<'v, 'a: 'v>(values: impl IntoIterator<Item = &'v Value<'a>>, out: &mut Vec<u8>) {
    for value in values {
        encode(value, out);
    }
}

/// What follows the first `count` values of a key; `None` where it has fewer.
pub fn after_values(key: &[u8], count: usize) -> Option<&[u8]> {
    let mut rest = key;
    for _ in 0..count {
        let mut input = Input::new(rest);
        let kind = input.byte()?;
        let length = 1 + match kind {
            NULL => 0,
            FLOAT => 4,
            DOUBLE | BIT => 8,
            YEAR => 2,
            DATE | DATE_TIME | TIMESTAMP => TEMPORAL_BYTES,
            TIME => TIME_BYTES,
            TEXT..=CODED => end_of_escaped(rest.get(1..)?)?,
            number if number.abs_diff(ZERO) <= LONGEST_NUMBER => usize::from(number.abs_diff(ZERO)),
            _ => return None,
        };
        rest = rest.get(length..)?;
    }
    Some(rest)
}

fn encode(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Int(number) => short::ordered(ZERO, (*number).into(), out),
        Value::UInt(number) => short::ordered(ZERO, (*number).into(), out),
        Value::Float(number) => fixed(FLOAT, &number.to_bits().to_be_bytes(), out),
        Value::Double(number) => fixed(DOUBLE, &number.to_bits().to_be_bytes(), out),
        Value::Bit(number) => fixed(BIT, &number.to_be_bytes(), out),
        Value::Year(year) => fixed(YEAR, &year.to_be_bytes(), out),
        Value::Text(text) => match text.codes() {
            None => escaped(TEXT, text.as_bytes(), out),
            Some(codes) => escaped(CODED, codes, out),
        },
        Value::Set(text) => escaped(SET, text.as_bytes(), out),
        Value::Bytes(bytes) => escaped(BYTES, bytes, out),
        Value::Geometry(bytes) => escaped(GEOMETRY, bytes, out),
        Value::Vector(bytes) => escaped(VECTOR, bytes, out),
        Value::Decimal(_) => printed(DECIMAL, value, out),
        Value::Json(_) => printed(JSON, value, out),
        Value::Date(moment) => {
            out.push(DATE);
            write::fields(moment, out);
        }
        Value::DateTime(moment) => {
            out.push(DATE_TIME);
            write::fields(moment, out);
        }
        Value::Timestamp(moment) => {
            out.push(TIMESTAMP);
            write::fields(moment, out);
        }
        Value::Time(moment) => {
            out.push(TIME);
            write::time_fields(moment, out);
        }
    }
}

fn fixed(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn printed(kind: u8, value: &Value<'_>, out: &mut Vec<u8>) {
    let mut text = String::new();
    value.write_text(&mut text);
    escaped(kind, text.as_bytes(), out);
}

fn escaped(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(ESCAPED);
        }
    }
    out.extend_from_slice(&[0, END]);
}

/// The length of escaped bytes with their end.
fn end_of_escaped(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let zero = from + bytes.get(from..)?.iter().position(|byte| *byte == 0)?;
        match *bytes.get(zero + 1)? {
            END => return Some(zero + 2),
            ESCAPED => from = zero + 2,
            _ => return None,
        }
    }
}
