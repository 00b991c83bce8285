//! Values as text, exactly as MySQL prints them.

use std::fmt::Write;

use super::float;
use super::value::{Temporal, TimeOfDay, Value};

/// What became of a value that was asked for its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Textual {
    /// The text was appended.
    Written,
    /// NULL has no text; nothing was appended.
    Null,
    /// Bytes that are not text (BINARY, BLOB, GEOMETRY, VECTOR); nothing was appended.
    Binary,
}

impl Value<'_> {
    /// Appends the text that MySQL prints for this value; TIMESTAMP in UTC, BIT as a decimal number.
    pub fn write_text(&self, out: &mut String) -> Textual {
        match self {
            Value::Null => return Textual::Null,
            Value::Bytes(_) | Value::Geometry(_) | Value::Vector(_) => return Textual::Binary,
            Value::Int(number) => write_int(*number, out),
            Value::UInt(number) | Value::Bit(number) => write_uint(*number, out),
            Value::Float(number) => float::write_f32(*number, out),
            Value::Double(number) => float::write_f64(*number, out),
            Value::Decimal(number) => number.write(out),
            Value::Text(text) => out.push_str(text),
            Value::Set(text) => out.push_str(text),
            Value::Json(document) => document.write(out),
            Value::Date(date) => write_date(date, out),
            Value::DateTime(moment) | Value::Timestamp(moment) => write_date_time(moment, out),
            Value::Time(time) => write_time(time, out),
            Value::Year(year) => padded(u32::from(*year), 4, out),
        }
        Textual::Written
    }

    /// The text of [`Self::write_text`]: borrowed where the value is text, else put into `buffer`, whose content is
    /// replaced. `Err` says why there is none, and is never `Written`.
    pub fn text_in<'t>(&'t self, buffer: &'t mut String) -> Result<&'t str, Textual> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Set(text) => Ok(text),
            Value::Decimal(number) => Ok(number.text_in(buffer)),
            Value::Json(document) => Ok(document.text_in(buffer)),
            other => {
                buffer.clear();
                match other.write_text(buffer) {
                    Textual::Written => Ok(buffer),
                    none => Err(none),
                }
            }
        }
    }
}

/// Appends an integer.
pub fn write_int(number: i64, out: &mut String) {
    if number < 0 {
        out.push('-');
    }
    write_uint(number.unsigned_abs(), out);
}

/// Appends an unsigned integer.
pub fn write_uint(mut number: u64, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // ASCII digits only: never the empty branch.
    out.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// Appends `number` with zeros in front up to `width` digits.
pub(crate) fn padded(number: u32, width: usize, out: &mut String) {
    // Two and four digits are nearly all there is: no formatting machinery for them.
    if number < 100 && width == 2 {
        out.push(char::from(b'0' + (number / 10) as u8));
        out.push(char::from(b'0' + (number % 10) as u8));
    } else if number < 10_000 && width == 4 {
        padded(number / 100, 2, out);
        padded(number % 100, 2, out);
    } else {
        let _ = write!(out, "{number:0width$}");
    }
}

/// Appends `.` and the first `fsp` digits of the microseconds; nothing where `fsp` is 0.
pub(crate) fn write_fraction(micros: u32, fsp: u8, out: &mut String) {
    let shown = u32::from(fsp.min(6));
    if shown > 0 {
        out.push('.');
        padded(micros / 10_u32.pow(6 - shown), shown as usize, out);
    }
}

/// Appends `2024-01-31`.
pub(crate) fn write_date(date: &Temporal, out: &mut String) {
    padded(u32::from(date.year), 4, out);
    out.push('-');
    padded(u32::from(date.month), 2, out);
    out.push('-');
    padded(u32::from(date.day), 2, out);
}

fn write_date_time(moment: &Temporal, out: &mut String) {
    write_date(moment, out);
    out.push(' ');
    write_clock(u32::from(moment.hour), moment.minute, moment.second, out);
    write_fraction(moment.micros, moment.fsp, out);
}

fn write_time(time: &TimeOfDay, out: &mut String) {
    if time.negative {
        out.push('-');
    }
    write_clock(u32::from(time.hours), time.minutes, time.seconds, out);
    write_fraction(time.micros, time.fsp, out);
}

/// Appends `10:20:30`.
pub(crate) fn write_clock(hours: u32, minutes: u8, seconds: u8, out: &mut String) {
    padded(hours, 2, out);
    out.push(':');
    padded(u32::from(minutes), 2, out);
    out.push(':');
    padded(u32::from(seconds), 2, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn text(value: &Value<'_>) -> String {
        let mut out = String::new();
        assert_eq!(value.write_text(&mut out), Textual::Written);
        out
    }

    #[test]
    fn integers() {
        assert_eq!(text(&Value::Int(0)), "0");
        assert_eq!(text(&Value::Int(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(&Value::UInt(u64::MAX)), "18446744073709551615");
        assert_eq!(text(&Value::Bit(5)), "5");
        assert_eq!(text(&Value::Year(0)), "0000");
        assert_eq!(text(&Value::Year(2155)), "2155");
    }

    #[test]
    fn dates_and_times() {
        let zero = Temporal::default();
        assert_eq!(text(&Value::Date(zero)), "0000-00-00");
        let moment = Temporal {
            year: 2024,
            month: 2,
            day: 9,
            hour: 3,
            minute: 4,
            second: 5,
            micros: 7_000,
            fsp: 3,
        };
        assert_eq!(text(&Value::DateTime(moment)), "2024-02-09 03:04:05.007");
        assert_eq!(
            text(&Value::Timestamp(Temporal { fsp: 0, ..moment })),
            "2024-02-09 03:04:05"
        );
        assert_eq!(
            text(&Value::DateTime(Temporal {
                fsp: 6,
                micros: 12,
                ..moment
            })),
            "2024-02-09 03:04:05.000012"
        );
        let time = TimeOfDay {
            negative: true,
            hours: 838,
            minutes: 59,
            seconds: 1,
            micros: 990_000,
            fsp: 2,
        };
        assert_eq!(text(&Value::Time(time)), "-838:59:01.99");
        assert_eq!(
            text(&Value::Time(TimeOfDay {
                hours: 5,
                ..TimeOfDay::default()
            })),
            "05:00:00"
        );
    }

    #[test]
    fn what_has_no_text() {
        let mut out = String::new();
        assert_eq!(Value::Null.write_text(&mut out), Textual::Null);
        assert_eq!(
            Value::Bytes(Cow::Borrowed(b"a")).write_text(&mut out),
            Textual::Binary
        );
        assert_eq!(out, "");
    }
}
