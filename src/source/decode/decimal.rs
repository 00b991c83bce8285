//! DECIMAL as MySQL packs it: groups of nine digits in four big endian bytes, the sign in the first bit.

use std::fmt::Write;

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
    let mut out = String::with_capacity(usize::from(precision) + 3);
    if negative {
        out.push('-');
    }
    let mut cursor = Cursor::new(raw, "decimal");
    integer_part(&mut cursor, usize::from(precision - scale), &mut out)?;
    if scale > 0 {
        out.push('.');
        fraction_part(&mut cursor, usize::from(scale), &mut out)?;
    }
    Some(out)
}

fn integer_part(cursor: &mut Cursor<'_>, digits: usize, out: &mut String) -> Option<()> {
    let start = out.len();
    let odd = digits % 9;
    let mut number = group(cursor, odd)?;
    for _ in 0..digits / 9 {
        append(out, start, number)?;
        number = group(cursor, 9)?;
    }
    append(out, start, number)?;
    if out.len() == start {
        out.push('0');
    }
    Some(())
}

/// Appends a group without the number's leading zeros.
fn append(out: &mut String, start: usize, number: u64) -> Option<()> {
    if out.len() > start {
        write!(out, "{number:09}").ok()
    } else if number > 0 {
        write!(out, "{number}").ok()
    } else {
        Some(())
    }
}

fn fraction_part(cursor: &mut Cursor<'_>, digits: usize, out: &mut String) -> Option<()> {
    for _ in 0..digits / 9 {
        write!(out, "{:09}", group(cursor, 9)?).ok()?;
    }
    let odd = digits % 9;
    if odd > 0 {
        write!(out, "{:0odd$}", group(cursor, odd)?).ok()?;
    }
    Some(())
}

/// A group of `digits`; more digits than that are not DECIMAL.
fn group(cursor: &mut Cursor<'_>, digits: usize) -> Option<u64> {
    let number = cursor.uint_be(*GROUP.get(digits)?).ok()?;
    (number < 10_u64.pow(digits as u32)).then_some(number)
}
