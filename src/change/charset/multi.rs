//! The multi-byte sets of East Asia: a table of all two-byte codes for each set, made when it is first used.

use std::sync::OnceLock;

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::double::{self, Run};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Big5,
    Cp932,
    Sjis,
    Euckr,
    Gb2312,
    Gbk,
    Gb18030,
    Ujis,
    Eucjpms,
}

/// How many there are.
pub(super) const SETS: usize = Set::Eucjpms as usize + 1;

/// A well-formed code that stands for nothing.
const UNASSIGNED: u16 = b'?' as u16;

/// Characters by code; 0 where the code is malformed.
type Table = Vec<u16>;

type Ranges = &'static [(u8, u8)];

impl Set {
    pub fn max_bytes(self) -> u8 {
        match self {
            Set::Gb18030 => 4,
            Set::Ujis | Set::Eucjpms => 3,
            _ => 2,
        }
    }

    /// Appends the text.
    pub fn decode(self, bytes: &[u8], out: &mut String) -> Option<()> {
        let table = self.table();
        let mut rest = bytes;
        while let Some((&lead, after)) = rest.split_first() {
            if lead < 0x80 {
                out.push(char::from(lead));
                rest = after;
                continue;
            }
            rest = match (self, lead, after) {
                (Set::Sjis | Set::Cp932, 0xa1..=0xdf, _) => {
                    out.push(katakana(lead)?);
                    after
                }
                (Set::Ujis | Set::Eucjpms, 0x8e, [byte @ 0xa1..=0xdf, after @ ..]) => {
                    out.push(katakana(*byte)?);
                    after
                }
                // Between katakana and nothing: the server takes it and shows each byte.
                (Set::Ujis | Set::Eucjpms, 0x8e, [0xa0, after @ ..]) => {
                    out.push_str("??");
                    after
                }
                (Set::Ujis | Set::Eucjpms, 0x8f, [first, second, after @ ..]) => {
                    out.push(entry(self.table_after_8f()?, *first, *second)?);
                    after
                }
                (
                    Set::Gb18030,
                    0x81..=0xfe,
                    [b'0'..=b'9', 0x81..=0xfe, b'0'..=b'9', after @ ..],
                ) => {
                    let code = rest.get(..4)?;
                    out.push(one_char(GB18030, code).unwrap_or('?'));
                    after
                }
                (_, _, [trail, after @ ..]) => {
                    out.push(entry(table, lead, *trail)?);
                    after
                }
                (_, _, []) => return None,
            };
        }
        Some(())
    }

    /// Calls `visit` with each code up to U+FFFF and its character, shorter codes first, then by their numbers; those of
    /// gb18030's four bytes that stand for nothing are left out.
    pub fn each_code(self, visit: &mut dyn FnMut(u32, char)) {
        (0..0x80_u8).for_each(|byte| visit(byte.into(), byte.into()));
        let before_katakana = match self {
            Set::Sjis | Set::Cp932 => Some(0),
            Set::Ujis | Set::Eucjpms => Some(0x8e00),
            _ => None,
        };
        for (lead, byte) in before_katakana
            .iter()
            .flat_map(|lead| (0xa1..=0xdf_u8).map(move |byte| (lead, byte)))
        {
            let character = katakana(byte).into_iter();
            character.for_each(|c| visit(lead + u32::from(byte), c));
        }
        each_entry(self.table(), 0, visit);
        if let Some(table) = self.table_after_8f() {
            each_entry(table, 0x8f_0000, visit);
        }
        if self == Set::Gb18030 {
            for number in 0..FOUR_BYTES_OF_BMP {
                let code = four_bytes(number);
                let character = one_char(GB18030, &code);
                character
                    .into_iter()
                    .for_each(|c| visit(u32::from_be_bytes(code), c));
            }
        }
    }

    /// The code of a character beyond U+FFFF.
    pub fn supplementary(self, character: char) -> Option<u32> {
        let number = u32::from(character).checked_sub(0x1_0000)?;
        (self == Set::Gb18030).then(|| u32::from_be_bytes(four_bytes(SUPPLEMENTARY + number)))
    }

    fn table(self) -> &'static Table {
        static BIG5_TABLE: OnceLock<Table> = OnceLock::new();
        static CP932_TABLE: OnceLock<Table> = OnceLock::new();
        static SJIS_TABLE: OnceLock<Table> = OnceLock::new();
        static EUCKR_TABLE: OnceLock<Table> = OnceLock::new();
        static GB2312_TABLE: OnceLock<Table> = OnceLock::new();
        static GBK_TABLE: OnceLock<Table> = OnceLock::new();
        static GB18030_TABLE: OnceLock<Table> = OnceLock::new();
        static UJIS_TABLE: OnceLock<Table> = OnceLock::new();
        static EUCJPMS_TABLE: OnceLock<Table> = OnceLock::new();
        let table = match self {
            Set::Big5 => &BIG5_TABLE,
            Set::Cp932 => &CP932_TABLE,
            Set::Sjis => &SJIS_TABLE,
            Set::Euckr => &EUCKR_TABLE,
            Set::Gb2312 => &GB2312_TABLE,
            Set::Gbk => &GBK_TABLE,
            Set::Gb18030 => &GB18030_TABLE,
            Set::Ujis => &UJIS_TABLE,
            Set::Eucjpms => &EUCJPMS_TABLE,
        };
        table.get_or_init(|| build(self.encoding(), &[], self.shape(), self.runs()))
    }

    /// The second table of the Japanese sets, for codes of three bytes.
    fn table_after_8f(self) -> Option<&'static Table> {
        static UJIS: OnceLock<Table> = OnceLock::new();
        static EUCJPMS: OnceLock<Table> = OnceLock::new();
        let (table, runs) = match self {
            Set::Ujis => (&UJIS, double::UJIS_3BYTE),
            Set::Eucjpms => (&EUCJPMS, double::EUCJPMS_3BYTE),
            _ => return None,
        };
        Some(table.get_or_init(|| build(EUC_JP, &[0x8f], self.shape(), runs)))
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            Set::Big5 => BIG5,
            Set::Cp932 | Set::Sjis => SHIFT_JIS,
            Set::Euckr => EUC_KR,
            Set::Gb2312 | Set::Gbk => GBK,
            Set::Gb18030 => GB18030,
            Set::Ujis | Set::Eucjpms => EUC_JP,
        }
    }

    /// Which first and second bytes are well formed.
    fn shape(self) -> (Ranges, Ranges) {
        match self {
            Set::Big5 => (&[(0xa1, 0xf9)], &[(0x40, 0x7e), (0xa1, 0xfe)]),
            Set::Cp932 | Set::Sjis => {
                (&[(0x81, 0x9f), (0xe0, 0xfc)], &[(0x40, 0x7e), (0x80, 0xfc)])
            }
            Set::Euckr => (&[(0x81, 0xfe)], &[(0x41, 0x5a), (0x61, 0x7a), (0x81, 0xfe)]),
            Set::Gb2312 => (&[(0xa1, 0xf7)], &[(0xa1, 0xfe)]),
            Set::Gbk | Set::Gb18030 => (&[(0x81, 0xfe)], &[(0x40, 0x7e), (0x80, 0xfe)]),
            Set::Ujis | Set::Eucjpms => (&[(0xa1, 0xfe)], &[(0xa1, 0xfe)]),
        }
    }

    fn runs(self) -> &'static [Run] {
        match self {
            Set::Big5 => double::BIG5,
            Set::Cp932 => double::CP932,
            Set::Sjis => double::SJIS,
            Set::Euckr => double::EUCKR,
            Set::Gb2312 => double::GB2312,
            Set::Gbk => double::GBK,
            Set::Gb18030 => double::GB18030,
            Set::Ujis => double::UJIS,
            Set::Eucjpms => double::EUCJPMS,
        }
    }
}

/// How many codes of four bytes gb18030 has for characters up to U+FFFF, and the number of the one for U+10000.
const FOUR_BYTES_OF_BMP: u32 = 39_420;
const SUPPLEMENTARY: u32 = 189_000;

/// The code of four bytes with this number.
fn four_bytes(number: u32) -> [u8; 4] {
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let byte = |number: u32| 0x81 + (number % 126) as u8;
    [
        byte(number / 12_600),
        digit(number / 1_260),
        byte(number / 10),
        digit(number),
    ]
}

fn each_entry(table: &Table, prefix: u32, visit: &mut dyn FnMut(u32, char)) {
    for (code, &character) in (prefix..).zip(table) {
        if character != 0
            && let Some(character) = char::from_u32(character.into())
        {
            visit(code, character);
        }
    }
}

/// Half-width katakana lie in a row.
fn katakana(byte: u8) -> Option<char> {
    char::from_u32(0xff61 + u32::from(byte.checked_sub(0xa1)?))
}

#[inline]
fn entry(table: &Table, lead: u8, trail: u8) -> Option<char> {
    match table.get(usize::from(u16::from_be_bytes([lead, trail]))) {
        Some(&code) if code != 0 => char::from_u32(u32::from(code)),
        _ => None,
    }
}

/// The character of a code that stands for just one.
fn one_char(encoding: &'static Encoding, code: &[u8]) -> Option<char> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(code)?;
    let mut chars = text.chars();
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// `encoding`'s table of the well-formed codes with `runs` laid over.
fn build(
    encoding: &'static Encoding,
    prefix: &[u8],
    (leads, trails): (Ranges, Ranges),
    runs: &[Run],
) -> Table {
    let mut table = vec![0_u16; 0x1_0000];
    let bytes = |ranges: Ranges| ranges.iter().flat_map(|&(first, last)| first..=last);
    let mut patch = runs.iter().peekable();
    let mut left: (u16, u16, bool) = (0, 0, false);
    for lead in bytes(leads) {
        for trail in bytes(trails) {
            let code = u16::from_be_bytes([lead, trail]);
            if let Some(&(_, count, first, advances)) = patch.next_if(|run| run.0 == code) {
                left = (count, first, advances);
            }
            let character = if left.0 > 0 {
                let character = left.1;
                left = (left.0 - 1, left.1.wrapping_add(u16::from(left.2)), left.2);
                character
            } else {
                let whole = [prefix, &[lead, trail]].concat();
                let character = one_char(encoding, &whole).map(u32::from);
                character
                    .and_then(|character| u16::try_from(character).ok())
                    .unwrap_or(UNASSIGNED)
            };
            if let Some(place) = table.get_mut(usize::from(code)) {
                *place = character;
            }
        }
    }
    table
}
