//! Writing stored values.

use super::{
    BIT, BYTES, CODED, DATE, DATE_TIME, DECIMAL, DOUBLE, FLOAT, GEOMETRY, INT, JSON, LONG, NOTHING,
    OTHER, SET, TEXT, TIME, TIMESTAMP, UINT, VECTOR, YEAR,
};
use crate::change::short::varint;
use crate::change::{Temporal, TimeOfDay, Value};

/// Appends a value that is not NULL.
pub(super) fn value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Int(number) => uint(INT, (number << 1 ^ number >> 63).cast_unsigned(), out),
        Value::UInt(number) => uint(UINT, *number, out),
        Value::Bit(number) => uint(BIT, *number, out),
        Value::Year(year) => uint(YEAR, u64::from(*year), out),
        Value::Float(number) => {
            out.push(FLOAT);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Double(number) => {
            out.push(DOUBLE);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Text(text) => match text.codes() {
            None => bytes(TEXT, text.as_bytes(), out),
            Some(codes) => {
                let kind = if text.converts() { CODED } else { NOTHING };
                other(kind, text.as_bytes(), out);
                varint(codes.len() as u64, out);
                out.extend_from_slice(codes);
            }
        },
        Value::Set(text) => bytes(SET, text.as_bytes(), out),
        Value::Bytes(content) => bytes(BYTES, content, out),
        // Their form in memory is their own matter.
        Value::Decimal(_) => printed(DECIMAL, value, out),
        Value::Json(_) => printed(JSON, value, out),
        Value::Date(date) => temporal(DATE, date, out),
        Value::DateTime(moment) => temporal(DATE_TIME, moment, out),
        Value::Timestamp(moment) => temporal(TIMESTAMP, moment, out),
        Value::Time(moment) => time(moment, out),
        Value::Geometry(content) => other(GEOMETRY, content, out),
        Value::Vector(content) => other(VECTOR, content, out),
    }
}

fn head(kind: u8, upper: u8, out: &mut Vec<u8>) {
    out.push(upper << 4 | kind);
}

/// As many bytes as the number needs, little endian.
fn uint(kind: u8, number: u64, out: &mut Vec<u8>) {
    let length = 8 - number.leading_zeros() / 8;
    head(kind, length as u8, out);
    low_bytes(number, length as usize, out);
}

fn low_bytes(number: u64, length: usize, out: &mut Vec<u8>) {
    out.extend(number.to_le_bytes().into_iter().take(length));
}

fn bytes(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(content.len()) {
        Ok(short) if short < LONG => head(kind, short, out),
        _ => {
            head(kind, LONG, out);
            varint(content.len() as u64, out);
        }
    }
    out.extend_from_slice(content);
}

fn other(which: u8, content: &[u8], out: &mut Vec<u8>) {
    head(OTHER, which, out);
    varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

fn printed(kind: u8, value: &Value<'_>, out: &mut Vec<u8>) {
    let mut text = String::new();
    value.write_text(&mut text);
    bytes(kind, text.as_bytes(), out);
}

fn temporal(kind: u8, moment: &Temporal, out: &mut Vec<u8>) {
    let fits = moment.year <= 9_999
        && moment.month <= 12
        && moment.day <= 31
        && moment.hour <= 23
        && moment.minute <= 59
        && moment.second <= 59
        && moment.micros <= 999_999
        && moment.fsp <= 6;
    if !fits {
        head(kind, LONG, out);
        return fields(moment, out);
    }
    let date = u64::from(moment.year) << 9 | u64::from(moment.month) << 5 | u64::from(moment.day);
    let clock =
        u64::from(moment.hour) << 12 | u64::from(moment.minute) << 6 | u64::from(moment.second);
    if clock == 0 && moment.micros == 0 && moment.fsp == 0 {
        head(kind, 0, out);
        return low_bytes(date, 3, out);
    }
    let with_micros = moment.micros > 0;
    head(kind, 1 + moment.fsp + if with_micros { 7 } else { 0 }, out);
    low_bytes(date << 17 | clock, 5, out);
    if with_micros {
        low_bytes(u64::from(moment.micros), 3, out);
    }
}

/// Appends the fields one by one, such that the bytes sort as the moments do.
pub(super) fn fields(moment: &Temporal, out: &mut Vec<u8>) {
    out.extend_from_slice(&moment.year.to_be_bytes());
    out.extend_from_slice(&[
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
    ]);
    out.extend_from_slice(&moment.micros.to_be_bytes());
    out.push(moment.fsp);
}

fn time(moment: &TimeOfDay, out: &mut Vec<u8>) {
    let fits = moment.hours <= 838
        && moment.minutes <= 59
        && moment.seconds <= 59
        && moment.micros <= 999_999
        && moment.fsp <= 6;
    if !fits {
        head(TIME, LONG, out);
        return time_fields(moment, out);
    }
    let with_micros = moment.micros > 0;
    head(TIME, moment.fsp + if with_micros { 7 } else { 0 }, out);
    let packed = u64::from(moment.negative) << 22
        | u64::from(moment.hours) << 12
        | u64::from(moment.minutes) << 6
        | u64::from(moment.seconds);
    low_bytes(packed, 3, out);
    if with_micros {
        low_bytes(u64::from(moment.micros), 3, out);
    }
}

/// Appends the fields one by one.
pub(super) fn time_fields(moment: &TimeOfDay, out: &mut Vec<u8>) {
    out.push(u8::from(moment.negative));
    out.extend_from_slice(&moment.hours.to_be_bytes());
    out.extend_from_slice(&[moment.minutes, moment.seconds]);
    out.extend_from_slice(&moment.micros.to_be_bytes());
    out.push(moment.fsp);
}
