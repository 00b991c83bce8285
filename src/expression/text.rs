//! Functions on text, all of them by characters.

use std::borrow::Cow;

use super::EvaluationError;
use super::cast::{MOST_BYTES, first_chars};
use super::datum::Datum;

type Text<'a> = Cow<'a, str>;

/// Bytes that MySQL reserves for a character.
const WIDTH: usize = 4;

pub(super) fn concat<'a>(parts: Vec<Datum<'a>>) -> Datum<'a> {
    let mut out = String::new();
    for part in parts {
        let Some(text) = part.into_text() else {
            return Datum::Null;
        };
        out.push_str(&text);
        if out.len() > MOST_BYTES {
            return Datum::Null;
        }
    }
    Datum::text(out)
}

pub(super) fn concat_ws<'a>(parts: Vec<Datum<'a>>) -> Datum<'a> {
    let mut parts = parts.into_iter();
    let Some(separator) = parts.next().and_then(Datum::into_text) else {
        return Datum::Null;
    };
    let mut out = String::new();
    for (index, text) in parts.filter_map(Datum::into_text).enumerate() {
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text);
        if out.len() > MOST_BYTES {
            return Datum::Null;
        }
    }
    Datum::text(out)
}

/// Repeatedly takes `what` from the ends.
pub(super) fn trim<'a>(text: Text<'a>, what: &str, leading: bool, trailing: bool) -> Text<'a> {
    if what.is_empty() {
        return text;
    }
    let mut rest: &str = &text;
    if leading {
        while let Some(shorter) = rest.strip_prefix(what) {
            rest = shorter;
        }
    }
    if trailing {
        while let Some(shorter) = rest.strip_suffix(what) {
            rest = shorter;
        }
    }
    if rest.len() == text.len() {
        return text;
    }
    Cow::Owned(rest.to_owned())
}

/// From the `from`-th character (from 1; from the end where negative), at most `length` of them.
pub(super) fn substring<'a>(text: &str, from: i128, length: Option<i128>) -> Datum<'a> {
    if length.is_some_and(|length| length <= 0) || from == 0 {
        return Datum::text("");
    }
    let count = text.chars().count() as i128;
    let skip = if from > 0 { from - 1 } else { count + from };
    if skip < 0 || skip >= count {
        return Datum::text("");
    }
    let chars = text.chars().skip(skip as usize);
    let most = length.map_or(usize::MAX, |length| {
        usize::try_from(length).unwrap_or(usize::MAX)
    });
    Datum::text(chars.take(most).collect::<String>())
}

pub(super) fn left<'a>(text: Text<'a>, length: i128) -> Datum<'a> {
    Datum::text(first_chars(
        text,
        usize::try_from(length.max(0)).unwrap_or(usize::MAX),
    ))
}

pub(super) fn right<'a>(text: Text<'a>, length: i128) -> Datum<'a> {
    let count = text.chars().count();
    let kept = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    if kept >= count {
        return Datum::text(text);
    }
    Datum::text(text.chars().skip(count - kept).collect::<String>())
}

pub(super) fn replace<'a>(text: Text<'a>, from: &str, to: &str) -> Datum<'a> {
    if from.is_empty() || !text.contains(from) {
        return Datum::text(text);
    }
    let found = text.matches(from).count();
    if text.len() + found.saturating_mul(to.len()) > MOST_BYTES {
        return Datum::Null;
    }
    Datum::text(text.replace(from, to))
}

/// Cut or filled to `length` characters.
pub(super) fn pad<'a>(
    text: Text<'a>,
    length: i128,
    filling: &str,
    left: bool,
) -> Result<Datum<'a>, EvaluationError> {
    let Ok(length) = usize::try_from(length) else {
        return Ok(Datum::Null);
    };
    let count = text.chars().count();
    if length <= count {
        return Ok(Datum::text(first_chars(text, length)));
    }
    if length.saturating_mul(WIDTH) > MOST_BYTES {
        return Ok(Datum::Null);
    }
    if filling.is_empty() {
        return Ok(Datum::text(text));
    }
    let filling: String = filling.chars().cycle().take(length - count).collect();
    Ok(Datum::text(if left {
        filling + &text
    } else {
        text.into_owned() + &filling
    }))
}
