//! The `_bin` collations that pad: the order of code points or of the bytes of a character set.

use std::cmp::Ordering;

use super::pad;
use crate::change::Text;
use crate::change::charset::Charset;

const SPACE: u32 = b' ' as u32;
/// Characters that the set lacks come after all that it has.
const FOREIGN: u32 = 0x100;

/// By code points, which is the order of UTF-8's bytes.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    pad::compare(a.bytes().map(u32::from), b.bytes().map(u32::from), SPACE)
}

pub(super) fn key(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    pad::key(text.bytes().map(u32::from), SPACE, write, out);
}

/// By the bytes of a character set.
pub(super) fn compare_codes(set: Charset, a: &str, b: &str) -> Ordering {
    pad::compare(codes(set, a), codes(set, b), SPACE)
}

/// The same of texts as they are stored.
pub(super) fn compare_texts(set: Charset, a: &Text<'_>, b: &Text<'_>) -> Ordering {
    match (a.codes(), b.codes()) {
        (None, None) => compare_codes(set, a, b),
        (Some(a), None) => pad::compare(stored(a), codes(set, b), SPACE),
        (None, Some(b)) => pad::compare(codes(set, a), stored(b), SPACE),
        (Some(a), Some(b)) => pad::compare(stored(a), stored(b), SPACE),
    }
}

pub(super) fn key_of_codes(set: Charset, text: &Text<'_>, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    match text.codes() {
        Some(codes) => pad::key(stored(codes), SPACE, write, out),
        None => pad::key(codes(set, text), SPACE, write, out),
    }
}

fn stored(codes: &[u8]) -> impl Iterator<Item = u32> {
    codes.iter().copied().map(u32::from)
}

/// The text's bytes in the set, and what has none there.
fn codes(set: Charset, text: &str) -> impl Iterator<Item = u32> {
    text.chars().flat_map(move |character| {
        let code = set.code(character);
        let foreign = code.is_none().then_some(FOREIGN + u32::from(character));
        code.into_iter().flatten().map(u32::from).chain(foreign)
    })
}

/// The character's code in a set of single bytes; more than 255 where it has none.
pub(super) fn code(set: Charset, character: char) -> u32 {
    set.single_byte(character)
        .map_or(FOREIGN + u32::from(character), u32::from)
}

/// A code is its byte, the last one excepted: it introduces what lies beyond it.
pub(super) fn write(weight: u32, out: &mut Vec<u8>) {
    match u8::try_from(weight) {
        Ok(0xff) => out.extend_from_slice(&[0xff, 0]),
        Ok(byte) => out.push(byte),
        Err(_) => {
            out.extend_from_slice(&[0xff, 1]);
            out.extend_from_slice(&weight.to_be_bytes());
        }
    }
}
