//! CAST, and the conversions that MySQL makes where a function wants another type.

use super::EvaluationError;
use super::calendar::{self, Zeros};
use super::datum::Datum;
use super::decimal::Rounding;
use super::json::{self, Json, Origin};
use super::node::Target;
use super::parts;
use crate::change::Temporal;

type Result<T> = std::result::Result<T, EvaluationError>;

/// The most bytes that a text of an expression may have; MySQL gives NULL beyond (`max_allowed_packet`).
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn convert<'a>(target: &Target, value: Datum<'a>) -> Result<Datum<'a>> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    Ok(match target {
        Target::Signed => integer(&value, false),
        Target::Unsigned => integer(&value, true),
        Target::Decimal { precision, scale } => match value.to_decimal() {
            Some(number) => Datum::Decimal(number.fitted(*precision, *scale)),
            None => Datum::Null,
        },
        Target::Double => value.to_f64().map_or(Datum::Null, Datum::Double),
        Target::Float => {
            let number = value.to_f64().unwrap_or(0.0) as f32;
            if !number.is_finite() {
                return Err(EvaluationError::OutOfRange("FLOAT"));
            }
            Datum::Float(number)
        }
        Target::Chars(most) => match value.into_text() {
            Some(text) => Datum::text(match most {
                Some(most) => first_chars(text, *most),
                None => text,
            }),
            None => Datum::Null,
        },
        Target::Bytes(length) => bytes(value, *length),
        Target::Date => match date(&value, Zeros::Refused) {
            Some(date) => Datum::Date(date_of(&date)),
            None => Datum::Null,
        },
        Target::DateTime(fsp) => moment(&value, Zeros::Refused)
            .and_then(|(moment, _)| calendar::with_fsp(&moment, *fsp))
            .map_or(Datum::Null, Datum::DateTime),
        Target::Time(fsp) => time(&value, *fsp),
        Target::Json => Datum::Json(to_json(value)?.into()),
        Target::Year => year(&value),
        Target::Whole => match (&value, value.to_int()) {
            (Datum::Double(_), Some(number)) => Datum::Int(
                i64::try_from(number).map_err(|_| EvaluationError::OutOfRange("BIGINT"))?,
            ),
            _ => value,
        },
        Target::Complete => match &value {
            Datum::Date(moment) | Datum::DateTime(moment)
                if moment.month == 0 || moment.day == 0 =>
            {
                return Err(EvaluationError::Argument(
                    "a comparison",
                    "a zero date or one without month or day",
                ));
            }
            _ => value,
        },
        Target::Truncated => match value.to_decimal() {
            Some(number) => match number.to_int(Rounding::Truncate).map(i64::try_from) {
                Some(Ok(number)) => Datum::Int(number),
                _ => return Err(EvaluationError::OutOfRange("BIGINT")),
            },
            None => Datum::Null,
        },
        Target::Seconds => match value.to_decimal() {
            Some(number) => Datum::Double(parts::seconds(&number)),
            None => Datum::Null,
        },
        Target::Scale(scale) => match value {
            Datum::Decimal(number) => Datum::Decimal(number.rescaled(*scale, Rounding::HalfUp)),
            other => other,
        },
        Target::AtMost(scale) => match value {
            Datum::Decimal(number) if number.scale() > *scale => {
                Datum::Decimal(number.rescaled(*scale, Rounding::HalfUp))
            }
            other => other,
        },
        Target::Narrow(width) => narrow(value, *width),
        Target::LabelNumber { labels, set } => {
            let number = label_number(&value, labels, *set);
            number.to_f64().map_or(Datum::Null, Datum::Double)
        }
    })
}

/// A number's text; where it has more characters than `width`, with exponent and as many digits as fit.
fn narrow<'a>(value: Datum<'a>, width: usize) -> Datum<'a> {
    let number = match value {
        Datum::Double(number) => number,
        Datum::Float(number) => f64::from(number),
        _ => return value.into_text().map_or(Datum::Null, Datum::text),
    };
    let text = value.into_text().unwrap_or_default();
    if text.len() <= width {
        return Datum::text(text);
    }
    let shortest = format!("{number:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let taken = usize::from(number < 0.0) + 1 + exponent.len() + 1;
    let fits = width.saturating_sub(taken).max(1);
    let most = if width < 20 { count.min(6) } else { count };
    let rounded = format!("{number:.*e}", fits.min(most) - 1);
    let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    Datum::text(format!("{digits}e{exponent}"))
}

fn integer(value: &Datum<'_>, unsigned: bool) -> Datum<'static> {
    let Some(mut number) = value.to_int() else {
        return Datum::Null;
    };
    if matches!(value, Datum::Double(_)) {
        number = number.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    }
    let is_exact = matches!(value, Datum::Decimal(_));
    let is_text = matches!(value, Datum::Text(_) | Datum::Bytes(_) | Datum::Json(_));
    let is_double = matches!(value, Datum::Double(_) | Datum::Float(_));
    let (low, high) = (i128::from(i64::MIN), i128::from(i64::MAX));
    let most = i128::from(u64::MAX);
    match unsigned {
        true if is_exact || is_text || is_double => {
            if number < 0 {
                Datum::UInt(number.max(low) as i64 as u64)
            } else {
                Datum::UInt(number.min(most) as u64)
            }
        }
        true => Datum::UInt(number as u64),
        false if is_text && number > high => Datum::Int(number.min(most) as u64 as i64),
        false if is_exact || is_double || is_text => Datum::Int(number.clamp(low, high) as i64),
        false => Datum::Int(number as i64),
    }
}

/// The first so many characters.
pub(super) fn first_chars(
    text: std::borrow::Cow<'_, str>,
    most: usize,
) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => match text {
            std::borrow::Cow::Borrowed(text) => text[..end].into(),
            std::borrow::Cow::Owned(mut text) => {
                text.truncate(end);
                text.into()
            }
        },
    }
}

fn bytes<'a>(value: Datum<'a>, length: Option<usize>) -> Datum<'a> {
    let mut bytes = match value {
        Datum::Bytes(bytes) => bytes,
        other => match other.into_text() {
            Some(text) => text.into_owned().into_bytes().into(),
            None => return Datum::Null,
        },
    };
    if let Some(length) = length
        && bytes.len() != length
    {
        bytes.to_mut().resize(length, 0);
    }
    Datum::Bytes(bytes)
}

pub(super) fn date_of(moment: &Temporal) -> Temporal {
    Temporal {
        year: moment.year,
        month: moment.month,
        day: moment.day,
        ..Temporal::default()
    }
}

/// A value as a date or moment; the flag tells whether it has a time.
pub(super) fn moment(value: &Datum<'_>, zeros: Zeros) -> Option<(Temporal, bool)> {
    let (moment, with_time) = match value {
        Datum::Date(date) => (*date, false),
        Datum::DateTime(moment) => (*moment, true),
        Datum::Text(text) => return calendar::parse_moment(text, zeros),
        Datum::Json(text) => return calendar::parse_moment(text, zeros),
        Datum::Int(_) | Datum::UInt(_) => {
            return calendar::moment_of_number(value.to_int()?, zeros);
        }
        Datum::Decimal(number) => {
            let whole = number.to_int(Rounding::Truncate)?;
            let (moment, with_time) = calendar::moment_of_number(whole, zeros)?;
            if number.scale() == 0 {
                return Some((moment, with_time));
            }
            let rest = number.sub(&super::decimal::Dec::from_int(whole)).ok()?;
            let micros = rest.rescaled(6, Rounding::HalfUp);
            let micros = micros.mul(&super::decimal::Dec::from_int(1_000_000)).ok()?;
            let micros = i64::try_from(micros.to_int(Rounding::HalfUp)?).ok()?;
            let total = calendar::micros_of(&moment) + micros;
            (calendar::moment_of(total, 6)?, with_time)
        }
        _ => return None,
    };
    let allowed = zeros == Zeros::Parts || calendar::is_date(&moment, zeros);
    allowed.then_some((moment, with_time))
}

/// What CAST to DATE takes it for: of a number it does not look at the time.
fn date(value: &Datum<'_>, zeros: Zeros) -> Option<Temporal> {
    match value {
        Datum::Int(_) | Datum::UInt(_) => calendar::date_of_number(value.to_int()?, zeros),
        _ => moment(value, zeros).map(|(moment, _)| moment),
    }
}

fn time(value: &Datum<'_>, fsp: u8) -> Datum<'static> {
    match value {
        Datum::Time(time) => Datum::Time(calendar::time_with_fsp(time, fsp)),
        Datum::DateTime(moment) => {
            let clock = calendar::time_of(calendar::clock_micros(moment), 6);
            Datum::Time(calendar::time_with_fsp(&clock, fsp))
        }
        Datum::Date(_) => Datum::Time(calendar::time_of(0, fsp)),
        _ => Datum::Null,
    }
}

fn year(value: &Datum<'_>) -> Datum<'static> {
    match value {
        Datum::Year(0) => Datum::Int(0),
        Datum::Year(year) => Datum::Year(*year),
        Datum::Date(moment) | Datum::DateTime(moment) => match moment.year {
            0 => Datum::Int(0),
            year @ 1901..=2155 => Datum::Year(year),
            _ => Datum::Null,
        },
        other => {
            let text = matches!(other, Datum::Text(_));
            match other.to_int() {
                Some(0) if !text => Datum::Int(0),
                Some(short @ 0..=69) => Datum::Year(2000 + short as u16),
                Some(short @ 70..=99) => Datum::Year(1900 + short as u16),
                Some(year @ 1901..=2155) => Datum::Year(year as u16),
                _ => Datum::Null,
            }
        }
    }
}

fn label_number(value: &Datum<'_>, labels: &[String], set: bool) -> Datum<'static> {
    let Datum::Text(text) = value else {
        return Datum::Null;
    };
    let number = |label: &str| labels.iter().position(|l| l == label);
    if !set {
        // The empty text is MySQL's value for what was no label.
        return Datum::UInt(number(text).map_or(0, |n| n as u64 + 1));
    }
    let bits = text.split(',').filter_map(number);
    Datum::UInt(bits.fold(0, |all, n| all | 1_u64.checked_shl(n as u32).unwrap_or(0)))
}

/// The document of a value.
fn to_json(value: Datum<'_>) -> Result<String> {
    let mut out = String::new();
    match value {
        Datum::Json(text) => return Ok(text.into_owned()),
        Datum::Text(text) => {
            let document = json::parse(&text, Origin::Foreign)
                .ok_or(EvaluationError::InvalidJson("CAST AS JSON"))?;
            json::print(&document, &mut out);
        }
        Datum::Double(number) => out = json::print_double(number),
        Datum::Float(number) => out = json::print_double(f64::from(number)),
        Datum::DateTime(moment) => {
            let text = Datum::DateTime(Temporal { fsp: 6, ..moment }).into_text();
            json::quote(&text.unwrap_or_default(), &mut out);
        }
        Datum::Time(time) => {
            let text = Datum::Time(crate::change::TimeOfDay { fsp: 6, ..time }).into_text();
            json::quote(&text.unwrap_or_default(), &mut out);
        }
        Datum::Date(_) => json::quote(&value.into_text().unwrap_or_default(), &mut out),
        Datum::Year(year) => out = year.to_string(),
        other => json::print(
            &Json::Number(other.into_text().unwrap_or_default()),
            &mut out,
        ),
    }
    Ok(out)
}
