//! JSON paths as the differences of a partial update write them: `$.key."other key"[3]`.

use std::borrow::Cow;

use crate::change::jsonb::MAX_DEPTH;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leg<'a> {
    Member(Cow<'a, str>),
    Cell(usize),
    /// Counted from the last cell, which is 0.
    FromLast(usize),
}

impl Leg<'_> {
    /// The cell of an array of `length`, if there is such a cell.
    pub fn cell(&self, length: usize) -> Option<usize> {
        match self {
            Leg::Member(_) => None,
            Leg::Cell(index) => Some(*index).filter(|&index| index < length),
            Leg::FromLast(back) => length.checked_sub(back.checked_add(1)?),
        }
    }

    /// Where a new cell goes: beyond either end of the array it is put at that end.
    pub fn gap(&self, length: usize) -> Option<usize> {
        match self {
            Leg::Member(_) => None,
            Leg::Cell(index) => Some((*index).min(length)),
            Leg::FromLast(back) => Some(length.saturating_sub(back.saturating_add(1))),
        }
    }
}

/// The steps of a path; `None` where it is not one that names a single place.
pub(super) fn parse(path: &[u8]) -> Option<Vec<Leg<'_>>> {
    let mut rest = std::str::from_utf8(path).ok()?.strip_prefix('$')?;
    let mut legs = Vec::new();
    while !rest.is_empty() {
        if legs.len() == MAX_DEPTH {
            return None;
        }
        rest = rest.trim_start_matches(' ');
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = after.split_once(']')?;
            legs.push(cell(number.trim())?);
            rest = after;
        } else {
            let member = rest.strip_prefix('.')?.trim_start_matches(' ');
            let (name, after) = match member.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = member.find(['.', '[', ' ']).unwrap_or(member.len());
                    let (name, after) = member.split_at_checked(end)?;
                    if name.is_empty() || name == "*" {
                        return None;
                    }
                    (Cow::Borrowed(name), after)
                }
            };
            legs.push(Leg::Member(name));
            rest = after;
        }
    }
    Some(legs)
}

/// `3`, `last` or `last-3`.
fn cell(text: &str) -> Option<Leg<'static>> {
    let Some(back) = text.strip_prefix("last") else {
        return Some(Leg::Cell(text.parse().ok()?));
    };
    match back.trim_start().strip_prefix('-') {
        Some(back) => Some(Leg::FromLast(back.trim_start().parse().ok()?)),
        None => back.is_empty().then_some(Leg::FromLast(0)),
    }
}

/// A JSON string after its opening quote, and what follows the closing one.
fn unquote(quoted: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = quoted.find(['"', '\\'])?;
    let (plain, rest) = quoted.split_at_checked(end)?;
    if let Some(after) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), after));
    }
    let mut name = plain.to_owned();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Cow::Owned(name), chars.as_str())),
            '\\' => name.push(match chars.next()? {
                'b' => '\u{8}',
                't' => '\t',
                'n' => '\n',
                'f' => '\u{c}',
                'r' => '\r',
                'u' => escaped(&mut chars)?,
                other @ ('"' | '\\' | '/') => other,
                _ => return None,
            }),
            other => name.push(other),
        }
    }
}

/// `\uXXXX`, two of them for a character beyond the first plane.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut unit = || {
        let (hex, rest) = chars.as_str().split_at_checked(4)?;
        *chars = rest.chars();
        u16::from_str_radix(hex, 16).ok()
    };
    let first = unit()?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(u32::from(first));
    }
    let tail = chars.as_str().strip_prefix("\\u")?;
    *chars = tail.chars();
    let (hex, rest) = chars.as_str().split_at_checked(4)?;
    *chars = rest.chars();
    let second = u16::from_str_radix(hex, 16).ok()?;
    char::decode_utf16([first, second]).next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::{Leg, parse};

    fn member(name: &str) -> Leg<'_> {
        Leg::Member(name.into())
    }

    #[test]
    fn reads_members_and_cells() {
        assert_eq!(parse(b"$"), Some(vec![]));
        assert_eq!(
            parse(b"$.a[12].\"b c\"[0]"),
            Some(vec![
                member("a"),
                Leg::Cell(12),
                member("b c"),
                Leg::Cell(0)
            ])
        );
        assert_eq!(
            parse(r#"$."a\"b\\\u00e9\ud83d\ude00/".é"#.as_bytes()),
            Some(vec![member("a\"b\\é😀/"), member("é")])
        );
        assert_eq!(parse(b"$.\"\""), Some(vec![member("")]));
        assert_eq!(
            parse(b"$[last][last-2]"),
            Some(vec![Leg::FromLast(0), Leg::FromLast(2)])
        );
    }

    #[test]
    fn refuses_what_names_no_single_place() {
        for path in [
            "",
            "a",
            "$.",
            "$.*",
            "$**.a",
            "$[*]",
            "$[last",
            "$[1",
            "$.\"a",
            "$[1 to 2]",
        ] {
            assert_eq!(parse(path.as_bytes()), None, "{path}");
        }
    }
}
