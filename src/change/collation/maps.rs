//! Maps of code points: the other case, and the weights of the collations that weigh character by character.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::table::{Kind, Pages, Reader};

const TABLE: &[u8] = include_bytes!("data/maps.bin");

/// A map of code points; what it does not name stays as it is.
pub(super) struct Map(Pages);

impl Map {
    /// The generated map of this name.
    pub fn named(name: &str) -> Option<&'static Map> {
        static MAPS: OnceLock<HashMap<&'static str, Map>> = OnceLock::new();
        let maps = MAPS.get_or_init(|| read(TABLE).unwrap_or_default());
        maps.get(name)
    }

    #[inline]
    pub fn of(&self, code: u32) -> u32 {
        self.0.get(code).map_or(code, |value| value - 1)
    }

    #[inline]
    fn of_char(&self, character: char) -> char {
        char::from_u32(self.of(u32::from(character))).unwrap_or(character)
    }

    /// Every character mapped. Where the text is UTF-8 on the server too, it is mapped in its own place: it never grows, and
    /// ends where a character that became longer has been written over what was to come next.
    pub fn text(&self, text: &str, in_place: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut read = 0;
        for character in text.chars() {
            let other = self.of_char(character);
            if in_place && out.len() + other.len_utf8() > text.len() {
                break;
            }
            out.push(other);
            read += character.len_utf8();
            if in_place && out.len() > read {
                break;
            }
        }
        out
    }
}

fn read(table: &'static [u8]) -> Option<HashMap<&'static str, Map>> {
    let mut reader = Reader::open(table, Kind::Maps)?;
    let mut maps = HashMap::new();
    for _ in 0..reader.count()? {
        let name = reader.text()?;
        let mut pages = Pages::default();
        let (mut key, mut distance) = (0_u32, 0_u32);
        for _ in 0..reader.count()? {
            key = key.checked_add(reader.number()?)?;
            distance = distance.wrapping_add(reader.signed()?);
            pages.set(key, key.wrapping_add(distance).checked_add(1)?)?;
        }
        maps.insert(name, Map(pages));
    }
    reader.is_at_end().then_some(maps)
}
