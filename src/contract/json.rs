//! A JSON reader that keeps the place of every token and goes on after mistakes that leave no doubt.
//!
//! Strict JSON (RFC 8259) is what passes. Comments, trailing and missing commas, quotes of the wrong kind and
//! unquoted names are errors, but the reader knows what was meant and goes on, so that one run shows everything.
//! Depth, number of values and size are bounded; time and memory are linear in the text up to those bounds.

mod scalar;

use std::borrow::Cow;
use std::ops::Range;

use scalar::is_word;

/// How deep arrays and objects may nest. A contract needs about ten levels.
pub const MAX_DEPTH: usize = 64;
/// How many values a text may hold.
pub const MAX_VALUES: usize = 1_000_000;
/// After so many syntax errors the text is not worth reading on.
const MAX_ERRORS: usize = 20;

/// A value and the bytes that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'a> {
    pub span: Range<usize>,
    pub value: Value<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
    /// Something that was reported as a syntax error already.
    Broken,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    pub key: Cow<'a, str>,
    pub key_span: Range<usize>,
    pub value: Node<'a>,
}

/// A mistake of syntax, ready for a diagnostic.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntaxError {
    pub code: &'static str,
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// Reads `text`. The value is `None` where a mistake left open how to go on; the last error says so.
pub fn read(text: &str) -> (Option<Node<'_>>, Vec<SyntaxError>) {
    let mut reader = Reader {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
        values: 0,
        errors: Vec::new(),
    };
    let node = reader.document().ok();
    (node, reader.errors)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
    errors: Vec<SyntaxError>,
}

/// The reader cannot go on; the reason is in `errors`.
struct Fatal;

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node<'a>, Fatal> {
        self.blank()?;
        if self.at >= self.text.len() {
            let span = self.here();
            return self.fatal(
                "empty-text",
                span,
                "the file is empty",
                "write {\"tables\": [ … ]}",
            );
        }
        if !matches!(self.peek(), Some(b'{' | b'[')) {
            let span = self.here();
            return self.fatal(
                "not-json",
                span,
                "this is not JSON: a contract starts with `{`",
                "is this the right file?",
            );
        }
        let node = self.value(0)?;
        self.blank()?;
        if self.at < self.text.len() {
            let span = self.here();
            return self.fatal(
                "text-after-end",
                span,
                "there is more text after the end of the contract",
                "a file holds one JSON value; look for a bracket that closes too early",
            );
        }
        Ok(node)
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Fatal> {
        self.values += 1;
        if self.values > MAX_VALUES {
            let span = self.here();
            let message = format!("the text holds more than {MAX_VALUES} values");
            return self.fatal(
                "too-large",
                span,
                &message,
                "this is not a migration contract",
            );
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string(b'"')?),
            Some(b'\'') => {
                let value = self.string(b'\'')?;
                let help = format!("write {}", serde_json::Value::from(value.as_ref()));
                self.mistake(
                    "single-quotes",
                    start..self.at,
                    "JSON strings stand in double quotes",
                    &clip(&help),
                )?;
                Value::String(value)
            }
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number()?,
            Some(b) if is_word(b) => self.word()?,
            Some(_) => {
                let span = self.here();
                let found = &self.text[span.clone()];
                let message = format!("a value was expected here, not `{found}`");
                return self.fatal(
                    "syntax",
                    span,
                    &message,
                    "a value is a string, number, true, false, null, [ … ] or { … }",
                );
            }
            None => return self.ended(start, "a value was expected here, but the file ends"),
        };
        Ok(Node {
            span: start..self.at,
            value,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Fatal> {
        let open = self.at;
        self.check_depth(depth)?;
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.blank()?;
            match self.peek() {
                Some(b'}') => break,
                Some(b']') => return self.mismatch(open, "{", "]"),
                None => return self.unclosed(open),
                Some(_) => {}
            }
            members.push(self.member(depth)?);
            if self.separator(open, b'}')? {
                break;
            }
        }
        self.at += 1;
        Ok(Value::Object(members))
    }

    fn member(&mut self, depth: usize) -> Result<Member<'a>, Fatal> {
        let start = self.at;
        let key = match self.peek() {
            Some(b'"') => self.string(b'"')?,
            Some(b'\'') => {
                let key = self.string(b'\'')?;
                self.mistake(
                    "single-quotes",
                    start..self.at,
                    "a field's name stands in double quotes",
                    &clip(&format!("write \"{key}\"")),
                )?;
                key
            }
            Some(b) if is_word(b) => {
                let word = self.take_word();
                self.mistake(
                    "unquoted-name",
                    start..self.at,
                    "a field's name stands in double quotes",
                    &clip(&format!("write \"{word}\"")),
                )?;
                Cow::Borrowed(word)
            }
            _ => {
                let span = self.here();
                let found = &self.text[span.clone()];
                let message = format!("a field's name was expected here, not `{found}`");
                return self.fatal("syntax", span, &message, "write \"name\": value");
            }
        };
        let key_span = start..self.at;
        self.blank()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                let span = self.here();
                self.mistake(
                    "syntax",
                    span,
                    "between a field's name and its value stands `:`",
                    "write `:` instead of `=`",
                )?;
                self.at += 1;
            }
            Some(_) => {
                let span = self.here();
                let message = format!("`:` was expected after the field's name `{}`", clip(&key));
                return self.fatal("syntax", span, &message, "write \"name\": value");
            }
            None => return self.ended(start, "the file ends in the middle of a field"),
        }
        self.blank()?;
        let value = self.value(depth + 1)?;
        Ok(Member {
            key,
            key_span,
            value,
        })
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Fatal> {
        let open = self.at;
        self.check_depth(depth)?;
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            self.blank()?;
            match self.peek() {
                Some(b']') => break,
                Some(b'}') => return self.mismatch(open, "[", "}"),
                None => return self.unclosed(open),
                Some(_) => {}
            }
            elements.push(self.value(depth + 1)?);
            if self.separator(open, b']')? {
                break;
            }
        }
        self.at += 1;
        Ok(Value::Array(elements))
    }

    /// After an element: true when the closing bracket comes next.
    fn separator(&mut self, open: usize, close: u8) -> Result<bool, Fatal> {
        let end = self.at;
        self.blank()?;
        match self.peek() {
            Some(b) if b == close => Ok(true),
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.blank()?;
                if self.peek() == Some(close) {
                    self.mistake(
                        "trailing-comma",
                        comma..comma + 1,
                        "nothing follows this comma",
                        "remove the comma",
                    )?;
                    return Ok(true);
                }
                Ok(false)
            }
            Some(b'}') => self.mismatch(open, "[", "}"),
            Some(b']') => self.mismatch(open, "{", "]"),
            Some(b)
                if b == b'"' || b == b'{' || b == b'[' || b == b'\'' || b == b'-' || is_word(b) =>
            {
                let last = self.text[..end]
                    .char_indices()
                    .next_back()
                    .map_or(0, |(i, _)| i);
                self.mistake(
                    "missing-comma",
                    last..end,
                    "a comma is missing after this",
                    "write a comma between two elements",
                )?;
                Ok(false)
            }
            Some(_) => {
                let span = self.here();
                let message = format!(
                    "`,` or `{}` was expected here, not `{}`",
                    close as char,
                    &self.text[span.clone()]
                );
                self.fatal(
                    "syntax",
                    span,
                    &message,
                    "put the text in double quotes, or remove it",
                )
            }
            None => self.unclosed(open),
        }
    }

    /// White space, and comments, which are reported.
    fn blank(&mut self) -> Result<(), Fatal> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/' | b'#') if self.comment_end().is_some() => {
                    let end = self.comment_end().unwrap_or(self.at);
                    self.mistake(
                        "comment",
                        self.at..end,
                        "JSON has no comments",
                        "remove it; `justification` is a field for reasons",
                    )?;
                    self.at = end;
                }
                _ => return Ok(()),
            }
        }
    }

    fn comment_end(&self) -> Option<usize> {
        let rest = &self.text[self.at..];
        if rest.starts_with("//") || rest.starts_with('#') {
            return Some(self.at + rest.find('\n').unwrap_or(rest.len()));
        }
        let body = rest.strip_prefix("/*")?;
        Some(body.find("*/").map_or(self.text.len(), |i| self.at + i + 4))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The character at the reader's place, or the empty range at the end.
    fn here(&self) -> Range<usize> {
        let len = self.text[self.at..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        self.at..self.at + len
    }

    fn check_depth(&mut self, depth: usize) -> Result<(), Fatal> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        let message = format!("brackets nest deeper than {MAX_DEPTH} levels");
        let span = self.here();
        self.fatal(
            "too-deep",
            span,
            &message,
            "a contract needs about ten levels; this is not one",
        )
    }

    fn mismatch<T>(&mut self, open: usize, opener: &str, found: &str) -> Result<T, Fatal> {
        let line = 1 + self.text[..open].matches('\n').count();
        let span = self.here();
        let want = if opener == "{" { "}" } else { "]" };
        let message =
            format!("`{found}` closes nothing here: the `{opener}` of line {line} is still open");
        self.fatal(
            "unbalanced",
            span,
            &message,
            &format!("write `{want}` first, or remove the `{found}`"),
        )
    }

    fn unclosed<T>(&mut self, open: usize) -> Result<T, Fatal> {
        let want = if self.text.as_bytes().get(open) == Some(&b'{') {
            "}"
        } else {
            "]"
        };
        let message = format!(
            "the file ends, and this `{}` is not closed",
            &self.text[open..open + 1]
        );
        self.fatal(
            "unbalanced",
            open..open + 1,
            &message,
            &format!("write the `{want}` that belongs to it; is the file complete?"),
        )
    }

    fn unclosed_string<T>(&mut self, open: usize) -> Result<T, Fatal> {
        self.fatal(
            "unclosed-string",
            open..self.at,
            "this string has no closing quote on its line",
            "write the closing \"; a line break within a string is \\n",
        )
    }

    fn ended<T>(&mut self, start: usize, message: &str) -> Result<T, Fatal> {
        let start = start.min(self.text.len());
        self.fatal(
            "unbalanced",
            start..self.text.len(),
            message,
            "is the file complete?",
        )
    }

    fn fatal<T>(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: &str,
        help: &str,
    ) -> Result<T, Fatal> {
        self.errors.push(SyntaxError {
            code,
            span,
            message: message.to_owned(),
            help: Some(help.to_owned()),
        });
        Err(Fatal)
    }

    /// A mistake after which the reader can go on.
    fn mistake(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: &str,
        help: &str,
    ) -> Result<(), Fatal> {
        if self.errors.len() + 1 >= MAX_ERRORS {
            return self.fatal(
                "syntax",
                span,
                "there are too many mistakes of syntax to read on",
                "correct those above first",
            );
        }
        let _ = self.fatal::<()>(code, span, message, help);
        Ok(())
    }
}

/// Text from the contract, short enough for a message.
pub fn clip(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((i, _)) => format!("{}…", &text[..i]),
    }
}
