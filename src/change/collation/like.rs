//! LIKE: `%` is any run, `_` any one, the escape makes the next one literal.

/// By characters, in character sets of several bytes; `same` says which are equal.
pub(super) fn chars(
    text: &str,
    pattern: &str,
    escape: Option<char>,
    same: impl Fn(char, char) -> bool,
) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = wide_parts(pattern, escape);
    matches(&text, &pattern, same)
}

/// By characters, in character sets of single bytes.
pub(super) fn codes(
    text: &str,
    pattern: &str,
    escape: Option<char>,
    same: impl Fn(char, char) -> bool,
) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = narrow_parts(pattern.chars(), escape, '%', '_');
    matches(&text, &pattern, same)
}

/// By bytes.
pub(super) fn bytes(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let escape = escape.and_then(|escape| u8::try_from(escape).ok());
    let pattern = narrow_parts(pattern.bytes(), escape, b'%', b'_');
    matches(text.as_bytes(), &pattern, |a, b| a == b)
}

#[derive(Clone, Copy)]
enum Part<T> {
    Any,
    One,
    Literal(T),
}

/// Where `%` or `_` is itself the escape, MySQL differs by the character set: with several bytes `%` stays what it is, and
/// `_` where it follows a `%` and other `_`.
fn wide_parts(pattern: &str, escape: Option<char>) -> Vec<Part<char>> {
    let mut parts = Vec::new();
    let mut pattern = pattern.chars();
    let mut after_any = false;
    while let Some(unit) = pattern.next() {
        let part = match unit {
            '%' => Part::Any,
            '_' if after_any => Part::One,
            // At the end there is nothing to escape: it stands for itself.
            _ if Some(unit) == escape => match (pattern.next(), unit) {
                (Some(next), _) => Part::Literal(next),
                (None, '_') => Part::One,
                (None, _) => Part::Literal(unit),
            },
            '_' => Part::One,
            _ => Part::Literal(unit),
        };
        after_any = matches!(part, Part::Any) || after_any && matches!(part, Part::One);
        parts.push(part);
    }
    parts
}

/// With single bytes `%` and `_` stay what they are.
fn narrow_parts<T: Copy + PartialEq>(
    pattern: impl Iterator<Item = T>,
    escape: Option<T>,
    any: T,
    one: T,
) -> Vec<Part<T>> {
    let mut parts = Vec::new();
    let mut pattern = pattern;
    while let Some(unit) = pattern.next() {
        parts.push(if unit == any {
            Part::Any
        } else if unit == one {
            Part::One
        } else if Some(unit) == escape {
            Part::Literal(pattern.next().unwrap_or(unit))
        } else {
            Part::Literal(unit)
        });
    }
    parts
}

/// Goes back to the last `%` only: what came before it matched as early as it could.
fn matches<T: Copy>(text: &[T], pattern: &[Part<T>], same: impl Fn(T, T) -> bool) -> bool {
    let (mut rest, mut parts) = (text, pattern);
    let mut back: Option<(&[T], &[Part<T>])> = None;
    loop {
        match (parts.split_first(), rest.split_first()) {
            (None, None) => return true,
            (Some((Part::Any, after)), _) => {
                back = Some((rest, after));
                parts = after;
                continue;
            }
            (Some((Part::One, after)), Some((_, more))) => {
                (rest, parts) = (more, after);
                continue;
            }
            (Some((Part::Literal(unit), after)), Some((&other, more))) if same(other, *unit) => {
                (rest, parts) = (more, after);
                continue;
            }
            _ => {}
        }
        let Some((from, after)) = back else {
            return false;
        };
        let Some((_, more)) = from.split_first() else {
            return false;
        };
        back = Some((more, after));
        (rest, parts) = (more, after);
    }
}
