//! JSON documents as text: read, searched by path, printed as MySQL prints them, compared.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::datum::Datum;
use super::decimal::Dec;

/// Levels that MySQL allows.
const MAX_DEPTH: usize = 100;

/// A document or a part of one. Numbers and texts stay as they were printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// In MySQL's order: shorter keys first, then by bytes; no key twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// MySQL's own print of a document: numbers keep their text.
    Document,
    /// Anybody's text: numbers become what MySQL's reader makes of them.
    Foreign,
}

/// Reads a document; `None` where the text is none.
pub(super) fn parse(text: &str, origin: Origin) -> Option<Json<'_>> {
    let mut reader = Reader {
        text,
        at: 0,
        origin,
    };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    origin: Origin,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.space();
        match self.peek()? {
            b'n' => self.eat("null").map(|()| Json::Null),
            b't' => self.eat("true").map(|()| Json::Bool(true)),
            b'f' => self.eat("false").map(|()| Json::Bool(false)),
            b'"' => self.string().map(Json::String),
            b'[' => self.array(depth + 1),
            b'{' => self.object(depth + 1),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        (depth <= MAX_DEPTH).then_some(())?;
        self.at += 1;
        let mut cells = Vec::new();
        self.space();
        if self.eat("]").is_some() {
            return Some(Json::Array(cells));
        }
        loop {
            cells.push(self.value(depth)?);
            self.space();
            if self.eat("]").is_some() {
                return Some(Json::Array(cells));
            }
            self.eat(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        (depth <= MAX_DEPTH).then_some(())?;
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.space();
        if self.eat("}").is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            (self.peek()? == b'"').then_some(())?;
            let () = ();
            let key = self.string()?;
            self.space();
            self.eat(":")?;
            let value = self.value(depth)?;
            members.push((key, value));
            self.space();
            if self.eat("}").is_some() {
                break;
            }
            self.eat(",")?;
        }
        if self.origin == Origin::Foreign {
            settle(&mut members);
        }
        Some(Json::Object(members))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        while !matches!(self.peek()?, b'"' | b'\\' | 0..=0x1f) {
            self.at += 1;
        }
        if self.peek()? == b'"' {
            self.at += 1;
            return Some(Cow::Borrowed(self.text.get(start..self.at - 1)?));
        }
        let mut out = self.text.get(start..self.at)?.to_owned();
        loop {
            let rest = self.text.get(self.at..)?;
            let next = rest.chars().next()?;
            self.at += next.len_utf8();
            match next {
                '"' => return Some(Cow::Owned(out)),
                '\\' => out.push(self.escape()?),
                '\0'..='\x1f' => return None,
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first);
                }
                self.eat("\\u")?;
                let second = self.unit()?;
                (first < 0xdc00 && (0xdc00..0xe000).contains(&second)).then_some(())?;
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(())?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let start = self.at;
        let _ = self.eat("-");
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        let mut whole = true;
        if self.eat(".").is_some() {
            self.peek()?.is_ascii_digit().then_some(())?;
            self.digits();
            whole = false;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'-' | b'+')) {
                self.at += 1;
            }
            self.peek()?.is_ascii_digit().then_some(())?;
            self.digits();
            whole = false;
        }
        let text = self.text.get(start..self.at)?;
        let fits = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        if self.origin == Origin::Foreign && text == "-0" {
            return Some(Json::Number(Cow::Borrowed("0")));
        }
        if self.origin == Origin::Document || (whole && fits) {
            return Some(Json::Number(Cow::Borrowed(text)));
        }
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(())?;
        Some(Json::Number(Cow::Owned(print_double(number))))
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

/// A double as it stands in a document: always told from an integer.
pub(super) fn print_double(number: f64) -> String {
    let mut out = String::new();
    crate::change::write_double(number, &mut out);
    if out.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        out.push_str(".0");
    }
    out
}

/// MySQL's order of keys; of those that are equal the last one counts.
fn settle(members: &mut Vec<(Cow<'_, str>, Json<'_>)>) {
    let before = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    members.reverse();
    members.sort_by(|(a, _), (b, _)| before(a, b));
    members.dedup_by(|later, kept| later.0 == kept.0);
}

/// Appends the document as MySQL prints it.
pub(super) fn print(value: &Json<'_>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Json::Number(text) => out.push_str(text),
        Json::String(text) => quote(text, out),
        Json::Array(cells) => {
            out.push('[');
            for (index, cell) in cells.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                print(cell, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                quote(key, out);
                out.push_str(": ");
                print(member, out);
            }
            out.push('}');
        }
    }
}

/// Appends a text in quotes.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Cell(Index),
    Cells(Index, Index),
    AnyMember,
    AnyCell,
    /// `**`: the value itself and everything in it.
    Deep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    First(usize),
    /// `last-n`.
    Last(usize),
}

impl Index {
    /// Where it is among so many cells; negative: before them.
    fn place(self, length: usize) -> i64 {
        match self {
            Index::First(n) => n as i64,
            Index::Last(n) => length as i64 - 1 - n as i64,
        }
    }
}

/// A path: its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// Reads `$.a[0].*`; `None` where it is no path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start_matches(is_space).strip_prefix('$')?;
        let mut steps = Vec::new();
        loop {
            rest = rest.trim_start_matches(is_space);
            if rest.is_empty() {
                break;
            }
            let (step, left) = step(rest)?;
            steps.push(step);
            rest = left;
        }
        (steps.last() != Some(&Step::Deep)).then_some(Path(steps))
    }

    /// Whether it can find more than one value.
    pub fn is_open(&self) -> bool {
        self.0.iter().any(|step| {
            matches!(
                step,
                Step::AnyMember | Step::AnyCell | Step::Cells(..) | Step::Deep
            )
        })
    }

    /// Everything it finds, in the document's order, nothing twice.
    pub fn find<'v, 'a>(&self, document: &'v Json<'a>) -> Vec<&'v Json<'a>> {
        let mut found = vec![document];
        for step in &self.0 {
            let mut next: Vec<&'v Json<'a>> = Vec::new();
            for value in found {
                advance(step, value, &mut next);
            }
            found = next;
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|value| seen.insert(std::ptr::from_ref(*value)));
        found
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix("**") {
        return Some((Step::Deep, rest));
    }
    if let Some(rest) = text.strip_prefix('.') {
        let rest = rest.trim_start_matches(is_space);
        if let Some(rest) = rest.strip_prefix('*') {
            return Some((Step::AnyMember, rest));
        }
        if rest.starts_with('"') {
            let mut reader = Reader {
                text: rest,
                at: 0,
                origin: Origin::Foreign,
            };
            let key = reader.string()?;
            return Some((Step::Member(key.into_owned()), rest.get(reader.at..)?));
        }
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(rest.len());
        let key = &rest[..end];
        let sound = key.chars().next().is_some_and(|c| !c.is_numeric());
        return sound.then(|| (Step::Member(key.to_owned()), &rest[end..]));
    }
    let rest = text.strip_prefix('[')?;
    let (inside, rest) = rest.split_once(']')?;
    let inside = inside.trim_matches(is_space);
    if inside == "*" {
        return Some((Step::AnyCell, rest));
    }
    if let Some((from, to)) = inside.split_once(" to ") {
        return Some((Step::Cells(index(from)?, index(to)?), rest));
    }
    Some((Step::Cell(index(inside)?), rest))
}

fn index(text: &str) -> Option<Index> {
    let text = text.trim_matches(is_space);
    let number = |digits: &str| {
        let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let Some(rest) = text.strip_prefix("last") else {
        return Some(Index::First(number(text)? as usize));
    };
    let rest = rest.trim_start_matches(is_space);
    if rest.is_empty() {
        return Some(Index::Last(0));
    }
    let back = rest.strip_prefix('-')?.trim_start_matches(is_space);
    Some(Index::Last(number(back)? as usize))
}

fn advance<'v, 'a>(step: &Step, value: &'v Json<'a>, found: &mut Vec<&'v Json<'a>>) {
    match (step, value) {
        (Step::Member(key), Json::Object(members)) => {
            found.extend(members.iter().find(|(k, _)| k == key).map(|(_, v)| v));
        }
        (Step::AnyMember, Json::Object(members)) => found.extend(members.iter().map(|(_, v)| v)),
        (Step::AnyCell, Json::Array(cells)) => found.extend(cells),
        (Step::Cell(index), Json::Array(cells)) => {
            let place = usize::try_from(index.place(cells.len()));
            found.extend(place.ok().and_then(|place| cells.get(place)));
        }
        // A value that is no array is taken as the only cell of one.
        (Step::Cell(index), other) if index.place(1) == 0 => found.push(other),
        (Step::Cells(from, to), Json::Array(cells)) => {
            let (from, to) = (from.place(cells.len()).max(0), to.place(cells.len()));
            let inside = cells.iter().enumerate();
            let inside = inside.filter(|(i, _)| (*i as i64) >= from && (*i as i64) <= to);
            found.extend(inside.map(|(_, cell)| cell));
        }
        (Step::Cells(from, to), other) if from.place(1) <= 0 && to.place(1) >= 0 => {
            found.push(other);
        }
        (Step::Deep, value) => {
            found.push(value);
            match value {
                Json::Array(cells) => cells.iter().for_each(|cell| advance(step, cell, found)),
                Json::Object(members) => {
                    members.iter().for_each(|(_, v)| advance(step, v, found));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// MySQL's order of kinds.
fn rank(value: &Json<'_>) -> u8 {
    match value {
        Json::Null => 0,
        Json::Number(_) => 1,
        Json::String(_) => 2,
        Json::Object(_) => 3,
        Json::Array(_) => 4,
        Json::Bool(_) => 5,
    }
}

fn order(a: &Json<'_>, b: &Json<'_>) -> Ordering {
    match (a, b) {
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::Number(a), Json::Number(b)) => numbers(a, b),
        (Json::String(a), Json::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Json::Array(a), Json::Array(b)) => {
            let cells = a.iter().zip(b).map(|(a, b)| order(a, b));
            let first = cells.into_iter().find(|o| o.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
            let members = a
                .iter()
                .zip(b)
                .map(|((k, v), (l, w))| k.cmp(l).then_with(|| order(v, w)));
            let first = members.into_iter().find(|o| o.is_ne());
            first.unwrap_or(Ordering::Equal)
        }),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn numbers(a: &str, b: &str) -> Ordering {
    if a.contains('e') || b.contains('e') {
        let double = super::datum::leading_double;
        return double(a).total_cmp(&double(b));
    }
    Dec::from_leading(a).compare(&Dec::from_leading(b))
}

/// A value as JSON compares it; `None` for NULL.
fn as_json<'v>(value: &'v Datum<'_>) -> Option<Json<'v>> {
    Some(match value {
        Datum::Null => return None,
        Datum::Json(text) => parse(text, Origin::Document)?,
        Datum::Text(text) => Json::String(Cow::Borrowed(text)),
        Datum::Double(number) => Json::Number(Cow::Owned(print_double(*number))),
        other => Json::Number(other.clone().into_text()?.into_owned().into()),
    })
}

/// The order of two values, at least one of them JSON.
pub(super) fn compare(a: &Datum<'_>, b: &Datum<'_>) -> Option<Ordering> {
    Some(order(&as_json(a)?, &as_json(b)?))
}

/// Bytes that are equal exactly for values that compare equal.
pub(super) fn key(value: &Datum<'_>, out: &mut Vec<u8>) -> Option<()> {
    fn put(value: &Json<'_>, out: &mut Vec<u8>) {
        out.push(rank(value));
        match value {
            Json::Null => {}
            Json::Bool(truth) => out.push(u8::from(*truth)),
            // Through the double, as numbers with an exponent compare; large integers keep their digits.
            Json::Number(text) if text.contains('e') => double_key(text, out),
            Json::Number(text) => Dec::from_leading(text).key(out),
            Json::String(text) => text_key(text, out),
            Json::Array(cells) => {
                out.extend_from_slice(&(cells.len() as u32).to_be_bytes());
                cells.iter().for_each(|cell| put(cell, out));
            }
            Json::Object(members) => {
                out.extend_from_slice(&(members.len() as u32).to_be_bytes());
                for (key, member) in members {
                    text_key(key, out);
                    put(member, out);
                }
            }
        }
    }
    put(&as_json(value)?, out);
    Some(())
}

/// Exact numbers are nowhere near the smallest and the largest doubles, which have more digits than fit into one.
fn double_key(text: &str, out: &mut Vec<u8>) {
    let number = super::datum::leading_double(text);
    if number == 0.0 || (1e-60..1e66).contains(&number.abs()) {
        Dec::from_leading(&print_double(number)).key(out);
    } else {
        out.push(b'd');
        out.extend_from_slice(&number.to_bits().to_be_bytes());
    }
}

fn text_key(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
