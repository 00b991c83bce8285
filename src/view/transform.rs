//! Transformations of one value: dates, numbers, JSON text, bytes.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::date;
use super::number::Number;
use super::reason::Fault;
use crate::change::{Textual, Value};
use crate::contract::model::BinaryFormat;
use crate::plan::{NumberFormat, Transform};

/// What a transformation gave. All but NULL and integers stand in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Null,
    Text,
    Json,
    Integer(i64),
}

/// Appends `value`, transformed, to `out`. NULL stays NULL.
pub(super) fn apply(by: &Transform, value: &Value<'_>, out: &mut String) -> Result<Output, Fault> {
    if matches!(value, Value::Null) {
        return Ok(Output::Null);
    }
    match by {
        Transform::Date {
            format,
            source_format,
        } => date::format(value, format, source_format.as_deref(), out),
        Transform::Number(format) => {
            write_number(&number(value)?, format, out)?;
            Ok(Output::Text)
        }
        Transform::JsonParse => match value.write_text(out) {
            Textual::Written => Ok(Output::Json),
            Textual::Null => Ok(Output::Null),
            Textual::Binary => Err(Fault::Binary),
        },
        Transform::Binary(format) => {
            write_bytes(&bytes(value)?, *format, out)?;
            Ok(Output::Text)
        }
    }
}

fn number(value: &Value<'_>) -> Result<Number, Fault> {
    match value {
        Value::Date(_) | Value::DateTime(_) | Value::Timestamp(_) | Value::Time(_) => {
            Err(Fault::NotANumber)
        }
        other => match other.text_in(&mut String::new()) {
            Ok(text) => Number::parse(text),
            Err(_) => Err(Fault::NotANumber),
        },
    }
}

fn write_number(number: &Number, format: &NumberFormat, out: &mut String) -> Result<(), Fault> {
    match *format {
        NumberFormat::Decimals {
            integer_digits,
            decimals,
        } => {
            let rounded = number.rounded(decimals)?;
            if rounded.negative {
                out.push('-');
            }
            let missing = integer_digits.saturating_sub(rounded.whole.len());
            out.extend(std::iter::repeat_n('0', missing));
            push_digits(&rounded.whole, out);
            if decimals > 0 {
                out.push('.');
                push_digits(&rounded.fraction, out);
            }
            // `#.` patterns show nothing before the point; a number shows at least one digit.
            if rounded.whole.is_empty() && missing == 0 && decimals == 0 {
                out.push('0');
            }
        }
        NumberFormat::Padded { width, zero } => {
            let rounded = number.rounded(0)?;
            let digits: &[u8] = if rounded.whole.is_empty() {
                b"0"
            } else {
                &rounded.whole
            };
            let missing = width.saturating_sub(digits.len() + usize::from(rounded.negative));
            if !zero {
                out.extend(std::iter::repeat_n(' ', missing));
            }
            if rounded.negative {
                out.push('-');
            }
            if zero {
                out.extend(std::iter::repeat_n('0', missing));
            }
            push_digits(digits, out);
        }
    }
    Ok(())
}

fn push_digits(digits: &[u8], out: &mut String) {
    out.extend(digits.iter().map(|d| char::from(*d)));
}

fn bytes<'v>(value: &'v Value<'_>) -> Result<Cow<'v, [u8]>, Fault> {
    match value {
        Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes) => {
            Ok(Cow::Borrowed(bytes))
        }
        Value::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Value::Set(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Value::Json(document) => Ok(match document.text() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
        _ => Err(Fault::WrongType {
            expected: "bytes, for a binary-format",
        }),
    }
}

fn write_bytes(bytes: &[u8], format: BinaryFormat, out: &mut String) -> Result<(), Fault> {
    match format {
        BinaryFormat::Base64 => STANDARD.encode_string(bytes, out),
        BinaryFormat::Hex => write_hex(bytes, out),
        BinaryFormat::Uuid => {
            if bytes.len() != 16 {
                return Err(Fault::NotUuid);
            }
            for (at, byte) in bytes.iter().enumerate() {
                if matches!(at, 4 | 6 | 8 | 10) {
                    out.push('-');
                }
                write_hex(std::slice::from_ref(byte), out);
            }
        }
    }
    Ok(())
}

/// Appends bytes as lower-case hex.
pub(super) fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(by: &Transform, value: &Value<'_>) -> Result<String, Fault> {
        let mut out = String::new();
        apply(by, value, &mut out).map(|output| match output {
            Output::Null => "NULL".to_owned(),
            _ => out,
        })
    }

    #[test]
    fn numbers_with_decimals() {
        let by = |integer_digits, decimals| {
            Transform::Number(NumberFormat::Decimals {
                integer_digits,
                decimals,
            })
        };
        let decimal = |text: &'static str| Value::Decimal(text.into());
        assert_eq!(run(&by(1, 2), &decimal("1.005")).as_deref(), Ok("1.01"));
        assert_eq!(run(&by(1, 2), &decimal("-0.001")).as_deref(), Ok("0.00"));
        assert_eq!(run(&by(1, 2), &decimal("-0.005")).as_deref(), Ok("-0.01"));
        assert_eq!(run(&by(4, 1), &Value::Int(-7)).as_deref(), Ok("-0007.0"));
        assert_eq!(run(&by(1, 0), &Value::Double(2.5)).as_deref(), Ok("3"));
        assert_eq!(run(&by(0, 0), &Value::Int(0)).as_deref(), Ok("0"));
        assert_eq!(
            run(&by(1, 2), &Value::Double(1e20)).as_deref(),
            Ok("100000000000000000000.00")
        );
        let long = format!("{}.5", "9".repeat(35));
        assert_eq!(
            run(&by(1, 0), &Value::Decimal(long.into())),
            Ok(format!("1{}", "0".repeat(35)))
        );
        assert_eq!(
            run(&by(1, 2), &Value::Text("abc".into())),
            Err(Fault::NotANumber)
        );
        assert_eq!(
            run(&by(1, 2), &Value::Text("1e999999999".into())),
            Err(Fault::NumberOutOfRange)
        );
        assert_eq!(run(&by(1, 2), &Value::Null).as_deref(), Ok("NULL"));
    }

    #[test]
    fn padded_integers() {
        let by = |zero| Transform::Number(NumberFormat::Padded { width: 8, zero });
        assert_eq!(run(&by(true), &Value::Int(42)).as_deref(), Ok("00000042"));
        assert_eq!(run(&by(true), &Value::Int(-42)).as_deref(), Ok("-0000042"));
        assert_eq!(run(&by(false), &Value::Int(-42)).as_deref(), Ok("     -42"));
        assert_eq!(
            run(&by(true), &Value::UInt(u64::MAX)).as_deref(),
            Ok("18446744073709551615")
        );
        assert_eq!(run(&by(true), &Value::Int(0)).as_deref(), Ok("00000000"));
        assert_eq!(
            run(&by(true), &Value::Decimal("1.5".into())).as_deref(),
            Ok("00000002")
        );
    }

    #[test]
    fn bytes_as_text() {
        let by = Transform::Binary;
        let sixteen: Vec<u8> = (0..16).map(|n| n * 16 + 15).collect();
        let value = Value::Bytes(sixteen.into());
        assert_eq!(
            run(&by(BinaryFormat::Uuid), &value).as_deref(),
            Ok("0f1f2f3f-4f5f-6f7f-8f9f-afbfcfdfefff")
        );
        let short = Value::Bytes(vec![0, 255].into());
        assert_eq!(run(&by(BinaryFormat::Hex), &short).as_deref(), Ok("00ff"));
        assert_eq!(
            run(&by(BinaryFormat::Base64), &short).as_deref(),
            Ok("AP8=")
        );
        assert_eq!(run(&by(BinaryFormat::Uuid), &short), Err(Fault::NotUuid));
        assert!(run(&by(BinaryFormat::Hex), &Value::Int(1)).is_err());
    }
}
