//! Sets of single bytes that extend ASCII.

/// The byte stands for nothing.
pub(super) const NONE: u16 = 0xFFFF;

/// The upper half (bytes 0x80 to 0xFF) of a set whose lower half is ASCII.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub chars: [u16; 128],
    /// A bit for each byte whose character is that of another byte, which is the one that the character gets.
    doubtful: u128,
}

impl Half {
    pub const fn new(chars: [u16; 128]) -> Self {
        let mut doubtful = 0;
        let mut place = 0;
        while place < 128 {
            let mut other = 0;
            let mut found = chars[place] < 0x80;
            while other < 128 && chars[place] != NONE {
                // The first one has the character, of those that are no character at all the last one.
                let before = match chars[place] {
                    0xFFFD => other > place,
                    _ => other < place,
                };
                found = found || before && chars[other] == chars[place];
                other += 1;
            }
            if found {
                doubtful |= 1 << place;
            }
            place += 1;
        }
        Self { chars, doubtful }
    }

    /// Whether the byte, which is not ASCII, is not the one that its character gets.
    #[inline]
    pub fn is_doubtful(&self, byte: u8) -> bool {
        self.doubtful >> (byte & 0x7f) & 1 == 1
    }

    pub fn has_doubtful(&self) -> bool {
        self.doubtful != 0
    }

    /// The byte that the character gets.
    pub fn byte(&self, character: char) -> Option<u8> {
        if character.is_ascii() {
            return u8::try_from(character).ok();
        }
        let mut bytes = (0x80..=0xff).zip(self.chars);
        let found = bytes.find(|&(byte, code)| {
            u32::from(code) == u32::from(character) && code != NONE && !self.is_doubtful(byte)
        });
        found.map(|(byte, _)| byte)
    }

    /// How many bytes show as the character.
    pub fn count(&self, character: char) -> usize {
        let upper = self.chars.iter();
        upper
            .filter(|&&code| u32::from(code) == u32::from(character))
            .count()
            + usize::from(character.is_ascii())
    }
}
