//! MySQL's collations: comparison, sort keys, LIKE, UPPER and LOWER as the server has them.
//!
//! Texts come as UTF-8 whatever the column's character set. Collations that are not built here are unknown: whoever needs
//! one refuses it by its name. The tables in `data` are generated from a server (`tests/collations/generate.py`).

mod binary;
mod code;
mod like;
mod maps;
mod pad;
mod simple;
mod table;
#[cfg(test)]
mod tests;
mod uca;

use std::cmp::Ordering;
use std::fmt;

use super::Text;
use super::charset::{Charset, Collation};
use maps::Map;
use simple::Simple;
use uca::Weights;

/// How texts of one collation compare.
#[derive(Clone, Copy)]
pub struct Weigher {
    name: &'static str,
    charset: &'static str,
    order: Order,
    casing: Option<Casing>,
}

/// What decides the order.
#[derive(Clone, Copy)]
enum Order {
    /// The bytes of the text, character sets aside.
    Bytes,
    /// The code points.
    CodePoints { pads: bool },
    /// The bytes of a character set that is not Unicode's.
    Codes(Charset),
    /// One weight for each character.
    Simple(Simple),
    /// Unicode 9.0.0, that many levels.
    Uca900(&'static Weights, usize),
    /// Unicode 4.0.0.
    Uca400(&'static Weights),
}

/// UPPER and LOWER.
#[derive(Clone, Copy)]
struct Casing {
    upper: &'static Map,
    lower: &'static Map,
    /// The server maps the text in its own place, as UTF-8.
    in_place: bool,
}

impl Weigher {
    /// The collation with MySQL's name; `None` where its order is not known here.
    pub fn by_name(collation: &str) -> Option<Weigher> {
        let Collation { name, charset, .. } = Collation::by_name(collation)?;
        let order = match name {
            "binary" => Order::Bytes,
            "utf8mb4_0900_bin" => Order::CodePoints { pads: false },
            "utf8mb4_bin" | "utf8mb3_bin" | "ucs2_bin" | "utf16_bin" | "utf16le_bin"
            | "utf32_bin" => Order::CodePoints { pads: true },
            "utf8mb4_0900_ai_ci" => Order::Uca900(Weights::version_900()?, 1),
            "utf8mb4_0900_as_ci" => Order::Uca900(Weights::version_900()?, 2),
            "utf8mb4_0900_as_cs" => Order::Uca900(Weights::version_900()?, 3),
            "utf8mb4_unicode_ci" | "utf8mb3_unicode_ci" => Order::Uca400(Weights::version_400()?),
            "utf8mb4_general_ci" | "utf8mb3_general_ci" => {
                Order::Simple(Simple::General(Map::named("general_ci")?))
            }
            "latin1_swedish_ci" | "ascii_general_ci" => {
                let set = Charset::by_mysql_name(charset)?;
                Order::Simple(Simple::Codes(set, Map::named(name)?))
            }
            _ if name.ends_with("_bin") => Order::Codes(Charset::by_mysql_name(charset)?),
            _ => return None,
        };
        let casing = match order {
            Order::Bytes => None,
            _ => Some(Casing::of(name, charset)?),
        };
        Some(Weigher {
            name,
            charset,
            order,
            casing,
        })
    }

    /// MySQL's name of the collation.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// MySQL's name of its character set.
    pub fn charset(&self) -> &'static str {
        self.charset
    }

    /// The character set, where texts compare by bytes that what they show does not always tell: several codes of it show as
    /// one character. Who compares such texts needs them as they are ([`compare_texts`](Self::compare_texts)).
    pub fn coded(&self) -> Option<Charset> {
        match self.order {
            Order::Codes(set) if !set.is_one_to_one() => Some(set),
            _ => None,
        }
    }

    /// Whether the shorter text compares as if spaces followed it.
    pub fn pads_space(&self) -> bool {
        match self.order {
            Order::Bytes | Order::Uca900(..) => false,
            Order::CodePoints { pads } => pads,
            Order::Codes(_) | Order::Simple(_) | Order::Uca400(_) => true,
        }
    }

    /// As [`compare`](Self::compare), of texts of the collation's character set as they are stored.
    pub fn compare_texts(&self, a: &Text<'_>, b: &Text<'_>) -> Ordering {
        match self.order {
            Order::Codes(set) => binary::compare_texts(set, a, b),
            _ => self.compare(a, b),
        }
    }

    /// As [`key`](Self::key), of a text of the collation's character set as it is stored.
    pub fn key_of(&self, text: &Text<'_>, out: &mut Vec<u8>) {
        match self.order {
            Order::Codes(set) => binary::key_of_codes(set, text, out),
            _ => self.key(text, out),
        }
    }

    /// As the server's comparison operators have it.
    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        match self.order {
            Order::Bytes | Order::CodePoints { pads: false } => a.cmp(b),
            Order::CodePoints { pads: true } => binary::compare(a, b),
            Order::Codes(set) => binary::compare_codes(set, a, b),
            Order::Simple(simple) => simple.compare(a, b),
            Order::Uca900(weights, levels) => weights.compare(levels, a, b),
            Order::Uca400(weights) => weights.compare_padded(a, b),
        }
    }

    /// Appends the text's sort key: keys are equal exactly if the texts compare equal, and the order of their bytes is the
    /// order of the texts. A key says nothing about where it ends.
    pub fn key(&self, text: &str, out: &mut Vec<u8>) {
        match self.order {
            Order::Bytes | Order::CodePoints { pads: false } => {
                out.extend_from_slice(text.as_bytes());
            }
            Order::CodePoints { pads: true } => binary::key(text, out),
            Order::Codes(set) => binary::key_of_codes(set, &text.into(), out),
            Order::Simple(simple) => simple.key(text, out),
            Order::Uca900(weights, levels) => weights.key(levels, text, out),
            Order::Uca400(weights) => weights.key_padded(text, out),
        }
    }

    /// `text LIKE pattern ESCAPE escape`: character by character (byte by byte for `binary`), so neither trailing spaces nor
    /// what several characters make together counts. `None` is the empty ESCAPE.
    pub fn like(&self, text: &str, pattern: &str, escape: Option<char>) -> bool {
        match self.order {
            Order::Bytes => like::bytes(text, pattern, escape),
            Order::CodePoints { .. } => like::chars(text, pattern, escape, |a, b| a == b),
            Order::Codes(_) => like::chars(text, pattern, escape, |a, b| a == b),
            Order::Simple(simple @ Simple::General(_)) => {
                like::chars(text, pattern, escape, |a, b| {
                    simple.weight(a) == simple.weight(b)
                })
            }
            Order::Simple(simple @ Simple::Codes(..)) => {
                like::chars(text, pattern, escape, |a, b| {
                    simple.weight(a) == simple.weight(b)
                })
            }
            Order::Uca900(weights, levels) => {
                like::chars(text, pattern, escape, |a, b| weights.alike(levels, a, b))
            }
            Order::Uca400(weights) => {
                like::chars(text, pattern, escape, |a, b| weights.alike(1, a, b))
            }
        }
    }

    /// UPPER() of the server, which changes nothing in `binary`.
    pub fn upper(&self, text: &str) -> String {
        match self.casing {
            Some(casing) => casing.upper.text(text, casing.in_place),
            None => text.to_owned(),
        }
    }

    /// LOWER() of the server, which changes nothing in `binary`.
    pub fn lower(&self, text: &str) -> String {
        match self.casing {
            Some(casing) => casing.lower.text(text, casing.in_place),
            None => text.to_owned(),
        }
    }
}

impl Casing {
    fn of(collation: &str, charset: &str) -> Option<Casing> {
        let version = match charset {
            _ if collation.contains("_0900_") => "900",
            "utf8mb4" | "utf8mb3" | "ucs2" | "utf16" | "utf16le" | "utf32" => "unicode",
            other => other,
        };
        Some(Casing {
            upper: Map::named(&format!("UPPER {version}"))?,
            lower: Map::named(&format!("LOWER {version}"))?,
            in_place: charset.starts_with("utf8"),
        })
    }
}

/// A collation is its name.
impl PartialEq for Weigher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Weigher {}

impl fmt::Debug for Weigher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Weigher").field(&self.name).finish()
    }
}

/// Both without the characters that they begin with in common: these weigh the same on every level.
fn after_common_start<'a>(a: &'a str, b: &'a str) -> (&'a str, &'a str) {
    let differ = a.bytes().zip(b.bytes()).position(|(a, b)| a != b);
    let mut start = differ.unwrap_or(a.len().min(b.len()));
    while !(a.is_char_boundary(start) && b.is_char_boundary(start)) {
        start -= 1;
    }
    (
        a.get(start..).unwrap_or_default(),
        b.get(start..).unwrap_or_default(),
    )
}
