//! Values from a result set in MySQL's text protocol: the same [`Value`] that the stream gives for the row.
//!
//! The session must have `character_set_results = NULL` (text comes in the column's own character set),
//! `time_zone = '+00:00'`, and a `sql_mode` without `PAD_CHAR_TO_FULL_LENGTH`; the columns must be selected by
//! [`select_expression`].

use std::borrow::Cow;

use crate::change::charset::Charset;
use crate::change::{Temporal, TimeOfDay, Value};
use crate::schema::{Column, ColumnType, quote};

use super::{DecodeError, value::bit};

/// The SQL that selects a column without loss. FLOAT shows six digits only; as a DOUBLE it shows all that it holds.
/// Where the declaration says how a number is printed, the print is the value.
pub fn select_expression(column: &Column) -> String {
    let name = quote(&column.name);
    match column.ty {
        ColumnType::Float { .. } | ColumnType::Double { .. }
            if column.ty.number_style().is_none() =>
        {
            format!("CAST({name} AS DOUBLE)")
        }
        _ => name,
    }
}

/// The value of a cell that is not NULL.
pub fn value<'a>(column: &Column, bytes: &'a [u8]) -> Result<Value<'a>, DecodeError> {
    parse(&column.ty, bytes).map_err(|problem| match problem {
        Problem::Charset(charset) => DecodeError::UnsupportedCharset {
            column: column.name.clone(),
            charset: charset.to_owned(),
        },
        Problem::Invalid(what) => DecodeError::Value {
            column: column.name.clone(),
            what,
        },
    })
}

const TEXT: &str = "text in its character set";

enum Problem<'c> {
    Charset(&'c str),
    Invalid(&'static str),
}

impl From<&'static str> for Problem<'_> {
    fn from(what: &'static str) -> Self {
        Problem::Invalid(what)
    }
}

fn parse<'a, 'c>(ty: &'c ColumnType, bytes: &'a [u8]) -> Result<Value<'a>, Problem<'c>> {
    if ty.number_style().is_some() {
        return Ok(Value::Decimal(printed(bytes)?.into()));
    }
    Ok(match ty {
        ColumnType::Int {
            unsigned: false, ..
        } => Value::Int(number(bytes, "an integer")?),
        ColumnType::Int { unsigned: true, .. } => Value::UInt(number(bytes, "an integer")?),
        // Every FLOAT is a DOUBLE exactly, and comes back from it.
        ColumnType::Float { .. } => Value::Float(number::<f64>(bytes, "FLOAT")? as f32),
        ColumnType::Double { .. } => Value::Double(number(bytes, "DOUBLE")?),
        ColumnType::Decimal { .. } => Value::Decimal(decimal(bytes).ok_or("DECIMAL")?.into()),
        ColumnType::Bit { bits } => Value::Bit(bit(bytes, *bits).ok_or("BIT")?),
        ColumnType::Text { charset, .. } => {
            let text = known(charset)?.text(bytes);
            Value::Text(text.map_err(|_| TEXT)?)
        }
        ColumnType::Enum { charset, .. } => Value::Text(text(known(charset)?, bytes)?.into()),
        ColumnType::Set { charset, .. } => Value::Set(text(known(charset)?, bytes)?),
        ColumnType::Binary { .. } | ColumnType::Bytes { .. } => Value::Bytes(Cow::Borrowed(bytes)),
        ColumnType::Date => Value::Date(date(bytes).ok_or("DATE")?),
        ColumnType::DateTime { fsp } => Value::DateTime(date_time(bytes, *fsp).ok_or("DATETIME")?),
        ColumnType::Timestamp { fsp } => {
            Value::Timestamp(date_time(bytes, *fsp).ok_or("TIMESTAMP")?)
        }
        ColumnType::Time { fsp } => Value::Time(time(bytes, *fsp).ok_or("TIME")?),
        ColumnType::Year => Value::Year(number(bytes, "YEAR")?),
        ColumnType::Json => {
            let text = std::str::from_utf8(bytes).map_err(|_| "JSON")?;
            Value::Json(text.into())
        }
        ColumnType::Geometry => Value::Geometry(Cow::Borrowed(bytes)),
        ColumnType::Vector { .. } => Value::Vector(Cow::Borrowed(bytes)),
    })
}

fn known(charset: &str) -> Result<Charset, Problem<'_>> {
    Charset::by_mysql_name(charset).ok_or(Problem::Charset(charset))
}

fn text(charset: Charset, bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    charset.decode(bytes).map_err(|_| TEXT)
}

fn number<T: std::str::FromStr>(bytes: &[u8], what: &'static str) -> Result<T, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| what)?;
    text.parse().map_err(|_| what)
}

/// The print of a number, zeros in front included.
fn printed(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a number")?;
    let known = |byte: u8| byte.is_ascii_digit() || b"-.e".contains(&byte);
    if text.is_empty() || !text.bytes().all(known) {
        return Err("a number");
    }
    Ok(text)
}

/// The text without zeros in front, which MySQL does not print here.
fn decimal(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) {
        return None;
    }
    if whole.len() == 1 || !whole.starts_with('0') {
        return Some(Cow::Borrowed(text));
    }
    let trimmed = digits.trim_start_matches('0');
    let zero = if trimmed.is_empty() || trimmed.starts_with('.') {
        "0"
    } else {
        ""
    };
    let sign = text.get(..text.len() - digits.len())?;
    Some(Cow::Owned(format!("{sign}{zero}{trimmed}")))
}

/// Reads groups of digits with what stands between them.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn skip(&mut self, separator: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        (first == separator).then_some(())
    }

    /// A number of `count` digits.
    fn fixed(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u32::from(digit - b'0'))
        })
    }

    /// Two digits.
    fn pair(&mut self) -> Option<u8> {
        u8::try_from(self.fixed(2)?).ok()
    }

    /// The point and `fsp` digits at the end of the value, as microseconds.
    fn fraction(&mut self, fsp: u8) -> Option<u32> {
        let mut micros = 0;
        if fsp > 0 {
            self.skip(b'.')?;
            micros = self.fixed(usize::from(fsp))? * 10_u32.pow(6_u32.checked_sub(fsp.into())?);
        }
        self.0.is_empty().then_some(micros)
    }

    fn date(&mut self) -> Option<Temporal> {
        let year = u16::try_from(self.fixed(4)?).ok()?;
        self.skip(b'-')?;
        let month = self.pair()?;
        self.skip(b'-')?;
        let day = self.pair()?;
        Some(Temporal {
            year,
            month,
            day,
            ..Temporal::default()
        })
    }
}

fn date(bytes: &[u8]) -> Option<Temporal> {
    let mut digits = Digits(bytes);
    let date = digits.date()?;
    digits.0.is_empty().then_some(date)
}

fn date_time(bytes: &[u8], fsp: u8) -> Option<Temporal> {
    let mut digits = Digits(bytes);
    let date = digits.date()?;
    digits.skip(b' ')?;
    let hour = digits.pair()?;
    digits.skip(b':')?;
    let minute = digits.pair()?;
    digits.skip(b':')?;
    Some(Temporal {
        hour,
        minute,
        second: digits.pair()?,
        micros: digits.fraction(fsp)?,
        fsp,
        ..date
    })
}

fn time(bytes: &[u8], fsp: u8) -> Option<TimeOfDay> {
    let negative = bytes.first() == Some(&b'-');
    let mut digits = Digits(bytes.get(usize::from(negative)..)?);
    let width = digits.0.iter().position(|&byte| byte == b':')?;
    let hours = u16::try_from(digits.fixed(width.min(4))?).ok()?;
    digits.skip(b':')?;
    let minutes = digits.pair()?;
    digits.skip(b':')?;
    Some(TimeOfDay {
        negative,
        hours,
        minutes,
        seconds: digits.pair()?,
        micros: digits.fraction(fsp)?,
        fsp,
    })
}
