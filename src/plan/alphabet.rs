//! The texts that a value can have: which characters, how many, and whether two renderings can ever be equal.

use std::collections::{HashMap, VecDeque};

use super::charsets;
use super::key_rows::{Cell, KeyRows};
use super::model::{DateFormat, DateToken, NumberFormat, Transform, ValueSource};
use super::types::column_type_name;
use crate::contract::model::BinaryFormat;
use crate::schema::ColumnType;

/// A set of characters: ASCII one by one, all others together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alphabet {
    ascii: u128,
    other: bool,
}

impl Alphabet {
    pub const ANY: Self = Self {
        ascii: u128::MAX,
        other: true,
    };

    pub fn of(text: &str) -> Self {
        text.chars().fold(
            Self {
                ascii: 0,
                other: false,
            },
            |set, c| match c.is_ascii() {
                true => Self {
                    ascii: set.ascii | 1 << (c as u32),
                    ..set
                },
                false => Self { other: true, ..set },
            },
        )
    }

    fn digits_and(more: &str) -> Self {
        Self::of("0123456789").and(Self::of(more))
    }

    fn and(self, more: Self) -> Self {
        Self {
            ascii: self.ascii | more.ascii,
            other: self.other || more.other,
        }
    }

    pub fn contains(self, c: char) -> bool {
        if c.is_ascii() {
            self.ascii >> (c as u32) & 1 == 1
        } else {
            self.other
        }
    }

    /// A character that both hold, a readable one where there is one.
    fn common(self, with: Self) -> Option<char> {
        let both = Self {
            ascii: self.ascii & with.ascii,
            other: self.other && with.other,
        };
        let readable = "1aA0bB29xyz-:. "
            .chars()
            .chain('!'..='~')
            .find(|c| both.contains(*c));
        readable
            .or_else(|| (0..128u8).map(char::from).find(|c| both.contains(*c)))
            .or(both.other.then_some('é'))
    }
}

/// What the text of a value is like.
pub(super) struct PartText {
    pub alphabet: Alphabet,
    /// In characters, where all texts have the same.
    pub width: Option<usize>,
    /// Never the empty text.
    pub filled: bool,
    /// The column that it shows, and of which row.
    pub cell: Option<Cell>,
    /// Why the column's value does not follow from the text.
    pub lossy: Option<String>,
}

/// Describes the text of a value that is no literal. `numeric`: it is compared as a DynamoDB number.
pub(super) fn part_of(rows: &KeyRows<'_>, value: &ValueSource, numeric: bool) -> PartText {
    if let Some(cell) = rows.cell(value) {
        return column_of(rows, cell, numeric);
    }
    match value {
        ValueSource::Transformed { input, by } => transformed(rows, input, by),
        ValueSource::Join(_) | ValueSource::Aggregate { .. } => {
            opaque("it comes from other rows by a join or an aggregate")
        }
        ValueSource::Case { .. } | ValueSource::Concat { .. } | ValueSource::Expression(_) => {
            opaque("it is computed by an expression")
        }
        _ => opaque("it is put together in a way that cannot be read back"),
    }
}

fn column_of(rows: &KeyRows<'_>, cell: Cell, numeric: bool) -> PartText {
    let column = rows.column(cell);
    let (alphabet, width) = text_of(&column.ty);
    let filled = !matches!(
        column.ty,
        ColumnType::Text { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. }
            | ColumnType::Bytes { .. }
    );
    PartText {
        alphabet,
        width: width.filter(|_| !numeric),
        filled,
        cell: Some(cell),
        lossy: column_lossy(&column.name, &column.ty, numeric),
    }
}

fn opaque(why: &str) -> PartText {
    PartText {
        alphabet: Alphabet::ANY,
        width: None,
        filled: false,
        cell: None,
        lossy: Some(why.to_string()),
    }
}

/// Characters and width of a column's text as MySQL prints it.
fn text_of(ty: &ColumnType) -> (Alphabet, Option<usize>) {
    let fraction = |fsp: u8| if fsp == 0 { 0 } else { usize::from(fsp) + 1 };
    match ty {
        ColumnType::Int { unsigned: true, .. } | ColumnType::Bit { .. } => {
            (Alphabet::digits_and(""), None)
        }
        ColumnType::Int { .. } => (Alphabet::digits_and("-"), None),
        ColumnType::Decimal { .. } => (Alphabet::digits_and("-."), None),
        ColumnType::Float { .. } | ColumnType::Double { .. } => {
            (Alphabet::digits_and("-+.eE"), None)
        }
        ColumnType::Date => (Alphabet::digits_and("-"), Some(10)),
        ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => {
            (Alphabet::digits_and("-: ."), Some(19 + fraction(*fsp)))
        }
        ColumnType::Time { .. } => (Alphabet::digits_and("-:."), None),
        ColumnType::Year => (Alphabet::digits_and(""), Some(4)),
        ColumnType::Enum { labels, .. } => (
            labels
                .iter()
                .fold(Alphabet::of(""), |set, l| set.and(Alphabet::of(l))),
            None,
        ),
        ColumnType::Set { labels, .. } => (
            labels
                .iter()
                .fold(Alphabet::of(","), |set, l| set.and(Alphabet::of(l))),
            None,
        ),
        _ => (Alphabet::ANY, None),
    }
}

/// Why two different values of a column can have the same text.
pub(super) fn column_lossy(name: &str, ty: &ColumnType, numeric: bool) -> Option<String> {
    match ty {
        ColumnType::Text { .. } if numeric => Some(format!(
            "`{name}` is text compared as a number: '1' and '01' are the same key"
        )),
        ColumnType::Text { charset, .. } if !charsets::one_to_one(charset) => Some(format!(
            "`{name}` is in {charset}, where different bytes can be the same text"
        )),
        ColumnType::Enum { .. } | ColumnType::Set { .. } if numeric => {
            Some(format!("`{name}` is text compared as a number"))
        }
        ColumnType::Enum { labels, .. } | ColumnType::Set { labels, .. }
            if labels.iter().any(String::is_empty) =>
        {
            Some(format!(
                "`{name}` has the empty label, which looks like no value"
            ))
        }
        ColumnType::Enum { labels, .. } | ColumnType::Set { labels, .. } => {
            let distinct: std::collections::HashSet<_> = labels.iter().collect();
            (distinct.len() != labels.len()).then(|| format!("`{name}` has a label twice"))
        }
        ColumnType::Float { .. } | ColumnType::Double { .. } => Some(format!(
            "`{name}` is a FLOAT or DOUBLE, whose text is rounded"
        )),
        ColumnType::Json | ColumnType::Geometry | ColumnType::Vector { .. } => Some(format!(
            "`{name}` is {}, whose text need not be unique",
            column_type_name(ty)
        )),
        _ => None,
    }
}

fn transformed(rows: &KeyRows<'_>, input: &ValueSource, by: &Transform) -> PartText {
    let Some(cell) = rows.cell(input) else {
        return opaque("a transformation of something that is no plain column cannot be read back");
    };
    let column = rows.column(cell);
    let name = &column.name;
    // Of a joined column nobody has asked whether the transformation suits it.
    let bytes = matches!(
        column.ty,
        ColumnType::Binary { .. } | ColumnType::Bytes { .. }
    );
    let (alphabet, width, keeps) = match by {
        Transform::Date {
            format,
            source_format,
        } => {
            let (alphabet, width) = date_text(format);
            (
                alphabet,
                width,
                source_format.is_none() && date_keeps(format, &column.ty),
            )
        }
        Transform::Number(format) => (
            Alphabet::digits_and("-. "),
            None,
            number_keeps(format, &column.ty),
        ),
        Transform::Binary(BinaryFormat::Hex) => (Alphabet::digits_and("abcdefABCDEF"), None, bytes),
        Transform::Binary(BinaryFormat::Uuid) => {
            (Alphabet::digits_and("abcdefABCDEF-"), Some(36), bytes)
        }
        Transform::Binary(BinaryFormat::Base64) => {
            let letters: String = ('a'..='z').chain('A'..='Z').chain("+/=".chars()).collect();
            (Alphabet::digits_and(&letters), None, bytes)
        }
        Transform::JsonParse => (Alphabet::ANY, None, false),
    };
    let lossy = match (keeps, by) {
        (true, _) => None,
        (false, Transform::Date { .. }) => {
            Some(format!("date-format does not keep all of `{name}`"))
        }
        (false, Transform::Number(_)) => Some(format!("number-format rounds `{name}`")),
        (false, Transform::Binary(_)) => Some(format!(
            "binary-format shows the bytes of a text of `{name}`, which is no binary column"
        )),
        (false, Transform::JsonParse) => {
            Some(format!("json-parse does not keep the text of `{name}`"))
        }
    };
    let filled = !matches!(by, Transform::Binary(_) | Transform::JsonParse);
    PartText {
        alphabet,
        width,
        filled,
        cell: Some(cell),
        lossy,
    }
}

fn date_text(format: &DateFormat) -> (Alphabet, Option<usize>) {
    match format {
        DateFormat::Epoch | DateFormat::EpochMillis => (Alphabet::digits_and("-."), None),
        DateFormat::Iso8601 => (Alphabet::digits_and("-:.TZ+"), None),
        DateFormat::Pattern(tokens) => {
            let (mut alphabet, mut width) = (Alphabet::digits_and(""), 0);
            for token in tokens {
                width += match token {
                    DateToken::Literal(text) => {
                        alphabet = alphabet.and(Alphabet::of(text));
                        text.chars().count()
                    }
                    DateToken::Year => 4,
                    DateToken::Millis => 3,
                    _ => 2,
                };
            }
            (alphabet, Some(width))
        }
    }
}

/// Whether the column's value follows from the formatted date.
fn date_keeps(format: &DateFormat, ty: &ColumnType) -> bool {
    use DateToken as T;
    let (time, fsp) = match ty {
        ColumnType::Date => (false, 0),
        ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => (true, *fsp),
        _ => return false,
    };
    match format {
        DateFormat::Epoch => fsp == 0,
        DateFormat::EpochMillis => fsp <= 3,
        DateFormat::Iso8601 => true,
        DateFormat::Pattern(tokens) => {
            let has = |wanted: &[T]| wanted.iter().all(|t| tokens.contains(t));
            has(&[T::Year, T::Month, T::Day])
                && (!time || has(&[T::Hour, T::Minute, T::Second]))
                && (fsp == 0 || fsp <= 3 && has(&[T::Millis]))
        }
    }
}

fn number_keeps(format: &NumberFormat, ty: &ColumnType) -> bool {
    match (format, ty) {
        (_, ColumnType::Int { .. } | ColumnType::Year | ColumnType::Bit { .. }) => true,
        (NumberFormat::Decimals { decimals, .. }, ColumnType::Decimal { scale, .. }) => {
            *decimals >= usize::from(*scale)
        }
        (NumberFormat::Padded { .. }, ColumnType::Decimal { scale, .. }) => *scale == 0,
        _ => false,
    }
}

/// A regular language: literal characters, and runs of characters from a set. Renderings of a key are over-estimated
/// by it, so that two whose languages have no text in common can never be equal.
#[derive(Debug, Default)]
pub(super) struct Language {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, Copy)]
enum Element {
    Char(char),
    One(Alphabet),
    /// Any number, none included.
    Many(Alphabet),
}

/// Positions in two languages, each with the position before it and the character between them.
type CameFrom = HashMap<(usize, usize), ((usize, usize), Option<char>)>;

impl Language {
    pub fn literal(&mut self, text: &str) {
        self.elements.extend(text.chars().map(Element::Char));
    }

    pub fn any(&mut self) {
        self.elements.push(Element::Many(Alphabet::ANY));
    }

    /// A value of `width` characters, or of any number of them (`filled`: at least one).
    pub fn part(&mut self, alphabet: Alphabet, width: Option<usize>, filled: bool) {
        match width {
            Some(width) => self
                .elements
                .extend(std::iter::repeat_n(Element::One(alphabet), width)),
            None if filled => self
                .elements
                .extend([Element::One(alphabet), Element::Many(alphabet)]),
            None => self.elements.push(Element::Many(alphabet)),
        }
    }

    /// A shortest text that both languages hold.
    pub fn common(&self, other: &Self) -> Option<String> {
        let goal = (self.elements.len(), other.elements.len());
        let mut came_from = CameFrom::new();
        let mut open = VecDeque::from([(0, 0)]);
        came_from.insert((0, 0), ((0, 0), None));
        while let Some(at) = open.pop_front() {
            if at == goal {
                return Some(trace(&came_from, goal));
            }
            for (next, c) in self.steps(other, at) {
                came_from.entry(next).or_insert_with(|| {
                    open.push_back(next);
                    (at, c)
                });
            }
        }
        None
    }

    fn steps(&self, other: &Self, (i, j): (usize, usize)) -> Vec<((usize, usize), Option<char>)> {
        let (a, b) = (self.elements.get(i), other.elements.get(j));
        let mut steps = Vec::new();
        if let Some(Element::Many(_)) = a {
            steps.push(((i + 1, j), None));
        }
        if let Some(Element::Many(_)) = b {
            steps.push(((i, j + 1), None));
        }
        if let (Some(a), Some(b)) = (a, b)
            && let Some(c) = a.common(*b)
        {
            let past = |e: &Element, at: usize| {
                if matches!(e, Element::Many(_)) {
                    at
                } else {
                    at + 1
                }
            };
            steps.push(((past(a, i), past(b, j)), Some(c)));
        }
        steps
    }
}

impl Element {
    fn common(self, other: Self) -> Option<char> {
        match (self, other) {
            (Element::Char(a), Element::Char(b)) => (a == b).then_some(a),
            (Element::Char(c), Element::One(set) | Element::Many(set))
            | (Element::One(set) | Element::Many(set), Element::Char(c)) => {
                set.contains(c).then_some(c)
            }
            (Element::One(a) | Element::Many(a), Element::One(b) | Element::Many(b)) => a.common(b),
        }
    }
}

fn trace(came_from: &CameFrom, goal: (usize, usize)) -> String {
    let mut text: Vec<char> = Vec::new();
    let mut at = goal;
    while at != (0, 0) {
        let Some((before, c)) = came_from.get(&at) else {
            break;
        };
        text.extend(c);
        at = *before;
    }
    text.iter().rev().collect()
}
