//! One value of a row, as MySQL means it, whichever way it came.

use std::borrow::Cow;

use super::coded::Text;
use super::decimal::Decimal;
use super::json::Json;

/// A column's value. Borrowed from the event or the result set where that costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value<'a> {
    #[default]
    Null,
    /// Signed integers of every width.
    Int(i64),
    /// Unsigned integers of every width.
    UInt(u64),
    Float(f32),
    Double(f64),
    /// As MySQL prints it: `-0.50`, all digits of the scale, no leading zeros but one before the point. Also any number
    /// whose declaration says how it is printed: `00042` of an INT(5) ZEROFILL, `1.500` of a FLOAT(10,3).
    Decimal(Decimal<'a>),
    /// CHAR without its trailing spaces, VARCHAR, TEXT, as UTF-8; the label of an ENUM.
    Text(Text<'a>),
    /// The labels of a SET, joined by `,` in the order of the definition; no label is the empty string.
    Set(Cow<'a, str>),
    /// BINARY (padded to its length), VARBINARY, BLOB.
    Bytes(Cow<'a, [u8]>),
    Date(Temporal),
    DateTime(Temporal),
    /// In UTC.
    Timestamp(Temporal),
    Time(TimeOfDay),
    /// 0 is the year `0000`.
    Year(u16),
    /// BIT(n) as a number.
    Bit(u64),
    /// The document as MySQL prints it.
    Json(Json<'a>),
    /// SRID (4 bytes, little endian) and WKB, as stored.
    Geometry(Cow<'a, [u8]>),
    /// 4-byte little endian floats, as stored.
    Vector(Cow<'a, [u8]>),
}

/// A date with a time; parts may be zero (`0000-00-00`, `2024-00-00`), as MySQL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Temporal {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
    /// How many digits of the fraction are shown, 0 to 6.
    pub fsp: u8,
}

/// TIME: up to ±838:59:59.999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TimeOfDay {
    pub negative: bool,
    pub hours: u16,
    pub minutes: u8,
    pub seconds: u8,
    pub micros: u32,
    pub fsp: u8,
}

impl Value<'_> {
    /// Whether dropping it does nothing.
    #[inline]
    fn owns_nothing(&self) -> bool {
        match self {
            Value::Text(text) => text.owns_nothing(),
            Value::Set(text) => matches!(text, Cow::Borrowed(_)),
            Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes) => {
                matches!(bytes, Cow::Borrowed(_))
            }
            Value::Decimal(number) => number.owns_nothing(),
            Value::Json(document) => document.owns_nothing(),
            _ => true,
        }
    }

    /// Empties `values`. Nearly all values of a stream are borrowed, and clearing the vector would call each one's
    /// destructor only to find nothing to do.
    #[inline]
    pub(crate) fn clear(values: &mut Vec<Self>) {
        for value in values.drain(..) {
            if value.owns_nothing() {
                std::mem::forget(value);
            }
        }
    }
}

impl Temporal {
    /// `None` for what no MySQL can have written: it would print as something that is not a date.
    #[inline]
    pub(crate) fn checked(self) -> Option<Self> {
        let fits = self.year <= 9999
            && self.month <= 12
            && self.day <= 31
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 59
            && self.micros <= 999_999;
        fits.then_some(self)
    }
}

impl TimeOfDay {
    /// `None` for what no MySQL can have written.
    #[inline]
    pub(crate) fn checked(self) -> Option<Self> {
        let fits =
            self.hours <= 838 && self.minutes <= 59 && self.seconds <= 59 && self.micros <= 999_999;
        fits.then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_small() {
        // Rows of values are what decoding writes: their size is its speed.
        assert!(size_of::<Value<'_>>() <= 32);
    }

    #[test]
    fn values_that_own_memory_are_known() {
        let text = || "owned".to_owned();
        let bytes = || Cow::Owned(text().into_bytes());
        for owned in [
            Value::Text(text().into()),
            Value::Set(text().into()),
            Value::Decimal(text().into()),
            Value::Json(text().into()),
            Value::Bytes(bytes()),
            Value::Geometry(bytes()),
            Value::Vector(bytes()),
        ] {
            assert!(!owned.owns_nothing(), "{owned:?}");
            let mut values = vec![owned, Value::Null, Value::Json("borrowed".into())];
            assert!(values.iter().skip(1).all(Value::owns_nothing));
            Value::clear(&mut values);
            assert!(values.is_empty() && values.capacity() >= 3);
        }
        assert!(Value::Text("borrowed".into()).owns_nothing());
        assert!(Value::Decimal("1.5".into()).owns_nothing());
    }
}
