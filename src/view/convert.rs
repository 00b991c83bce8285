//! One value into one attribute type.
//!
//! - **S** takes the text that MySQL prints; bytes have none.
//! - **N** takes numbers, YEAR, BIT, text that is a number, and JSON scalars that are; always written in the one
//!   canonical form. A zero date is left out; other dates and times are no numbers.
//! - **B** takes bytes as they are and text as UTF-8.
//! - **BOOL** takes numbers (not 0), `true`, `false`, `1`, `0` as text, and JSON's own.
//! - **M** and **L** take a JSON object and a JSON array, nothing else.
//! - **SS**, **NS**, **BS** take a JSON array of scalars, or text split at each `,`; bytes are one member of a BS.
//!   What is there already is dropped, compared as DynamoDB compares; a set of nothing leaves the attribute out.
//! - **NULL** is NULL whatever the value.
//!
//! JSON's `null` is NULL for all but S and B, which take the document's text.

use std::borrow::Cow;

use ahash::AHashSet;

use super::item::ItemWriter;
use super::json::{self, Scalar, Shape};
use super::number::Number;
use super::reason::Fault;
use crate::change::{Temporal, Textual, Value};
use crate::contract::model::AttributeType;

/// What came of writing a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Value,
    /// The value is NULL for this type; nothing was written.
    Null,
    /// There is nothing that could be written (an empty set, a zero date as a number): the attribute is left out
    /// even where NULL is written out.
    Nothing,
}

/// Writes values as attributes of a type; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub(super) struct Converter {
    text: String,
}

impl Converter {
    /// Writes `value` as `ty`. `foreign` says that JSON text comes from elsewhere than a JSON column.
    pub(super) fn write(
        &mut self,
        value: &Value<'_>,
        ty: AttributeType,
        foreign: bool,
        writer: &mut ItemWriter,
    ) -> Result<Written, Fault> {
        if is_null(value, ty) {
            return Ok(Written::Null);
        }
        match ty {
            AttributeType::S => writer.string(self.text(value)?)?,
            AttributeType::N => match value {
                Value::Int(value) => writer.integer(*value < 0, value.unsigned_abs())?,
                Value::UInt(value) => writer.integer(false, *value)?,
                value => match self.number(value)? {
                    Some(number) => writer.number(&number)?,
                    None => return Ok(Written::Nothing),
                },
            },
            AttributeType::B => writer.binary(self.bytes(value)?)?,
            AttributeType::Bool => writer.boolean(self.boolean(value)?)?,
            AttributeType::M => return self.native(value, Shape::Object, foreign, writer),
            AttributeType::L => return self.native(value, Shape::Array, foreign, writer),
            AttributeType::SS => return self.string_set(value, writer),
            AttributeType::NS => return self.number_set(value, writer),
            AttributeType::BS => return self.binary_set(value, writer),
            AttributeType::Null => return Ok(Written::Null),
        }
        Ok(Written::Value)
    }

    /// The value's text: borrowed where it is text, else put into our buffer.
    fn text<'t>(&'t mut self, value: &'t Value<'_>) -> Result<&'t str, Fault> {
        value.text_in(&mut self.text).map_err(|none| match none {
            Textual::Binary => Fault::Binary,
            Textual::Null | Textual::Written => Fault::WrongType { expected: "S" },
        })
    }

    /// The value as a number; `None` for a zero date.
    fn number(&mut self, value: &Value<'_>) -> Result<Option<Number>, Fault> {
        match value {
            Value::Json(document) => match json::scalar(document.text_in(&mut self.text))? {
                Scalar::Number(text) => Number::parse(text),
                Scalar::String(text) => Number::parse(&text),
                Scalar::Bool(true) => Number::parse("1"),
                Scalar::Bool(false) => Number::parse("0"),
                Scalar::Null => Err(Fault::NotANumber),
            },
            Value::Date(date) | Value::DateTime(date) | Value::Timestamp(date) => {
                return if is_zero(date) {
                    Ok(None)
                } else {
                    Err(Fault::NotANumber)
                };
            }
            Value::Time(_) => Err(Fault::NotANumber),
            other => Number::parse(self.text(other)?),
        }
        .map(Some)
    }

    fn boolean(&mut self, value: &Value<'_>) -> Result<bool, Fault> {
        let named = |text: &str| match text.trim_ascii() {
            "1" => Ok(true),
            "0" => Ok(false),
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Fault::NotABoolean),
        };
        match value {
            Value::Text(text) => named(text),
            Value::Set(text) => named(text),
            Value::Json(document) => {
                let scalar = json::scalar(document.text_in(&mut self.text));
                match scalar.map_err(|_| Fault::NotABoolean)? {
                    Scalar::Bool(value) => Ok(value),
                    Scalar::Number(text) => Ok(!Number::parse(text)?.is_zero()),
                    Scalar::String(text) => named(&text),
                    Scalar::Null => Err(Fault::NotABoolean),
                }
            }
            other => match self.number(other) {
                Ok(Some(number)) => Ok(!number.is_zero()),
                Ok(None) | Err(_) => Err(Fault::NotABoolean),
            },
        }
    }

    fn string_set(&mut self, value: &Value<'_>, writer: &mut ItemWriter) -> Result<Written, Fault> {
        let mark = writer.mark();
        writer.open_set("SS");
        let mut seen = AHashSet::new();
        self.members(value, |member| {
            let first = seen.is_empty();
            match seen.contains(&member) {
                true => Ok(()),
                false => {
                    writer.string_member(first, &member)?;
                    seen.insert(member);
                    Ok(())
                }
            }
        })?;
        Ok(close(seen.is_empty(), mark, writer))
    }

    fn number_set(&mut self, value: &Value<'_>, writer: &mut ItemWriter) -> Result<Written, Fault> {
        let mark = writer.mark();
        writer.open_set("NS");
        let mut seen = AHashSet::new();
        self.members(value, |member| {
            let number = Number::parse(&member)?;
            number.check()?;
            let mut text = Vec::new();
            number.write_canonical(&mut text);
            let first = seen.is_empty();
            if seen.insert(text) {
                writer.number_member(first, &number)?;
            }
            Ok(())
        })?;
        Ok(close(seen.is_empty(), mark, writer))
    }

    fn binary_set(&mut self, value: &Value<'_>, writer: &mut ItemWriter) -> Result<Written, Fault> {
        let mark = writer.mark();
        writer.open_set("BS");
        if let Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes) = value {
            // Bytes have no separator: they are the one member.
            writer.binary_member(true, bytes)?;
            return Ok(close(false, mark, writer));
        }
        let mut seen = AHashSet::new();
        self.members(value, |member| {
            let first = seen.is_empty();
            if !seen.contains(&member) {
                writer.binary_member(first, member.as_bytes())?;
                seen.insert(member);
            }
            Ok(())
        })?;
        Ok(close(seen.is_empty(), mark, writer))
    }

    /// Calls `each` for the members of a set: the elements of a JSON array, the parts of text between commas.
    fn members<'t>(
        &'t mut self,
        value: &'t Value<'_>,
        mut each: impl FnMut(Cow<'t, str>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Value::Json(document) = value {
            let text = document.text_in(&mut self.text);
            return match json::shape(text) {
                Shape::Array => json::scalars(text, |scalar| each(member(scalar)?)),
                _ => Err(Fault::WrongType {
                    expected: "a set (from a JSON array)",
                }),
            };
        }
        match self.text(value)? {
            "" => Ok(()),
            text => text
                .split(',')
                .try_for_each(|part| each(Cow::Borrowed(part))),
        }
    }

    /// Bytes as they are, text as UTF-8.
    fn bytes<'t>(&'t mut self, value: &'t Value<'_>) -> Result<&'t [u8], Fault> {
        match value {
            Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes) => Ok(bytes),
            Value::Text(text) => Ok(text.as_bytes()),
            Value::Set(text) => Ok(text.as_bytes()),
            Value::Json(document) => Ok(document.text_in(&mut self.text).as_bytes()),
            _ => Err(Fault::WrongType {
                expected: "B (from bytes or text)",
            }),
        }
    }

    fn native(
        &mut self,
        value: &Value<'_>,
        wanted: Shape,
        foreign: bool,
        writer: &mut ItemWriter,
    ) -> Result<Written, Fault> {
        let expected = match wanted {
            Shape::Object => "M (from a JSON object)",
            _ => "L (from a JSON array)",
        };
        let Value::Json(document) = value else {
            return Err(Fault::WrongType { expected });
        };
        let text = document.text_in(&mut self.text);
        match json::shape(text) {
            shape if shape == wanted => {
                json::write_native(text, foreign, writer).map(|()| Written::Value)
            }
            // Text that is no JSON at all is the nearer truth.
            Shape::Scalar => json::scalar(text).and(Err(Fault::WrongType { expected })),
            _ => Err(Fault::WrongType { expected }),
        }
    }
}

/// A JSON scalar as the text of a set's member.
fn member(scalar: Scalar<'_>) -> Result<Cow<'_, str>, Fault> {
    Ok(match scalar {
        Scalar::String(text) => text,
        Scalar::Number(text) => Cow::Borrowed(text),
        Scalar::Bool(true) => Cow::Borrowed("true"),
        Scalar::Bool(false) => Cow::Borrowed("false"),
        Scalar::Null => {
            return Err(Fault::WrongType {
                expected: "a set without null",
            });
        }
    })
}

fn close(empty: bool, mark: super::item::Mark, writer: &mut ItemWriter) -> Written {
    if empty {
        writer.rewind(mark);
        return Written::Nothing;
    }
    writer.close_set();
    Written::Value
}

/// NULL, and JSON's null for all types but those that take the document's text.
fn is_null(value: &Value<'_>, ty: AttributeType) -> bool {
    match value {
        Value::Null => true,
        Value::Json(document) => {
            !matches!(ty, AttributeType::S | AttributeType::B) && document.is_null()
        }
        _ => false,
    }
}

/// `0000-00-00`, at whatever time: MySQL's stand-in for no date.
pub(super) fn is_zero(date: &Temporal) -> bool {
    date.year == 0 && date.month == 0 && date.day == 0
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
