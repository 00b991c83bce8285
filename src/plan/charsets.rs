//! The MySQL character sets whose text can be shown as UTF-8.

use crate::change::charset::Charset;

/// Whether text of this character set can be decoded.
pub(super) fn decodable(name: &str) -> bool {
    Charset::by_mysql_name(name).is_some()
}

/// Whether two different stored texts always give two different UTF-8 texts. The East Asian sets have characters
/// with several codes, a few single-byte sets have codes that stand for nothing, ucs2 has lone surrogates.
pub(super) fn one_to_one(name: &str) -> bool {
    ONE_TO_ONE.contains(&name)
}

const ONE_TO_ONE: [&str; 17] = [
    "utf8mb4", "utf8mb3", "utf8", "ascii", "latin1", "latin2", "latin5", "latin7", "cp1250",
    "cp1251", "cp1256", "cp866", "koi8r", "koi8u", "utf16", "utf16le", "utf32",
];
