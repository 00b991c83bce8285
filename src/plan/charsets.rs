//! The MySQL character sets whose text can be shown as UTF-8.

use crate::change::charset::Charset;

/// Whether text of this character set can be decoded.
pub(super) fn decodable(name: &str) -> bool {
    Charset::by_mysql_name(name).is_some()
}

/// Whether text of this character set can show as `text`, and if so, whether nothing but one stored text does.
pub(super) fn stored(name: &str, text: &str) -> Stored {
    let Some(set) = Charset::by_mysql_name(name) else {
        return Stored::Several;
    };
    if !text.chars().all(|c| set.holds(c)) {
        return Stored::None;
    }
    match text.chars().all(|c| set.tells(c)) {
        true => Stored::One,
        false => Stored::Several,
    }
}

/// How many texts of a character set show as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    None,
    One,
    Several,
}

/// Whether two different stored texts always give two different UTF-8 texts.
pub(super) fn one_to_one(name: &str) -> bool {
    Charset::by_mysql_name(name).is_some_and(Charset::is_one_to_one)
}
