//! JSON text into DynamoDB's maps and lists, token by token: no tree is built, numbers never become floats.

use std::borrow::Cow;

use ahash::AHashSet;

use super::item::{ItemWriter, MAX_DEPTH, MAX_NAME_BYTES};
use super::number::Number;
use super::reason::Fault;

/// A scalar of a JSON document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    String(Cow<'a, str>),
}

/// What a document is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Array,
    Scalar,
}

/// Says what `text` starts as; whether it is valid shows when it is read.
pub(super) fn shape(text: &str) -> Shape {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        _ => Shape::Scalar,
    }
}

/// Writes the document as an attribute's value. `foreign` text (anything but a JSON column) may name a member twice,
/// which is refused.
pub(super) fn write_native(
    text: &str,
    foreign: bool,
    writer: &mut ItemWriter,
) -> Result<(), Fault> {
    let mut reader = Reader::new(text);
    reader.native(foreign, 0, writer)?;
    reader.end()
}

/// The one scalar that the document is.
pub(super) fn scalar(text: &str) -> Result<Scalar<'_>, Fault> {
    let mut reader = Reader::new(text);
    let scalar = reader.scalar()?;
    reader.end()?;
    Ok(scalar)
}

/// Calls `each` for every element of the array of scalars that the document is.
pub(super) fn scalars<'a>(
    text: &'a str,
    mut each: impl FnMut(Scalar<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut reader = Reader::new(text);
    reader.expect(b'[')?;
    let mut first = true;
    while reader.more(first, b']')? {
        first = false;
        match reader.peek() {
            Some(b'{' | b'[') => {
                return Err(Fault::WrongType {
                    expected: "a set of scalars",
                });
            }
            _ => each(reader.scalar()?)?,
        }
    }
    reader.end()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next character that is not white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let skip = rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += skip;
        rest.get(skip).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::InvalidJson);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.peek().map_or(Ok(()), |_| Err(Fault::InvalidJson))
    }

    /// Whether another element follows; takes the comma before it, or the closing bracket.
    fn more(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn native(
        &mut self,
        foreign: bool,
        depth: usize,
        writer: &mut ItemWriter,
    ) -> Result<(), Fault> {
        // The attribute's own value is the first level, and a scalar takes a level as a map does.
        if depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        match self.peek() {
            Some(b'{') => self.object(foreign, depth + 1, writer),
            Some(b'[') => self.array(foreign, depth + 1, writer),
            _ => match self.scalar()? {
                Scalar::Null => writer.null(),
                Scalar::Bool(value) => writer.boolean(value),
                Scalar::Number(text) => writer.number(&Number::parse(text)?),
                Scalar::String(text) => writer.string(&text),
            },
        }
    }

    fn object(
        &mut self,
        foreign: bool,
        depth: usize,
        writer: &mut ItemWriter,
    ) -> Result<(), Fault> {
        self.expect(b'{')?;
        writer.open_map()?;
        let mut names = AHashSet::new();
        let mut first = true;
        while self.more(first, b'}')? {
            let name = self.string()?;
            self.expect(b':')?;
            if !(1..=MAX_NAME_BYTES).contains(&name.len()) {
                return Err(Fault::MemberName);
            }
            writer.member(first, &name)?;
            if foreign && !names.insert(name) {
                return Err(Fault::DuplicateMember);
            }
            self.native(foreign, depth, writer)?;
            first = false;
        }
        writer.close_map();
        Ok(())
    }

    fn array(&mut self, foreign: bool, depth: usize, writer: &mut ItemWriter) -> Result<(), Fault> {
        self.expect(b'[')?;
        writer.open_list()?;
        let mut first = true;
        while self.more(first, b']')? {
            writer.element(first)?;
            self.native(foreign, depth, writer)?;
            first = false;
        }
        writer.close_list();
        Ok(())
    }

    fn scalar(&mut self) -> Result<Scalar<'a>, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b't') => self.word("true", Scalar::Bool(true)),
            Some(b'f') => self.word("false", Scalar::Bool(false)),
            Some(b'n') => self.word("null", Scalar::Null),
            Some(b'{' | b'[') => Err(Fault::WrongType {
                expected: "a scalar",
            }),
            _ => Err(Fault::InvalidJson),
        }
    }

    fn word(&mut self, word: &str, scalar: Scalar<'a>) -> Result<Scalar<'a>, Fault> {
        if !self.rest().starts_with(word) {
            return Err(Fault::InvalidJson);
        }
        self.at += word.len();
        Ok(scalar)
    }

    /// JSON's grammar of numbers: no leading zeros, digits on both sides of the point.
    fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.skip(b'-');
        if self.skip(b'0') {
            // Nothing may follow a leading zero but point and exponent.
        } else if self.digits() == 0 {
            return Err(Fault::InvalidJson);
        }
        if self.skip(b'.') && self.digits() == 0 {
            return Err(Fault::InvalidJson);
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _sign = self.skip(b'+') || self.skip(b'-');
            if self.digits() == 0 {
                return Err(Fault::InvalidJson);
            }
        }
        self.text.get(start..self.at).ok_or(Fault::InvalidJson)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    /// A string; borrowed where it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"')?;
        let rest = self.rest();
        let length = plain_length(rest);
        let plain = &rest[..length];
        self.at += length;
        if self.skip(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            if self.skip(b'"') {
                return Ok(Cow::Owned(text));
            }
            if self.skip(b'\\') {
                text.push(self.escape()?);
                continue;
            }
            let rest = self.rest();
            let length = plain_length(rest);
            if length == 0 {
                return Err(Fault::InvalidJson);
            }
            text.push_str(&rest[..length]);
            self.at += length;
        }
    }

    /// The character that an escape stands for, the backslash taken.
    fn escape(&mut self) -> Result<char, Fault> {
        let kind = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(kind.is_some_and(|k| k.is_ascii()));
        Ok(match kind {
            Some(same @ (b'"' | b'\\' | b'/')) => char::from(same),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(Fault::InvalidJson),
        })
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(Fault::InvalidJson);
        }
        if !(self.skip(b'\\') && self.skip(b'u')) {
            return Err(Fault::InvalidJson);
        }
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Fault::InvalidJson);
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or(Fault::InvalidJson)
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .ok_or(Fault::InvalidJson)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Fault::InvalidJson);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Fault::InvalidJson)
    }

    /// What is left. Every step ends on a character's boundary, so there is always such a rest.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// How many bytes of a string stand for themselves. It ends before an ASCII character, thus on a boundary.
fn plain_length(text: &str) -> usize {
    text.bytes()
        .position(|b| b == b'"' || b == b'\\' || b < 0x20)
        .unwrap_or(text.len())
}
