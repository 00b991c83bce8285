//! Which rows can make the item of a given key: what the key says about the driving row, as SQL.

use super::layout::literal;
use super::render::{Renderer, column_name, column_type};
use super::{DRIVING, SelectError};
use crate::contract::model::Scalar;
use crate::plan::charsets::{self, Stored};
use crate::plan::model::*;
use crate::schema::ColumnType;

/// The value of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyText<'a> {
    S(&'a str),
    /// Decimal text.
    N(&'a str),
    B(&'a [u8]),
}

/// An item's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemKey<'a> {
    pub pk: KeyText<'a>,
    pub sk: Option<KeyText<'a>>,
}

/// Whether an item of this key can be one of the projection's, as far as the constant parts of its key tell.
pub fn can_make(projection: &Projection, key: &ItemKey<'_>) -> bool {
    parts(projection, key).all(|(value, text)| match (value, text) {
        (ValueSource::Static(scalar), KeyText::S(text)) => constant_is(scalar, text),
        (ValueSource::Template(pieces), KeyText::S(text)) => {
            !matches!(split(pieces, text), Split::Other)
        }
        _ => true,
    })
}

impl<'p> Renderer<'p> {
    /// A condition that holds for every row whose item has one of the keys; `None` where no row can.
    pub(super) fn item_keys(
        &mut self,
        projection: &'p Projection,
        keys: &[ItemKey<'_>],
    ) -> Result<Option<String>, SelectError> {
        let mut any = Vec::new();
        for key in keys.iter().filter(|key| can_make(projection, key)) {
            let mut all = Vec::new();
            for (value, text) in parts(projection, key) {
                self.told(value, text, &mut all);
            }
            if all.is_empty() {
                for (value, text) in parts(projection, key) {
                    all.push(self.equals(value, text)?);
                }
            }
            let condition = all.join(" AND ");
            if !any.contains(&condition) {
                any.push(condition);
            }
        }
        if any.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!("({})", any.join("\n    OR "))))
    }

    /// What the key's text says about the driving row's columns, where it can only have been made of one text for each.
    fn told(&self, value: &'p ValueSource, text: KeyText<'_>, all: &mut Vec<String>) {
        match (value, text) {
            (ValueSource::Column(slot), text) => all.extend(self.column_is(*slot, text)),
            (ValueSource::Template(pieces), KeyText::S(text)) => match split(pieces, text) {
                Split::Parts(parts) => {
                    for (value, text) in parts {
                        self.told(value, KeyText::S(text), all);
                    }
                }
                // Whole numbers hold no separator: those at either end are certain.
                Split::Open { early, late } => {
                    let whole = |(value, _): &&(&'p ValueSource, &str)| self.is_whole(value);
                    let first = early.iter().take_while(whole).count();
                    let last = late.iter().skip(first).rev().take_while(whole);
                    for (value, text) in early.iter().take(first).chain(last) {
                        self.told(value, KeyText::S(text), all);
                    }
                }
                Split::Other => {}
            },
            _ => {}
        }
    }

    fn is_whole(&self, value: &ValueSource) -> bool {
        match value {
            ValueSource::Column(slot) => {
                matches!(column_type(self.driving, *slot), ColumnType::Int { .. })
            }
            _ => false,
        }
    }

    fn column_is(&self, slot: usize, text: KeyText<'_>) -> Option<String> {
        let name = format!("{DRIVING}.{}", column_name(self.driving, slot));
        match (column_type(self.driving, slot), text) {
            (ColumnType::Int { .. }, KeyText::S(text) | KeyText::N(text)) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let whole =
                    (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                // Nothing else is printed by a whole number.
                Some(match whole {
                    true => format!("{name} = {text}"),
                    false => "FALSE".into(),
                })
            }
            (ColumnType::Text { charset, .. }, KeyText::S(text)) => {
                match charsets::stored(charset, text) {
                    Stored::One => Some(format!("{name} = {}", literal(text))),
                    // MySQL takes the literal for one of them.
                    Stored::Several => None,
                    // It cannot be compared: MySQL refuses to convert it.
                    Stored::None => Some("FALSE".into()),
                }
            }
            (ColumnType::Binary { .. } | ColumnType::Bytes { .. }, KeyText::B(bytes)) => {
                Some(format!("{name} = {}", hexadecimal(bytes)))
            }
            _ => None,
        }
    }

    /// The key attribute itself compared: no index helps.
    fn equals(&mut self, value: &'p ValueSource, text: KeyText<'_>) -> Result<String, SelectError> {
        let rendered = self.value(value)?;
        // What it cannot read is no matter of this condition.
        self.faults.clear();
        Ok(match text {
            KeyText::S(text) => format!("CONCAT({}) = {}", rendered.part(), literal(text)),
            KeyText::N(text) => format!("{} = {}", rendered.operand(), decimal(text)),
            KeyText::B(bytes) => format!("{} = {}", rendered.operand(), hexadecimal(bytes)),
        })
    }
}

/// The projection's key attributes with the key's values.
fn parts<'p, 'k>(
    projection: &'p Projection,
    key: &ItemKey<'k>,
) -> impl Iterator<Item = (&'p ValueSource, KeyText<'k>)> {
    let of = |role: Role| {
        let mut attributes = projection.attributes.iter();
        attributes.find(move |a| a.role == role).map(|a| &a.value)
    };
    let pk = of(Role::PartitionKey).map(|value| (value, key.pk));
    let sk = of(Role::SortKey).zip(key.sk);
    pk.into_iter().chain(sk)
}

/// What a text says about the values of a template.
enum Split<'p, 't> {
    /// Each value's text; there is no other way to cut it.
    Parts(Vec<(&'p ValueSource, &'t str)>),
    /// It may be this template's, and be cut in several ways: with the first ones as short as can be, and with the last ones.
    Open {
        early: Vec<(&'p ValueSource, &'t str)>,
        late: Vec<(&'p ValueSource, &'t str)>,
    },
    /// The template never makes this text.
    Other,
}

fn split<'p, 't>(pieces: &'p [Piece], text: &'t str) -> Split<'p, 't> {
    // Literals between values, values in between: `None` where two values touch.
    let mut literals = vec![String::new()];
    let mut values = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(more) | Piece::Value(ValueSource::Static(Scalar::String(more))) => {
                if let Some(last) = literals.last_mut() {
                    last.push_str(more);
                }
            }
            Piece::Value(value) => {
                values.push(value);
                literals.push(String::new());
            }
        }
    }
    let (Some((first, rest)), false) = (literals.split_first(), values.is_empty()) else {
        return match literals.first().is_some_and(|only| only == text) {
            true => Split::Parts(Vec::new()),
            false => Split::Other,
        };
    };
    let (last, between) = match rest.split_last() {
        Some((last, between)) => (last.as_str(), between),
        None => ("", rest),
    };
    let Some(inner) = text
        .strip_prefix(first.as_str())
        .and_then(|t| t.strip_suffix(last))
    else {
        return Split::Other;
    };
    let (mut early, mut from) = (Vec::new(), 0);
    for literal in between {
        let Some(at) = inner.get(from..).and_then(|t| t.find(literal.as_str())) else {
            return Split::Other;
        };
        early.push((from, from + at));
        from += at + literal.len();
    }
    early.push((from, inner.len()));
    let (mut late, mut to) = (Vec::new(), inner.len());
    for literal in between.iter().rev() {
        let Some(at) = inner.get(..to).and_then(|t| t.rfind(literal.as_str())) else {
            return Split::Other;
        };
        late.push((at + literal.len(), to));
        to = at;
    }
    late.push((0, to));
    late.reverse();
    let cut = |at: &[(usize, usize)]| {
        let texts = at.iter().filter_map(|(from, to)| inner.get(*from..*to));
        values.iter().copied().zip(texts).collect()
    };
    let separates = |l: &String| l.bytes().any(|b| !(b.is_ascii_digit() || b == b'-'));
    if early == late && !between.iter().any(String::is_empty) {
        return Split::Parts(cut(&early));
    }
    // A separator of digits may stand within a number.
    if !between.iter().all(separates) {
        return Split::Open {
            early: Vec::new(),
            late: Vec::new(),
        };
    }
    Split::Open {
        early: cut(&early),
        late: cut(&late),
    }
}

fn constant_is(scalar: &Scalar, text: &str) -> bool {
    match scalar {
        Scalar::Number(constant) | Scalar::String(constant) => constant == text,
        Scalar::Bool(true) => text == "true",
        Scalar::Bool(false) => text == "false",
        Scalar::Null => false,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("x'{}'", hex::encode(bytes))
}

/// A number as MySQL reads it; what is none equals nothing.
fn decimal(text: &str) -> String {
    let allowed = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    match !text.is_empty() && text.bytes().all(allowed) {
        true => text.to_string(),
        false => "NULL".into(),
    }
}
