//! Dates into other forms: patterns, seconds since 1970, ISO 8601.
//!
//! `0000-00-00` is no date: a pattern prints its zeros, the forms that need an instant give NULL. A date with single
//! zero parts (`2024-00-00`) or one that does not exist (`2024-02-31`) prints by a pattern too, but has no instant:
//! that is a fault, since NULL would hide what is stored.

use std::borrow::Cow;

use super::convert::is_zero;
use super::reason::Fault;
use super::transform::Output;
use crate::change::{Temporal, TimeOfDay, Value, padded, write_clock, write_date, write_fraction};
use crate::plan::{DateFormat, DateToken};

const SECONDS_A_DAY: i64 = 86_400;

/// Appends `value` in `format` to `out`. Text is read by `source_format`, or as MySQL or ISO 8601 write dates; numbers
/// need a `source_format`.
pub(super) fn format(
    value: &Value<'_>,
    format: &DateFormat,
    source_format: Option<&str>,
    out: &mut String,
) -> Result<Output, Fault> {
    if let (Value::Time(time), DateFormat::Pattern(tokens)) = (value, format) {
        return write_clock_pattern(time, tokens, out);
    }
    let moment = read(value, source_format)?;
    if let DateFormat::Pattern(tokens) = format {
        write_pattern(&moment, tokens, out);
        return Ok(Output::Text);
    }
    if is_zero(&moment) {
        return Ok(Output::Null);
    }
    let seconds = seconds_since_1970(&moment)?;
    Ok(match format {
        DateFormat::Epoch => Output::Integer(seconds),
        DateFormat::EpochMillis => {
            Output::Integer(seconds * 1000 + i64::from(moment.micros / 1000))
        }
        DateFormat::Iso8601 | DateFormat::Pattern(_) => {
            write_iso8601(&moment, out);
            Output::Text
        }
    })
}

fn read(value: &Value<'_>, source_format: Option<&str>) -> Result<Temporal, Fault> {
    let mut buffer = String::new();
    let text: Cow<'_, str> = match value {
        Value::Date(moment) | Value::DateTime(moment) | Value::Timestamp(moment) => {
            return Ok(*moment);
        }
        Value::Text(text) => Cow::Borrowed(text),
        Value::Json(document) => match super::json::scalar(document.text_in(&mut buffer)) {
            Ok(super::json::Scalar::String(text)) => Cow::Owned(text.into_owned()),
            _ => return Err(Fault::NotADate),
        },
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) if source_format.is_some() => {
            value.write_text(&mut buffer);
            Cow::Owned(buffer)
        }
        _ => return Err(Fault::NotADate),
    };
    let moment = match source_format {
        None | Some("iso8601") => read_default(&text),
        Some("epoch") => read_epoch(&text, 1),
        Some("epoch_ms") => read_epoch(&text, 1000),
        Some(pattern) => read_pattern(&text, pattern),
    }
    .ok_or(Fault::NotADate)?;
    let in_range = moment.month <= 12
        && moment.day <= 31
        && moment.hour < 24
        && moment.minute < 60
        && moment.second < 60;
    in_range.then_some(moment).ok_or(Fault::NotADate)
}

/// `2024-01-31`, then perhaps a `T` or a space with `10:20`, `:30`, `.123456` and `Z`.
fn read_default(text: &str) -> Option<Temporal> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, Some(clock.strip_suffix('Z').unwrap_or(clock))),
        None => (text, None),
    };
    let mut moment = read_pattern(date, "YYYY-MM-DD")?;
    if let Some(clock) = clock {
        let (clock, fraction) = match clock.split_once('.') {
            Some((clock, fraction)) => (clock, Some(fraction)),
            None => (clock, None),
        };
        let pattern = if clock.len() == 5 && fraction.is_none() {
            "HH:mm"
        } else {
            "HH:mm:ss"
        };
        let time = read_pattern(clock, pattern)?;
        (moment.hour, moment.minute, moment.second) = (time.hour, time.minute, time.second);
        if let Some(fraction) = fraction {
            (moment.micros, moment.fsp) = read_fraction(fraction)?;
        }
    }
    Some(moment)
}

/// One to six digits after the point as microseconds, and how many they were.
fn read_fraction(digits: &str) -> Option<(u32, u8)> {
    let places = u8::try_from(digits.len())
        .ok()
        .filter(|n| (1..=6).contains(n))?;
    let value = number(digits)?;
    Some((value * 10_u32.pow(6 - u32::from(places)), places))
}

/// Text by a pattern of YYYY MM DD HH mm ss SSS; anything else in it stands for itself. Month and day that the pattern
/// does not hold are 1, the time's parts 0.
fn read_pattern(text: &str, pattern: &str) -> Option<Temporal> {
    let mut moment = Temporal {
        year: 0,
        month: 1,
        day: 1,
        ..Temporal::default()
    };
    let (mut text, mut pattern) = (text, pattern);
    while !pattern.is_empty() {
        let token = ["YYYY", "MM", "DD", "HH", "mm", "ss", "SSS"]
            .into_iter()
            .find(|token| pattern.starts_with(token));
        let Some(token) = token else {
            let literal = pattern.chars().next()?;
            text = text.strip_prefix(literal)?;
            pattern = &pattern[literal.len_utf8()..];
            continue;
        };
        let (digits, rest) = text.split_at_checked(token.len())?;
        let value = number(digits)?;
        match token {
            "YYYY" => moment.year = value as u16,
            "MM" => moment.month = value as u8,
            "DD" => moment.day = value as u8,
            "HH" => moment.hour = value as u8,
            "mm" => moment.minute = value as u8,
            "ss" => moment.second = value as u8,
            _ => (moment.micros, moment.fsp) = (value * 1000, 3),
        }
        (text, pattern) = (rest, &pattern[token.len()..]);
    }
    text.is_empty().then_some(moment)
}

/// At most six digits and nothing else.
fn number(digits: &str) -> Option<u32> {
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Whole units since 1970, `scale` of them a second.
fn read_epoch(text: &str, scale: i64) -> Option<Temporal> {
    let units: i64 = text.trim_ascii().parse().ok()?;
    let seconds = units.div_euclid(scale);
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_A_DAY));
    let of_day = seconds.rem_euclid(SECONDS_A_DAY) as u32;
    Some(Temporal {
        year: u16::try_from(year).ok().filter(|year| *year <= 9999)?,
        month,
        day,
        hour: (of_day / 3600) as u8,
        minute: (of_day / 60 % 60) as u8,
        second: (of_day % 60) as u8,
        micros: (units.rem_euclid(scale) * 1_000_000 / scale) as u32,
        fsp: if scale == 1 { 0 } else { 3 },
    })
}

fn write_pattern(moment: &Temporal, tokens: &[DateToken], out: &mut String) {
    for token in tokens {
        match token {
            DateToken::Year => padded(u32::from(moment.year), 4, out),
            DateToken::Month => padded(u32::from(moment.month), 2, out),
            DateToken::Day => padded(u32::from(moment.day), 2, out),
            DateToken::Hour => padded(u32::from(moment.hour), 2, out),
            DateToken::Minute => padded(u32::from(moment.minute), 2, out),
            DateToken::Second => padded(u32::from(moment.second), 2, out),
            DateToken::Millis => padded(moment.micros / 1000, 3, out),
            DateToken::Literal(text) => out.push_str(text),
        }
    }
}

/// A TIME by a pattern of its own parts; a negative one, or a pattern with parts of a date, is refused.
fn write_clock_pattern(
    time: &TimeOfDay,
    tokens: &[DateToken],
    out: &mut String,
) -> Result<Output, Fault> {
    if time.negative {
        return Err(Fault::NotADate);
    }
    for token in tokens {
        match token {
            DateToken::Hour => padded(u32::from(time.hours), 2, out),
            DateToken::Minute => padded(u32::from(time.minutes), 2, out),
            DateToken::Second => padded(u32::from(time.seconds), 2, out),
            DateToken::Millis => padded(time.micros / 1000, 3, out),
            DateToken::Literal(text) => out.push_str(text),
            DateToken::Year | DateToken::Month | DateToken::Day => return Err(Fault::NotADate),
        }
    }
    Ok(Output::Text)
}

fn write_iso8601(moment: &Temporal, out: &mut String) {
    write_date(moment, out);
    out.push('T');
    write_clock(u32::from(moment.hour), moment.minute, moment.second, out);
    write_fraction(moment.micros, moment.fsp, out);
    out.push('Z');
}

/// Seconds from 1970-01-01T00:00:00Z to `moment`, its fraction cut off towards the past.
fn seconds_since_1970(moment: &Temporal) -> Result<i64, Fault> {
    let days = days_since_1970(moment.year, moment.month, moment.day).ok_or(Fault::NoInstant)?;
    let of_day =
        i64::from(moment.hour) * 3600 + i64::from(moment.minute) * 60 + i64::from(moment.second);
    Ok(days * SECONDS_A_DAY + of_day)
}

/// Days in the proleptic Gregorian calendar; `None` where there is no such day.
fn days_since_1970(year: u16, month: u8, day: u8) -> Option<i64> {
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    // Years begin in March, so that the leap day is the last one.
    let (year, month) = match month {
        1 | 2 => (i64::from(year) - 1, i64::from(month) + 9),
        month => (i64::from(year), i64::from(month) - 3),
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a day since 1970.
fn civil(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

#[cfg(test)]
#[path = "date_tests.rs"]
mod tests;
