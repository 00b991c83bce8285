//! Literals.

use sqlparser::ast::{DataType, TypedString, UnaryOperator, Value};

use super::calendar::{self, Zeros};
use super::datum::Datum;
use super::decimal::{Dec, MAX_PRECISION, MAX_SCALE};
use super::node::{Node, Op, Special};
use super::types::{Collated, Derivation, Type, TypeKind};

fn node(datum: Datum<'static>, kind: TypeKind, collated: Collated) -> Node {
    let nullable = datum.is_null();
    Node {
        op: Op::Literal(datum),
        ty: Type { kind, nullable },
        collated,
        special: Special::No,
    }
}

pub(super) fn null() -> Node {
    let collated = Collated {
        derivation: Derivation::Null,
        ..Collated::number()
    };
    node(Datum::Null, TypeKind::Null, collated)
}

pub(super) fn text(text: &str) -> Node {
    let collated = Collated::literal(text);
    let kind = TypeKind::Text {
        collation: collated.name.clone(),
    };
    node(Datum::Text(text.to_owned().into()), kind, collated)
}

/// An integer, DECIMAL or DOUBLE, as its text says.
pub(super) fn number(text: &str, negative: bool) -> Result<Node, String> {
    let collated = Collated::number();
    let sign = if negative { "-" } else { "" };
    if text.contains(['e', 'E']) {
        let number: f64 = format!("{sign}{text}")
            .parse()
            .map_err(|_| format!("`{text}` is no number"))?;
        if !number.is_finite() {
            return Err(format!("the number {text} is too large"));
        }
        return Ok(node(Datum::Double(number), TypeKind::Double, collated));
    }
    if !text.contains('.') {
        if let Ok(number) = format!("{sign}{text}").parse::<i64>() {
            let kind = TypeKind::Int { unsigned: false };
            return Ok(node(Datum::Int(number), kind, collated));
        }
        if let (Ok(number), false) = (text.parse::<u64>(), negative) {
            let kind = TypeKind::Int { unsigned: true };
            return Ok(node(Datum::UInt(number), kind, collated));
        }
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number = Dec::parse(&format!("{sign}{text}"));
    match number {
        Some(number) if digits <= usize::from(MAX_PRECISION) && number.scale() <= MAX_SCALE => {
            let kind = TypeKind::Decimal {
                precision: digits as u8,
                scale: number.scale(),
            };
            Ok(node(Datum::Decimal(number), kind, collated))
        }
        _ => Err(format!("`{text}` is no number that MySQL can hold")),
    }
}

/// A literal as the parser gives it.
pub(super) fn of(value: &Value) -> Result<Node, String> {
    match value {
        Value::Null => Ok(null()),
        Value::Boolean(truth) => Ok(node(
            Datum::bool(*truth),
            TypeKind::Int { unsigned: false },
            Collated::number(),
        )),
        Value::Number(text, _) => number(text, false),
        Value::SingleQuotedString(value) | Value::DoubleQuotedString(value) => Ok(text(value)),
        Value::HexStringLiteral(digits) => {
            let bytes =
                hex::decode(digits).map_err(|_| "an odd number of hex digits".to_owned())?;
            let collated = Collated {
                name: "binary".into(),
                derivation: Derivation::Literal,
                ascii: false,
            };
            Ok(node(Datum::Bytes(bytes.into()), TypeKind::Binary, collated))
        }
        other => Err(format!("the literal `{other}` is not supported")),
    }
}

/// A number with a sign is one literal.
pub(super) fn signed(op: UnaryOperator, value: &Value) -> Option<Result<Node, String>> {
    match (op, value) {
        (UnaryOperator::Minus, Value::Number(text, _)) => Some(number(text, true)),
        _ => None,
    }
}

/// `DATE '2024-01-31'`, `TIMESTAMP '…'`.
pub(super) fn typed(typed: &TypedString) -> Result<Node, String> {
    let (Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) = &typed.value.value
    else {
        return Err("a date's text stands in quotes".into());
    };
    let (moment, has_time) = calendar::parse_moment(text, Zeros::Refused)
        .ok_or_else(|| format!("'{text}' is no date"))?;
    let collated = Collated::number();
    match (&typed.data_type, has_time) {
        (DataType::Date, false) => Ok(node(Datum::Date(moment), TypeKind::Date, collated)),
        (DataType::Timestamp(None, _), true) => Ok(node(
            Datum::DateTime(moment),
            TypeKind::DateTime { fsp: moment.fsp },
            collated,
        )),
        (DataType::Date, true) => Err(format!("'{text}' is no date alone")),
        (DataType::Timestamp(None, _), false) => Err(format!("'{text}' has no time")),
        _ => Err("only DATE '…' and TIMESTAMP '…' are such literals".into()),
    }
}
