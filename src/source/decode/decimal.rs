//! DECIMAL as MySQL packs it: groups of nine digits in four big endian bytes, the sign in the first bit.

use super::cursor::Cursor;

/// Bytes for 0 to 9 digits.
const GROUP: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Whether MySQL knows such a DECIMAL.
pub(super) fn valid(precision: u8, scale: u8) -> bool {
    (1..=65).contains(&precision) && scale <= 30 && scale <= precision
}

/// Bytes of a value.
pub(super) fn length(precision: u8, scale: u8) -> usize {
    let part = |digits: u8| {
        let digits = usize::from(digits);
        digits / 9 * 4 + GROUP.get(digits % 9).copied().unwrap_or_default()
    };
    part(precision.saturating_sub(scale)) + part(scale)
}

/// The value as MySQL prints it; `None` where `bytes` is no such DECIMAL.
pub(super) fn text(bytes: &[u8], precision: u8, scale: u8) -> Option<String> {
    let mut out = String::new();
    write(bytes, precision, scale, &mut out)?;
    Some(out)
}

/// Appends [`text`].
pub(super) fn write(bytes: &[u8], precision: u8, scale: u8, text: &mut String) -> Option<()> {
    if !valid(precision, scale) || bytes.len() != length(precision, scale) {
        return None;
    }
    // Negative values have all bits inverted; the sign bit is inverted always.
    let mut raw = [0_u8; 32];
    let raw = raw.get_mut(..bytes.len())?;
    raw.copy_from_slice(bytes);
    let first = raw.first_mut()?;
    let negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if negative {
        raw.iter_mut().for_each(|byte| *byte = !*byte);
    }
    // The longest: a sign, 65 digits, a zero before the point and the point.
    let mut out = Digits {
        bytes: [0; 68],
        length: 0,
    };
    if negative {
        out.push(b'-');
    }
    let mut cursor = Cursor::new(raw, "decimal");
    integer_part(&mut cursor, usize::from(precision - scale), &mut out)?;
    if scale > 0 {
        out.push(b'.');
        fraction_part(&mut cursor, usize::from(scale), &mut out)?;
    }
    text.push_str(out.text()?);
    Some(())
}

/// Digits in the making.
struct Digits {
    bytes: [u8; 68],
    length: usize,
}

impl Digits {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Appends `number` with zeros in front up to `width` digits.
    fn padded(&mut self, mut number: u64, width: usize) {
        let Some(places) = self.bytes.get_mut(self.length..self.length + width) else {
            return;
        };
        for place in places.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.length += width;
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(..self.length)?).ok()
    }
}

fn integer_part(cursor: &mut Cursor<'_>, digits: usize, out: &mut Digits) -> Option<()> {
    let start = out.length;
    append(group(cursor, digits % 9)?, start, out);
    for _ in 0..digits / 9 {
        append(group(cursor, 9)?, start, out);
    }
    if out.length == start {
        out.push(b'0');
    }
    Some(())
}

/// Appends a group without the number's leading zeros.
fn append(number: u64, start: usize, out: &mut Digits) {
    if out.length > start {
        out.padded(number, 9);
    } else if number > 0 {
        out.padded(number, number.ilog10() as usize + 1);
    }
}

fn fraction_part(cursor: &mut Cursor<'_>, digits: usize, out: &mut Digits) -> Option<()> {
    for _ in 0..digits / 9 {
        out.padded(group(cursor, 9)?, 9);
    }
    out.padded(group(cursor, digits % 9)?, digits % 9);
    Some(())
}

/// A group of `digits`; more digits than that are not DECIMAL.
fn group(cursor: &mut Cursor<'_>, digits: usize) -> Option<u64> {
    let number = cursor.uint_be(*GROUP.get(digits)?).ok()?;
    (number < 10_u64.pow(digits as u32)).then_some(number)
}
