//! From characters to codes: which one MySQL gives a character when it converts utf8mb4 into the set, and which texts their
//! characters do not tell.
//!
//! In most sets of a single byte and in all of East Asia's several codes show as one character, or as `?`. Of these the
//! first has the character, the shorter before the longer; the few others are in [`outranks`].

use std::sync::OnceLock;

use super::multi::{self, Set};
use super::{Charset, InvalidText, Kind, swe7};
use crate::change::Text;

/// A character's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    bytes: [u8; 4],
    next: u8,
}

impl Code {
    fn new(number: u32) -> Self {
        let unused = number.leading_zeros().min(24) / 8;
        Self {
            bytes: number.to_be_bytes(),
            next: unused as u8,
        }
    }
}

impl Iterator for Code {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(usize::from(self.next))?;
        self.next += 1;
        Some(byte)
    }
}

impl Charset {
    /// The text of these bytes, which it keeps where its characters do not give them back.
    #[inline]
    pub fn text<'a>(&self, bytes: &'a [u8]) -> Result<Text<'a>, InvalidText> {
        let shown = self.decode(bytes)?;
        if self.gives_back(&shown, bytes) {
            return Ok(Text::from(shown));
        }
        let converts = self.converts(&shown, bytes);
        Ok(Text::with_codes(shown.into_owned(), bytes.into(), converts))
    }

    /// Whether these are the bytes that the text, which is theirs, has in the set.
    fn gives_back(self, shown: &str, bytes: &[u8]) -> bool {
        match self.0 {
            Kind::Utf8 { .. } | Kind::Ucs2 | Kind::Utf16 { .. } | Kind::Utf32 => true,
            Kind::Single(half) => {
                !half.has_doubtful()
                    || !bytes
                        .iter()
                        .any(|&byte| byte >= 0x80 && half.is_doubtful(byte))
            }
            Kind::Swe7 => bytes.iter().all(|&byte| byte < 0x7f),
            // ASCII is itself, but for this one.
            Kind::Multi(set) if bytes.is_ascii() => set != Set::Sjis || !bytes.contains(&b'\\'),
            Kind::Multi(_) => self.codes(shown).eq(bytes.iter().copied()),
        }
    }

    /// Whether MySQL can convert the bytes, which show so: it cannot convert a code that stands for nothing, but for those of
    /// gb18030, which are question marks to it.
    fn converts(self, shown: &str, bytes: &[u8]) -> bool {
        // No code of several bytes holds this one.
        let marks = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'?').count();
        self.0 == Kind::Multi(Set::Gb18030) || marks(shown.as_bytes()) <= marks(bytes)
    }

    /// The text's bytes as MySQL converts it; what has no code is `?`.
    pub fn codes(self, text: &str) -> impl Iterator<Item = u8> {
        let none = Code::new(u32::from(b'?'));
        text.chars()
            .flat_map(move |character| self.code(character).unwrap_or(none))
    }

    /// The code that the character gets; `None` where it gets none, and for the sets of Unicode.
    #[inline]
    pub fn code(self, character: char) -> Option<Code> {
        let number = match self.0 {
            Kind::Single(half) => u32::from(half.byte(character)?),
            Kind::Swe7 => u32::from((0..0x7f).find(|&byte| swe7(byte) == character)?),
            Kind::Multi(set) => Table::of(set).code(set, character)?,
            Kind::Utf8 { .. } | Kind::Ucs2 | Kind::Utf16 { .. } | Kind::Utf32 => return None,
        };
        Some(Code::new(number))
    }

    /// Whether text of the set can hold the character.
    pub fn holds(self, character: char) -> bool {
        match self.0 {
            Kind::Utf8 { max_bytes: 3 } | Kind::Ucs2 => character.len_utf8() <= 3,
            Kind::Utf8 { .. } | Kind::Utf16 { .. } | Kind::Utf32 => true,
            _ => self.code(character).is_some(),
        }
    }

    /// Whether the set holds the character and has one code for it, so that who sees it knows its bytes.
    pub fn tells(self, character: char) -> bool {
        match self.0 {
            Kind::Single(half) => half.count(character) == 1,
            Kind::Swe7 => character != '?' && self.code(character).is_some(),
            Kind::Multi(set) => Table::of(set).tells(set, character),
            _ => self.holds(character),
        }
    }
}

/// The codes of a multi-byte set by their characters.
struct Table {
    /// For each character up to U+FFFF one more than its code; 0: it has none.
    codes: Vec<u32>,
    /// A bit for each character that has several codes.
    several: Vec<u64>,
}

impl Table {
    fn of(set: Set) -> &'static Table {
        static TABLES: [OnceLock<Table>; multi::SETS] = [const { OnceLock::new() }; multi::SETS];
        static NONE: Table = Table {
            codes: Vec::new(),
            several: Vec::new(),
        };
        let table = TABLES.get(set as usize);
        table.map_or(&NONE, |table| table.get_or_init(|| Table::build(set)))
    }

    fn build(set: Set) -> Table {
        let mut table = Table {
            codes: vec![0; 0x1_0000],
            several: vec![0; 0x1_0000 / 64],
        };
        set.each_code(&mut |code, character| table.add(set, code, character));
        // What stands for nothing, of which gb18030 has too many to be visited.
        table.add(set, u32::from(b'?'), '?');
        table
    }

    fn add(&mut self, set: Set, code: u32, character: char) {
        let place = u32::from(character) as usize;
        let Some(known) = self.codes.get_mut(place) else {
            return;
        };
        if *known > 0
            && let Some(bits) = self.several.get_mut(place / 64)
        {
            *bits |= 1 << (place % 64);
        }
        if *known == 0 || outranks(set, character, *known - 1) {
            *known = code + 1;
        }
    }

    #[inline]
    fn code(&self, set: Set, character: char) -> Option<u32> {
        match self.codes.get(u32::from(character) as usize) {
            Some(known) => known.checked_sub(1),
            None => set.supplementary(character),
        }
    }

    fn tells(&self, set: Set, character: char) -> bool {
        let place = u32::from(character) as usize;
        let bits = self.several.get(place / 64).copied().unwrap_or(0);
        bits >> (place % 64) & 1 == 0 && self.code(set, character).is_some()
    }
}

/// Whether another code of the character, of the same length or longer, comes before the one that is known: what is no
/// character has its last code, the backslash of sjis is the full-width one, and NEC's selection of IBM's characters
/// (0xED40 to 0xEEFC) comes after all others.
fn outranks(set: Set, character: char, known: u32) -> bool {
    match set {
        Set::Sjis => character == '\\',
        Set::Big5 => character == char::REPLACEMENT_CHARACTER,
        Set::Cp932 => matches!(known, 0xed40..=0xeefc),
        _ => false,
    }
}
