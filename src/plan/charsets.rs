//! The MySQL character sets whose text can be shown as UTF-8.

use crate::change::charset::Charset;

/// Whether text of this character set can be decoded.
pub(super) fn decodable(name: &str) -> bool {
    Charset::by_mysql_name(name).is_some()
}

/// Whether two different stored texts always give two different UTF-8 texts.
pub(super) fn one_to_one(name: &str) -> bool {
    Charset::by_mysql_name(name).is_some_and(Charset::is_one_to_one)
}
