//! JSON text into the one form: documents of MySQL become maps and lists, items of DynamoDB's wire become items.
//!
//! One walk over the text; nothing is built in between.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::canonical::{Invalid, Tag, Writer};

/// How deep values may be nested in DynamoDB.
const MOST_LEVELS: usize = 32;
const LONGEST_NAME: usize = 65_535;

/// Walks over one text.
#[derive(Debug)]
pub struct Reader<'t> {
    text: &'t [u8],
    pub at: usize,
}

/// A scalar of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'t> {
    Null,
    Bool(bool),
    Number(&'t [u8]),
    Text(Cow<'t, str>),
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space; it is not taken.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    pub fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        match self.peek() == Some(byte) {
            true => {
                self.at += 1;
                Ok(())
            }
            false => Err(Invalid),
        }
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), Invalid> {
        self.peek().map_or(Ok(()), |_| Err(Invalid))
    }

    /// Whether another element follows; takes the comma before it, or the closing bracket.
    pub fn more(&mut self, first: bool, close: u8) -> Result<bool, Invalid> {
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    pub fn scalar(&mut self) -> Result<Scalar<'t>, Invalid> {
        Ok(match self.peek().ok_or(Invalid)? {
            b'"' => Scalar::Text(self.string()?),
            b't' => self.word(b"true", Scalar::Bool(true))?,
            b'f' => self.word(b"false", Scalar::Bool(false))?,
            b'n' => self.word(b"null", Scalar::Null)?,
            b'-' | b'0'..=b'9' => Scalar::Number(self.digits()?),
            _ => return Err(Invalid),
        })
    }

    fn word(&mut self, word: &[u8], scalar: Scalar<'t>) -> Result<Scalar<'t>, Invalid> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Invalid);
        }
        self.at += word.len();
        Ok(scalar)
    }

    fn digits(&mut self) -> Result<&'t [u8], Invalid> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let number = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
        let length = rest.iter().take_while(|b| number(b)).count();
        let text = &rest[..length];
        // JSON has no leading zeros and digits on both sides of the point.
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let legal = match digits {
            [b'0', b'0'..=b'9', ..] | [] => false,
            [first, ..] => first.is_ascii_digit(),
        };
        let point = digits.iter().position(|b| *b == b'.');
        let followed = point.is_none_or(|at| digits.get(at + 1).is_some_and(u8::is_ascii_digit));
        if !(legal && followed) {
            return Err(Invalid);
        }
        self.at += length;
        Ok(text)
    }

    /// A string; borrowed where it has no escapes.
    pub fn string(&mut self) -> Result<Cow<'t, str>, Invalid> {
        self.expect(b'"')?;
        let start = self.at;
        self.plain();
        let plain = self.text.get(start..self.at).unwrap_or_default();
        if self.text.get(self.at) == Some(&b'"') {
            self.at += 1;
            return str::from_utf8(plain)
                .map(Cow::Borrowed)
                .map_err(|_| Invalid);
        }
        let mut bytes = plain.to_vec();
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return String::from_utf8(bytes)
                        .map(Cow::Owned)
                        .map_err(|_| Invalid);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let mut room = [0; 4];
                    let char = self.escape()?;
                    bytes.extend_from_slice(char.encode_utf8(&mut room).as_bytes());
                }
                Some(byte) if *byte >= 0x20 => {
                    let from = self.at;
                    self.plain();
                    bytes.extend_from_slice(self.text.get(from..self.at).unwrap_or_default());
                }
                _ => return Err(Invalid),
            }
        }
    }

    /// Goes over what stands for itself.
    fn plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let special = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
        self.at += rest.iter().position(special).unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, Invalid> {
        let kind = self.text.get(self.at).copied().ok_or(Invalid)?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first).ok_or(Invalid);
                }
                if self.text.get(self.at..self.at + 2) != Some(br"\u") {
                    return Err(Invalid);
                }
                self.at += 2;
                let second = self.unit()?;
                let low = second.checked_sub(0xdc00).ok_or(Invalid)?;
                if low > 0x3ff {
                    return Err(Invalid);
                }
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + low).ok_or(Invalid)?
            }
            _ => return Err(Invalid),
        })
    }

    fn unit(&mut self) -> Result<u32, Invalid> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Invalid)?;
        let mut unit = 0;
        for digit in digits {
            unit = unit * 16 + char::from(*digit).to_digit(16).ok_or(Invalid)?;
        }
        self.at += 4;
        Ok(unit)
    }

    /// A document as a value; `level` counts from 0.
    pub fn document(&mut self, level: usize, out: &mut Writer) -> Result<(), Invalid> {
        if level == MOST_LEVELS {
            return Err(Invalid);
        }
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let open = out.open(Tag::M);
                let start = out.bytes.len();
                let mut members = Vec::new();
                while self.more(members.is_empty(), b'}')? {
                    members.push(out.bytes.len());
                    let name = self.string()?;
                    self.expect(b':')?;
                    if !(1..=LONGEST_NAME).contains(&name.len()) {
                        return Err(Invalid);
                    }
                    out.element();
                    out.name(name.as_bytes());
                    self.document(level + 1, out)?;
                }
                out.order_members(start, &members)?;
                out.close(open);
            }
            Some(b'[') => {
                self.at += 1;
                let open = out.open(Tag::L);
                let mut first = true;
                while self.more(first, b']')? {
                    first = false;
                    out.element();
                    self.document(level + 1, out)?;
                }
                out.close(open);
            }
            _ => match self.scalar()? {
                Scalar::Null => out.scalar(Tag::Null, b""),
                Scalar::Bool(value) => out.scalar(Tag::Bool, &[u8::from(value)]),
                Scalar::Number(text) => out.number(text)?,
                Scalar::Text(text) => out.text(Tag::S, text.as_bytes()),
            },
        }
        if out.is_too_large() {
            return Err(Invalid);
        }
        Ok(())
    }

    /// A value as DynamoDB's wire has it: `{"S":"x"}`.
    pub fn attribute(&mut self, level: usize, out: &mut Writer) -> Result<(), Invalid> {
        // One more than there can be.
        if level > MOST_LEVELS {
            return Err(Invalid);
        }
        self.expect(b'{')?;
        let tag = Tag::named(&self.string()?).ok_or(Invalid)?;
        self.expect(b':')?;
        match tag {
            Tag::S => out.text(Tag::S, self.string()?.as_bytes()),
            Tag::N => out.number(self.string()?.as_bytes())?,
            Tag::B => {
                let open = out.open(Tag::B);
                let text = self.string()?;
                STANDARD
                    .decode_vec(text.as_bytes(), &mut out.bytes)
                    .map_err(|_| Invalid)?;
                out.close(open);
            }
            Tag::Bool => match self.scalar()? {
                Scalar::Bool(value) => out.scalar(Tag::Bool, &[u8::from(value)]),
                _ => return Err(Invalid),
            },
            Tag::Null => {
                self.scalar()?;
                out.scalar(Tag::Null, b"");
            }
            Tag::M => {
                let open = out.open(Tag::M);
                self.attributes(level + 1, out, |_, _| {})?;
                out.close(open);
            }
            Tag::L => {
                self.expect(b'[')?;
                let open = out.open(Tag::L);
                let mut first = true;
                while self.more(first, b']')? {
                    first = false;
                    self.attribute(level + 1, out)?;
                }
                out.close(open);
            }
            Tag::SS | Tag::NS | Tag::BS => self.set(tag, out)?,
        }
        self.expect(b'}')
    }

    /// Names and values between braces, put in order; `each` learns of every one and of its place before that.
    pub fn attributes(
        &mut self,
        level: usize,
        out: &mut Writer,
        each: impl FnMut(&str, &[u8]),
    ) -> Result<(), Invalid> {
        self.attributes_but(&[], level, out, each)
    }

    /// [`Reader::attributes`] without those of these names, as if they were not there.
    pub fn attributes_but(
        &mut self,
        without: &[String],
        level: usize,
        out: &mut Writer,
        mut each: impl FnMut(&str, &[u8]),
    ) -> Result<(), Invalid> {
        self.expect(b'{')?;
        let start = out.bytes.len();
        let mut members = Vec::with_capacity(16);
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let name = self.string()?;
            self.expect(b':')?;
            if without.iter().any(|left_out| *left_out == name) {
                self.skip()?;
                continue;
            }
            members.push(out.bytes.len());
            out.name(name.as_bytes());
            let from = out.bytes.len();
            self.attribute(level, out)?;
            each(&name, out.bytes.get(from..).unwrap_or_default());
        }
        out.order_members(start, &members)
    }

    fn set(&mut self, tag: Tag, out: &mut Writer) -> Result<(), Invalid> {
        self.expect(b'[')?;
        let open = out.open(tag);
        let start = out.bytes.len();
        let mut members = Vec::new();
        while self.more(members.is_empty(), b']')? {
            members.push(out.bytes.len());
            let text = self.string()?;
            match tag {
                Tag::NS => out.number_member(text.as_bytes())?,
                Tag::BS => out.member(&STANDARD.decode(text.as_bytes()).map_err(|_| Invalid)?),
                _ => out.member(text.as_bytes()),
            }
        }
        out.order_set(start, &members);
        out.close(open);
        Ok(())
    }

    /// Goes over a value of any kind, and gives its text.
    pub fn skip(&mut self) -> Result<&'t [u8], Invalid> {
        self.peek();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Invalid)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    depth += 1;
                    continue;
                }
                b'}' | b']' => {
                    self.at += 1;
                    depth = depth.checked_sub(1).ok_or(Invalid)?;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    self.scalar()?;
                }
            }
            if depth == 0 {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Result<Vec<u8>, Invalid> {
        let mut out = Writer::default();
        let mut reader = Reader::new(text.as_bytes());
        reader.document(0, &mut out)?;
        reader.end()?;
        Ok(out.bytes)
    }

    fn attribute(text: &str) -> Result<Vec<u8>, Invalid> {
        let mut out = Writer::default();
        let mut reader = Reader::new(text.as_bytes());
        reader.attribute(0, &mut out)?;
        reader.end()?;
        Ok(out.bytes)
    }

    #[test]
    fn a_document_and_its_item_are_the_same() {
        let from_mysql =
            r#"{"b": [1.50, -0.0, "x\n\u00e4\ud83d\ude00"], "a": null, "long": {"t": true}}"#;
        let from_dynamo = r#"{"M":{"long":{"M":{"t":{"BOOL":true}}},"a":{"NULL":true},
            "b":{"L":[{"N":"1.5"},{"N":"0"},{"S":"x\nä😀"}]}}}"#;
        assert_eq!(document(from_mysql), attribute(from_dynamo));
    }

    #[test]
    fn sets_have_no_order_and_no_member_twice() {
        assert_eq!(
            attribute(r#"{"NS":["2","1.0"]}"#),
            attribute(r#"{"NS":["1","2","2.00"]}"#)
        );
        assert_eq!(
            attribute(r#"{"BS":["AA==","AQ=="]}"#),
            attribute(r#"{"BS":["AQ==","AA=="]}"#)
        );
        assert_ne!(attribute(r#"{"SS":["1"]}"#), attribute(r#"{"NS":["1"]}"#));
        assert_ne!(attribute(r#"{"S":"1"}"#), attribute(r#"{"N":"1"}"#));
    }

    #[test]
    fn what_dynamodb_would_not_take_is_refused() {
        let deep = format!("{}1{}", "[".repeat(32), "]".repeat(32));
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "1.",
            "{\"\":1}",
            "{\"a\":1,\"a\":2}",
            "nul",
            &deep,
            "\"\\ud800\"",
        ] {
            assert_eq!(document(text), Err(Invalid), "{text}");
        }
        let fits = format!("{}1{}", "[".repeat(31), "]".repeat(31));
        assert!(document(&fits).is_ok());
    }

    #[test]
    fn values_of_any_kind_are_gone_over() {
        let mut reader = Reader::new(br#" {"a":[1,{"b":"]}"}],"c":null} ,"#);
        assert_eq!(reader.skip(), Ok(&br#"{"a":[1,{"b":"]}"}],"c":null}"#[..]));
        assert_eq!(reader.peek(), Some(b','));
    }
}
