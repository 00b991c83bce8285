//! LIKE: `%` is any run, `_` any one, the escape makes the next one literal.

/// What the server makes of the empty ESCAPE: NUL is the escape.
const NONE: char = '\0';

/// By characters; `same` says which are equal.
pub(super) fn chars(
    text: &str,
    pattern: &str,
    escape: Option<char>,
    same: impl Fn(char, char) -> bool,
) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = parts(pattern.chars(), escape.unwrap_or(NONE), '%', '_');
    matches(&text, &pattern, same)
}

/// By bytes.
pub(super) fn bytes(text: &str, pattern: &str, escape: Option<char>) -> bool {
    // A character of several bytes escapes nothing.
    let escape = u8::try_from(escape.unwrap_or(NONE)).ok();
    let pattern = parts(pattern.bytes(), escape, b'%', b'_');
    matches(text.as_bytes(), &pattern, |a, b| a == b)
}

#[derive(Clone, Copy)]
enum Part<T> {
    Any,
    One,
    Literal(T),
}

/// The escape is looked for first: `%` and `_` are no wildcards where they are the escape.
fn parts<T: Copy + PartialEq>(
    pattern: impl Iterator<Item = T>,
    escape: impl Into<Option<T>>,
    any: T,
    one: T,
) -> Vec<Part<T>> {
    let escape = escape.into();
    let mut parts = Vec::new();
    let mut pattern = pattern;
    while let Some(unit) = pattern.next() {
        parts.push(if Some(unit) == escape {
            // At the end there is nothing to escape: it stands for itself.
            Part::Literal(pattern.next().unwrap_or(unit))
        } else if unit == any {
            Part::Any
        } else if unit == one {
            Part::One
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
