//! Functions: their arguments' values, and what becomes of them.

use sha2::Digest;

use super::calendar::{self, Zeros};
use super::date_format::Format;
use super::datum::Datum;
use super::json::{self, Json, Origin};
use super::node::{Call, Encoding, Node};
use super::types::TypeKind;
use super::{EvaluationError, Rows, cast, interval, numeric, parts, text};

type Result<T> = std::result::Result<T, EvaluationError>;

impl Call {
    pub fn evaluate<'r>(&'r self, args: &'r [Node], rows: &'r dyn Rows) -> Result<Datum<'r>> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let value = arg.evaluate(rows)?;
            if value.is_null() && !self.takes_null() {
                return Ok(Datum::Null);
            }
            if value.is_null() && values.is_empty() {
                return Ok(Datum::Null);
            }
            let unusable = values.is_empty()
                && matches!(self, Call::AddInterval { .. })
                && cast::moment(&value, Zeros::Refused).is_none();
            if unusable {
                return Ok(Datum::Null);
            }
            values.push(value);
        }
        self.apply(values, args)
    }

    fn takes_null(&self) -> bool {
        matches!(self, Call::ConcatWs)
    }

    fn apply<'r>(&'r self, values: Vec<Datum<'r>>, args: &'r [Node]) -> Result<Datum<'r>> {
        match self {
            Call::Concat => return Ok(text::concat(values)),
            Call::ConcatWs => return Ok(text::concat_ws(values)),
            _ => {}
        }
        let mut values = values.into_iter();
        let first = values.next().unwrap_or(Datum::Null);
        let kind = args.first().map_or(&TypeKind::Null, |arg| &arg.ty.kind);
        match self {
            Call::Upper(_)
            | Call::Lower(_)
            | Call::Trim { .. }
            | Call::Substring
            | Call::Left
            | Call::Right
            | Call::Replace
            | Call::Pad { .. } => self.of_text(first, values),
            Call::Round(_) | Call::Floor | Call::Ceil | Call::Abs | Call::HexNumber => {
                self.of_number(first, values.next(), kind)
            }
            Call::Length(_)
            | Call::CharLength
            | Call::HexText(_)
            | Call::Md5(_)
            | Call::Sha2(_) => self.of_bytes(first, values.next()),
            Call::JsonExtract { .. } | Call::JsonUnquote => self.of_json(first, kind),
            _ => Ok(self.of_date(first, values.next())),
        }
    }

    fn of_text<'r>(
        &self,
        first: Datum<'r>,
        mut rest: impl Iterator<Item = Datum<'r>>,
    ) -> Result<Datum<'r>> {
        let Some(first) = first.into_text() else {
            return Ok(Datum::Null);
        };
        let second = rest.next();
        let third = rest.next();
        let number = |value: &Option<Datum<'_>>| value.as_ref().and_then(Datum::to_int);
        Ok(match self {
            Call::Upper(weigher) => Datum::text(weigher.upper(&first)),
            Call::Lower(weigher) => Datum::text(weigher.lower(&first)),
            Call::Trim { leading, trailing } => {
                let what = second.map_or(Some(" ".into()), Datum::into_text);
                let what = what.unwrap_or_default();
                Datum::text(text::trim(first, &what, *leading, *trailing))
            }
            Call::Substring => {
                let from = number(&second).unwrap_or(0);
                text::substring(&first, from, number(&third))
            }
            Call::Left => text::left(first, number(&second).unwrap_or(0)),
            Call::Right => text::right(first, number(&second).unwrap_or(0)),
            Call::Replace => {
                let from = second.and_then(Datum::into_text).unwrap_or_default();
                let to = third.and_then(Datum::into_text).unwrap_or_default();
                text::replace(first, &from, &to)
            }
            Call::Pad { left } => {
                let length = number(&second).unwrap_or(-1);
                let filling = third.and_then(Datum::into_text).unwrap_or_default();
                text::pad(first, length, &filling, *left)?
            }
            _ => Datum::Null,
        })
    }

    fn of_number<'r>(
        &self,
        first: Datum<'r>,
        second: Option<Datum<'r>>,
        kind: &TypeKind,
    ) -> Result<Datum<'r>> {
        let class = super::compile::class_of(kind);
        match self {
            Call::Round(places) => {
                let digits = second.as_ref().and_then(Datum::to_int).unwrap_or(0);
                numeric::round(class, &first, digits, *places)
            }
            Call::Floor | Call::Ceil => {
                let up = matches!(self, Call::Ceil);
                numeric::whole(class, super::compile::whole_is_int(kind), up, &first)
            }
            Call::Abs => numeric::abs(class, &first),
            _ => {
                let mut number = first.to_int().unwrap_or(0);
                if !matches!(first, Datum::Int(_) | Datum::UInt(_)) {
                    number = number.min(i128::from(i64::MAX));
                }
                let bits = if number < 0 {
                    number.max(i128::from(i64::MIN)) as i64 as u64
                } else {
                    u64::try_from(number).unwrap_or(u64::MAX)
                };
                Ok(Datum::text(format!("{bits:X}")))
            }
        }
    }

    fn of_bytes<'r>(&self, first: Datum<'r>, second: Option<Datum<'r>>) -> Result<Datum<'r>> {
        let bytes = |encoding: &Encoding, value: Datum<'_>| match value {
            Datum::Bytes(bytes) => bytes.into_owned(),
            Datum::Text(text) => encoding.encode(&text),
            other => other
                .into_text()
                .map_or_else(Vec::new, |text| text.into_owned().into_bytes()),
        };
        Ok(match self {
            Call::Length(encoding) => Datum::Int(match &first {
                Datum::Text(text) => encoding.length(text),
                _ => bytes(encoding, first).len(),
            } as i64),
            Call::CharLength => Datum::Int(match first {
                Datum::Bytes(bytes) => bytes.len(),
                other => other.into_text().map_or(0, |text| text.chars().count()),
            } as i64),
            Call::HexText(encoding) => Datum::text(hex::encode_upper(bytes(encoding, first))),
            Call::Md5(encoding) => Datum::text(hex::encode(md5::compute(bytes(encoding, first)).0)),
            Call::Sha2(encoding) => {
                let bits = second.and_then(|bits| bits.to_int()).unwrap_or(-1);
                let bytes = bytes(encoding, first);
                match bits {
                    224 => Datum::text(hex::encode(sha2::Sha224::digest(bytes))),
                    0 | 256 => Datum::text(hex::encode(sha2::Sha256::digest(bytes))),
                    384 => Datum::text(hex::encode(sha2::Sha384::digest(bytes))),
                    512 => Datum::text(hex::encode(sha2::Sha512::digest(bytes))),
                    _ => Datum::Null,
                }
            }
            _ => Datum::Null,
        })
    }

    fn of_date<'r>(&self, first: Datum<'r>, second: Option<Datum<'r>>) -> Datum<'r> {
        let lenient = cast::moment(&first, Zeros::Parts).map(|(moment, _)| moment);
        let strict = || cast::moment(&first, Zeros::Refused);
        let part = |part: Option<i64>| part.map_or(Datum::Null, Datum::Int);
        match self {
            Call::Year => part(lenient.map(|m| i64::from(m.year))),
            Call::Month => part(lenient.map(|m| i64::from(m.month))),
            Call::Day => part(lenient.map(|m| i64::from(m.day))),
            Call::Date => strict().map_or(Datum::Null, |(m, _)| Datum::Date(cast::date_of(&m))),
            Call::DateDiff => {
                let other = second.and_then(|value| cast::moment(&value, Zeros::Refused));
                match (strict(), other) {
                    (Some((a, _)), Some((b, _))) => {
                        Datum::Int(calendar::days_of(&a) - calendar::days_of(&b))
                    }
                    _ => Datum::Null,
                }
            }
            Call::DateFormat(format) => {
                let written = match (lenient, format, second) {
                    (Some(moment), Some(format), _) => format.write(&moment),
                    (Some(moment), None, Some(text)) => text
                        .into_text()
                        .and_then(|text| Format::parse(&text).write(&moment)),
                    _ => None,
                };
                written.map_or(Datum::Null, Datum::text)
            }
            Call::AddInterval {
                unit,
                subtract,
                result,
            } => {
                let amount = second.unwrap_or(Datum::Null);
                interval::add(strict(), &amount, *unit, *subtract, result)
            }
            Call::UnixTimestamp { scale } => match cast::moment(&first, Zeros::Parts) {
                Some((moment, _)) => parts::unix_timestamp(&moment, *scale),
                None => parts::unix_timestamp(&Default::default(), *scale),
            },
            Call::FromUnixtime { fsp } => {
                let seconds = first.to_decimal();
                let moment = seconds.and_then(|seconds| parts::from_unixtime(&seconds, *fsp));
                moment.map_or(Datum::Null, Datum::DateTime)
            }
            _ => Datum::Null,
        }
    }

    fn of_json<'r>(&self, first: Datum<'r>, kind: &TypeKind) -> Result<Datum<'r>> {
        match self {
            Call::JsonExtract {
                paths,
                many,
                foreign,
            } => {
                let origin = if *foreign {
                    Origin::Foreign
                } else {
                    Origin::Document
                };
                let Some(text) = first.into_text() else {
                    return Ok(Datum::Null);
                };
                let document = json::parse(&text, origin)
                    .ok_or(EvaluationError::InvalidJson("JSON_EXTRACT"))?;
                Ok(extracted(&document, paths, *many))
            }
            _ if *kind == TypeKind::Json => {
                let Some(text) = first.into_text() else {
                    return Ok(Datum::Null);
                };
                if !text.starts_with('"') {
                    return Ok(Datum::text(text));
                }
                unquoted(&text)
            }
            _ => {
                let Some(text) = first.into_text() else {
                    return Ok(Datum::Null);
                };
                if text.len() < 2 || !text.starts_with('"') || !text.ends_with('"') {
                    return Ok(Datum::text(text));
                }
                unquoted(&text)
            }
        }
    }
}

fn unquoted(text: &str) -> Result<Datum<'static>> {
    match json::parse(text, Origin::Foreign) {
        Some(Json::String(text)) => Ok(Datum::text(text.into_owned())),
        _ => Err(EvaluationError::InvalidJson("JSON_UNQUOTE")),
    }
}

fn extracted(document: &Json<'_>, paths: &[Option<json::Path>], many: bool) -> Datum<'static> {
    let mut found = Vec::new();
    for path in paths {
        let Some(path) = path else {
            return Datum::Null;
        };
        found.extend(path.find(document));
    }
    let mut out = String::new();
    match (found.as_slice(), many) {
        ([], _) => return Datum::Null,
        ([one, ..], false) => json::print(one, &mut out),
        (all, true) => {
            out.push('[');
            for (index, value) in all.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                json::print(value, &mut out);
            }
            out.push(']');
        }
    }
    Datum::Json(out.into())
}
