//! MySQL's character sets as UTF-8.
//!
//! What a stored byte sequence shows as is what MySQL's own conversion to utf8mb4 gives, for every sequence: its tables
//! differ from the standards (and from `encoding_rs`) in places, so single-byte sets are whole tables and multi-byte
//! sets are `encoding_rs`' tables with the differences laid over. A sequence that is well formed but stands for nothing
//! becomes `?`, as in a SELECT; one that is malformed, which MySQL does not store, is an error.

mod codes;
mod collations;
mod double;
mod half;
mod multi;
mod single;

use std::borrow::Cow;

use encoding_rs::Encoding;

pub use codes::Code;

/// A character set whose text can be shown as UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Utf8 {
        max_bytes: u8,
    },
    /// The upper half of an ASCII superset of single bytes.
    Single(&'static half::Half),
    Swe7,
    Multi(multi::Set),
    /// Two bytes, big endian, no surrogates.
    Ucs2,
    Utf16 {
        big_endian: bool,
    },
    Utf32,
}

/// The bytes are not text of the character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not text of the column's character set")]
pub struct InvalidText;

/// A collation of MySQL 9.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collation {
    pub id: u16,
    pub name: &'static str,
    /// The name of its character set.
    pub charset: &'static str,
}

impl Collation {
    /// The collation with this number (as table maps and result sets have it).
    pub fn by_id(id: u16) -> Option<Self> {
        let index = collations::COLLATIONS.binary_search_by_key(&id, |row| row.0);
        let &(id, name, charset) = collations::COLLATIONS.get(index.ok()?)?;
        Some(Self { id, name, charset })
    }

    /// The collation that MySQL calls so.
    pub fn by_name(name: &str) -> Option<Self> {
        let row = collations::COLLATIONS.iter().find(|row| row.1 == name)?;
        let &(id, name, charset) = row;
        Some(Self { id, name, charset })
    }
}

impl Charset {
    /// The set that MySQL calls so (`information_schema.CHARACTER_SETS`); `None` where it cannot be converted.
    pub fn by_mysql_name(name: &str) -> Option<Self> {
        use multi::Set;
        use single as s;
        let half = Kind::Single;
        Some(Charset(match name {
            "utf8mb4" => Kind::Utf8 { max_bytes: 4 },
            "utf8mb3" | "utf8" => Kind::Utf8 { max_bytes: 3 },
            // Bytes without a character set can be labels of an ENUM: they are shown as they are.
            "binary" => Kind::Utf8 { max_bytes: 1 },
            "ascii" => half(&s::ASCII),
            "armscii8" => half(&s::ARMSCII8),
            "cp1250" => half(&s::CP1250),
            "cp1251" => half(&s::CP1251),
            "cp1256" => half(&s::CP1256),
            "cp1257" => half(&s::CP1257),
            "cp850" => half(&s::CP850),
            "cp852" => half(&s::CP852),
            "cp866" => half(&s::CP866),
            "dec8" => half(&s::DEC8),
            "geostd8" => half(&s::GEOSTD8),
            "greek" => half(&s::GREEK),
            "hebrew" => half(&s::HEBREW),
            "hp8" => half(&s::HP8),
            "keybcs2" => half(&s::KEYBCS2),
            "koi8r" => half(&s::KOI8R),
            "koi8u" => half(&s::KOI8U),
            "latin1" => half(&s::LATIN1),
            "latin2" => half(&s::LATIN2),
            "latin5" => half(&s::LATIN5),
            "latin7" => half(&s::LATIN7),
            "macce" => half(&s::MACCE),
            "macroman" => half(&s::MACROMAN),
            "tis620" => half(&s::TIS620),
            "swe7" => Kind::Swe7,
            "big5" => Kind::Multi(Set::Big5),
            "cp932" => Kind::Multi(Set::Cp932),
            "sjis" => Kind::Multi(Set::Sjis),
            "euckr" => Kind::Multi(Set::Euckr),
            "gb2312" => Kind::Multi(Set::Gb2312),
            "gbk" => Kind::Multi(Set::Gbk),
            "gb18030" => Kind::Multi(Set::Gb18030),
            "ujis" => Kind::Multi(Set::Ujis),
            "eucjpms" => Kind::Multi(Set::Eucjpms),
            "ucs2" => Kind::Ucs2,
            "utf16" => Kind::Utf16 { big_endian: true },
            "utf16le" => Kind::Utf16 { big_endian: false },
            "utf32" => Kind::Utf32,
            _ => return None,
        }))
    }

    /// The set of a collation of MySQL 9.7.
    pub fn by_collation_id(id: u16) -> Option<Self> {
        Self::by_mysql_name(Collation::by_id(id)?.charset)
    }

    /// The most bytes that a character takes: MySQL reserves them for each character of a column.
    pub fn max_bytes(self) -> u8 {
        match self.0 {
            Kind::Utf8 { max_bytes } => max_bytes,
            Kind::Single(_) | Kind::Swe7 => 1,
            Kind::Multi(set) => set.max_bytes(),
            Kind::Ucs2 => 2,
            Kind::Utf16 { .. } | Kind::Utf32 => 4,
        }
    }

    /// Whether text is its bytes as they are.
    pub(crate) fn is_utf8(self) -> bool {
        matches!(self.0, Kind::Utf8 { .. })
    }

    /// Whether different bytes always show as different text. In the other sets several codes stand for the same
    /// character, or for nothing (`?`), so that two values which MySQL tells apart can become one.
    pub fn is_one_to_one(self) -> bool {
        match self.0 {
            Kind::Utf8 { .. } | Kind::Ucs2 | Kind::Utf16 { .. } | Kind::Utf32 => true,
            Kind::Swe7 | Kind::Multi(_) => false,
            Kind::Single(half) => !half.has_doubtful(),
        }
    }

    /// The code of a character in a set of single bytes that extends ASCII; `None` where the character has none, or the set
    /// is of another kind.
    pub fn single_byte(self, character: char) -> Option<u8> {
        match self.0 {
            Kind::Single(half) => half.byte(character),
            _ => None,
        }
    }

    /// The text as UTF-8; borrowed where the bytes are UTF-8 already.
    #[inline]
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, InvalidText> {
        match self.0 {
            Kind::Utf8 { .. } => utf8(bytes),
            Kind::Single(half) => {
                ascii_then(bytes, |rest, out| single_bytes(&half.chars, rest, out))
            }
            Kind::Multi(set) => ascii_then(bytes, |rest, out| set.decode(rest, out)),
            Kind::Swe7 => Ok(Cow::Owned(bytes.iter().map(|&byte| swe7(byte)).collect())),
            Kind::Ucs2 => units(bytes, |pair| Some(u32::from(u16::from_be_bytes(pair)))),
            Kind::Utf16 { big_endian } => utf16(bytes, big_endian),
            Kind::Utf32 => units(bytes, |quad| Some(u32::from_be_bytes(quad))),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, InvalidText> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| InvalidText)
}

/// Text that is all ASCII is borrowed; else `decode` appends what follows the ASCII part.
fn ascii_then<'a>(
    bytes: &'a [u8],
    decode: impl FnOnce(&[u8], &mut String) -> Option<()>,
) -> Result<Cow<'a, str>, InvalidText> {
    let ascii = Encoding::ascii_valid_up_to(bytes);
    let (plain, rest) = bytes.split_at_checked(ascii).ok_or(InvalidText)?;
    let plain = std::str::from_utf8(plain).map_err(|_| InvalidText)?;
    if rest.is_empty() {
        return Ok(Cow::Borrowed(plain));
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    out.push_str(plain);
    decode(rest, &mut out).ok_or(InvalidText)?;
    Ok(Cow::Owned(out))
}

fn single_bytes(table: &[u16; 128], bytes: &[u8], out: &mut String) -> Option<()> {
    for &byte in bytes {
        if byte < 0x80 {
            out.push(char::from(byte));
            continue;
        }
        let &code = table.get(usize::from(byte & 0x7f))?;
        if code == half::NONE {
            return None;
        }
        out.push(char::from_u32(u32::from(code))?);
    }
    Some(())
}

/// The Swedish variant of ASCII, seven bits.
fn swe7(byte: u8) -> char {
    match byte {
        0x40 => 'É',
        0x5b => 'Ä',
        0x5c => 'Ö',
        0x5d => 'Å',
        0x5e => 'Ü',
        0x60 => 'é',
        0x7b => 'ä',
        0x7c => 'ö',
        0x7d => 'å',
        0x7e => 'ü',
        0x7f.. => '?',
        ascii => char::from(ascii),
    }
}

/// Characters of `N` bytes each.
fn units<'a, const N: usize>(
    bytes: &[u8],
    code: impl Fn([u8; N]) -> Option<u32>,
) -> Result<Cow<'a, str>, InvalidText> {
    let (units, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(InvalidText);
    }
    let text = units
        .iter()
        .map(|&unit| char::from_u32(code(unit)?))
        .collect::<Option<String>>();
    text.map(Cow::Owned).ok_or(InvalidText)
}

fn utf16<'a>(bytes: &[u8], big_endian: bool) -> Result<Cow<'a, str>, InvalidText> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(InvalidText);
    }
    let units = units.iter().map(|&pair| match big_endian {
        true => u16::from_be_bytes(pair),
        false => u16::from_le_bytes(pair),
    });
    char::decode_utf16(units)
        .collect::<Result<String, _>>()
        .map(Cow::Owned)
        .map_err(|_| InvalidText)
}

#[cfg(test)]
mod tests;
