//! Strings, numbers and words.

use std::borrow::Cow;

use super::{Fatal, Reader, Value, clip};

impl<'a> Reader<'a> {
    pub(super) fn string(&mut self, quote: u8) -> Result<Cow<'a, str>, Fatal> {
        let open = self.at;
        self.at += 1;
        let mut copied: Option<String> = None;
        let mut from = self.at;
        loop {
            match self.peek() {
                None => return self.unclosed_string(open),
                Some(b) if b == quote => break,
                Some(b'\\') => {
                    let out = copied.get_or_insert_with(String::new);
                    out.push_str(&self.text[from..self.at]);
                    if let Some(c) = self.escape()? {
                        copied.get_or_insert_with(String::new).push(c);
                    }
                    from = self.at;
                }
                Some(b'\n' | b'\r') => return self.unclosed_string(open),
                Some(b) if b < 0x20 => {
                    let span = self.here();
                    self.mistake(
                        "control-character",
                        span,
                        "a control character stands in a string",
                        "write it as \\t or \\u00XX, or remove it",
                    )?;
                    self.at += 1;
                }
                Some(_) => self.at += 1,
            }
        }
        let rest = &self.text[from..self.at];
        self.at += 1;
        Ok(match copied {
            None => Cow::Borrowed(rest),
            Some(mut out) => {
                out.push_str(rest);
                Cow::Owned(out)
            }
        })
    }

    /// An escape sequence; `None` where it was reported and left out.
    fn escape(&mut self) -> Result<Option<char>, Fatal> {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.peek() else {
            return self.ended(start, "the file ends within a string");
        };
        let simple = match kind {
            b'"' => Some('"'),
            b'\\' => Some('\\'),
            b'/' => Some('/'),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => {
                self.at += 1;
                return self.unicode_escape(start);
            }
            _ => None,
        };
        let char_end = self.here().end;
        self.at = char_end;
        if simple.is_none() {
            let message = format!("JSON has no escape `{}`", &self.text[start..char_end]);
            self.mistake(
                "unknown-escape",
                start..char_end,
                &message,
                "write \\\\ for a backslash",
            )?;
        }
        Ok(simple)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<Option<char>, Fatal> {
        let first = self.hex4();
        let code = match first {
            Some(high @ 0xD800..=0xDBFF) if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                self.hex4()
                    .filter(|low| (0xDC00..=0xDFFF).contains(low))
                    .map(|low| 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
            }
            other => other,
        };
        let c = code.and_then(char::from_u32);
        if c.is_none() {
            let span = start..self.at;
            self.mistake(
                "unknown-escape",
                span,
                "this escape does not name a character",
                "write \\u and four hexadecimal digits (a pair of them beyond U+FFFF)",
            )?;
        }
        Ok(c)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    pub(super) fn number(&mut self) -> Result<Value<'a>, Fatal> {
        let start = self.at;
        while matches!(self.peek(), Some(b) if is_word(b) || matches!(b, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        let raw = &self.text[start..self.at];
        if is_json_number(raw) {
            return Ok(Value::Number(raw));
        }
        let message = format!("`{}` is not a number as JSON writes it", clip(raw));
        self.mistake("number", start..self.at, &message, "write digits without leading zeros or `+`, as 0.5 or 12; put anything else in double quotes")?;
        Ok(Value::Broken)
    }

    pub(super) fn word(&mut self) -> Result<Value<'a>, Fatal> {
        let start = self.at;
        let word = self.take_word();
        let (value, help) = match word {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            "True" | "TRUE" => (Value::Bool(true), "write true".to_owned()),
            "False" | "FALSE" => (Value::Bool(false), "write false".to_owned()),
            "None" | "NULL" | "Null" | "nil" | "undefined" => {
                (Value::Null, "write null".to_owned())
            }
            _ => (
                Value::Broken,
                format!("text stands in double quotes: \"{word}\""),
            ),
        };
        let message = format!("`{}` is not a JSON value", clip(word));
        self.mistake("bare-word", start..self.at, &message, &clip(&help))?;
        Ok(value)
    }

    pub(super) fn take_word(&mut self) -> &'a str {
        let start = self.at;
        while matches!(self.peek(), Some(b) if is_word(b) || b == b'-') {
            self.at += 1;
        }
        &self.text[start..self.at]
    }
}

pub(super) fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80
}

fn is_json_number(raw: &str) -> bool {
    let rest = raw.strip_prefix('-').unwrap_or(raw);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(i) => (&rest[..i], Some(&rest[i + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((w, f)) => (w, Some(f)),
        None => (mantissa, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}
