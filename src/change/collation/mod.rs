//! MySQL's collations: comparison, sort keys, LIKE, UPPER and LOWER as the server has them.
//!
//! Texts come as UTF-8 whatever the column's character set. Collations that are not built here are unknown: whoever needs
//! one refuses it by its name.

mod binary;
mod like;
mod pad;

use std::cmp::Ordering;

use super::charset::{Charset, Collation};

/// How texts of one collation compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weigher {
    name: &'static str,
    charset: &'static str,
    order: Order,
}

/// What decides the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The bytes of the text, character sets aside.
    Bytes,
    /// The code points.
    CodePoints { pads: bool },
    /// The codes of a character set of single bytes.
    Codes(Charset),
}

impl Weigher {
    /// The collation with MySQL's name; `None` where its order is not known here. That includes the `_bin` collations of
    /// character sets in which several codes show as one text (`Charset::is_one_to_one`): what the server tells apart
    /// would compare equal.
    pub fn by_name(collation: &str) -> Option<Weigher> {
        let Collation { name, charset, .. } = Collation::by_name(collation)?;
        let order = match name {
            "binary" => Order::Bytes,
            "utf8mb4_0900_bin" => Order::CodePoints { pads: false },
            "utf8mb4_bin" | "utf8mb3_bin" | "ucs2_bin" | "utf16_bin" | "utf16le_bin"
            | "utf32_bin" => Order::CodePoints { pads: true },
            _ if name.ends_with("_bin") => {
                let set = Charset::by_mysql_name(charset)?;
                if !set.is_one_to_one() || set.max_bytes() > 1 {
                    return None;
                }
                Order::Codes(set)
            }
            _ => return None,
        };
        Some(Weigher {
            name,
            charset,
            order,
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

    /// Whether the shorter text compares as if spaces followed it.
    pub fn pads_space(&self) -> bool {
        match self.order {
            Order::Bytes => false,
            Order::CodePoints { pads } => pads,
            Order::Codes(_) => true,
        }
    }

    /// As the server's comparison operators have it.
    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        match self.order {
            Order::Bytes | Order::CodePoints { pads: false } => a.cmp(b),
            Order::CodePoints { pads: true } => binary::compare(a, b),
            Order::Codes(set) => binary::compare_codes(set, a, b),
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
            Order::Codes(set) => binary::key_of_codes(set, text, out),
        }
    }

    /// `text LIKE pattern ESCAPE escape`: character by character (byte by byte for `binary`), so neither trailing spaces nor
    /// what several characters make together counts. `None` is the empty ESCAPE.
    pub fn like(&self, text: &str, pattern: &str, escape: Option<char>) -> bool {
        match self.order {
            Order::Bytes => like::bytes(text, pattern, escape),
            Order::CodePoints { .. } | Order::Codes(_) => {
                like::chars(text, pattern, escape, |a, b| a == b)
            }
        }
    }

    /// UPPER() of the server.
    pub fn upper(&self, text: &str) -> String {
        match self.order {
            Order::Bytes => text.to_owned(),
            _ => text.to_uppercase(),
        }
    }

    /// LOWER() of the server.
    pub fn lower(&self, text: &str) -> String {
        match self.order {
            Order::Bytes => text.to_owned(),
            _ => text.to_lowercase(),
        }
    }
}
