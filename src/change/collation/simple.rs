//! The older collations that give each character one weight: `general_ci` of Unicode, those of single-byte sets.

use std::cmp::Ordering;

use super::maps::Map;
use super::{binary, pad};
use crate::change::charset::Charset;

/// Nothing but a space weighs this, in all of them.
const SPACE: u32 = b' ' as u32;
/// All characters beyond the Basic Multilingual Plane weigh the same.
const SUPPLEMENTARY: u32 = 0xfffd;

/// One of these collations.
#[derive(Clone, Copy)]
pub(super) enum Simple {
    General(&'static Map),
    /// Weights of codes.
    Codes(Charset, &'static Map),
}

impl Simple {
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        let (a, b) = super::after_common_start(a, b);
        pad::compare(self.weights(a), self.weights(b), SPACE)
    }

    pub fn key(self, text: &str, out: &mut Vec<u8>) {
        out.reserve(text.len() + 2);
        match self {
            Simple::General(_) => pad::key(self.weights(text), SPACE, write_unit, out),
            Simple::Codes(..) => pad::key(self.weights(text), SPACE, binary::write, out),
        }
    }

    pub fn weight(self, character: char) -> u32 {
        match self {
            Simple::General(map) => match u32::from(character) {
                code @ ..=0xffff => map.of(code),
                _ => SUPPLEMENTARY,
            },
            Simple::Codes(set, map) => match binary::code(set, character) {
                code @ ..=0xff => map.of(code),
                foreign => foreign,
            },
        }
    }

    fn weights(self, text: &str) -> impl Iterator<Item = u32> {
        text.chars().map(move |character| self.weight(character))
    }
}

/// Sixteen bits the way UTF-8 does it: in order, and short where they are few.
fn write_unit(weight: u32, out: &mut Vec<u8>) {
    let low = |shift: u32| 0x80 | (weight >> shift & 0x3f) as u8;
    match weight {
        0..=0x7f => out.push(weight as u8),
        0x80..=0x7ff => out.extend_from_slice(&[0xc0 | (weight >> 6) as u8, low(0)]),
        _ => out.extend_from_slice(&[0xe0 | (weight >> 12 & 0xf) as u8, low(6), low(0)]),
    }
}
